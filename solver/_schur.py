"""Identify, eliminate, certify: the exact optimum of a large system in two or three factorisations.

Problem
    minimise ½ xᵀQx - qᵀx subject to x >= 0, Q (K, K) scaled, where a small block of columns may be almost collinear
    (a multi-Gaussian expansion of the lens light) and the rest is regularised (the source reconstruction).

Steps
    1. The dense block: given by the caller, or the `FOUND_BLOCK` columns with the largest Σⱼ Qᵢⱼ². Collinear columns share
       their large entries, so these contain them; columns too many are harmless.
    2. Identify (`_identify`): score the source variables with one float32 factorisation.
    3. Eliminate (`_eliminate`): solve exactly with one factorisation, leaving the uncertain variables open.
    4. Certify on the full problem; if it fails, refresh the scores and repeat step 3, at most `MAX_ROUNDS` times.
    5. Still uncertified: the interior-point method on the full problem, in a loop that makes no trip otherwise. Under `vmap`
       only lanes that need it pay for it.

Cost
    Step 2: about one Cholesky equivalent; step 3: about one and a half per round; step 4: one product.

Convergence
    The answer is exact when certified. Cycling is impossible: rounds are bounded, and the interior-point method does not
    depend on them.

References
    As in `_identify`, `_eliminate` and `_pdip`; the combination is this project's own.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax

from ._certificate import default_tolerance, relative_residuals
from ._eliminate import eliminate
from ._identify import Scores, Split, identify
from ._linalg import Array
from ._pdip import solve_pdip

FOUND_BLOCK = 64
MAX_ROUNDS = 4


class _Round(NamedTuple):
    """State: best guess of the scores, the answer, rounds made, certified, and whether another round makes sense."""

    scores: Scores
    x: Array
    rounds: Array
    certified: Array
    hopeless: Array


def solve_schur(
    Q: Array,
    q: Array,
    dense_columns: tuple[int, ...] | None,
    max_iter: int | None,
    solver_tol: float | None,
) -> tuple[Array, Array]:
    """Solve the scaled problem: answer (K,) and the number of factorisation rounds, those of a fallback included.

    Parameters
    ----------
    Q, q
        The scaled problem.
    dense_columns
        The collinear columns, sorted; None to find them.
    max_iter
        Most rounds and interior-point steps together.
    solver_tol
        Certificate residual to accept; None for half the dtype's default.
    """
    order, dense_count = _dense_first(Q, dense_columns)
    if order is None:
        return _solve_ordered(Q, q, dense_count, max_iter, solver_tol)
    x, iterations = _solve_ordered(Q[order][:, order], q[order], dense_count, max_iter, solver_tol)
    return jnp.zeros_like(x).at[order].set(x), iterations


def _dense_first(Q: Array, dense_columns: tuple[int, ...] | None) -> tuple[Array | None, int]:
    """The order that puts the dense block first (None if it is there), and the block's size."""
    K = Q.shape[0]
    if dense_columns is None:
        count = min(FOUND_BLOCK, K)
        _, dense = lax.top_k(jnp.sum(Q * Q, axis=1), count)
        is_dense = jnp.zeros(K, bool).at[dense].set(True)
        return jnp.argsort(~is_dense, stable=True), count
    if dense_columns == tuple(range(len(dense_columns))):
        return None, len(dense_columns)
    rest = sorted(set(range(K)) - set(dense_columns))
    return jnp.array([*dense_columns, *rest]), len(dense_columns)


def _solve_ordered(
    Q: Array, q: Array, m: int, max_iter: int | None, solver_tol: float | None
) -> tuple[Array, Array]:
    if m == q.shape[0]:
        return solve_pdip(Q, q, max_iter, solver_tol)
    split = Split(Q[m:, m:], Q[m:, :m], Q[:m, :m], q[m:], q[:m])
    tolerance = solver_tol or default_tolerance(Q.dtype) / 2
    final = _rounds(Q, q, split, tolerance, min(MAX_ROUNDS, max_iter or MAX_ROUNDS))
    left = None if max_iter is None else max(max_iter - MAX_ROUNDS, 1)
    exhausted = final.certified | (final.rounds >= (max_iter or jnp.iinfo(jnp.int32).max))
    fallback, steps = solve_pdip(Q, q, left, solver_tol, skip=exhausted)
    return jnp.where(exhausted, final.x, fallback), final.rounds + steps


def _rounds(Q: Array, q: Array, split: Split, tolerance: float, limit: int) -> _Round:
    m = split.qm.shape[0]

    def unfinished(state: _Round) -> Array:
        return (state.rounds < limit) & ~state.certified & ~state.hopeless

    def once(state: _Round) -> _Round:
        source, dense = eliminate(split, state.scores)
        x = jnp.maximum(jnp.concatenate([dense, source]), 0)
        gradient = Q @ x - q
        residual = relative_residuals(x, gradient, q).worst
        source_gradient = gradient[m:]
        refreshed = jnp.where(source != 0, source, -source_gradient / state.scores.penalty)
        scores = Scores(refreshed, dense > 0, state.scores.penalty)
        hopeless = ~jnp.all(jnp.isfinite(x))
        return _Round(scores, x, state.rounds + 1, residual <= tolerance, hopeless)

    no = jnp.zeros((), bool)
    start = _Round(identify(split), jnp.zeros_like(q), jnp.zeros((), jnp.int32), no, no)
    return lax.while_loop(unfinished, once, start)
