"""Degenerate and extreme systems: each has a defined outcome."""

import numpy as np
import pytest

import solver
from solver import ResultCode

from .problems import kkt_violation, objective, scipy_optimum, with_known_optimum

EXACT = ("pdip", "schur")
K = 20


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
def test_empty(algorithm: str) -> None:
    result = solver.solve_nnls_certified(np.zeros((0, 0)), np.zeros(0), algorithm=algorithm)
    assert result.primal.shape == (0,)
    assert result.code == ResultCode.CERTIFIED


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
@pytest.mark.parametrize(
    ("Q", "q", "x"),
    [
        ([[4.0]], [2.0], [0.5]),
        ([[4.0]], [-2.0], [0.0]),
        ([[2.0, 1.0], [1.0, 2.0]], [3.0, 3.0], [1.0, 1.0]),
        ([[2.0, 1.0], [1.0, 2.0]], [2.0, -1.0], [1.0, 0.0]),
        ([[2.0, -1.0], [-1.0, 2.0]], [1.0, -0.5], [0.5, 0.0]),
    ],
)
def test_one_and_two_variables(algorithm: str, Q: list, q: list, x: list) -> None:
    result = solver.solve_nnls_certified(np.array(Q), np.array(q), algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_allclose(result.primal, x, atol=1e-8)


@pytest.mark.parametrize("algorithm", EXACT)
def test_duplicate_columns(algorithm: str) -> None:
    rng = np.random.default_rng(20)
    A = rng.normal(size=(80, 13))
    A = np.concatenate([A, A[:, :5], 3 * A[:, 4:6]], axis=1)
    Q, q = A.T @ A, A.T @ (A @ rng.uniform(-0.3, 1, A.shape[1]))
    result = solver.solve_nnls_certified(Q, q, algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(Q, q, np.asarray(result.primal)) < 1e-9


@pytest.mark.parametrize("algorithm", EXACT)
def test_semidefinite(algorithm: str) -> None:
    rng = np.random.default_rng(21)
    A = rng.normal(size=(10, K))
    Q, q = A.T @ A, A.T @ rng.normal(size=10)
    result = solver.solve_nnls_certified(Q, q, algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(Q, q, np.asarray(result.primal)) < 1e-9


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
def test_zero_rows(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(22), K, condition=10)
    empty = np.array([3, 11])
    Q, q = problem.Q.copy(), problem.q.copy()
    Q[empty, :] = Q[:, empty] = 0
    q[empty] = [0, -1]
    kept = np.setdiff1d(np.arange(K), empty)
    result = solver.solve_nnls_certified(Q, q, algorithm=algorithm)
    reduced = scipy_optimum(Q[np.ix_(kept, kept)], q[kept])
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_array_equal(result.primal[empty], 0)
    np.testing.assert_allclose(result.primal[kept], reduced, atol=1e-7)
    q[empty] = [0, 1]
    assert solver.solve_nnls_certified(Q, q, algorithm=algorithm).code == ResultCode.UNBOUNDED


@pytest.mark.parametrize("algorithm", solver.ALGORITHMS)
def test_all_negative_gives_exactly_zero(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(23), K)
    result = solver.solve_nnls_certified(problem.Q, -1 - np.abs(problem.q), algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_array_equal(result.primal, 0)


@pytest.mark.parametrize("algorithm", EXACT)
def test_zero_right_hand_side(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(24), K)
    result = solver.solve_nnls_certified(problem.Q, np.zeros(K), algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_array_equal(result.primal, 0)


def test_positive_unconstrained_solution_takes_one_elimination() -> None:
    problem = with_known_optimum(np.random.default_rng(25), 300, condition=100, free=1.1)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="schur")
    assert result.code == ResultCode.CERTIFIED
    assert result.iterations == 2
    np.testing.assert_allclose(result.primal, np.linalg.solve(problem.Q, problem.q), rtol=1e-10)


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("condition", [1e8, 1e11, 1e14])
def test_ill_conditioned(algorithm: str, condition: float) -> None:
    problem = with_known_optimum(np.random.default_rng(26), K, condition)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm=algorithm)
    x = np.asarray(result.primal)
    assert np.all(np.isfinite(x))
    assert np.all(x >= 0)
    if result.code == ResultCode.CERTIFIED:
        assert kkt_violation(problem.Q, problem.q, x) < 2e-9
    best = objective(problem.Q, problem.q, problem.x)
    assert abs(objective(problem.Q, problem.q, x) - best) <= 1e-10 * abs(best)
    assert condition > 1e12 or result.code == ResultCode.CERTIFIED


@pytest.mark.parametrize("algorithm", EXACT)
@pytest.mark.parametrize("of_Q", [1e-150, 1.0, 1e150])
@pytest.mark.parametrize("of_q", [1e-150, 1.0, 1e150])
def test_extreme_scales(algorithm: str, of_Q: float, of_q: float) -> None:
    problem = with_known_optimum(np.random.default_rng(27), K)
    result = solver.solve_nnls_certified(of_Q * problem.Q, of_q * problem.q, algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_allclose(np.asarray(result.primal) / of_q * of_Q, problem.x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("algorithm", EXACT)
def test_columns_of_very_different_scale(algorithm: str) -> None:
    problem = with_known_optimum(np.random.default_rng(28), K, scatter=60)
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm=algorithm)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_allclose(result.primal, problem.x, rtol=1e-8)


def test_indefinite_is_never_called_solved() -> None:
    Q = np.array([[1.0, -2.0], [-2.0, 1.0]])
    result = solver.solve_nnls_certified(Q, np.ones(2))
    assert result.code != ResultCode.CERTIFIED
