"""Elimination: from a scored guess of the free set to the exact optimum, with one factorisation.

Problem
    The scaled problem split in dense block m and source s, and a score per source variable that is right for all but a
    few of them.

Steps
    1. C, the `CANDIDATES` least certain source variables, and the dense block stay open; the certain ones are taken at
       their word: free (F) or fixed at zero. Static shapes: fixed and open rows become those of the identity.
    2. L = chol(Q_FF), Y = L⁻¹ [Q_FC, Q_Fm, q_F]; eliminating F leaves the NNLS problem with matrix
       T = Q_(Cm)(Cm) - YᵀY, of about 125 variables.
    3. That small problem is solved exactly: exchange of sign violators from the guess, else interior point.
    4. x_F by back-substitution. If x is optimal for the whole problem the certificate says so; if not, the exact
       values are better scores: x on the free variables, -gradient/ρ on the fixed.

Cost
    One Cholesky factorisation, one triangular solve with 125 right-hand sides (about a third of a factorisation), and
    the small problem (a few per cent).

Convergence
    A round returns the exact optimum if every wrongly guessed variable is among the open ones. Rounds are bounded in number:
    where they do not certify, the caller falls back to the interior-point method, so cycling costs at most those rounds.

References
    Block elimination: S. Boyd and L. Vandenberghe, Convex Optimization, appendix C.4.
    Active-set prediction and exchange: L. Portugal, J. Júdice, L. Vicente, Math. Comp. 63 (1994) 625.
"""

import jax.numpy as jnp
from jax import lax

from ._crossover import crossover, exchange_violators
from ._identify import Scores, Split
from ._linalg import Array, blocked, cholesky, masked_matrix, solve_lower
from ._pdip import solve_pdip

CANDIDATES = 64
SMALL_EXCHANGES = 6


def eliminate(split: Split, scores: Scores) -> tuple[Array, Array]:
    """Solve with the certain source variables taken at their word.

    Returns
    -------
    source, dense
        (s,) and (m,) answer, >= 0 except for source variables that were wrongly taken for free.
    """
    open_count = min(CANDIDATES, split.qs.shape[0])
    _, candidates = lax.top_k(-jnp.abs(scores.source), open_count)
    certain = jnp.ones(split.qs.shape, bool).at[candidates].set(False)
    free = certain & (scores.source > 0)

    L = cholesky(masked_matrix(split.Qss, free))
    rows = split.Qss[candidates]
    couplings = jnp.concatenate([rows.T, split.Qsm, split.qs[:, None]], axis=1)
    Y = solve_lower(L, jnp.where(free[:, None], couplings, 0))
    eliminated = Y.T @ Y

    corner = jnp.block([[rows[:, candidates], split.Qsm[candidates]], [split.Qsm[candidates].T, split.Qmm]])
    T = corner - eliminated[:-1, :-1]
    t = jnp.concatenate([split.qs[candidates], split.qm]) - eliminated[:-1, -1]
    guess = jnp.concatenate([scores.source[candidates] > 0, scores.dense])
    opened = _solve_small(T, t, guess)

    remainder = blocked(L).solve_upper(Y[:, -1] - Y[:, :-1] @ opened)
    source = jnp.where(free, remainder, 0).at[candidates].set(opened[:open_count])
    return source, opened[open_count:]


def _solve_small(T: Array, t: Array, guess: Array) -> Array:
    """Exact solution of the reduced problem: exchanges from the guess, else interior point and crossover."""
    scale = lax.rsqrt(jnp.maximum(jnp.diagonal(T), jnp.finfo(T.dtype).tiny))
    pull = jnp.max(jnp.maximum(scale * t, 0))
    pull = jnp.where(pull > 0, pull, 1)
    matrix = T * scale[:, None] * scale[None, :]
    linear = scale * t / pull
    quick, settled = exchange_violators(
        matrix, linear, jnp.zeros_like(t), guess, enabled=True, exchanges=SMALL_EXCHANGES
    )
    thorough, _ = solve_pdip(matrix, linear, None, None, skip=settled)
    return pull * scale * jnp.where(settled, quick, thorough)
