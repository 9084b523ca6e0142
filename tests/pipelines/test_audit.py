"""The tap: it sees the one solve that is made, by whatever solver, changes nothing, and lets go."""

from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("jaxnnls")

import jax.numpy as jnp  # noqa: E402

from matrix.ground.errors import MatrixError, UsageError  # noqa: E402
from matrix.pipelines.audit import CALL_SITE, lane_solves, need_vendored, solver_facts, tapped  # noqa: E402
from matrix.records.cell import VENDORED, LaneSolve, Solver  # noqa: E402
from tests.pipelines import call_sites  # noqa: E402

SHIFTS = np.asarray([0.0, 0.5, 2.0])
# So many that no guess of the free set is made, and an interior point takes its steps.
SIZE = 90


def system(K: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """A positive definite system with a diagonal far from one, whose optimum has zeros."""
    generator = np.random.default_rng(3)
    A = (generator.normal(size=(2 * K, K)) + 1.0) * np.geomspace(1.0, 100.0, K)
    return A.T @ A, A.T @ generator.normal(size=2 * K)


def likelihood_through(site: ModuleType, settings: SimpleNamespace | None = None) -> Callable[[Any], Any]:
    """A scalar through one solve, looked up in `site` at the time of the call, as the library does."""
    Q, q = system()
    in_force = settings or call_sites.settings()

    def likelihood(shift: Any) -> Any:
        solve = vars(site)[CALL_SITE]
        x = solve(data_vector=q + shift, curvature_reg_matrix=jnp.asarray(Q), settings=in_force, xp=jnp)
        return x.sum()

    return likelihood


def audited(site: ModuleType, **settings: Any) -> tuple[Solver, tuple[LaneSolve, ...]]:
    """What the audit finds in a batch of different lanes, having left the values as they are."""
    original = vars(site)[CALL_SITE]
    likelihood = likelihood_through(site, call_sites.settings(**settings))
    function, seen = tapped(likelihood, site)
    found = jax.jit(jax.vmap(function))(SHIFTS)
    assert vars(site)[CALL_SITE] is original
    np.testing.assert_allclose(found.value, jax.jit(jax.vmap(likelihood))(SHIFTS), rtol=1e-12)
    np.testing.assert_array_equal(found.Q, [system()[0]] * 3)
    np.testing.assert_array_equal(found.q, system()[1] + SHIFTS[:, None])
    np.testing.assert_array_equal(found.value, found.x.sum(axis=1))
    facts, lanes = solver_facts(seen[0]), lane_solves(seen[0], *found[1:])
    assert [lane.size for lane in lanes] == [SIZE] * 3
    assert all(lane.zeros < SIZE for lane in lanes)
    # An interior point that was cut short has none yet.
    assert all(lane.zeros > 0 for lane in lanes if lane.converged is not False)
    return facts, lanes


def iterations_of(lanes: Sequence[LaneSolve]) -> list[int]:
    """What every lane states."""
    stated = [lane.iterations for lane in lanes if lane.iterations is not None]
    assert len(stated) == len(lanes)
    return stated


def test_jaxnnls_without_stats_is_asked_about_the_very_systems() -> None:
    facts, lanes = audited(call_sites.without_stats())
    assert facts == Solver("jaxnnls", {"entry_point": "solve_nnls_primal", "target_kappa": "1e-11"}, None)
    assert all(lane.converged and lane.kkt_residual < 1e-6 for lane in lanes)
    assert min(iterations_of(lanes)) > 3
    assert [lane.certified for lane in lanes] == [None] * 3


def test_own_loop_without_stats_is_asked_about_the_very_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, lanes = audited(call_sites.own_loop_without_stats(monkeypatch))
    knobs = {"target_kappa": "1e-11", "solver_tol": "None", "max_iter": "50"}
    assert facts == Solver("jaxnnls", {"entry_point": "solve_nnls_primal", **knobs}, None)
    assert all(lane.converged and lane.kkt_residual < 1e-6 for lane in lanes)
    assert min(iterations_of(lanes)) > 3


def test_vendored_without_stats_is_named_as_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, lanes = audited(call_sites.vendored_without_stats(monkeypatch, max_iter=40))
    assert (facts.name, facts.stated) == (VENDORED, None)
    assert facts.options["algorithm"] == "auto"
    assert facts.options["max_iter"] == "40"
    assert all(lane.converged and lane.kkt_residual < 1e-13 for lane in lanes)


@pytest.mark.parametrize("preconditioning", ["raw", "jacobi"])
def test_pdip_is_named_as_the_library_states_it(preconditioning: str) -> None:
    facts, lanes = audited(call_sites.pdip(preconditioning), nnls_max_iter=40)
    assert facts == Solver(
        "pdip",
        {
            "solver": "pdip",
            "preconditioning": preconditioning,
            "nnls_solver_tol": "None",
            "nnls_max_iter": "40",
        },
        ("converged", "iterations", "preconditioning", "solver"),
    )
    assert all(lane.converged for lane in lanes)
    assert all(3 < iterations < 40 for iterations in iterations_of(lanes))


def test_each_lane_has_its_own_status() -> None:
    _, lanes = audited(call_sites.pdip())
    taken = iterations_of(lanes)
    most = max(taken)
    _, limited = audited(call_sites.pdip(), nnls_max_iter=most - 1)
    assert [lane.converged for lane in limited] == [iterations < most - 1 for iterations in taken]
    assert False in [lane.converged for lane in limited]


@pytest.mark.parametrize(
    ("certifies", "fallback", "converged"),
    [(True, "pdip", True), (False, "pdip", None), (True, "none", True), (False, "none", False)],
)
def test_certified_says_so_and_not_how_its_fallback_went(
    certifies: bool, fallback: str, converged: bool | None
) -> None:
    facts, lanes = audited(call_sites.certified(certifies), certified_fallback=fallback)
    assert facts.name == "certified"
    assert facts.options["certified_fallback"] == fallback
    assert [(lane.certified, lane.converged) for lane in lanes] == [(certifies, converged)] * 3
    assert [lane.iterations for lane in lanes] == [4 if certifies else call_sites.BUDGET] * 3


def test_third_value_is_named_by_the_package_that_was_called(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, lanes = audited(call_sites.vendored_with_stats(monkeypatch))
    assert (facts.name, facts.options["solver"]) == (VENDORED, "nnls")
    assert facts.options["entry_point"] == "solve_nnls_primal_with_status"
    assert facts.options["algorithm"] == "pdip"
    assert all(lane.converged and lane.kkt_residual < 1e-9 for lane in lanes)


def test_what_the_stats_leave_out_is_not_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    facts, lanes = audited(call_sites.vendored_with_stats(monkeypatch, solver=0, iterations=0))
    assert facts.stated == ("converged",)
    assert [(lane.iterations, lane.converged) for lane in lanes] == [(None, True)] * 3


def test_call_site_that_names_nobody_is_not_guessed() -> None:
    facts, lanes = audited(call_sites.with_stats(lambda Q, q, _: (jnp.maximum(q, 0.0) + 0 * Q[0], {})))
    assert facts == Solver("not stated", {}, ())
    assert all(lane.converged is None and lane.kkt_residual > 0.1 for lane in lanes)


def test_stats_of_the_caller_are_filled_too() -> None:
    site = call_sites.pdip()
    own: dict[str, Any] = {}
    Q, q = system()
    function, _ = tapped(
        lambda _: vars(site)[CALL_SITE](q, Q, call_sites.settings(), jnp, stats=own).sum(), site
    )
    assert set(function(0.0).numbers) == {"converged", "iterations"}
    assert own["solver"] == "pdip"


def test_gradient_goes_through_the_tap() -> None:
    site = call_sites.without_stats()
    likelihood = likelihood_through(site)
    function, seen = tapped(likelihood, site)
    expected = float(jax.grad(likelihood)(0.25))
    assert jax.grad(lambda shift: function(shift).value)(0.25) == pytest.approx(expected, rel=1e-12)
    Q, q = system()
    again = jax.grad(lambda shift: seen[0].again(Q, q + shift).sum())(0.25)
    assert again == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("made", ["without_stats", "pdip"])
def test_the_call_can_be_made_again_on_another_system(made: str) -> None:
    site = getattr(call_sites, made)()
    function, seen = tapped(likelihood_through(site), site)
    found = jax.jit(function)(0.0)
    Q, q = system()
    x, said = jax.jit(seen[0].asked)(Q, q)
    np.testing.assert_allclose(x, found.x, rtol=1e-9, atol=1e-12)
    assert set(said) == {"converged", "iterations"}
    if made == "pdip":
        cut, said = seen[0].asked(Q, q, settings={"nnls_max_iter": 2})
        assert int(said["iterations"]) == 2
        assert np.abs(cut - x).max() > 1e-6


def test_likelihoods_own_settings_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    in_force, site = call_sites.settings(), call_sites.vendored_with_stats(monkeypatch)
    function, seen = tapped(likelihood_through(site, in_force), site)
    function(0.0)
    Q, q = system()
    _, limited = seen[0].asked(Q, q, options={"max_iter": 1})
    assert int(limited["iterations"]) == 1
    assert vars(in_force) == vars(call_sites.settings())
    with pytest.raises(MatrixError, match="nnls_patience"):
        seen[0].asked(Q, q, settings={"nnls_patience": 1})


@pytest.mark.parametrize("calls", [0, 2])
def test_other_than_one_solve_is_refused(calls: int) -> None:
    site = call_sites.without_stats()
    likelihood = likelihood_through(site)
    function, _ = tapped(lambda shift: sum(likelihood(shift) for _ in range(calls)), site)
    with pytest.raises(MatrixError, match=f"saw {calls}"):
        function(0.0)


def test_missing_package_is_named() -> None:
    need_vendored("baseline")
    with pytest.raises(UsageError, match=f"the candidate side needs {VENDORED}"):
        need_vendored("candidate")
