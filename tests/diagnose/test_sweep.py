"""The sweep: what is swept is really in force, and only converged settings within the tolerance count."""

import functools
import types
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jaxnnls = pytest.importorskip("jaxnnls")
import jax.numpy as jnp  # noqa: E402

from matrix.diagnose.clock import interleaved  # noqa: E402
from matrix.diagnose.sides.record import write_diagnosis  # noqa: E402
from matrix.diagnose.sweep.cell import _giving, _prepared  # noqa: E402
from matrix.diagnose.sweep.plot import sweep_curves  # noqa: E402
from matrix.diagnose.sweep.record import Setting, SweepPoint, SweepRecord  # noqa: E402
from matrix.diagnose.sweep.session import settings_of  # noqa: E402
from matrix.diagnose.sweep.verdict import Sweep  # noqa: E402
from matrix.ground.errors import UsageError  # noqa: E402
from matrix.pipelines.audit import CALL_SITE, Solve, tapped  # noqa: E402
from matrix.records import typed_json  # noqa: E402
from matrix.run.plan import Target  # noqa: E402
from tests.factory import make_record  # noqa: E402
from tests.pipelines import call_sites  # noqa: E402
from tests.pipelines.test_audit import system  # noqa: E402


def point(setting: Setting, seconds: float, evidence: float | None = 100.0, **changes: Any) -> SweepPoint:
    facts = {"l2": 0.0, "iterations": 5, "converged": True, **changes}
    return SweepPoint(setting, (seconds,), evidence, **facts)


def sweep(baseline: list[SweepPoint], candidate: list[SweepPoint], pipeline: str = "imaging-mge") -> Sweep:
    def record(side: str, points: list[SweepPoint]) -> SweepRecord:
        made = make_record(pipeline=pipeline, side=side)
        return SweepRecord(made.cell, tuple(points), (1.0,), (2.0,), 100.0, made.precision, made.provenance)

    return Sweep(record("baseline", baseline), record("candidate", candidate))


DEFAULT = point(Setting("jaxnnls"), 3.0)
TARGETS = {"imaging-delaunay": Target(limit=200.0), "imaging-pixelization": Target(limit=25.0)}
LOOSE = point(Setting("jaxnnls", solver_tol=1e-2), 0.5, 100.1)
CUT = point(Setting("jaxnnls", max_iter=5), 0.6, converged=False)
TUNED = point(Setting("jaxnnls", solver_tol=1e-6), 1.0)
NAN = point(Setting("jaxnnls", max_iter=1), 0.1, None, l2=None)


def test_loose_unconverged_and_non_finite_settings_do_not_count() -> None:
    found = sweep([DEFAULT, LOOSE, CUT, NAN, TUNED], [])
    assert found.fastest_within(found.points, 1e-6) == TUNED
    assert found.fastest_within([LOOSE, NAN], 1e-6) is None
    assert found.change(LOOSE) == pytest.approx(0.1)
    assert found.drift(LOOSE) == pytest.approx(1e-3)
    assert found.drift(NAN) is None


@pytest.mark.parametrize(("seconds", "words"), [(0.25, ": vendor."), (2.0, ": ship a config change.")])
def test_sentence_says_which_to_ship_and_what_a_free_solve_would_give(seconds: float, words: str) -> None:
    said = sweep([DEFAULT, TUNED], [point(Setting("auto"), seconds)]).recommendation(1e-6, TARGETS)
    cost = "jaxnnls tol 1e-06, which moves the reconstruction by 0e+00"
    assert f"a config change alone ({cost}) makes the likelihood 2.00× as fast" in said
    assert "a solve that took no time 4.00×" in said
    assert said.endswith(words)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.25, "vendoring reaches"), (2.0, "neither reaches"), (0.5, "vendoring reaches")]
)
def test_sentence_holds_the_gain_against_the_target(seconds: float, words: str) -> None:
    said = sweep([DEFAULT, TUNED], [point(Setting("auto"), seconds)], "imaging-delaunay").recommendation(
        1e-6, TARGETS
    )
    assert "the target (438 to 200 ms per call on an A100) needs 2.19×" in said
    assert words in said


def test_where_the_solver_takes_no_time_nothing_is_recommended() -> None:
    small = [point(Setting("jaxnnls"), 0.03), point(Setting("jaxnnls", solver_tol=1e-6), 0.02)]
    said = sweep(small, [point(Setting("auto"), 0.01)]).recommendation(1e-6, TARGETS)
    assert said.endswith(": no change of the solver matters here.")


