"""The public functions: solve a positive-only linear system, with or without gradient and certificate."""

from functools import cache, partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jax import Array

from ._algorithms import ALGORITHMS, solve_scaled
from ._certificate import Certificate, ResultCode, certificate, default_tolerance
from ._linalg import by_lane, in_full_precision
from ._options import Choices, Options, checked
from ._problem import scaled_problem, validated
from ._relaxed import relaxed_cotangents


class NNLSResult(NamedTuple):
    """What a solve gives, usable under `jit` and `vmap`.

    Attributes
    ----------
    primal
        (K,) the answer x >= 0.
    dual
        (K,) the gradient Qx - q.
    code
        () int32, a `ResultCode`.
    iterations
        () int32, factorisations of the main loop (sweeps for the first-order methods).
    certificate
        Relative KKT residuals of the answer.
    """

    primal: Array
    dual: Array
    code: Array
    iterations: Array
    certificate: Certificate


def solve_nnls_certified(
    Q: Any,
    q: Any,
    **choices: Unpack[Choices],
) -> NNLSResult:
    """Minimise ½ xᵀQx - qᵀx subject to x >= 0, and say how well it was done.

    Parameters
    ----------
    Q
        (K, K) symmetric positive semidefinite, float32 or float64.
    q
        (K,) of the same kind.
    **choices
        As in `Choices`: algorithm, max_iter, solver_tol, dense_columns, jacobi, penalty.

    Returns
    -------
    NNLSResult
        With NaN as primal if the input was not finite (seen only under a trace).

    Raises
    ------
    ValueError
        If the input is malformed, an option has no meaning, or, outside a trace, the input is not finite.
    TypeError
        If an option is not known.
    """
    matrix, vector = validated(Q, q)
    options = checked(vector.shape[0], ALGORITHMS, **choices)
    return _solve(options, matrix, vector)


def solve_nnls(
    Q: Any,
    q: Any,
    **choices: Unpack[Choices],
) -> tuple[Array, Array, Array, Array, Array]:
    """Minimise ½ xᵀQx - qᵀx subject to x >= 0; the call form of jaxnnls 1.0.1.

    Parameters and errors are those of `solve_nnls_certified`.

    Returns
    -------
    x
        (K,) the answer.
    s
        (K,) the slack of x >= 0, which is x.
    z
        (K,) the dual Qx - q.
    converged
        () int32, 1 if the answer is certified, else 0.
    iterations
        () int32.
    """
    result = solve_nnls_certified(Q, q, **choices)
    return result.primal, result.primal, result.dual, _converged(result.code), result.iterations


def solve_nnls_primal(
    Q: Any,
    q: Any,
    target_kappa: Any = 1e-3,
    **choices: Unpack[Choices],
) -> Array:
    """The answer x (K,) alone, differentiable (reverse mode) with respect to Q and q.

    Other parameters and errors are those of `solve_nnls_certified`. An answer that is not certified is
    returned as it is; ask `solve_nnls` where that matters.

    Parameters
    ----------
    target_kappa
        Complementarity x (Qx - q) to which the optimality conditions are relaxed for the gradient: the
        smaller, the closer to the derivative on the active set. It does not touch the answer.
    """
    x, _, _ = solve_nnls_primal_with_status(Q, q, target_kappa, **choices)
    return x


def solve_nnls_primal_with_status(
    Q: Any,
    q: Any,
    target_kappa: Any = 1e-3,
    **choices: Unpack[Choices],
) -> tuple[Array, Array, Array]:
    """The answer of `solve_nnls_primal`, and how the very solve that gave it went.

    Parameters and errors are those of `solve_nnls_primal`.

    Returns
    -------
    x
        (K,) the answer, differentiable (reverse mode) with respect to Q and q.
    converged
        () int32, 1 if the answer is certified, else 0.
    iterations
        () int32.
    """
    matrix, vector = validated(Q, q)
    options = checked(vector.shape[0], ALGORITHMS, **choices)
    x, code, iterations = _primal(options, matrix, vector, jnp.asarray(target_kappa, matrix.dtype))
    return x, _converged(code), iterations


