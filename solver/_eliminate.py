"""Elimination: from a scored guess of the free set to the exact optimum, with one factorisation.

Problem
    The scaled problem split in dense block m and source s, and a score per source variable that is right
    for all but a few of them.

Steps
    1. C, the `CANDIDATES` least certain source variables, and the dense block stay open; the certain ones
       are taken at their word: free (F) or fixed at zero. Static shapes: fixed and open rows become those
       of the identity.
    2. L = chol(Q_FF), Y = L⁻¹ [Q_FC, Q_Fm, q_F]; eliminating F leaves the NNLS problem with matrix
       T = Q_(Cm)(Cm) - YᵀY, of about 125 variables.
    3. The active-set walk (`_walk`) solves that small problem exactly, from zero and the guess.
    4. x_F by back-substitution. If x is optimal for the whole problem the certificate says so; if not, the
       exact values are better scores: x on the free variables, -gradient/ρ on the fixed.

Cost
    One Cholesky factorisation, one triangular solve with 125 right-hand sides (about a third of a
    factorisation), and the small problem (a few per cent).

Convergence
    A round returns the exact optimum if every wrongly guessed variable is among the open ones. Rounds are
    bounded in number: where they do not certify, the caller falls back to the interior-point method, so
    cycling costs at most those rounds.

References
    Block elimination: S. Boyd and L. Vandenberghe, Convex Optimization, appendix C.4.
    Active-set prediction and exchange: L. Portugal, J. Júdice, L. Vicente, Math. Comp. 63 (1994) 625.
"""

import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Blocks
from ._identify import Scores
from ._linalg import factorised
from ._problem import Scaled
from ._walk import walk

CANDIDATES = 64
MAX_SMALL_STEPS = 60


def eliminate(parts: Blocks, scores: Scores) -> Array:
    """The answer (K,) with certain source variables taken at their word; negative where that was wrong."""
    start = parts.start
    open_count = min(CANDIDATES, parts.is_source.shape[0])
    _, candidates = lax.top_k(-jnp.abs(scores.source), open_count)
    certain = parts.is_source.at[candidates].set(False)
    free = certain & (scores.source > 0)

    factor = factorised(parts.problem.masked(free, start=start))
    rows = parts.problem.rows(candidates + start)[:, start:]
    to_dense, within_dense = parts.coupling()
    linear = parts.linear_source
    couplings = jnp.concatenate([rows.T, to_dense, linear[:, None]], axis=1)
    Y = factor.solve_lower(jnp.where(free[:, None], couplings, 0))
    eliminated = Y.T @ Y

    beside = to_dense[candidates]
    corner = jnp.block([[rows[:, candidates], beside], [beside.T, within_dense]])
    T = corner - eliminated[:-1, :-1]
    t = jnp.concatenate([linear[candidates], parts.of_dense(parts.problem.q)]) - eliminated[:-1, -1]
    opened = _solve_small(T, t, jnp.concatenate([scores.source[candidates] > 0, scores.dense]))

    remainder = factor.solve_upper(Y[:, -1] - Y[:, :-1] @ opened)
    source = jnp.where(free, remainder, 0).at[candidates].set(opened[:open_count])
    return parts.assemble(source, opened[open_count:])


def _solve_small(T: Array, t: Array, guess: Array) -> Array:
    """The optimum of the reduced problem; a walk cut short is for the certificate to find out."""
    # Where cancellation left nothing on the diagonal the variable stays at zero.
    usable = jnp.diagonal(T) > jnp.finfo(T.dtype).eps
    problem = Scaled(T, t, usable.astype(T.dtype), jnp.ones((), T.dtype))
    return walk(problem, jnp.zeros_like(t), guess, MAX_SMALL_STEPS).x
