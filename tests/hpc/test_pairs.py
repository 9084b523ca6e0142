"""A pair is one job of Slurm: what it asks for, and how it stands."""

from pathlib import Path

import pytest

from matrix.execute import slurm
from matrix.execute.slurm import for_pairs, selected_pairs, unit_name
from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_script import Resources, parameters
from matrix.execute.slurm_states import Task
from matrix.execute.slurm_status import Status, write_statuses
from matrix.records import typed_json
from matrix.run.plan import Plan, PlannedPair
from tests.factory import make_pair, make_plan
from tests.hpc.made_up import RESOURCES

PIPELINE = "imaging-pixelization"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A run whose pair is to be timed."""
    key = make_pair(PIPELINE).key
    pair = PlannedPair(pipeline=PIPELINE, precision="fp64", scale="production", key=key, seconds=60.0)
    return make_plan(tmp_path, (PIPELINE,), pairs=(pair,))


def test_pairs_have_memory_for_both_sides_and_run_one_at_a_time_after_the_cells() -> None:
    """Nothing else that a cell's job asks for is lost."""
    resources = Resources.model_validate(RESOURCES)
    asked = parameters("pairs", resources)
    assert resources.memory is not None
    pairs = for_pairs(asked, resources, ["12_0", "12_1"])
    assert pairs["mem"] == f"{round(2 * resources.memory * 1024)}M"
    assert pairs["array_parallelism"] == 1
    before, after = asked["additional_parameters"], pairs["additional_parameters"]
    assert isinstance(before, dict)
    assert after == {**before, "dependency": "afterany:12"}
    changed = {"mem", "array_parallelism", "additional_parameters"}
    assert {name: pairs[name] for name in pairs.keys() - changed} == {
        name: asked[name] for name in asked.keys() - changed
    }
    assert for_pairs(asked, resources, [])["additional_parameters"] == before


@pytest.mark.parametrize(("recorded", "outcome"), [(True, JobOutcome.PASSED), (False, JobOutcome.NO_RECORD)])
def test_a_pair_has_passed_only_with_its_record(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, recorded: bool, outcome: JobOutcome
) -> None:
    """Whatever Slurm says of the job."""
    (pair,) = selected_pairs(plan)
    running = Status(cell=unit_name(pair), job="13_0", outcome=JobOutcome.RUNNING)
    write_statuses(plan.folder / "jobs.json", {unit_name(pair): running})
    monkeypatch.setattr(slurm, "ask", lambda ids: dict.fromkeys(ids, Task("COMPLETED", "0:0")))
    plan.pair_path(pair).parent.mkdir()
    if recorded:
        typed_json.write(plan.pair_path(pair), make_pair(PIPELINE))
    statuses = {status.cell: status for status in slurm.cell_states(plan)}
    assert statuses[f"{PIPELINE}-fp64-pair"].outcome is outcome
