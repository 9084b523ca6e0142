"""Identification: which source variables are zero at the optimum, from one low-precision factorisation.

Problem
    The scaled problem split in a small collinear dense block m (about 60 columns, half of them zero at the
    optimum) and a large, regularised source block s. Wanted is only the sign pattern of the source, with a
    confidence.

Steps
    1. ρ = 0.15 Σλ²/Σλ, of the eigenvalues λ of Q_ss, by one product.
    2. In float32: L = chol(Q_ss + ρI), W = L⁻¹ Q_sm. In the working precision: S = Q_mm - WᵀW, the dense
       block with the source eliminated, made safely definite against the float32 noise of W.
    3. ADMM (alternating direction method of multipliers) with the splitting x_s = y, y >= 0 on the source
       only; the dense block stays inside the x-step, where the 60-column problem in S is itself advanced by
       a few over-relaxed ADMM sweeps with the fixed inverse of S + R, R its penalties. So its near
       singularity never slows the source down.
    4. The last ADMM point before projection, r, is the score: positive for free, negative for fixed, large
       for certain. It is also all the state there is: y = max(r, 0) and the scaled multiplier is
       u = min(r, 0), so that y - u = |r|.

Cost
    One float32 factorisation (about half a Cholesky equivalent), and `SWEEPS` times two float32 triangular
    solves. On an accelerator one product with the inverse takes their place: there launches cost more than
    flops.

Convergence
    Linear, of rate about (√cond - 1)/(√cond + 1) of the source block relaxed by ρ; the sign pattern settles
    long before the values do. Nothing is concluded here: the elimination stage solves exactly and the
    certificate judges.

References
    S. Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach. Learn. 3
    (2011). J. Eckstein and D. Bertsekas, Math. Program. 55 (1992) 293 (over-relaxation). M. Hutchinson,
    Commun. Stat. Simul. Comput. 19 (1990) 433 (the penalty).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Blocks
from ._linalg import blocked, by_platform, diagonal_of, factorised, with_diagonal
from ._sweeps import Sweeps

# Of Σλ²/Σλ, the eigenvalues weighted by themselves.
PENALTY = 0.15
SWEEPS = 40
RELAXATION = 1.8
FLOAT32_NOISE = 1e-6
# On the dense block. Half the penalty leaves the signs of some real systems undecided at the end.
DENSE_PENALTY = 0.02
DENSE_SWEEPS = 10


class Scores(NamedTuple):
    """Guess of the free set."""

    # (K - start,) positive where the variable is believed free; the absolute value is the confidence
    source: Array
    penalty: Array  # () ρ: what turns a gradient into a score


def identify(parts: Blocks) -> Scores:
    """Score every source variable; the dense columns in between, if any, come out as certainly fixed."""
    dtype, low = parts.problem.q.dtype, jnp.float32
    matrix = parts.problem.masked(parts.is_source, start=parts.start).astype(low)
    rho = (PENALTY * _usual_eigenvalue(parts)).astype(low)
    factor = factorised(with_diagonal(matrix, diagonal_of(matrix) + rho))
    rows = parts.problem.rows(parts.index)
    coupling = jnp.where(parts.is_source, rows[:, parts.start :], 0).T
    W = factor.solve_lower(coupling.astype(low))
    dense = _eliminated(rows[:, parts.index] - (W.T @ W).astype(dtype))
    linear = parts.linear_source.astype(low), parts.problem.q[parts.index]
    arguments = (factor.form, W, dense, *linear, rho)
    score = by_platform(*arguments, cpu=_by_factor, default=_by_inverse)
    score = jnp.where(jnp.isfinite(score), score, 1).astype(dtype)
    return Scores(jnp.where(parts.is_source, score, -jnp.inf), rho.astype(dtype))


def _usual_eigenvalue(parts: Blocks) -> Array:
    """Σλ²/Σλ over the eigenvalues λ of the source block, about; shape ().

    That is tr(Q_ss²)/tr(Q_ss), the mean of ‖Q_ss v‖² over that of vᵀQ_ss v for random v (Hutchinson). A chirp
    has as flat a spectrum as random numbers.
    """
    index = jnp.arange(parts.is_source.shape[0], dtype=parts.problem.q.dtype)
    probe = jnp.where(parts.is_source, jnp.cos(index * index), 0)
    image = parts.problem.multiply(jnp.pad(probe, (parts.start, 0)))[parts.start :]
    image = jnp.where(parts.is_source, image, 0)
    return (image @ image) / (probe @ image)


def _eliminated(S: Array) -> Sweeps:
    """ADMM on the dense block with the source eliminated."""
    diagonal = diagonal_of(S)
    positive = jnp.maximum(diagonal, FLOAT32_NOISE)
    return Sweeps.prepare(S, diagonal + FLOAT32_NOISE * positive, DENSE_PENALTY * positive)


def _by_factor(L: Array, W: Array, dense: Sweeps, qs: Array, qm: Array, rho: Array) -> Array:
    """Sweep with two triangular solves each."""
    factor = blocked(L)

    def x_step(b: Array, r_dense: Array) -> tuple[Array, Array]:
        forward = factor.solve_lower(b)
        r_dense = dense.advance(r_dense, qm - (forward @ W).astype(qm.dtype), DENSE_SWEEPS)
        return factor.solve_upper(forward - W @ jnp.maximum(r_dense, 0).astype(b.dtype)), r_dense

    return _sweep(x_step, qs, qm, rho)


def _by_inverse(half: Array, W: Array, dense: Sweeps, qs: Array, qm: Array, rho: Array) -> Array:
    """Sweep with one product each, given L⁻¹: (Q_ss + ρI)⁻¹ is harmless, ρ bounds its condition number."""
    across = half.T @ W
    both = jnp.concatenate([half.T @ half, across.T])

    def x_step(b: Array, r_dense: Array) -> tuple[Array, Array]:
        alone, from_source = jnp.split(both @ b, [b.shape[0]])
        r_dense = dense.advance(r_dense, qm - from_source.astype(qm.dtype), DENSE_SWEEPS)
        return alone - across @ jnp.maximum(r_dense, 0).astype(b.dtype), r_dense

    return _sweep(x_step, qs, qm, rho)


def _sweep(x_step: Callable[[Array, Array], tuple[Array, Array]], qs: Array, qm: Array, rho: Array) -> Array:
    """The point r of the source after `SWEEPS` sweeps, from zero; as in `_sweeps`, with the x-step given."""
    half = RELAXATION / 2

    def sweep(_: int, state: tuple[Array, Array]) -> tuple[Array, Array]:
        r, r_dense = state
        x, r_dense = x_step(qs + rho * jnp.abs(r), r_dense)
        return RELAXATION * x - half * jnp.abs(r) + (1 - half) * r, r_dense

    return lax.fori_loop(0, SWEEPS, sweep, (jnp.zeros_like(qs), jnp.zeros_like(qm)))[0]
