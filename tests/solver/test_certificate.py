"""The certificate sees what it says it sees, each variable on its own scale."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import solver
from solver import ResultCode

from .problems import lens_like, objective, scipy_optimum, with_known_optimum


def certificate(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> solver.Certificate:
    return solver.certificate(jnp.asarray(Q), jnp.asarray(q), jnp.asarray(x))


def test_where_terms_cancel_the_gap_is_that_of_the_objective() -> None:
    """Two nearly parallel columns of opposite sign: huge coefficients that cancel in qᵀx."""
    a = np.array([1.0, 0.0]), np.array([-1.0, 1e-5])
    A = np.stack(a, axis=1)
    optimum = np.array([501.0, 500.0])
    Q, q = A.T @ A, A.T @ A @ optimum
    far = np.array([1.005e5, 1.005e5])
    lost = objective(Q, q, far) - objective(Q, q, optimum)
    assert lost > 1e-9 * abs(q @ far)
    assert certificate(Q, q, far).worst > 1e-9
    result = solver.solve_nnls_certified(Q, q)
    x = np.asarray(result.primal)
    error = objective(Q, q, x) - objective(Q, q, optimum)
    assert result.code != ResultCode.CERTIFIED or error <= 1e-9 * abs(q @ x)


@pytest.mark.parametrize("weakness", [1e-5, 1e-10])
def test_a_weak_block_is_held_to_its_own_scale(weakness: float) -> None:
    rng = np.random.default_rng(70)
    strong, weak = with_known_optimum(rng, 20, 10), with_known_optimum(rng, 20, 10)
    Q = np.block([[strong.Q, np.zeros((20, 20))], [np.zeros((20, 20)), weakness * weak.Q]])
    q = np.r_[strong.q, weakness * weak.q]
    unsolved = np.r_[strong.x, np.zeros(20)]
    assert certificate(Q, q, unsolved).worst > 1e-3
    result = solver.solve_nnls_certified(Q, q)
    assert result.code == ResultCode.CERTIFIED
    np.testing.assert_allclose(result.primal, np.r_[strong.x, weak.x], rtol=1e-6, atol=1e-8)


def test_a_block_with_a_weak_right_hand_side_may_not_stay_unsolved() -> None:
    rng = np.random.default_rng(71)
    strong, weak = with_known_optimum(rng, 20, 10), with_known_optimum(rng, 20, 10)
    Q = np.block([[strong.Q, np.zeros((20, 20))], [np.zeros((20, 20)), weak.Q]])
    q = np.r_[strong.q, 1e-10 * weak.q]
    assert certificate(Q, q, np.r_[strong.x, np.zeros(20)]).worst > 1e-6


def test_without_a_positive_q_the_residual_is_relative_all_the_same() -> None:
    problem = with_known_optimum(np.random.default_rng(72), 20)
    q = -1 - np.abs(problem.q)
    wrong = np.r_[1e-3, np.zeros(19)]
    here, there = certificate(problem.Q, q, wrong), certificate(problem.Q, 1e6 * q, 1e6 * wrong)
    np.testing.assert_allclose(here.worst, there.worst, rtol=1e-12)
    assert certificate(problem.Q, q, np.zeros(20)).worst == 0


@pytest.mark.parametrize(
    ("Q", "q", "code"),
    [
        ([[1.0, -2.0], [-2.0, 1.0]], [1.0, 1.0], ResultCode.INDEFINITE),
        ([[1.0, 1.5], [1.5, 1.0]], [1.0, 1.0], ResultCode.INDEFINITE),
        ([[1.0, 0.0], [0.0, -1.0]], [1.0, -1.0], ResultCode.UNBOUNDED),
        ([[1.0, 0.0], [0.0, 0.0]], [1.0, 1.0], ResultCode.UNBOUNDED),
        ([[1.0, 0.0], [0.0, 0.0]], [1.0, -1.0], ResultCode.CERTIFIED),
        ([[1.0, 1.0], [1.0, 1.0]], [1.0, 1.0], ResultCode.CERTIFIED),
    ],
)
def test_what_can_be_seen_of_an_indefinite_matrix_is_never_certified(
    Q: list, q: list, code: ResultCode
) -> None:
    assert solver.solve_nnls_certified(np.array(Q), np.array(q)).code == code


def test_the_gap_bounds_the_error_of_the_objective() -> None:
    problem = lens_like(np.random.default_rng(73))
    best = objective(problem.Q, problem.q, scipy_optimum(problem.Q, problem.q))
    for tolerance in (1e-3, 1e-5, 1e-7):
        result = solver.solve_nnls_certified(problem.Q, problem.q, solver_tol=tolerance)
        x = np.asarray(result.primal)
        seen = certificate(problem.Q, problem.q, x)
        # The bound holds for a dual >= 0; what the dual lacks counts with the optimum's own weight.
        slack = float(seen.gap + seen.dual * 160)
        assert objective(problem.Q, problem.q, x) - best <= slack * abs(problem.q @ x)


def test_the_code_is_by_the_tolerance_that_was_asked_for() -> None:
    """The same answer is certified at a tolerance just above its residual, and not at one just below."""
    problem = lens_like(np.random.default_rng(74))
    limits: dict[str, Any] = {"algorithm": "pdip", "max_iter": 8}
    worst = float(solver.solve_nnls_certified(problem.Q, problem.q, **limits).certificate.worst)
    assert 1e-9 < worst < 1e-2
    for factor, certified in ((0.9, False), (1.1, True)):
        result = solver.solve_nnls_certified(problem.Q, problem.q, solver_tol=factor * worst, **limits)
        assert bool(result.code == ResultCode.CERTIFIED) is certified
