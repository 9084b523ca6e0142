"""Walk and exchange: few steps where they are meant for, and a second way where they are not."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

import solver
from matrix.checks.systems import System, system_from
from solver import ResultCode, _collinear, _fista
from solver._exchange import Exchange, exchange
from solver._pdip import _iterate
from solver._problem import Scaled, scaled_problem
from solver._search import any_parallel
from solver._walk import walk

from .problems import (
    SYSTEMS,
    Problem,
    kkt_violation,
    lens_like,
    objective,
    real_system,
    rounding,
    scipy_optimum,
    with_known_optimum,
)

K = 20


def test_collinear_light_takes_fewer_factorisations_than_interior_points() -> None:
    for seed in range(5):
        problem = lens_like(np.random.default_rng(seed), dense=K, source=0)
        walked = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="active_set")
        interior = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="pdip")
        assert walked.code == ResultCode.CERTIFIED
        assert walked.iterations <= interior.iterations
        best = objective(problem.Q, problem.q, scipy_optimum(problem.Q, problem.q))
        assert objective(problem.Q, problem.q, np.asarray(walked.primal)) <= best + 1e-12 * abs(best)


def test_from_any_guess_it_ends_at_the_optimum() -> None:
    rng = np.random.default_rng(50)
    problem = with_known_optimum(rng, K, condition=1e4)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    for _ in range(10):
        guess = jnp.asarray(rng.uniform(size=K) < rng.uniform())
        end = walk(scaled, jnp.zeros(K), guess, 100)
        assert end.settled
        np.testing.assert_allclose(scaled.scale * scaled.pull * end.x, problem.x, atol=1e-9)


def test_a_walk_cut_short_does_not_claim_to_be_settled() -> None:
    problem = with_known_optimum(np.random.default_rng(51), K, condition=1e6)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    end = walk(scaled, jnp.zeros(K), jnp.ones(K, bool), 2)
    assert end.steps == 2
    assert not end.settled
    assert jnp.all(end.x >= 0)


@pytest.mark.parametrize("size", [44, 150])
def test_where_the_search_is_too_long_interior_points_take_over(size: int) -> None:
    problem = with_known_optimum(np.random.default_rng(150), size, condition=1e10)
    assert not exchanged(problem, problem.q > 0)[0].settled
    result = solver.solve_nnls_certified(problem.Q, problem.q, algorithm="active_set")
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(problem.Q, problem.q, np.asarray(result.primal)) < 1e-9


def exchanged(problem: Problem, guess: np.ndarray) -> tuple[Exchange, np.ndarray]:
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    end = exchange(scaled, jnp.asarray(guess), 40)
    return end, np.asarray(scaled.scale * scaled.pull * end.x)


def test_exchange_finds_a_well_conditioned_optimum_in_few_steps_from_any_guess() -> None:
    rng = np.random.default_rng(52)
    problem = with_known_optimum(rng, 100, condition=10)
    for share in (0.0, 0.5, 1.0):
        end, x = exchanged(problem, rng.uniform(size=100) < share)
        assert end.settled
        assert end.steps <= 6
        np.testing.assert_allclose(x, problem.x, atol=rounding(100, 10) * problem.x.max())


def wrong_variables(guess: Callable[[Scaled], Array], system: System) -> int:
    believed = guess(scaled_problem(jnp.asarray(system.Q), jnp.asarray(system.q)))
    return int(np.sum(np.asarray(believed) != system.positive))


@pytest.mark.parametrize("condition", [1e2, 1e6, 1e10])
@pytest.mark.parametrize("size", [100, 200])
def test_projected_gradient_guesses_all_but_a_few(size: int, condition: float) -> None:
    system = system_from("ill", size, condition)
    assert wrong_variables(_fista.believed_free, system) <= wrong_variables(lambda p: p.q > 0, system) / 5
    assert solved(system, algorithm="active_set") < to_the_end(system)


@pytest.mark.parametrize("condition", [1e6, 1e10])
def test_admm_guesses_what_is_free_of_a_collinear_block(condition: float) -> None:
    system = system_from("collinear-block", 100, condition)
    assert wrong_variables(lambda p: p.q > 0, system) > 40
    assert wrong_variables(_collinear.believed_free, system) == 0
    assert solved(system, algorithm="active_set") == 1


@pytest.mark.skipif(not SYSTEMS.is_dir(), reason=f"the real systems are not here: {SYSTEMS} does not exist")
@pytest.mark.parametrize("columns", [50, 60, 100])
def test_light_of_a_real_galaxy_takes_a_few_exchanges(columns: int) -> None:
    Q, q, _ = real_system(SYSTEMS / "imaging-delaunay.npz")
    problem = Problem(Q[:columns, :columns], q[:columns], np.full(columns, np.nan))
    assert not exchanged(problem, problem.q > 0)[0].settled
    assert 3 * solved(problem, algorithm="active_set") <= solved(problem, algorithm="pdip")


def test_exchange_gives_up_where_nothing_gets_better() -> None:
    found = []
    for seed in range(10):
        problem = with_known_optimum(np.random.default_rng(seed), 100, condition=1e12)
        end, _ = exchanged(problem, problem.q > 0)
        assert end.ended
        found.append(bool(end.settled))
        assert found[-1] or end.steps < 40
    assert not all(found)


def test_many_wrong_variables_are_no_work_for_rounds() -> None:
    # Without a collinear block, and with an identification that is far off: all entries of Q are positive.
    rng = np.random.default_rng(53)
    A = np.abs(rng.normal(size=(900, 450)))
    q = A.T @ np.maximum(A @ np.maximum(rng.normal(size=450), 0) + rng.normal(size=900), 0)
    Q = A.T @ A + np.eye(450)
    eliminated = solver.solve_nnls_certified(Q, q, algorithm="schur")
    interior = solver.solve_nnls_certified(Q, q, algorithm="pdip", solver_tol=1e-12)
    assert eliminated.code == ResultCode.CERTIFIED
    assert eliminated.iterations <= interior.iterations / 2


@pytest.mark.parametrize(("size", "condition"), [(100, 1e14), (200, 1e14), (299, 1e8)])
def test_degenerate_systems_are_certified_all_the_same(size: int, condition: float) -> None:
    system = system_from("degenerate", size, condition)
    result = solver.solve_nnls_certified(system.Q, system.q, algorithm="active_set")
    assert result.code == ResultCode.CERTIFIED


def test_small_degenerate_systems_are_exchanged_and_not_walked() -> None:
    for size, share in ((42, 0.4), (50, 0.55), (60, 0.3)):
        system = system_from("degenerate", size, 1e6)
        scaled = scaled_problem(jnp.asarray(system.Q), jnp.asarray(system.q))
        walked = walk(scaled, jnp.zeros(size), scaled.q > 0, 100)
        result = solver.solve_nnls_certified(system.Q, system.q, algorithm="active_set")
        assert result.code == ResultCode.CERTIFIED
        assert result.iterations <= share * walked.steps


def solved(problem: Problem | System, **options: Any) -> int:
    result = solver.solve_nnls_certified(problem.Q, problem.q, **options)
    assert result.code == ResultCode.CERTIFIED
    assert kkt_violation(problem.Q, problem.q, np.asarray(result.primal)) < 1e-9
    return int(result.iterations)


def to_the_end(problem: Problem | System) -> int:
    """Interior points without any crossover, which a tolerance of one's own switches off."""
    options = {"algorithm": "pdip", "solver_tol": 1e-10}
    return int(solver.solve_nnls_certified(problem.Q, problem.q, **options).iterations)


