"""Only a complete green run is refreshed from, and the newest of these."""

import sys
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.gates import change_gate_name
from matrix.ground.errors import UsageError
from matrix.ground.files import write_json
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import SOLVER
from matrix.prepare.planning import program_code
from matrix.records.cell import SIDES, PrecisionFacts, write_record
from matrix.refresh.artifacts.runs import newest_run, unfinished_run
from matrix.run.plan import Constant, OwnDataset, Plan, PlannedCheck, PlannedEnvironment
from tests.factory import EVIDENCE, evaluation
from tests.refresh.artifacts.made_up import complete_record, run_on_disk


def test_newest_green_run(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "b", created="2026-01-01T00:00:00+00:00")
    run_on_disk(tmp_path / "a", created="2026-01-02T00:00:00+00:00")
    run = newest_run(tmp_path, None)
    assert run.plan.run == "a"
    assert len(run.records) == len(SIDES) * len(PIPELINES)
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


def test_run_whose_change_fails_a_gate_is_refused(tmp_path: Path) -> None:
    check = PlannedCheck(check="gradients", side="candidate", scale="production", key="key")
    plan = run_on_disk(tmp_path / "run", checks=(check,))
    write_json(plan.check_folder(check) / "failure.json", {"reason": "exit code 1"})
    with pytest.raises(UsageError, match="gate 6"):
        newest_run(tmp_path, None)


def test_drift_alone_is_left_to_the_ruling(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    constant = plan.constants["imaging-mge"].model_copy(update={"value": EVIDENCE * 1.01})
    plan = plan.model_copy(update={"constants": {**plan.constants, "imaging-mge": constant}})
    plan.write()
    failed = [verdict for verdict in newest_run(tmp_path, None).verdicts if verdict.outcome == "fail"]
    assert {verdict.gate for verdict in failed} == {"constant", change_gate_name("1")}


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


def test_a_run_with_an_algorithm_of_its_own_is_none_to_refresh_from(tmp_path: Path) -> None:
    run_on_disk(tmp_path / "run", algorithm="pdip")
    with pytest.raises(UsageError, match="--algorithm pdip"):
        newest_run(tmp_path, None)


OWN = {"hst": OwnDataset(given="~/lens", files={"jax_profiling/dataset/imaging/hst/data.fits": "0"})}


def test_a_run_with_a_persons_data_is_none_to_refresh_from_or_to_finish(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run", datasets=OWN)
    with pytest.raises(UsageError, match="with hst from ~/lens"):
        newest_run(tmp_path, None)
    plan.record_path(plan.cells[0]).unlink()
    assert unfinished_run(tmp_path, None, SOLVER) is None


OTHER = "imaging-mge@euclid"
UNHELD = Constant(name="E", value=None, script="s.py", required=False, unheld="none is recorded for euclid")


def with_another_instrument(folder: Path, constant: Constant) -> Plan:
    plan = run_on_disk(folder, pipelines=(*PIPELINES, OTHER))
    plan = plan.model_copy(update={"constants": {**plan.constants, OTHER: constant}})
    plan.write()
    return plan


def test_another_instrument_of_a_green_run_is_left_out(tmp_path: Path) -> None:
    with_another_instrument(tmp_path / "run", UNHELD)
    run = newest_run(tmp_path, None)
    assert set(run.plan.pipelines) == set(run.plan.selected) == set(PIPELINES)
    assert len(run.records) == len(SIDES) * len(PIPELINES)
    assert not [verdict for verdict in run.verdicts if verdict.pipeline == OTHER]


@pytest.mark.parametrize("gate", ["constant", "precision"])
def test_another_instrument_that_is_red_is_no_run_to_refresh_from(tmp_path: Path, gate: str) -> None:
    drifted = UNHELD.model_copy(update={"value": EVIDENCE * 1.01})
    plan = with_another_instrument(tmp_path / "run", drifted if gate == "constant" else UNHELD)
    if gate == "precision":
        float32 = PrecisionFacts(False, "True", False, "float64")
        cell = plan.cell(OTHER, "candidate")
        write_record(plan.record_path(cell), complete_record(OTHER, "candidate", precision=float32))
    with pytest.raises(UsageError, match=f"{OTHER} {gate}"):
        newest_run(tmp_path, None)


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
    assert run.passed_over[0].startswith("old was made by another version of this program")


def run_that_can_go_on(folder: Path, **changes: Any) -> Plan:
    """A complete run of this code and solver whose environments are there."""
    environment = PlannedEnvironment(python=Path(sys.executable), pythonpath=(), key="key")
    facts = {
        "solver_tree": tree_hash(SOLVER),
        "code": program_code(),
        "environments": dict.fromkeys(SIDES, environment),
    }
    return run_on_disk(folder, **{**facts, **changes})


def test_newest_run_that_only_lacks_something_is_finished(tmp_path: Path) -> None:
    for number, name in enumerate(("older", "newer")):
        plan = run_that_can_go_on(tmp_path / name, created=f"2026-01-0{number + 1}T00:00:00+00:00")
        plan.record_path(plan.cells[3]).unlink()
    broken_off = plan.cell_folder(plan.cells[3]) / "failure.json"
    write_json(broken_off, {"reason": "killed (signal 9)"})
    found = unfinished_run(tmp_path, None, SOLVER)
    assert found is not None
    assert found.run == "newer"
    found = unfinished_run(tmp_path, "older", SOLVER)
    assert found is not None
    assert found.run == "older"


@pytest.mark.parametrize(
    "changes",
    [
        {"solver_tree": "another"},
        {"code": "another"},
        {"scale": "smoke"},
        {
            "environments": {
                side: PlannedEnvironment(python=Path("/gone"), pythonpath=(), key="") for side in SIDES
            }
        },
        {"workspace": Path("/gone")},
    ],
    ids=["solver", "code", "scale", "environment", "workspace"],
)
def test_run_that_cannot_be_finished_as_it_was_begun(tmp_path: Path, changes: dict[str, Any]) -> None:
    plan = run_that_can_go_on(tmp_path / "run", **changes)
    plan.record_path(plan.cells[3]).unlink()
    assert unfinished_run(tmp_path, None, SOLVER) is None


def test_complete_or_red_run_is_not_finished(tmp_path: Path) -> None:
    run_that_can_go_on(tmp_path / "complete")
    red = run_that_can_go_on(tmp_path / "red")
    red.record_path(red.cells[3]).unlink()
    cell = red.cell("imaging-mge", "candidate")
    float32 = PrecisionFacts(False, "True", False, "float64")
    write_record(red.record_path(cell), complete_record(cell.pipeline, cell.side, precision=float32))
    assert unfinished_run(tmp_path, None, SOLVER) is None