def test_candidate_that_keeps_no_evidence_is_not_recommended() -> None:
    said = sweep([DEFAULT], [point(Setting("auto"), 1.0, 101.0)]).recommendation(1e-6, TARGETS)
    assert "do not change anything" in said


def test_defaults_come_first_and_the_picture_takes_points_without_a_value() -> None:
    assert settings_of("baseline")[0] == Setting("jaxnnls")
    assert {setting.algorithm for setting in settings_of("candidate")} == {"auto", "pdip"}
    picture = sweep_curves(sweep([DEFAULT, LOOSE, NAN], [point(Setting("auto"), 1.0)]), 1e-6)
    assert picture.startswith(b"\x89PNG")


def test_records_come_back_as_they_were(tmp_path: Path) -> None:
    record = sweep([DEFAULT, NAN], []).baseline
    write_diagnosis(tmp_path / "record.json", record)
    assert typed_json.read(tmp_path / "record.json", SweepRecord) == record


def solve_through(site: types.ModuleType) -> tuple[Solve, tuple[Any, Any]]:
    """A solve as the tap sees it in a likelihood, and its system."""
    Q, q = (jnp.asarray(part) for part in system())
    settings = call_sites.settings()
    function, seen = tapped(lambda q: vars(site)[CALL_SITE](q, Q, settings, jnp).sum(), site)
    function(q)
    return seen[0], (Q, q)


def test_jaxnnls_runs_under_each_setting_with_one_program(monkeypatch: pytest.MonkeyPatch) -> None:
    solve, given = solve_through(call_sites.without_stats())
    before = jaxnnls.pdip.MAX_ITER, jaxnnls.pdip.EPSILON
    prepared = _prepared(solve, given)
    assert before == (jaxnnls.pdip.MAX_ITER, jaxnnls.pdip.EPSILON)
    x, converged, iterations = prepared(Setting("jaxnnls"))()
    np.testing.assert_allclose(x, solve.x, rtol=1e-9, atol=1e-12)
    assert int(converged) == 1
    # From here on nothing may be compiled.
    monkeypatch.setattr("matrix.pipelines.programs.compiled", None)
    _, cut, limited = prepared(Setting("jaxnnls", max_iter=2))()
    assert (int(cut), int(limited)) == (0, 2)
    _, enough, loose = prepared(Setting("jaxnnls", solver_tol=1e-2))()
    assert int(enough) == 1
    assert int(loose) < int(iterations)


@pytest.mark.parametrize("shape", ["vendored", "third value", "pdip"])
def test_settings_reach_the_solver_through_every_call_site(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = {
        "vendored": lambda: call_sites.vendored_without_stats(monkeypatch, dense_columns=(0, 1)),
        "third value": lambda: call_sites.vendored_with_stats(monkeypatch),
        "pdip": call_sites.pdip,
    }[shape]()
    solve, given = solve_through(site)
    prepared = _prepared(solve, given)
    x, converged, _ = prepared(Setting("pdip"))()
    np.testing.assert_allclose(x, solve.x, rtol=1e-6, atol=1e-7)
    assert int(converged) == 1
    _, cut, limited = prepared(Setting("pdip", max_iter=1))()
    assert (int(cut), int(limited)) == (0, 1)


def test_solver_without_such_settings_is_refused() -> None:
    solve, given = solve_through(call_sites.certified(certifies=True))
    with pytest.raises(UsageError, match="solved by 'certified', which has others"):
        _prepared(solve, given)


def test_settings_are_timed_in_turn() -> None:
    made: list[str] = []
    calls = {name: functools.partial(made.append, name) for name in "ab"}
    times = interleaved(calls, repeats=2, warm=True)
    assert made == ["a", "b", "a", "b"]
    assert [len(own) for own in times.values()] == [2, 2]
    interleaved(calls, repeats=1)
    assert made[4:] == ["a", "b", "a", "b"]


def test_answer_given_from_outside_is_what_the_likelihood_gets_and_its_system_is_still_made() -> None:
    site = call_sites.without_stats()
    Q, q = system()
    function, _ = tapped(lambda shift: vars(site)[CALL_SITE](q + shift, Q).sum(), site)
    own = vars(site)[CALL_SITE]
    with patch.object(site, CALL_SITE, _giving(jnp.full(len(q), 7.0), own)):
        found = function(1.0)
    assert float(found.value) == 7.0 * len(q)
    np.testing.assert_array_equal(found.q, q + 1.0)
    assert vars(site)[CALL_SITE] is own