@pytest.mark.parametrize("condition", [1e4, 1e8, 1e12])
def test_interior_points_cross_over_by_exchange_long_before_they_are_at_the_end(condition: float) -> None:
    system = system_from("ill", 100, condition)
    assert solved(system, algorithm="pdip") <= 0.7 * to_the_end(system)


def test_a_guess_that_is_far_off_costs_one_exchange_and_a_later_one_is_tried() -> None:
    problem = with_known_optimum(np.random.default_rng(54), 100, 1e8)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    assert exchange(scaled, scaled.q > 0, 40, close=True).steps == 1
    assert solved(problem, algorithm="pdip") <= to_the_end(problem) + 1


def test_among_collinear_light_interior_points_cross_over_by_a_walk() -> None:
    problem = lens_like(np.random.default_rng(55), dense=20, source=40)
    scaled = scaled_problem(jnp.asarray(problem.Q), jnp.asarray(problem.q))
    assert any_parallel(scaled)
    assert not any_parallel(scaled_problem(jnp.eye(9), jnp.ones(9)))
    iterated = _iterate(scaled, 50, 1e-13, skip=False, cross_early=True)
    assert iterated.early.certified
    assert iterated.point.steps < to_the_end(problem)


def test_a_refinement_that_moves_a_variable_within_rounding_is_not_the_end_of_the_exchange() -> None:
    # Degenerate: whether a variable with zero dual is a little positive or at its bound is up to rounding.
    system = system_from("degenerate", 290, 1e6)
    assert solved(system, algorithm="pdip") < to_the_end(system)


@pytest.mark.parametrize("source", [68, 150])
def test_a_known_collinear_block_is_eliminated_in_systems_of_middle_size_too(source: int) -> None:
    problem = lens_like(np.random.default_rng(56), dense=60, source=source)
    assert solved(problem, dense_columns=range(60)) <= 4
