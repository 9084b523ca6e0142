"""Identification: which source variables are zero at the optimum, from one low-precision factorisation.

Problem
    The scaled problem split in a small collinear dense block m (about 60 columns, half of them zero at the
    optimum) and a large, regularised source block s. Wanted is only the sign pattern of the source, with a
    confidence.

Steps
    1. λ, the largest eigenvalue of Q_ss, by power iteration; ρ = 0.06 λ.
    2. In float32: L = chol(Q_ss + ρI), W = L⁻¹ Q_sm. In the working precision: S = Q_mm - WᵀW, the dense
       block with the source eliminated, made safely definite against the float32 noise of W.
    3. ADMM (alternating direction method of multipliers) with the splitting x_s = y, y >= 0 on the source
       only; the dense block stays inside the x-step, where the 60-column problem in S is itself advanced by
       a few over-relaxed ADMM sweeps with the fixed inverse of S + diag(r). So its near singularity never
       slows the source down.
    4. The last ADMM point before projection is the score: positive for free, negative for fixed, large for
       certain.

Cost
    One float32 factorisation (about half a Cholesky equivalent), and `SWEEPS` times two float32 triangular
    solves.

Convergence
    Linear, of rate about (√cond - 1)/(√cond + 1) of the source block relaxed by ρ; the sign pattern settles
    long before the values do. Nothing is concluded here: the elimination stage solves exactly and the
    certificate judges.

References
    S. Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach. Learn. 3
    (2011). J. Eckstein and D. Bertsekas, Math. Program. 55 (1992) 293 (over-relaxation).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._blocks import Blocks
from ._linalg import BlockedFactor, blocked, cholesky, inverse_lower, solve_lower, with_diagonal

POWER_STEPS = 4
PENALTY = 0.06
SWEEPS = 40
OUTER_RELAXATION = 1.8
INNER_SWEEPS = 10
INNER_RELAXATION = 1.6
INNER_PENALTY = 0.1
FLOAT32_NOISE = 1e-6


class Scores(NamedTuple):
    """Guess of the free set.

    Attributes
    ----------
    source
        (K - start,) positive where the variable is believed free; the absolute value is the confidence.
    dense
        (m,) bool, believed free.
    penalty
        () ρ: what turns a gradient into a score.
    """

    source: Array
    dense: Array
    penalty: Array


def identify(parts: Blocks) -> Scores:
    """Score every source variable; the dense columns in between, if any, come out as certainly fixed."""
    dtype, low = parts.problem.q.dtype, jnp.float32
    matrix = parts.problem.masked(parts.is_source, start=parts.start).astype(low)
    rho = PENALTY * _largest_eigenvalue(matrix)
    L = cholesky(with_diagonal(matrix, jnp.diagonal(matrix) + rho))
    coupling, within = parts.coupling()
    W = solve_lower(L, coupling.astype(low))
    step = _DenseStep.prepare(within - (W.T @ W).astype(dtype))
    factor = blocked(L)
    qs, qm = parts.linear_source.astype(low), parts.of_dense(parts.problem.q)
    score, dense = _sweep(factor, W, step, qs, qm, rho)
    score = jnp.where(jnp.isfinite(score), score, 1).astype(dtype)
    return Scores(jnp.where(parts.is_source, score, -jnp.inf), dense > 0, rho.astype(dtype))


class _DenseStep(NamedTuple):
    """The dense block with the source eliminated, S: the penalty r, and (S + diag r)⁻¹."""

    penalty: Array
    inverse: Array

    @classmethod
    def prepare(cls, S: Array) -> "_DenseStep":
        diagonal = jnp.maximum(jnp.diagonal(S), FLOAT32_NOISE)
        S = S + FLOAT32_NOISE * jnp.diag(diagonal)
        penalty = INNER_PENALTY * diagonal
        half = inverse_lower(cholesky(S + jnp.diag(penalty)))
        return cls(penalty, half.T @ half)


def _largest_eigenvalue(A: Array) -> Array:
    """Power iteration from a fixed, uneven start; good to ten per cent, enough for a penalty.

    Four steps from entries near 1/K do not overflow: with a unit diagonal no eigenvalue exceeds K.
    """
    index = jnp.arange(A.shape[0], dtype=A.dtype)
    start = (1 + jnp.cos(index) / 2) / A.shape[0]
    last, image = lax.fori_loop(0, POWER_STEPS, lambda _, state: (state[1], A @ state[1]), (start, start))
    return jnp.sqrt(jnp.vdot(image, image) / jnp.vdot(last, last))


def _sweep(
    factor: BlockedFactor,
    W: Array,
    step: _DenseStep,
    qs: Array,
    qm: Array,
    rho: Array,
) -> tuple[Array, Array]:
    low, high = qs.dtype, qm.dtype

    def inner(_: int, state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        y, u, linear = state
        x = step.inverse @ (linear + step.penalty * (y - u))
        relaxed = INNER_RELAXATION * x + (1 - INNER_RELAXATION) * y + u
        y = jnp.maximum(relaxed, 0)
        return y, relaxed - y, linear

    def outer(_: int, state: tuple[Array, ...]) -> tuple[Array, ...]:
        y, u, ym, um = state[:4]
        forward = factor.solve_lower(qs + rho * (y - u))
        linear = qm - (forward @ W).astype(high)
        ym, um, linear = lax.fori_loop(0, INNER_SWEEPS, inner, (ym, um, linear))
        x = factor.solve_upper(forward - W @ ym.astype(low))
        relaxed = OUTER_RELAXATION * x + (1 - OUTER_RELAXATION) * y + u
        y = jnp.maximum(relaxed, 0)
        return y, relaxed - y, ym, um, relaxed

    zero, zero_dense = jnp.zeros_like(qs), jnp.zeros_like(qm)
    final = lax.fori_loop(0, SWEEPS, outer, (zero, zero, zero_dense, zero_dense, zero))
    return final[4], final[2]
