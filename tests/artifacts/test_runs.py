"""Only a complete green run is refreshed from, and the newest of these."""

from pathlib import Path

import pytest

from matrix.artifacts.runs import newest_run
from matrix.errors import UsageError
from matrix.record import PrecisionFacts, write_record
from tests.artifacts.made_up import complete_record, run_on_disk
from tests.factory import EVIDENCE, evaluation


def test_newest_green_run(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "b", created="2026-01-01T00:00:00+00:00")
    run_on_disk(tmp_path / "a", created="2026-01-02T00:00:00+00:00")
    run = newest_run(tmp_path, None)
    assert run.plan.run == "a"
    assert len(run.records) == 12
    assert newest_run(tmp_path, "b").plan.run == "b"


def test_incomplete_run_is_passed_over_and_named(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "old", created="2026-01-01T00:00:00+00:00")
    newer = run_on_disk(tmp_path / "new", created="2026-01-02T00:00:00+00:00")
    newer.record_path(newer.cells[3]).unlink()
    run = newest_run(tmp_path, None)
    assert run.plan.run == "old"
    assert newer.cells[3].name in run.passed_over[0]


def test_damaged_or_foreign_record_does_not_count(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    plan.record_path(plan.cells[0]).write_text("{")
    with pytest.raises(UsageError, match=f"no record of {plan.cells[0].name}"):
        newest_run(tmp_path, None)


def test_red_run_is_refused_with_its_gate(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    cell = plan.cell("imaging-mge", "candidate")
    float32 = complete_record(
        cell.pipeline, cell.side, precision=PrecisionFacts(False, "True", False, "float64")
    )
    write_record(plan.record_path(cell), float32)
    with pytest.raises(UsageError, match="imaging-mge precision"):
        newest_run(tmp_path, None)


def test_drift_alone_is_left_to_the_ruling(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    constant = plan.constants["imaging-mge"].model_copy(update={"value": EVIDENCE * 1.01})
    plan = plan.model_copy(update={"constants": {**plan.constants, "imaging-mge": constant}})
    plan.write()
    failed = [verdict for verdict in newest_run(tmp_path, None).verdicts if verdict.outcome == "fail"]
    assert {verdict.gate for verdict in failed} == {"constant"}


def test_vanished_constant_is_no_drift(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    constant = plan.constants["imaging-mge"].model_copy(update={"value": None})
    plan.model_copy(update={"constants": {**plan.constants, "imaging-mge": constant}}).write()
    with pytest.raises(UsageError, match="imaging-mge constant"):
        newest_run(tmp_path, None)


def test_smoke_run_and_unknown_run(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "run", scale="smoke")
    with pytest.raises(UsageError, match="smoke scale"):
        newest_run(tmp_path, None)
    with pytest.raises(UsageError, match="no such run"):
        newest_run(tmp_path, "other")


def test_stray_lane_makes_a_run_red(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    cell = plan.cell("imaging-delaunay", "candidate")
    evaluations = {"vmap_equal": evaluation(EVIDENCE, EVIDENCE, EVIDENCE * 1.001)}
    write_record(plan.record_path(cell), complete_record(cell.pipeline, cell.side, evaluations=evaluations))
    with pytest.raises(UsageError, match="lanes_agree"):
        newest_run(tmp_path, None)


def test_run_of_another_version_is_named_and_passed_over(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "good")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "plan.json").write_text('{"version": 1}')
    run = newest_run(tmp_path, None)
    assert run.plan.run == "good"
    assert run.passed_over[0].startswith("old: its plan is of another version")
