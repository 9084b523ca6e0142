"""The convergence curve: it ends in the answer that was judged, and falls on the way there."""

from types import ModuleType
from typing import Any

import pytest

jax = pytest.importorskip("jax")
pytest.importorskip("jaxnnls")

import jax.numpy as jnp  # noqa: E402

from matrix.pipelines.audit import CALL_SITE, Solve, lane_solves, tapped  # noqa: E402
from matrix.pipelines.convergence import convergence, limits_below  # noqa: E402
from matrix.records.cell import LaneSolve  # noqa: E402
from tests.pipelines import call_sites  # noqa: E402
from tests.pipelines.test_audit import system  # noqa: E402


def judged(site: ModuleType, **settings: Any) -> tuple[Solve, LaneSolve]:
    Q, q = system()
    in_force = call_sites.settings(**settings)
    function, seen = tapped(lambda shift: vars(site)[CALL_SITE](q + shift, Q, in_force, jnp).sum(), site)
    found = jax.vmap(function)(jnp.zeros(1))
    (lane,) = lane_solves(seen[0], *found[1:])
    return seen[0], lane


@pytest.mark.parametrize("kind", ["jaxnnls", "own loop", "pdip", "raw", "vendored", "third value"])
def test_curve_falls_to_the_judged_answer(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    site = {
        "jaxnnls": call_sites.without_stats,
        "own loop": lambda: call_sites.own_loop_without_stats(monkeypatch),
        "pdip": call_sites.pdip,
        "raw": lambda: call_sites.pdip("raw"),
        "vendored": lambda: call_sites.vendored_without_stats(monkeypatch, algorithm="pdip"),
        "third value": lambda: call_sites.vendored_with_stats(monkeypatch),
    }[kind]()
    solve, lane = judged(site)
    curve = convergence(solve, *system(), lane)
    iterations, residuals = zip(*curve.points, strict=True)
    assert list(iterations) == sorted(set(iterations))
    assert curve.points[-1] == (lane.iterations, lane.kkt_residual)
    assert lane.iterations is not None
    assert residuals[0] > 1e-3
    assert residuals[-2] > residuals[-1]
    assert ("polishes" in curve.note) == (kind == "raw")
    if kind in ("jaxnnls", "own loop"):
        assert iterations == tuple(range(1, lane.iterations + 1))
        # Stepping is what its own loop does: the last step but one is close, and not yet there.
        assert 1.0 < residuals[-2] / residuals[-1] < 1e4
    else:
        assert iterations[:-1] == tuple(limits_below(lane.iterations))


def test_certified_is_given_smaller_budgets_while_it_certifies() -> None:
    solve, lane = judged(call_sites.certified(certifies=True))
    curve = convergence(solve, *system(), lane)
    assert [iteration for iteration, _ in curve.points] == [1, 2, 3, 4]
    solve, lane = judged(call_sites.certified(certifies=False))
    curve = convergence(solve, *system(), lane)
    assert (curve.points, curve.note.partition(":")[0]) == ((), "no curve")
    assert "did not certify" in curve.note


def test_solver_that_states_no_iterations_has_no_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    solve, lane = judged(call_sites.vendored_with_stats(monkeypatch, iterations=0))
    curve = convergence(solve, *system(), lane)
    assert curve.points == ()
    assert "does not state how many iterations" in curve.note


def test_solver_that_fails_costs_the_curve_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    solve, lane = judged(call_sites.vendored_without_stats(monkeypatch, algorithm="pdip"))
    monkeypatch.setattr(Solve, "asked", lambda *_, **__: 1 / 0)
    curve = convergence(solve, *system(), lane)
    assert curve.points == ()
    assert "ZeroDivisionError" in curve.note
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize(("iterations", "expected"), [(1, []), (2, [1]), (4, [1, 2, 3]), (18, [1, 9, 17])])
def test_limits(iterations: int, expected: list[int]) -> None:
    assert limits_below(iterations) == expected
