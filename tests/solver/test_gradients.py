"""The gradient is that of the relaxed KKT system, whichever algorithm found the answer."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from tests.real import real_systems

from .problems import Problem, real_system, rounding, with_known_optimum

jaxnnls = pytest.importorskip("jaxnnls")

K = 20


def _problem() -> Problem:
    return with_known_optimum(np.random.default_rng(30), K, condition=50)


def _gradients(
    solve: Callable[..., jax.Array], problem: Problem, weights: np.ndarray, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    def loss(Q: jax.Array, q: jax.Array) -> jax.Array:
        return jnp.vdot(weights, solve(Q, q, **options))

    return jax.grad(loss, argnums=(0, 1))(jnp.asarray(problem.Q), jnp.asarray(problem.q))


def _assert_close(ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=tolerance * scale, rtol=0)


@pytest.mark.parametrize("kappa", [10.0, 1e-1, 1e-3, 1e-6, 1e-11])
def test_agrees_with_jaxnnls_at_the_same_kappa(kappa: float) -> None:
    problem = _problem()
    weights = np.random.default_rng(31).normal(size=K)
    ours = _gradients(solver.solve_nnls_primal, problem, weights, target_kappa=kappa)
    theirs = _gradients(jaxnnls.solve_nnls_primal, problem, weights, target_kappa=kappa)
    _assert_close(ours, theirs, 1e-6)


@pytest.mark.parametrize("algorithm", ["schur", "pdip"])
def test_does_not_depend_on_the_algorithm(algorithm: str) -> None:
    problem = _problem()
    weights = np.random.default_rng(32).normal(size=K)
    reference = _gradients(solver.solve_nnls_primal, problem, weights, target_kappa=1e-4)
    other = _gradients(solver.solve_nnls_primal, problem, weights, target_kappa=1e-4, algorithm=algorithm)
    _assert_close(other, reference, 1e-6)


def test_agrees_with_finite_differences() -> None:
    problem = _problem()
    rng = np.random.default_rng(33)
    weights = rng.normal(size=K)
    in_Q, in_q = _gradients(solver.solve_nnls_primal, problem, weights, target_kappa=1e-11)
    step = 1e-6
    change = rng.normal(size=(K, K))
    change, change_q = change + change.T, rng.normal(size=K)
    values = [
        weights @ np.asarray(solver.solve_nnls_forward(problem.Q + s * change, problem.q + s * change_q))
        for s in (step, -step)
    ]
    expected = (values[0] - values[1]) / (2 * step)
    np.testing.assert_allclose(np.vdot(in_Q, change) + in_q @ change_q, expected, rtol=1e-5)


def test_is_the_derivative_of_the_relaxed_answer() -> None:
    """At κ = 0.1 the relaxed optimum, by Newton on the barrier problem, has the derivative we return."""
    problem = _problem()
    kappa, weights = 0.1, np.random.default_rng(34).normal(size=K)

    def relaxed(q: np.ndarray) -> np.ndarray:
        x = np.ones(K)
        for _ in range(200):
            step = np.linalg.solve(problem.Q + np.diag(kappa / x**2), problem.Q @ x - q - kappa / x)
            x = x - min(1, 0.9 / max((step / x).max(), 1e-300)) * step
        return x

    direction = np.random.default_rng(35).normal(size=K)
    step = 1e-5
    expected = (
        weights @ (relaxed(problem.q + step * direction) - relaxed(problem.q - step * direction)) / 2 / step
    )
    _, in_q = _gradients(solver.solve_nnls_primal, problem, weights, target_kappa=kappa)
    np.testing.assert_allclose(in_q @ direction, expected, rtol=1e-6)


@pytest.mark.parametrize("kappa", [1e-3, 1e-11, 0.0])
def test_is_finite_on_the_ill_conditioned_ten_by_ten(kappa: float) -> None:
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.normal(size=(10, 10)))
    Q = (U * np.logspace(-4, 3, 10)) @ U.T
    problem = Problem((Q + Q.T) / 2, rng.normal(size=10), np.zeros(10))
    value = solver.solve_nnls_forward(problem.Q, problem.q)
    np.testing.assert_allclose(np.sum(value), 12.584154867, rtol=rounding(10, 1e7))
    for gradient in _gradients(solver.solve_nnls_primal, problem, np.ones(10), target_kappa=kappa):
        assert np.all(np.isfinite(gradient))


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_is_finite_at_extreme_scales(scale: float) -> None:
    problem = _problem()
    scaled = Problem(problem.Q * scale, problem.q * scale, problem.x)
    reference = _gradients(solver.solve_nnls_primal, problem, np.ones(K), target_kappa=0.0)
    gradients = _gradients(solver.solve_nnls_primal, scaled, np.ones(K), target_kappa=0.0)
    _assert_close([g * scale for g in gradients], reference, 1e-9)


@pytest.mark.parametrize("name", ["imaging-mge", "interferometer-mge", "interferometer-delaunay"])
@pytest.mark.parametrize("kappa", [1e-3, 1e-11])
def test_is_finite_on_real_systems(name: str, kappa: float) -> None:
    Q, q, _ = real_system(real_systems(name)[0])
    gradients = _gradients(
        solver.solve_nnls_primal, Problem(Q, q, q), np.ones(q.shape[0]), target_kappa=kappa
    )
    for gradient in gradients:
        assert np.all(np.isfinite(gradient))


@jax.jit
def _pulled_back(Q: jax.Array, q: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    _, pull_back = jax.vjp(lambda Q, q: solver.solve_nnls_primal(Q, q, target_kappa=1e-11), Q, q)
    return pull_back(cotangent)


@pytest.mark.parametrize("broken", ["Q", "q", "cotangent"])
def test_what_is_not_finite_gives_no_gradient_that_looks_finite(broken: str) -> None:
    problem = _problem()
    arrays = {"Q": problem.Q.copy(), "q": problem.q.copy(), "cotangent": np.ones(K)}
    arrays[broken].flat[0] = np.nan
    for gradient in _pulled_back(**arrays):
        assert np.isnan(gradient).all()


@cache
def _hessian(solve: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Second derivative of w·x + s x·x with respect to q, compiled once for all κ, w and s."""

    def loss(q: jax.Array, kappa: float, weights: np.ndarray, squares: float) -> jax.Array:
        x = solve(jnp.asarray(_problem().Q), q, target_kappa=kappa)
        return jnp.vdot(weights, x) + squares * jnp.vdot(x, x)

    return jax.jit(jax.hessian(loss))


