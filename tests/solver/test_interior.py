"""Interior points that pivot: few factorisations, and an exact end."""

from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import solver
from matrix.checks.inside.systems import KnownSystem, system_from
from solver import ResultCode
from solver._interior import Best, nothing_yet, solve_interior
from solver._problem import scaled_problem
from tests.real import real_systems

from .problems import (
    Problem,
    kkt_violation,
    lens_like,
    objective,
    real_system,
    scipy_optimum,
    with_known_optimum,
)

jaxnnls = pytest.importorskip("jaxnnls")

interior = jax.jit(solve_interior)


def solved(problem: Problem | KnownSystem, **options: Any) -> int:
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="pdip", **options)
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(problem.Q, problem.q, np.asarray(result.primal)) < 1e-9
    return int(result.iterations)


def iterations_of_jaxnnls(problem: Problem | KnownSystem) -> int:
    scale = 1 / np.sqrt(np.diag(problem.Q))
    Q = problem.Q * scale[:, None] * scale[None, :]
    return int(jaxnnls.solve_nnls(jnp.asarray(Q), jnp.asarray(problem.q * scale))[4])


@pytest.mark.parametrize("size", [20, 100, 200])
@pytest.mark.parametrize("condition", [1e2, 1e6, 1e9, 1e12])
@pytest.mark.parametrize("free", [0.01, 0.5, 0.99])
def test_fewer_factorisations_than_jaxnnls(size: int, condition: float, free: float) -> None:
    problem = with_known_optimum(np.random.default_rng(60), size, condition, free)
    assert solved(problem) <= 0.9 * iterations_of_jaxnnls(problem)


@pytest.mark.parametrize("family", ["degenerate", "ill", "collinear-block"])
@pytest.mark.parametrize("condition", [1e6, 1e10])
def test_fewer_factorisations_than_jaxnnls_on_the_assertion_systems(family: str, condition: float) -> None:
    system = system_from(family, 100, condition)
    assert solved(system) <= 1.1 * iterations_of_jaxnnls(system)


@pytest.mark.parametrize("regularisation", [1.0, 1e-2, 1e-4, 1e-6])
def test_no_cliff_where_the_source_is_hardly_regularised(regularisation: float) -> None:
    problem = lens_like(np.random.default_rng(61), dense=60, source=240)
    Q = problem.Q - np.diag(np.r_[np.zeros(60), np.full(240, 5.0 * (1 - regularisation))])
    weak = Problem(Q, problem.q, problem.x)
    assert solved(weak) <= 1.15 * iterations_of_jaxnnls(weak)


def test_light_of_a_galaxy() -> None:
    for seed in range(5):
        problem = lens_like(np.random.default_rng(seed), dense=20, source=0)
        assert solved(problem) <= iterations_of_jaxnnls(problem)
        best = objective(problem.Q, problem.q, scipy_optimum(problem.Q, problem.q))
        x = np.asarray(solver.solve_nnls_forward(problem.Q, problem.q))
        assert objective(problem.Q, problem.q, x) <= best + 1e-12 * abs(best)


@pytest.mark.parametrize(
    "name", ["imaging-mge", "interferometer-mge", "interferometer-delaunay", "interferometer-pixelization"]
)
def test_real_systems_take_fewer_factorisations_than_jaxnnls(name: str) -> None:
    for path in real_systems(name):
        Q, q, _ = real_system(path)
        problem = Problem(Q, q, q)
        assert solved(problem) <= 0.9 * iterations_of_jaxnnls(problem), path


def test_the_end_is_exact() -> None:
    """Where a pivot ends the iteration the answer is a solution on the free set, to rounding."""
    problem = with_known_optimum(np.random.default_rng(62), 100, 1e4)
    x = np.asarray(solver.solve_nnls_forward(problem.Q, problem.q))
    free = problem.x > 0
    assert np.array_equal(x > 0, free)
    exact = np.linalg.solve(problem.Q[np.ix_(free, free)], problem.q[free])
    np.testing.assert_allclose(x[free], exact, rtol=1e-9)


def test_an_answer_at_hand_that_is_good_enough_is_returned_as_it_is() -> None:
    problem = with_known_optimum(np.random.default_rng(63), 60)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    at_hand = Best(jnp.full(60, 0.25), jnp.array(1e-12), jnp.array(7, jnp.int32))
    end = interior(scaled, jnp.array(60, jnp.int32), jnp.array(1e-9), at_hand)
    assert end.steps == 7
    np.testing.assert_array_equal(end.x, at_hand.x)


def test_the_best_answer_seen_is_returned_whatever_ends_the_iteration() -> None:
    problem = with_known_optimum(np.random.default_rng(64), 60, 1e8)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    residuals = []
    for limit in range(1, 12):
        end = interior(scaled, jnp.array(limit, jnp.int32), jnp.array(1e-15), nothing_yet(scaled))
        residuals.append(float(end.residual))
        x = np.asarray(scaled.scale * scaled.pull * end.x)
        assert np.all(x >= 0)
    # A longer run may skip a look that a shorter one takes at its end, and no other answer.
    assert all(later <= 2 * earlier for earlier, later in pairwise(residuals))
    assert residuals[-1] < 1e-9


def test_a_limit_and_a_stall_are_told_apart() -> None:
    problem = with_known_optimum(np.random.default_rng(65), 100, 1e9)
    limited = solver.solve_nnls_certified(problem.Q, problem.q, max_iter=2)
    assert limited.code == ResultCode.ITERATION_LIMIT
    assert limited.iterations == 2
    # On its first 2 x 2 minor this matrix looks definite, and it is not.
    Q = np.eye(3) - 0.75 * (np.ones((3, 3)) - np.eye(3))
    stalled = solver.solve_nnls_certified(Q, np.ones(3))
    assert stalled.code in (ResultCode.STALLED, ResultCode.ITERATION_LIMIT)


@pytest.mark.parametrize(("size", "condition"), [(100, 1e14), (200, 1e14), (299, 1e8)])
def test_degenerate_systems_are_certified_all_the_same(size: int, condition: float) -> None:
    assert solved(system_from("degenerate", size, condition)) <= 40
