"""The KKT certificate of an answer, and the result codes that follow from it."""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._linalg import diagonal_of, in_full_precision, in_one_pass

# Of the largest scale of a variable. Gaussians narrower than a pixel have scales of 1e-20 and less.
BENEATH_NOTICE = 1e-6


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
        "an entry Q[i, i] is negative, or zero where q is positive: the objective has no minimum",
        "remove the empty column or regularise it",
    )

    INDEFINITE = (
        5,
        "Q is not positive semidefinite: two of its columns are more than parallel, or the answer lies along "
        "a direction of negative curvature",
        "form Q as AᵀA plus a positive regularisation, in float64",
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

    With D = diag(Q)^(-1/2), scaled x̂ = x/D, A = DQD and dual ĝ = D (Qx - q), each variable is held to its own
    scale, sᵢ = Σⱼ |Aᵢⱼ x̂ⱼ| + |Dᵢqᵢ|: what its gradient is a difference of.

    Attributes
    ----------
    primal
        max over i of max(-x̂ᵢ, 0) / sᵢ: how far the answer is below its bound.
    dual
        max over i of max(-ĝᵢ, 0) / sᵢ: how much a variable at its bound still wants to grow.
    complementarity
        max over i of min(|x̂ᵢ|, |ĝᵢ|) / sᵢ: every variable is at its bound or has no gradient. On the free
        variables it is the componentwise backward error (W. Oettli and W. Prager, Numer. Math. 6 (1964) 405).
    gap
        Σ|x̂ᵢ ĝᵢ| / |qᵀx|: where x >= 0 and ĝ >= 0 it bounds (f(x) - f*) / |qᵀx|, the error of the objective
        (weak duality, Boyd and Vandenberghe, Convex Optimization, section 5.5). At the optimum |qᵀx| = 2|f*|.
    """

    primal: Array
    dual: Array
    complementarity: Array
    gap: Array

    @property
    def worst(self) -> Array:
        """The largest of the four residuals."""
        return jnp.maximum(jnp.maximum(self.primal, self.dual), jnp.maximum(self.complementarity, self.gap))


class Judged(NamedTuple):
    """An answer's certificate, its gradient Qx - q (K,), and what was seen of the problem on the way.

    Attributes
    ----------
    finite
        () bool, all entries of Q and q are finite.
    unbounded
        () bool, an entry Q[i, i] is negative, or zero where q is positive.
    indefinite
        () bool, two columns are more than parallel: |Qᵢⱼ|² > Qᵢᵢ Qⱼⱼ.
    """

    certificate: Certificate
    gradient: Array
    finite: Array
    unbounded: Array
    indefinite: Array


@in_full_precision
def certificate(Q: Array, q: Array, x: Array) -> Certificate:
    """Measure how well x solves: minimise ½ xᵀQx - qᵀx subject to x >= 0.

    Computed from the problem as it was given and the answer alone, so it judges every algorithm alike.
    Residuals that are not finite come out as infinity. Variables with Q[i, i] <= 0 count with D = 1.

    Parameters
    ----------
    Q
        (K, K) symmetric positive semidefinite.
    q
        (K,).
    x
        (K,) the answer to judge.
    """
    return judged(Q, q, x).certificate


def judged(Q: Array, q: Array, x: Array) -> Judged:
    """The certificate of an answer, and what one pass through Q tells besides."""
    if q.shape[0] == 0:
        zero, no = jnp.zeros((), Q.dtype), jnp.zeros((), bool)
        return Judged(Certificate(zero, zero, zero, zero), q, ~no, no, no)
    diagonal = diagonal_of(Q)
    scale = jnp.where(diagonal > 0, lax.rsqrt(diagonal), 1)
    sizes = jnp.abs(Q)
    parallel, image, own = in_one_pass(
        maxima=(jnp.where(diagonal > 0, sizes * scale, 0),), sums=(Q * x, sizes * jnp.abs(x)), axis=1
    )
    size, linear, gradient = x / scale, scale * q, image - q
    slope, own = scale * gradient, scale * own + jnp.abs(linear)
    empty = (diagonal < 0) | (diagonal == 0) & (q > 0)
    largest, unbounded, indefinite, total = in_one_pass(
        maxima=(
            own,
            empty.astype(q.dtype),
            jnp.where(diagonal > 0, scale * parallel, 0) - 1 - rounding_of(q),
        ),
        sums=(own,),
    )
    unit = _or_one(largest)
    size, slope, linear = size / unit, slope / unit, linear / unit
    own = _or_one(own / unit + BENEATH_NOTICE)
    primal, dual, complementarity, gap, work = in_one_pass(
        maxima=(-size / own, -slope / own, jnp.minimum(jnp.abs(size), jnp.abs(slope)) / own),
        sums=(jnp.abs(size * slope), size * linear),
    )
    gap = gap / _or_one(jnp.abs(work))
    residuals = Certificate(jnp.maximum(primal, 0), jnp.maximum(dual, 0), complementarity, gap)
    return Judged(
        jax.tree.map(lambda r: jnp.where(r < jnp.inf, r, jnp.inf), residuals),
        gradient,
        total < jnp.inf,
        unbounded > 0,
        indefinite > 0,
    )


def default_tolerance(dtype: jnp.dtype) -> float:
    """Largest residual of an answer that counts as converged: 1e-9 in float64, 1e-4 in float32."""
    return 1e-9 if jnp.finfo(dtype).bits == 64 else 1e-4


def scaled_residual(x: Array, gradient: Array, linear: Array) -> Array:
    """At least what `Certificate.worst` will be for max(x, 0), given Ax - q.

    Infinite if not finite, or where x is negative by more than rounding: then the gradient is another. All of
    shape (K,), as `Scaled` has them.
    """
    own, positive = own_scale(x, gradient, linear), jnp.maximum(x, 0)
    violation, below, gap, work = in_one_pass(
        maxima=(jnp.abs(jnp.minimum(positive, gradient)) / own, -x / own),
        sums=(positive * jnp.abs(gradient), positive * linear),
    )
    worst = jnp.maximum(violation, gap / _or_one(jnp.abs(work)))
    return jnp.where((worst < jnp.inf) & (below <= rounding_of(x)), worst, jnp.inf)


def rounding_of(x: Array) -> float:
    """What a sum of numbers of the dtype of x may be off by, relatively."""
    return 64 * float(jnp.finfo(x.dtype).eps)


def own_scale(x: Array, gradient: Array, linear: Array) -> Array:
    """A lower bound of each variable's scale sᵢ, (K,), without the product with |A|.

    Σⱼ |Aᵢⱼ xⱼ| is no smaller than |xᵢ| and than |(Ax)ᵢ|, and the largest entry of `linear` is 1.
    """
    return jnp.maximum(jnp.abs(x), jnp.abs(gradient + linear)) + jnp.abs(linear) + BENEATH_NOTICE


def _or_one(value: Array) -> Array:
    return jnp.where(value > 0, value, jnp.ones((), value.dtype))