def solve_nnls_forward(
    Q: Any,
    q: Any,
    **choices: Unpack[Choices],
) -> Array:
    """The answer x (K,) alone, without any gradient machinery in the program.

    Parameters and errors are those of `solve_nnls_certified`.

    Raises
    ------
    TypeError
        When differentiated: `solve_nnls_primal` is the differentiable form.
    """
    matrix, vector = validated(Q, q)
    options = checked(vector.shape[0], ALGORITHMS, **choices)
    return _forward(options, matrix, vector)


@partial(jax.jit, static_argnums=0)
def _solve(options: Options, Q: Array, q: Array) -> NNLSResult:
    if q.shape[0] == 0:
        zero = jnp.zeros((), jnp.int32)
        return NNLSResult(q, q, zero, zero, certificate(Q, q, q))
    return _lane(options)(Q, q)


@cache
def _lane(options: Options) -> Any:
    return by_lane(in_full_precision(partial(_solve_lane, options)))


def _solve_lane(options: Options, Q: Array, q: Array) -> NNLSResult:
    problem = scaled_problem(Q, q, options.jacobi)
    scaled, iterations = solve_scaled(problem, options)
    taint = _nan_unless_finite(Q, q)
    x = problem.scale * (problem.pull * scaled) + taint
    residuals = certificate(Q, q, x)
    return NNLSResult(
        x, Q @ x - q, _code(options, Q, q, taint == 0, residuals, iterations), iterations, residuals
    )


def _nan_unless_finite(Q: Array, q: Array) -> Array:
    """Zero, or NaN if an entry of Q or q is not finite: 0 times NaN or infinity is NaN."""
    zero = 0 * q
    probe = Q @ zero + zero
    return jnp.vdot(probe, probe)


def _code(
    options: Options, Q: Array, q: Array, finite: Array, residuals: Certificate, iterations: Array
) -> Array:
    tolerance = options.solver_tol or default_tolerance(Q.dtype)
    limit = options.max_iter or jnp.iinfo(jnp.int32).max
    unbounded = jnp.any((jnp.diagonal(Q) <= 0) & (q > 0))
    code = jnp.where(iterations >= limit, ResultCode.ITERATION_LIMIT, ResultCode.STALLED)
    code = jnp.where(unbounded, ResultCode.UNBOUNDED, code)
    code = jnp.where(residuals.worst <= tolerance, ResultCode.CERTIFIED, code)
    return jnp.where(finite, code, ResultCode.NON_FINITE).astype(jnp.int32)


def _converged(code: Array) -> Array:
    return (code == ResultCode.CERTIFIED).astype(jnp.int32)


_Stated = tuple[Array, Array, Array]


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _primal(options: Options, Q: Array, q: Array, _target_kappa: Array) -> _Stated:
    result = _solve(options, Q, q)
    return result.primal, result.code, result.iterations


def _primal_forward(
    options: Options, Q: Array, q: Array, target_kappa: Array
) -> tuple[_Stated, tuple[Array, Array, Array, Array]]:
    stated = _primal(options, Q, q, target_kappa)
    return stated, (Q, q, stated[0], target_kappa)


def _primal_backward(
    _options: Options, saved: tuple[Array, Array, Array, Array], cotangents: _Stated
) -> tuple[Array, Array, None]:
    Q, q, x, target_kappa = saved
    if q.shape[0] == 0:
        return jnp.zeros_like(Q), jnp.zeros_like(q), None
    # Code and iterations are integers: only the answer has a derivative.
    return (*_pull_back(Q, q, x, target_kappa, cotangents[0]), None)


_primal.defvjp(_primal_forward, _primal_backward)
_pull_back = jax.jit(by_lane(in_full_precision(relaxed_cotangents)))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _forward(options: Options, Q: Array, q: Array) -> Array:
    return _solve(options, Q, q).primal


@_forward.defjvp
def _refuse_to_differentiate(_options: Options, _primals: Any, _tangents: Any) -> Any:
    raise TypeError(
        "solve_nnls_forward has no derivative: call solve_nnls_primal where a gradient is needed."
    )
