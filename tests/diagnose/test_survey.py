"""The survey: its own algorithms, its grid, how it judges, and the command as a whole on a small system."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from matrix.diagnose.survey import measure
from matrix.diagnose.survey.admm import solve_admm
from matrix.diagnose.survey.fista import solve_fista
from matrix.diagnose.survey.grid import DEFAULT, LIBRARY, TYPICAL, Choice, grid, system_batches
from matrix.diagnose.survey.plot import survey_plot
from matrix.diagnose.survey.record import ClassGradients, CurvePoint, SurveyRecord, SurveyRow
from matrix.diagnose.survey.table import decision, summaries, survey_table
from matrix.diagnose.systems.stored import System
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.records import typed_json
from tests.solver.problems import lens_like, with_known_optimum

PDIP = Choice("pdip", 50)
SCHUR = Choice("schur", block="given")
WHERE = {"cpu": "some CPU", "cores": [0], "load_before": 0.0, "jax": "0", "python": "3", "taken": "today"}


def row(choice: Choice, lanes: int = 1, **changes: Any) -> SurveyRow:
    """A measurement of a setting that does everything right, for one Cholesky equivalent."""
    good = SurveyRow(
        systems=tuple(f"s{lane}" for lane in range(lanes)),
        K=1200,
        choice=choice,
        same_as=None,
        milliseconds=1.0,
        cholesky_equivalents=1.0,
        times_today=20.0,
        iterations=1,
        residual=1e-15,
        objective_excess=0.0,
        evidence_shift=0.0,
        l2=0.0,
        l2_today=1e-6,
        evidence_today=1e-9,
        gradient_finite=True,
    )
    return dataclasses.replace(good, **changes)


def record(*rows: SurveyRow, gradients: tuple[ClassGradients, ...] | None = None) -> SurveyRecord:
    """A survey of these rows, with today's solver beside them; every gradient is finite unless given."""
    if gradients is None:
        gradients = tuple(ClassGradients(row.choice, "ill", 140, (1e1, 1e14), ()) for row in rows)
    today = [
        row(LIBRARY, lanes, residual=1e-8, cholesky_equivalents=20.0, times_today=1.0) for lanes in (1, 3)
    ]
    return SurveyRecord(WHERE, 3000.0, (*today, *rows), gradients, ())


FIRST_ORDER: dict[str, Callable[..., Any]] = {"admm": partial(solve_admm, penalty=0.1), "fista": solve_fista}


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_first_order_method_finds_an_easy_optimum_and_stops(name: str) -> None:
    Q, q, x = with_known_optimum(np.random.default_rng(0), 30, condition=10.0, scatter=3.0)
    found, steps = FIRST_ORDER[name](jnp.asarray(Q), jnp.asarray(q), limit=2000)
    scale = np.sqrt(np.diag(Q))
    np.testing.assert_allclose(scale * found, scale * x, atol=1e-7)
    assert 0 < int(steps) < 2000
    assert System(name, Q, q, ()).residual(np.asarray(found)) <= 1e-9


@pytest.mark.parametrize("name", FIRST_ORDER)
def test_a_first_order_method_keeps_its_limit(name: str) -> None:
    Q, q, _ = lens_like(np.random.default_rng(0))
    found, steps = FIRST_ORDER[name](jnp.asarray(Q), jnp.asarray(q), limit=40)
    assert int(steps) == 40
    assert np.all(np.asarray(found) >= 0)
    assert System(name, Q, q, ()).residual(np.asarray(found)) > 1e-9


def test_the_grid_is_what_was_asked_for() -> None:
    settings = grid()
    assert len(set(settings)) == len(settings) == len({choice.label for choice in settings})
    assert set(TYPICAL) <= set(settings)
    count = {name: sum(choice.algorithm == name for choice in settings) for name in ("pdip", "admm", "fista")}
    assert count == {"pdip": 15, "admm": 16, "fista": 4}


def test_every_system_is_measured_once() -> None:
    def stored(name: str, K: int) -> System:
        return System(name, np.eye(K), np.ones(K), ())

    work = system_batches([stored("a", 3), stored("b", 3), stored("c", 3), stored("d", 2)], lanes=2)
    names = [system.name for batch in work for system in batch]
    assert len(names) == len(set(names))
    assert {"a", "b", "c", "d"} <= set(names)
    first = next(batch for batch in work if len(batch) == 2)
    assert [system.name for system in first] == ["a", "b"]


