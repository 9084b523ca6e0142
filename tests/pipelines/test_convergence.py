"""The convergence curve: it ends in the answer that was judged, and falls on the way there."""

import numpy as np
import pytest

pytest.importorskip("jax")

import jaxnnls

import solver
from matrix.pipelines.audit import Solve, lane_solves
from matrix.pipelines.convergence import convergence, limits_below


def system(K: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """A positive definite system whose optimum has zeros."""
    generator = np.random.default_rng(3)
    A = generator.normal(size=(2 * K, K)) + 1.0
    return A.T @ A, A.T @ generator.normal(size=2 * K)


@pytest.mark.parametrize(("side", "module"), [("baseline", jaxnnls), ("candidate", solver)])
def test_curve_falls_to_the_judged_answer(side: str, module: object) -> None:
    Q, q = system()
    asked = {"target_kappa": 1e-11}
    x = module.solve_nnls_primal(Q, q, **asked)  # type: ignore[attr-defined]
    (lane,) = lane_solves(module, Solve(Q, q, x, "", asked), [Q], [q], np.asarray([x]))  # type: ignore[arg-type]
    curve = convergence(side, module, asked, Q, q, lane)  # type: ignore[arg-type]
    iterations, residuals = zip(*curve, strict=True)
    assert list(iterations) == sorted(set(iterations))
    assert curve[-1] == (lane.iterations, lane.kkt_residual)
    assert residuals[0] > 1e-3
    assert residuals[-2] > 100 * residuals[-1] or side == "baseline"
    if side == "baseline":
        assert iterations == tuple(range(1, lane.iterations + 1))
        # Stepping is what its own loop does: the last step but one is close, and not yet there.
        assert 1.0 < residuals[-2] / residuals[-1] < 1e4


def test_solver_that_fails_costs_the_curve_only(capsys: pytest.CaptureFixture[str]) -> None:
    Q, q = system()
    asked = {"algorithm": "none such"}
    lane = lane_solves(jaxnnls, Solve(Q, q, q, "", {}), [Q], [q], np.asarray([q]))[0]
    assert convergence("candidate", solver, asked, Q, q, lane) == ()
    assert "none such" in capsys.readouterr().err


@pytest.mark.parametrize(("iterations", "expected"), [(1, []), (2, [1]), (4, [1, 2, 3]), (18, [1, 9, 17])])
def test_limits(iterations: int, expected: list[int]) -> None:
    assert limits_below(iterations) == expected
