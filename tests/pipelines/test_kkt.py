"""The optimality residuals: zero at a known optimum, and telling for each way to miss it."""

import numpy as np
import pytest

from matrix.pipelines.kkt import kkt_residuals, scaled_norms

SIZE = 12
ZEROS = 5


@pytest.fixture
def problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Q, q and the optimum they were made from: q = Qx - g with x, g >= 0 and x g = 0."""
    generator = np.random.default_rng(3)
    root = generator.standard_normal((SIZE, SIZE))
    Q = root @ root.T + np.eye(SIZE)
    x = generator.uniform(1.0, 2.0, SIZE)
    x[:ZEROS] = 0.0
    gradient = np.where(x > 0.0, 0.0, generator.uniform(1.0, 2.0, SIZE))
    return Q, Q @ x - gradient, x


def test_optimum_has_no_residual(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    primal, dual, complementarity, zeros = kkt_residuals(*problem)
    assert max(primal, dual, complementarity) < 1e-13
    assert zeros == ZEROS


def test_clipped_unconstrained_solution_is_seen(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, _ = problem
    primal, dual, complementarity, _ = kkt_residuals(Q, q, np.maximum(np.linalg.solve(Q, q), 0.0))
    assert primal == 0.0
    assert max(dual, complementarity) > 1e-3


def test_negative_entry_is_seen(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, x = problem
    x[0] = -1e-3 * x.max()
    assert kkt_residuals(Q, q, x)[0] > 1e-4


def test_wrong_sign_is_seen(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, x = problem
    assert kkt_residuals(Q, q, -x)[0] == pytest.approx(1.0)


def test_zero_where_it_should_grow_is_seen(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, x = problem
    assert kkt_residuals(Q, q, np.zeros_like(x))[1] > 1e-2


def test_residuals_are_those_of_the_documented_formula() -> None:
    """Q = diag(4, 1, 1), q = (4, 2, -1): scaled, y = (2x₀, x₁, x₂) and g = y - (2, 2, -1), with c = 2."""
    Q, q = np.diag([4.0, 1.0, 1.0]), np.array([4.0, 2.0, -1.0])
    residuals = {
        (1.0, 2.0, 0.0): (0.0, 0.0, 0.0),
        (0.5, 2.0, 0.0): (0.0, 0.5, 0.5),
        (1.0, 2.0, 0.5): (0.0, 0.0, 0.25),
        (1.5, 2.0, 0.0): (0.0, 0.0, 0.5),
        (1.0, 2.0, -0.5): (0.25, 0.0, 0.25),
    }
    for x, expected in residuals.items():
        assert kkt_residuals(Q, q, np.array(x))[:3] == pytest.approx(expected), x


def test_residuals_do_not_depend_on_units(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, x = problem
    x = x + 1e-4
    units = np.logspace(-5, 5, SIZE)
    scaled = kkt_residuals(Q * np.outer(units, units), q * units, x / units)
    assert scaled == pytest.approx(kkt_residuals(Q, q, x), rel=1e-9)


def test_nan_stays_visible(problem: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    Q, q, x = problem
    x[3] = np.nan
    assert np.isnan(kkt_residuals(Q, q, x)[0])


def test_norms_know_the_system_whatever_its_units() -> None:
    A = np.random.default_rng(3).normal(size=(9, 5))
    Q, q, units = A.T @ A, A.T @ np.arange(9.0), np.geomspace(1e-3, 1e4, 5)
    norms = scaled_norms(Q, q)
    np.testing.assert_allclose(scaled_norms(Q * np.outer(units, units), q * units), norms, rtol=1e-13)
    assert scaled_norms(Q, 1.01 * q)[1] == pytest.approx(1.01 * norms[1], rel=1e-13)
    assert scaled_norms(Q + 0.1 * np.eye(5), q)[0] != pytest.approx(norms[0], rel=1e-4)
