"""The KKT certificate of an answer, and the result codes that follow from it."""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ._linalg import in_full_precision


class ResultCode(IntEnum):
    """How a solve ended; `message` says what happened and `advice` what to do about it."""

    CERTIFIED = 0, "the answer satisfies the optimality conditions to the tolerance", "nothing to do"
    ITERATION_LIMIT = (
        1,
        "the iteration limit was reached before the optimality conditions held",
        "raise max_iter, or loosen solver_tol",
    )
    STALLED = (
        2,
        "the algorithm could make no further progress before the optimality conditions held",
        "use float64 and jacobi=True; if it persists, the matrix is too ill conditioned for the tolerance: "
        "remove collinear columns or regularise them, or loosen solver_tol",
    )
    NON_FINITE = (
        3,
        "Q or q contains NaN or infinity",
        "look upstream of the solver: the system was not finite before it was solved",
    )
    UNBOUNDED = (
        4,
        "a variable has a diagonal entry Q[i, i] <= 0 and a positive gradient: the objective has no minimum",
        "remove the empty column or regularise it",
    )

    message: str
    advice: str

    def __new__(cls, value: int, message: str, advice: str) -> "ResultCode":
        """Make the member an integer that carries its texts."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        member.advice = advice
        return member


class Certificate(NamedTuple):
    """Relative residuals of the optimality (KKT) conditions; scalars, or one per lane under `vmap`.

    With D = diag(Q)^(-1/2), scaled x̂ = x/D and dual ĝ = D (Qx - q), X = max|x̂| and c = max(D q, 0):

    Attributes
    ----------
    primal
        max(-x̂, 0) / X: how far the answer is below its bound.
    dual
        max(-ĝ, 0) / c: how much a variable at its bound still wants to grow.
    complementarity
        max over i of min(|x̂ᵢ| / X, |ĝᵢ| / c): every variable is at its bound or has no gradient.
    gap
        Σ|x̂ᵢ ĝᵢ| / Σ|x̂ᵢ (Dq)ᵢ|: for an answer feasible in x and g this bounds the relative error of the
        objective (weak duality, Boyd & Vandenberghe, Convex Optimization, section 5.5).
    """

    primal: Array
    dual: Array
    complementarity: Array
    gap: Array

    @property
    def worst(self) -> Array:
        """The largest of the four residuals."""
        return jnp.maximum(jnp.maximum(self.primal, self.dual), jnp.maximum(self.complementarity, self.gap))


@in_full_precision
def certificate(Q: Array, q: Array, x: Array) -> Certificate:
    """Measure how well x solves: minimise ½ xᵀQx - qᵀx subject to x >= 0.

    Computed from the problem as it was given and the answer alone, so it judges every algorithm alike.
    Residuals that are not finite come out as infinity. Variables with Q[i, i] <= 0 count with D = 1 over
    the square root of the largest diagonal entry.

    Parameters
    ----------
    Q
        (K, K) symmetric positive semidefinite.
    q
        (K,).
    x
        (K,) the answer to judge.
    """
    if q.shape[0] == 0:
        zero = jnp.zeros((), Q.dtype)
        return Certificate(zero, zero, zero, zero)
    scale = jacobi_scale(Q)
    gradient = scale * (Q @ x - q)
    linear = scale * q
    return relative_residuals(x / scale, gradient, linear)


def jacobi_scale(Q: Array) -> Array:
    """D = diag(Q)^(-1/2), (K,); for entries Q[i, i] <= 0 the value of the largest diagonal entry."""
    diagonal = jnp.diagonal(Q)
    largest = jnp.max(diagonal)
    usable = jnp.where(diagonal > 0, diagonal, jnp.where(largest > 0, largest, 1))
    return jax.lax.rsqrt(usable)


def default_tolerance(dtype: jnp.dtype) -> float:
    """Largest residual of an answer that counts as converged: 1e-9 in float64, 1e-4 in float32."""
    return 1e-9 if jnp.finfo(dtype).bits == 64 else 1e-4


def relative_residuals(x: Array, gradient: Array, linear: Array) -> Certificate:
    """The certificate from an answer, its gradient and the linear term, (K,) each, all in Jacobi scaling."""
    largest = _or_one(jnp.max(jnp.abs(x)))
    pull = _or_one(jnp.max(jnp.maximum(linear, 0)))
    size = x / largest
    slope = gradient / pull
    work = jnp.vdot(jnp.abs(size), jnp.abs(linear / pull))
    residuals = Certificate(
        primal=jnp.max(jnp.maximum(-size, 0)),
        dual=jnp.max(jnp.maximum(-slope, 0)),
        complementarity=jnp.max(jnp.minimum(jnp.abs(size), jnp.abs(slope))),
        gap=jnp.vdot(jnp.abs(size), jnp.abs(slope)) / _or_one(work),
    )
    return jax.tree.map(lambda r: jnp.where(jnp.isfinite(r), r, jnp.inf), residuals)


def scaled_residual(x: Array, gradient: Array, linear: Array) -> Array:
    """What `Certificate.worst` will be for an answer x >= 0, in fewer operations; infinite if not finite.

    All of shape (K,) and in Jacobi scaling, with max(linear) = 1 unless no entry is positive.
    """
    size = x / _or_one(jnp.max(x))
    violation = jnp.max(jnp.abs(jnp.minimum(size, gradient)))
    gap = jnp.vdot(size, jnp.abs(gradient)) / _or_one(jnp.vdot(size, jnp.abs(linear)))
    worst = jnp.maximum(violation, gap)
    return jnp.where(worst < jnp.inf, worst, jnp.inf)


def _or_one(value: Array) -> Array:
    return jnp.where(value > 0, value, jnp.ones((), value.dtype))
