"""Identify, eliminate, certify: the exact optimum of a large system in two or three factorisations.

Problem
    minimise ½ xᵀQx - qᵀx subject to x >= 0, Q (K, K) scaled, where a small block of columns may be almost
    collinear (a multi-Gaussian expansion of the lens light) and the rest is regularised (the source
    reconstruction).

Steps
    0. If all source variables would stay open in step 3, the interior-point method answers at once.
    1. Name the dense block (`_blocks`): given by the caller, or found.
    2. Identify (`_identify`): score the source variables with one float32 factorisation.
    3. Eliminate (`_eliminate`): solve exactly with one factorisation, leaving the uncertain variables open.
    4. Certify on the full problem; if it fails, refresh the scores and repeat step 3, at most `MAX_ROUNDS`
       times.
    5. Still uncertified: the interior-point method on the full problem, in a loop that makes no trip
       otherwise. Under `vmap` only lanes that need it pay for it.

Cost
    Step 2: about one Cholesky equivalent; step 3: about one and a half per round; step 4: one product.

Convergence
    The answer is exact when certified. Cycling is impossible: rounds are bounded, and the interior-point
    method does not depend on them.

References
    As in `_identify`, `_eliminate` and `_pdip`; the combination is this project's own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Blocks, blocks
from ._certificate import default_tolerance, relative_residuals
from ._eliminate import CANDIDATES, eliminate
from ._identify import Scores, identify
from ._pdip import DEFAULT_MAX_ITER, solve_pdip
from ._problem import Scaled

MAX_ROUNDS = 4


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
        return solve_pdip(problem, max_iter, solver_tol)
    budget = DEFAULT_MAX_ITER + MAX_ROUNDS if max_iter is None else max_iter
    final = _rounds(parts, solver_tol or default_tolerance(problem.q.dtype) / 2, min(MAX_ROUNDS, budget))
    finished = final.certified | (final.rounds >= budget)
    fallback, steps = solve_pdip(problem, max(budget - MAX_ROUNDS, 1), solver_tol, skip=finished)
    return jnp.where(finished, final.x, fallback), final.rounds + steps


def _rounds(parts: Blocks, tolerance: float, limit: int) -> _Round:
    problem = parts.problem

    def unfinished(state: _Round) -> Array:
        return (state.rounds < limit) & ~state.certified & ~state.hopeless

    def once(state: _Round) -> _Round:
        raw = eliminate(parts, state.scores)
        x = jnp.maximum(raw, 0)
        gradient = problem.gradient(x)
        residual = relative_residuals(x, gradient, problem.q).worst
        score = jnp.where(raw != 0, raw, -gradient / state.scores.penalty)[parts.start :]
        scores = Scores(jnp.where(parts.is_source, score, -jnp.inf), x[parts.dense] > 0, state.scores.penalty)
        return _Round(scores, x, state.rounds + 1, residual <= tolerance, ~jnp.all(jnp.isfinite(x)))

    no = jnp.zeros((), bool)
    start = _Round(identify(parts), jnp.zeros_like(problem.q), jnp.zeros((), jnp.int32), no, no)
    return lax.while_loop(unfinished, once, start)
