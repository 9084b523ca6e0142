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
    3. Interior points (`_interior`) solve that small problem exactly.
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
from ._interior import nothing_yet, solve_interior
from ._linalg import diagonal_of, factorised
from ._options import DEFAULT_MAX_ITER
from ._problem import scaled_problem

CANDIDATES = 64


def eliminate(parts: Blocks, scores: Scores, tolerance: Array) -> Array:
    """The answer (K,) with certain source variables taken at their word; negative where that was wrong."""
    start, problem = parts.start, parts.problem
    _, candidates = lax.top_k(-jnp.abs(scores.source), CANDIDATES)
    certain = parts.is_source.at[candidates].set(False)
    free = certain & (scores.source > 0)
    opened = jnp.concatenate([parts.dense, start + candidates])

    factor = factorised(problem.masked(free, start=start))
    rows = problem.rows(opened)
    couplings = jnp.concatenate([rows[:, start:], parts.linear_source[None, :]]).T
    Y = factor.solve_lower(jnp.where(free[:, None], couplings, 0))
    eliminated = Y.T @ Y
    y = _solve_small(
        rows[:, opened] - eliminated[:-1, :-1], problem.q[opened] - eliminated[:-1, -1], tolerance
    )

    remainder = factor.solve_upper(Y[:, -1] - Y[:, :-1] @ y)
    x = jnp.zeros_like(problem.q).at[start:].set(jnp.where(free, remainder, 0))
    return x.at[opened].set(y)


def _solve_small(T: Array, t: Array, tolerance: Array) -> Array:
    """The optimum of the reduced problem; one that is not reached is for the certificate to find out."""
    # Where cancellation left nothing on the diagonal the variable stays at zero.
    usable = diagonal_of(T) > jnp.finfo(T.dtype).eps
    problem = scaled_problem(jnp.where(usable[:, None] & usable, T, 0), t)
    finer = jnp.maximum(tolerance / 100, 64 * jnp.finfo(T.dtype).eps)
    best = solve_interior(problem, jnp.array(DEFAULT_MAX_ITER, jnp.int32), finer, nothing_yet(problem))
    return problem.scale * problem.pull * best.x
