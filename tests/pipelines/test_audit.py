"""The tap: it sees the one solve that is made, changes nothing, and lets go."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from matrix.errors import MatrixError, UsageError  # noqa: E402
from matrix.pipelines.audit import lane_solves, solver_facts, solver_module, tapped  # noqa: E402

DIAGONAL = np.asarray([1.0, 2.0, 4.0])
VECTOR = np.asarray([1.0, -1.0, 2.0])
ITERATIONS = 7


def diagonal_solver(early_stop: float = 0.0) -> ModuleType:
    """A solver for diagonal Q, which has a closed form; `early_stop` is added to its answer."""

    def solve_nnls_primal(Q: Any, q: Any, target_kappa: float = 1e-3, max_iter: int = 1) -> Any:
        del target_kappa, max_iter
        return jax.numpy.maximum(q / jax.numpy.diagonal(Q), 0.0) + early_stop

    def solve_nnls(Q: Any, q: Any, max_iter: int = 1) -> Any:
        x = solve_nnls_primal(Q, q)
        return x, x, Q @ x - q, max_iter > 1, ITERATIONS

    module = ModuleType("diagonal_solver")
    vars(module).update(solve_nnls_primal=solve_nnls_primal, solve_nnls=solve_nnls)
    return module


def likelihood_through(holder: ModuleType) -> Callable[[Any], Any]:
    """A scalar through one solve, found in `holder` at the time of the call, as a call site does."""

    def likelihood(shift: Any) -> Any:
        solve = vars(holder)["solve_nnls_primal"]
        return solve(jax.numpy.diag(DIAGONAL), VECTOR + shift, target_kappa=1e-11, max_iter=40).sum()

    return likelihood


def test_batched_solves_are_seen_and_judged() -> None:
    solver = diagonal_solver()
    original = vars(solver)["solve_nnls_primal"]
    likelihood = likelihood_through(solver)
    shifts = jax.numpy.asarray([0.0, 0.5, 2.0])
    function, seen = tapped(likelihood, solver, ModuleType("call_site"))
    values, systems, vectors, answers = jax.jit(jax.vmap(function))(shifts)
    assert vars(solver)["solve_nnls_primal"] is original
    np.testing.assert_array_equal(values, jax.jit(jax.vmap(likelihood))(shifts))
    np.testing.assert_array_equal(systems, [np.diag(DIAGONAL)] * 3)
    np.testing.assert_array_equal(vectors, VECTOR + np.asarray(shifts)[:, None])
    facts = solver_facts(solver, seen[0])
    assert facts.name == "diagonal_solver"
    assert facts.options == {"entry_point": "solve_nnls_primal", "target_kappa": "1e-11", "max_iter": "40"}
    lanes = lane_solves(solver, seen[0], systems, vectors, answers)
    assert [(lane.size, lane.iterations, lane.converged) for lane in lanes] == [(3, ITERATIONS, True)] * 3
    assert [lane.zeros for lane in lanes] == [1, 1, 0]
    assert all(lane.kkt_residual < 1e-6 for lane in lanes)


def test_answer_that_was_returned_is_judged_not_a_better_one() -> None:
    solver = diagonal_solver(early_stop=0.1)
    function, seen = tapped(likelihood_through(solver), solver, ModuleType("call_site"))
    _, *system = jax.vmap(function)(jax.numpy.zeros(1))
    (lane,) = lane_solves(solver, seen[0], *system)
    assert lane.complementarity > 0.05


def test_call_by_name_is_seen_too() -> None:
    solver, call_site = diagonal_solver(), ModuleType("call_site")
    vars(call_site)["solve_nnls_primal"] = vars(solver)["solve_nnls_primal"]
    function, seen = tapped(likelihood_through(call_site), solver, call_site)
    function(0.0)
    assert len(seen) == 1


@pytest.mark.parametrize("calls", [0, 2])
def test_other_than_one_solve_is_refused(calls: int) -> None:
    solver = diagonal_solver()
    likelihood = likelihood_through(solver)
    function, _ = tapped(
        lambda shift: sum(likelihood(shift) for _ in range(calls)), solver, ModuleType("site")
    )
    with pytest.raises(MatrixError, match=f"saw {calls}"):
        function(0.0)


def test_missing_solver_names_the_side() -> None:
    with pytest.raises(UsageError, match="candidate"):
        solver_module("candidate")
