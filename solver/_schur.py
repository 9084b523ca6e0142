"""Identify, eliminate, certify: the exact optimum of a large system in two or three factorisations.

Problem
    minimise ½ xᵀQx - qᵀx subject to x >= 0, Q (K, K) scaled, where a small block of columns may be almost
    collinear (a multi-Gaussian expansion of the lens light) and the rest is regularised (the source
    reconstruction).

Steps
    0. If all source variables would stay open in step 3, `_active_set` answers at once.
    1. Name the dense block (`_blocks`): given by the caller, or found.
    2. Identify (`_identify`): score the source variables with one float32 factorisation.
    3. Eliminate (`_eliminate`): solve exactly with one factorisation, leaving the uncertain variables open.
    4. Certify on the full problem; if it fails, refresh the scores and repeat step 3, at most `MAX_ROUNDS`
       times, and only while at most `FEW_WRONG` variables are wrong.
    5. Still uncertified: exchange (`_exchange`) from the latest scores, which moves any number of variables.
    6. Not settled either: the interior-point method on the full problem. Steps 5 and 6 are loops that make
       no trip otherwise. Under `vmap` on a CPU only lanes that need them pay for them.

Cost
    Step 2: about one Cholesky equivalent; step 3: about one and a half per round; step 4: one product;
    steps 5 and 6: one factorisation a step.

Convergence
    The answer is exact when certified. Cycling is impossible: rounds and exchanges are bounded, and the
    interior-point method does not depend on them.

References
    As in `_identify`, `_eliminate`, `_exchange` and `_pdip`; the combination is this project's own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._active_set import solve_active_set
from ._blocks import Blocks, blocks
from ._certificate import default_tolerance, scaled_residual
from ._eliminate import CANDIDATES, eliminate
from ._identify import Scores, identify
from ._pdip import DEFAULT_MAX_ITER, solve_pdip
from ._problem import Scaled
from ._search import by_exchange

MAX_ROUNDS = 4
FEW_WRONG = CANDIDATES // 4
MAX_EXCHANGES = 20


class _Round(NamedTuple):
    """State: best scores, the answer, rounds made, certified, and whether more rounds make no sense."""

    scores: Scores
    x: Array
    rounds: Array
    certified: Array
    hopeless: Array


def solve_schur(
    problem: Scaled, dense_columns: tuple[int, ...] | None, max_iter: int | None, solver_tol: float | None
) -> tuple[Array, Array]:
    """Solve the scaled problem: answer (K,) and the number of rounds, steps of a fallback included.

    Parameters
    ----------
    problem
        The scaled problem.
    dense_columns
        The collinear columns, sorted; None to find them.
    max_iter
        Most rounds and interior-point steps together.
    solver_tol
        Certificate residual to accept; None for half the dtype's default.
    """
    parts = blocks(problem, dense_columns)
    if problem.q.shape[0] - parts.dense.shape[0] <= CANDIDATES:
        return solve_active_set(problem, max_iter, solver_tol)
    budget = DEFAULT_MAX_ITER + MAX_ROUNDS if max_iter is None else max_iter
    tolerance = solver_tol or default_tolerance(problem.q.dtype) / 2
    final = _rounds(parts, tolerance, min(MAX_ROUNDS, budget))
    spent = final.certified | (final.rounds >= budget)
    guess = parts.assemble(final.scores.source > 0, final.scores.dense)
    search = by_exchange(problem, guess, min(MAX_EXCHANGES, budget), solver_tol, enabled=~spent)
    rest = jnp.maximum(budget - final.rounds - search.steps, 1)
    fallback, steps = solve_pdip(problem, rest, solver_tol, skip=spent | search.certified)
    x = jnp.where(spent, final.x, jnp.where(search.certified, search.x, fallback))
    return x, final.rounds + search.steps + steps


def _rounds(parts: Blocks, tolerance: float, limit: int) -> _Round:
    problem = parts.problem

    def unfinished(state: _Round) -> Array:
        return (state.rounds < limit) & ~state.certified & ~state.hopeless

    def once(state: _Round) -> _Round:
        raw = eliminate(parts, state.scores)
        x = jnp.maximum(raw, 0)
        gradient = problem.gradient(x)
        residual = scaled_residual(x, gradient, problem.q)
        wrong = jnp.sum((raw < 0) | ((x == 0) & (gradient < -tolerance)))
        score = jnp.where(raw != 0, raw, -gradient / state.scores.penalty)[parts.start :]
        scores = Scores(
            jnp.where(parts.is_source, score, -jnp.inf), parts.of_dense(x) > 0, state.scores.penalty
        )
        hopeless = (residual == jnp.inf) | (wrong > FEW_WRONG)
        return _Round(scores, x, state.rounds + 1, residual <= tolerance, hopeless)

    no = jnp.zeros((), bool)
    start = _Round(identify(parts), jnp.zeros_like(problem.q), jnp.zeros((), jnp.int32), no, no)
    return lax.while_loop(unfinished, once, start)