@pytest.mark.parametrize("kappa", [1e-1, 1e-3, 1e-6])
def test_second_derivatives_agree_with_jaxnnls(kappa: float) -> None:
    problem = _problem()
    weights = np.random.default_rng(36).normal(size=K)
    ours, theirs = (
        np.asarray(_hessian(solve)(problem.q, kappa, weights, 0.0))
        for solve in (solver.solve_nnls_primal, jaxnnls.solve_nnls_primal)
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max(), rtol=0)


def test_forward_mode_and_reverse_mode_agree() -> None:
    problem = _problem()

    def answer(Q: jax.Array) -> jax.Array:
        return solver.solve_nnls_primal(Q, problem.q, target_kappa=1e-4)

    forwards, backwards = jax.jacfwd(answer)(problem.Q), jax.jacrev(answer)(problem.Q)
    np.testing.assert_allclose(forwards, backwards, atol=rounding(K, 50) * np.abs(backwards).max())


def test_a_kappa_that_is_no_number_gives_no_gradient() -> None:
    problem = _problem()
    for gradient in _gradients(solver.solve_nnls_primal, problem, np.ones(K), target_kappa=np.nan):
        assert np.isnan(gradient).all()


def test_second_derivative_of_a_square() -> None:
    """The answer itself changes, too: x_F = Q_FF⁻¹ q_F makes of the sum of squares the Hessian 2 Q_FF⁻²."""
    problem = _problem()
    free = np.ix_(problem.x > 0, problem.x > 0)
    inverse = np.linalg.inv(problem.Q[free])
    expected = np.zeros((K, K))
    expected[free] = 2 * inverse @ inverse
    hessian = _hessian(solver.solve_nnls_primal)(problem.q, 1e-11, np.zeros(K), 1.0)
    np.testing.assert_allclose(hessian, expected, rtol=1e-6, atol=1e-6 * expected.max())
