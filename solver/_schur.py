"""Identify, eliminate, certify: the exact optimum of a large system in two or three factorisations.

Problem
    minimise ½ xᵀQx - qᵀx subject to x >= 0, Q (K, K) scaled, where a small block of columns may be almost
    collinear (a multi-Gaussian expansion of the lens light) and the rest is regularised (the source
    reconstruction).

Steps
    1. Name the dense block (`_blocks`): given by the caller, or found.
    2. Identify (`_identify`): score the source variables with one float32 factorisation.
    3. Eliminate (`_eliminate`): solve exactly with one factorisation, leaving the uncertain variables open.
    4. Certify on the full problem; if it fails, refresh the scores and repeat step 3, at most `MAX_ROUNDS`
       times, and only while each round leaves at most half of the wrong variables, and few.
    5. Still uncertified, interior points (`_interior`). Under `vmap` on a CPU only lanes that need them pay
       for them.

Cost
    Step 2: about one Cholesky equivalent; step 3: little more than one per round; step 4: one product.

Convergence
    The answer is exact when certified. Rounds are bounded, and step 5 does not depend on them.

References
    As in `_identify`, `_eliminate` and `_interior`; the combination is this project's own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Blocks, blocks
from ._certificate import scaled_residual
from ._eliminate import CANDIDATES, eliminate
from ._identify import Scores, identify
from ._interior import Best, nothing_yet, solve_interior
from ._linalg import packed_while
from ._problem import Scaled

MAX_ROUNDS = 4


class _Round(NamedTuple):
    """State: the latest scores, how many variables were wrong, the best answer, and whether to go on."""

    scores: Scores
    wrong: Array
    best: Best
    hopeful: Array


def solve_schur(
    problem: Scaled, dense_columns: tuple[int, ...] | None, limit: Array, tolerance: Array
) -> Best:
    """Solve the scaled problem.

    Parameters
    ----------
    problem
        The scaled problem.
    dense_columns
        The collinear columns, sorted; None to find them.
    limit
        () int32, most factorisations.
    tolerance
        () certificate residual to stop at.
    """
    parts = blocks(problem, dense_columns)
    best = nothing_yet(problem)
    if parts.is_source.shape[0] > CANDIDATES:
        best = _rounds(parts, limit, tolerance, best)
    # A loop without a trip is not enough: XLA takes out of it what does not change, and does that first.
    return lax.cond(
        best.residual <= tolerance, lambda: best, lambda: solve_interior(problem, limit, tolerance, best)
    )


def _rounds(parts: Blocks, limit: Array, tolerance: Array, best: Best) -> Best:
    problem = parts.problem
    most = jnp.minimum(1 + MAX_ROUNDS, limit)

    def unfinished(state: _Round) -> Array:
        return (state.best.steps < most) & (state.best.residual > tolerance) & state.hopeful

    def once(state: _Round) -> _Round:
        raw = eliminate(parts, state.scores, tolerance)
        x = jnp.maximum(raw, 0)
        gradient = problem.gradient(x)
        residual = scaled_residual(x, gradient, problem.q)
        wrong = jnp.sum((raw < 0) | ((x == 0) & (gradient < -tolerance)))
        score = jnp.where(raw != 0, raw, -gradient / state.scores.penalty)[parts.start :]
        scores = state.scores._replace(source=jnp.where(parts.is_source, score, -jnp.inf))
        better = residual < state.best.residual
        best = Best(
            jnp.where(better, x, state.best.x),
            jnp.minimum(residual, state.best.residual),
            state.best.steps + 1,
        )
        hopeful = (wrong <= CANDIDATES) & (2 * wrong <= state.wrong) & (residual < jnp.inf)
        return _Round(scores, wrong, best, hopeful)

    identified = best._replace(steps=best.steps + 1)
    begin = _Round(identify(parts), jnp.array(problem.q.shape[0]), identified, jnp.ones((), bool))
    return packed_while(unfinished, once, begin).best
