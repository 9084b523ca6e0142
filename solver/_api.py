"""The public functions: solve a positive-only linear system, with or without gradient and certificate."""

from functools import cache, partial
from typing import Any, NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._algorithms import ALGORITHMS, solve_scaled
from ._certificate import Certificate, ResultCode, certificate, judged
from ._gradient import tangent_of_answer
from ._linalg import by_lane, in_full_precision
from ._options import Choices, Limits, Options, checked
from ._problem import scaled_problem, validated


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
        () int32, factorisations of the order of Q, the float32 one included.
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
        As in `Choices`: algorithm, max_iter, solver_tol, dense_columns, jacobi.

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
    options, limits = checked(vector.shape[0], vector.dtype, ALGORITHMS, **choices)
    return _solve(options, limits, matrix, vector)


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
    return result.primal, result.primal, result.dual, _converged(result), result.iterations


def _converged(result: NNLSResult) -> Array:
    return (result.code == ResultCode.CERTIFIED).astype(jnp.int32)


def solve_nnls_primal(
    Q: Any,
    q: Any,
    target_kappa: Any = 1e-3,
    **choices: Unpack[Choices],
) -> Array:
    """The answer x (K,) alone, differentiable with respect to Q and q, in both modes and repeatedly.

    Other parameters and errors are those of `solve_nnls_certified`. An answer that is not certified is
    returned as it is; ask `solve_nnls` where that matters.

    Parameters
    ----------
    target_kappa
        Complementarity x (Qx - q) to which the optimality conditions are relaxed for the gradient: the
        smaller, the closer to the derivative on the active set. It does not touch the answer.
    """
    return _differentiable(Q, q, target_kappa, **choices).primal


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
        (K,) the answer, differentiable with respect to Q and q.
    converged
        () int32, 1 if the answer is certified, else 0.
    iterations
        () int32.
    """
    result = _differentiable(Q, q, target_kappa, **choices)
    return result.primal, _converged(result), result.iterations


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
    options, limits = checked(vector.shape[0], vector.dtype, ALGORITHMS, **choices)
    return _forward(options, limits, matrix, vector)


@partial(jax.jit, static_argnums=0)
def _solve(options: Options, limits: Limits, Q: Array, q: Array) -> NNLSResult:
    if q.shape[0] == 0:
        zero = jnp.zeros((), jnp.int32)
        return NNLSResult(q, q, zero, zero, certificate(Q, q, q))
    return _lane(options)(*limits, Q, q)


@cache
def _lane(options: Options) -> Any:
    return by_lane(in_full_precision(partial(_solve_lane, options)))


def _solve_lane(options: Options, max_iter: Array, solver_tol: Array, Q: Array, q: Array) -> NNLSResult:
    limits = Limits(max_iter, solver_tol)
    problem = scaled_problem(Q, q, options.jacobi)
    best = solve_scaled(problem, options, limits.max_iter, limits.solver_tol / 2)
    x = problem.scale * (problem.pull * best.x)
    seen = judged(Q, q, x)
    code = jnp.where(best.steps >= limits.max_iter, ResultCode.ITERATION_LIMIT, ResultCode.STALLED)
    code = jnp.where(seen.certificate.worst <= limits.solver_tol, ResultCode.CERTIFIED, code)
    code = jnp.where(seen.indefinite, ResultCode.INDEFINITE, code)
    code = jnp.where(seen.unbounded, ResultCode.UNBOUNDED, code)
    code = jnp.where(seen.finite, code, ResultCode.NON_FINITE).astype(jnp.int32)
    x = jnp.where(seen.finite, x, jnp.nan)
    return NNLSResult(x, seen.gradient, code, best.steps, seen.certificate)


def _differentiable(Q: Any, q: Any, target_kappa: Any, **choices: Unpack[Choices]) -> NNLSResult:
    matrix, vector = validated(Q, q)
    options, limits = checked(vector.shape[0], vector.dtype, ALGORITHMS, **choices)
    result = _solve(options, limits, *lax.stop_gradient((matrix, vector)))
    kappa = jnp.asarray(target_kappa, matrix.dtype)
    return result._replace(primal=_with_derivative(result.primal, matrix, vector, kappa))


@jax.custom_jvp
def _with_derivative(x: Array, _Q: Array, _q: Array, _target_kappa: Array) -> Array:
    """The answer as it is, with the derivative of the relaxed one."""
    return x


@_with_derivative.defjvp
def _derivative(primals: Any, tangents: Any) -> tuple[Array, Array]:
    _, Q, q, target_kappa = primals
    _, dQ, dq, _ = tangents
    # Through the rule again, so that a further derivative finds that of the answer itself.
    x = _with_derivative(*primals)
    if q.shape[0] == 0:
        return x, dq
    return x, tangent_of_answer(Q, q, x, target_kappa, dQ, dq)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _forward(options: Options, limits: Limits, Q: Array, q: Array) -> Array:
    return _solve(options, limits, Q, q).primal


@_forward.defjvp
def _refuse_to_differentiate(_options: Options, _primals: Any, _tangents: Any) -> Any:
    raise TypeError(
        "solve_nnls_forward has no derivative: call solve_nnls_primal where a gradient is needed."
    )
