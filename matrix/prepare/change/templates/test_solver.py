"""The NNLS solver: its answers, its certificate and its gradient."""

from typing import Any

import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls

jax = pytest.importorskip("jax")
jax.config.update("jax_enable_x64", True)

import jax.numpy as jnp  # noqa: E402
from autoarray.inversion import nnls  # noqa: E402


def matrix_from(size: int, condition: float, seed: int) -> np.ndarray:
    """A symmetric positive definite matrix of a given condition number."""
    rng = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(rng.standard_normal((size, size)))
    matrix = (vectors * np.logspace(-np.log10(condition), 0.0, size)) @ vectors.T
    return 0.5 * (matrix + matrix.T)


def problem_from(size: int, condition: float, seed: int) -> tuple:
    """A matrix Q and a vector q whose optimum x is known, half of it at the bound with a positive dual."""
    rng = np.random.default_rng(seed + 1)
    matrix = matrix_from(size=size, condition=condition, seed=seed)
    free = rng.permutation(size) < (size + 1) // 2
    solution = np.where(free, rng.uniform(0.5, 1.5, size), 0.0)
    dual = np.where(free, 0.0, rng.uniform(0.5, 1.5, size) * np.abs(matrix).max())
    return matrix, matrix @ solution - dual, solution


def kkt_violation_from(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """The largest violation of x >= 0, Qx - q >= 0 and x (Qx - q) = 0, of the system scaled to a unit diagonal."""
    scale = np.sqrt(np.diag(Q))
    x, gradient = x * scale, (Q @ x - q) / scale
    return float(np.abs(np.minimum(x, gradient)).max() / np.abs(q / scale).max())


def test__solve_nnls__size_20__agrees_with_scipy() -> None:
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((40, 20)), rng.standard_normal(40)
    expected, _ = scipy_nnls(A, b)

    x, _, _, converged, _ = nnls.solve_nnls(A.T @ A, A.T @ b)

    assert bool(converged)
    assert np.asarray(x) == pytest.approx(expected, rel=1.0e-8, abs=1.0e-10)
    assert (expected == 0.0).any()


@pytest.mark.parametrize("size, condition", [(20, 1.0e2), (60, 1.0e8)])
def test__solve_nnls_forward__same_solution_as_primal(
    size: int, condition: float
) -> None:
    Q, q, _ = problem_from(size=size, condition=condition, seed=3)

    primal = np.asarray(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))
    forward = np.asarray(nnls.solve_nnls_forward(Q, q))

    assert forward == pytest.approx(primal, rel=1.0e-10, abs=1.0e-12)


def test__solve_nnls__max_iter__honoured_and_reported() -> None:
    Q, q, _ = problem_from(size=60, condition=1.0e6, seed=4)

    _, _, _, converged, iterations = nnls.solve_nnls(Q, q, algorithm="pdip", max_iter=2)

    assert int(iterations) <= 2
    assert not bool(converged)

    _, _, _, converged, iterations = nnls.solve_nnls(Q, q, algorithm="pdip")

    assert int(iterations) > 2
    assert bool(converged)


def test__solve_nnls_primal__well_conditioned_size_1000__known_solution() -> None:
    Q, q, expected = problem_from(size=1000, condition=1.0e2, seed=5)

    x = np.asarray(nnls.solve_nnls_primal(Q, q))

    assert x == pytest.approx(expected, rel=1.0e-8, abs=1.0e-8)


def test__solve_nnls_primal__ill_conditioned_size_1000__kkt_conditions_hold() -> None:
    Q, q, _ = problem_from(size=1000, condition=1.0e10, seed=6)
    units = np.logspace(-3.0, 3.0, 1000)
    Q, q = Q * units[:, None] * units[None, :], q * units

    x = np.asarray(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))

    assert np.isfinite(x).all()
    assert (x >= 0.0).all()
    assert kkt_violation_from(Q=Q, q=q, x=x) < 1.0e-8


def test__solve_nnls_primal__vmap__every_lane_as_alone() -> None:
    problems = [
        problem_from(size=40, condition=condition, seed=7)
        for condition in (1.0e1, 1.0e4, 1.0e6)
    ]
    Q = jnp.stack([problem[0] for problem in problems])
    q = jnp.stack([problem[1] for problem in problems])

    lanes = jax.jit(jax.vmap(nnls.solve_nnls_primal))(Q, q)

    for lane, (Q_lane, q_lane, _) in zip(lanes, problems):
        alone = np.asarray(nnls.solve_nnls_primal(Q_lane, q_lane))
        assert np.asarray(lane) == pytest.approx(alone, rel=1.0e-6, abs=1.0e-8)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test__solve_nnls_primal__not_finite__refused(value: float) -> None:
    Q, q, _ = problem_from(size=8, condition=1.0e1, seed=8)
    q[3] = value

    with pytest.raises(ValueError):
        nnls.solve_nnls_primal(Q, q)


def test__solve_nnls_primal__ill_conditioned__gradients_finite() -> None:
    Q, q, _ = problem_from(size=10, condition=1.0e7, seed=9)

    def total(Q: Any, q: Any) -> Any:
        return jnp.sum(nnls.solve_nnls_primal(Q, q, target_kappa=1.0e-11))

    dQ, dq = jax.grad(total, argnums=(0, 1))(jnp.asarray(Q), jnp.asarray(q))

    assert np.isfinite(np.asarray(dQ)).all()
    assert np.isfinite(np.asarray(dq)).all()
    assert np.abs(np.asarray(dq)).max() > 0.0


def test__solve_nnls_primal__well_conditioned__gradient_of_the_active_set() -> None:
    Q, q, solution = problem_from(size=12, condition=1.0e1, seed=10)
    free = solution > 0.0

    gradient = jax.grad(lambda q: jnp.sum(nnls.solve_nnls_primal(Q, q, 1.0e-11)))(
        jnp.asarray(q)
    )

    expected = np.zeros(12)
    expected[free] = np.linalg.solve(Q[np.ix_(free, free)], np.ones(free.sum()))

    assert np.asarray(gradient) == pytest.approx(expected, rel=1.0e-6, abs=1.0e-6)