@pytest.mark.parametrize(
    ("changes", "marks"),
    [
        ({}, "123"),
        ({"cholesky_equivalents": 5.5}, "-23"),
        ({"times_today": 2.0}, "-23"),
        ({"evidence_shift": 0.31}, "1-3"),
        ({"evidence_shift": float("nan")}, "1-3"),
        ({"gradient_finite": False}, "12-"),
    ],
)
def test_each_criterion_fails_for_its_own_reason(changes: dict[str, Any], marks: str) -> None:
    _, found = summaries(record(row(PDIP, **changes), row(PDIP, lanes=3, **changes)))
    assert found.marks == marks


def test_a_gradient_that_is_nan_in_one_class_counts() -> None:
    bad = ClassGradients(PDIP, "ill", 140, (1e1, 1e14), (1e14,))
    _, found = summaries(record(row(PDIP), row(PDIP, lanes=3), gradients=(bad,)))
    assert (found.nan_gradients, found.marks) == (1, "12-")


def test_what_was_not_measured_is_not_met() -> None:
    _, found = summaries(record(row(PDIP), gradients=()))
    assert found.marks == "-2-"


def test_the_decision_takes_the_fast_among_the_exact() -> None:
    def rows(choice: Choice, **changes: Any) -> list[SurveyRow]:
        return [row(choice, lanes, **changes) for lanes in (1, 3)]

    wrong = rows(Choice("fista", 100), residual=1e-3, times_today=90.0)
    slow = rows(PDIP, cholesky_equivalents=15.0, times_today=1.5)
    found = record(*wrong, *slow, *rows(SCHUR), *rows(DEFAULT, times_today=30.0))
    best = decision(summaries(found))
    assert best is not None
    assert best.choice == DEFAULT
    assert "Decision: auto block given. Criteria met: 123. It certifies 2 of 2 (today 0)." in survey_table(
        found
    )
    assert decision(summaries(record(*wrong))) is None
    only_slow = decision(summaries(record(*slow)))
    assert only_slow is not None
    assert only_slow.marks == "-23"


def test_the_command_writes_record_and_table_and_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 12))
    Q = A.T @ A
    packed: dict[str, Any] = {
        "Q_lower": Q[np.tril_indices(12)],
        "q": A.T @ rng.normal(size=30),
        "dense": np.arange(12),
    }
    np.savez(tmp_path / "small.npz", **packed)
    output = tmp_path / "out" / "survey.json"
    words = [
        "--systems",
        tmp_path,
        "--match",
        "small",
        "--only",
        "tol 1e-06",
        "--repeats",
        1,
        "--record",
        output,
    ]
    # A process of its own: jaxnnls fixes its tolerance by the precision it finds when first imported.
    command = [sys.executable, "-m", "matrix.diagnose", "survey", *map(str, words)]
    done = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = typed_json.read(output, SurveyRecord)
    again = subprocess.run(command, cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=False)
    assert again.stdout.count("[kept]") == 2, again.stderr
    assert typed_json.read(output, SurveyRecord) == found
    assert found.provenance["x64"] is True
    rows = {row.choice: row for row in found.rows}
    assert set(rows) == {LIBRARY, *(choice for choice in grid() if choice.solver_tol == 1e-6)}
    # A limit that was not reached has the figures of the larger one, and says so.
    most, fewer = rows[Choice("pdip", 50, 1e-6)], rows[Choice("pdip", 30, 1e-6)]
    assert (most.same_as, fewer.same_as) == (None, 50)
    assert fewer.iterations == most.iterations < 30
    assert most.residual <= 1e-4
    assert abs(rows[LIBRARY].objective_excess) <= 1e-9
    assert rows[LIBRARY].gradient_finite is True
    assert len(found.gradients) == 4 * len(rows)
    assert output.with_suffix(".txt").read_text() == survey_table(found)


def test_the_picture_is_drawn_from_curve_points(tmp_path: Path) -> None:
    points = [
        CurvePoint("s", 10, 2, choice, float(place), 10.0**-place)
        for place, choice in enumerate((Choice("pdip", 2), Choice("pdip", 4), SCHUR), 1)
    ]
    survey_plot(points, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_curve_falls_as_its_limit_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = tuple(Choice(name, limit) for name in ("pdip", "jaxnnls") for limit in (2, 12))
    monkeypatch.setattr(measure, "curves", lambda: limits)
    # So many unknowns that no guess of the free set is made.
    A = np.random.default_rng(0).normal(size=(160, 80))
    points = measure.curve(System("s", A.T @ A, A.sum(axis=0), ()), 1, lambda _: None)
    pdip_early, pdip_late, today_early, today_late = (point.residual for point in points)
    assert pdip_late < 1e-3 * pdip_early
    assert today_late < 1e-2 * today_early
