"""The systems of the assertion matrix are what they say: optimal by construction, with the right gradient."""

import numpy as np
import pytest

from matrix.checks.inside.systems import CLASSES, system_from
from matrix.pipelines.kkt import kkt_residuals
from tests.solver.problems import scipy_optimum


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("condition", [1e1, 1e7, 1e14])
def test_chosen_solution_satisfies_the_optimality_conditions(kind: str, condition: float) -> None:
    system = system_from(kind, 40, condition)
    assert max(kkt_residuals(system.Q, system.q, system.x)[:3]) < 1e-12
    assert np.array_equal(system.x > 0, system.positive)


@pytest.mark.parametrize("kind", CLASSES)
def test_scipy_finds_the_same_solution(kind: str) -> None:
    system = system_from(kind, 40, 1e4)
    np.testing.assert_allclose(scipy_optimum(system.Q, system.q), system.x, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", ["well", "ill", "collinear-block"])
def test_known_gradient_is_that_of_difference_quotients(kind: str) -> None:
    system = system_from(kind, 12, 1e2)
    by_q, by_Q = system.gradients()
    generator = np.random.default_rng(0)
    step, dQ, dq = 1e-6, generator.standard_normal((12, 12)), generator.standard_normal(12)
    dQ = step * (dQ + dQ.T)
    dq = step * dq
    ends = [
        system.weights @ scipy_optimum(system.Q + sign * dQ, system.q + sign * dq) for sign in (1.0, -1.0)
    ]
    expected = float(np.sum(by_Q * dQ) + by_q @ dq)
    assert (ends[0] - ends[1]) / 2 == pytest.approx(expected, rel=1e-4)


def test_condition_of_the_well_class_is_gone_after_scaling_and_of_the_others_is_not() -> None:
    well, ill = system_from("well", 40, 1e8), system_from("ill", 40, 1e8)
    assert np.linalg.cond(well.Q) > 1e7
    assert well.scaled_condition < 100
    assert ill.scaled_condition > 1e6
