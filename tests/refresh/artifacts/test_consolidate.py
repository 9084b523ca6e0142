"""Records of other machines count when they are of the same content, and really in float64."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.ground.errors import UsageError
from matrix.records.cell import Cell, PrecisionFacts, Record, RecordError, write_record
from matrix.refresh.artifacts.consolidate import check_foreign, read_foreign
from matrix.run.plan import Plan
from tests.factory import evaluation, make_plan
from tests.refresh.artifacts.made_up import complete_record, run_on_disk


def driver_of(plan: Plan) -> dict[str, Any]:
    return {
        "release": plan.release,
        "solver_tree": plan.solver_tree,
        "checkouts": [checkout.model_dump() for checkout in plan.checkouts],
    }


def from_elsewhere(plan: Plan, **changes: Any) -> Record:
    """A record of a GPU machine that ran the same content as `plan`."""
    record = complete_record("imaging-mge", key="of another environment")
    provenance = dataclasses.replace(
        record.provenance, driver=driver_of(plan), device_platform="gpu", device_kind="NVIDIA A100 80GB PCIe"
    )
    return dataclasses.replace(record, **{"provenance": provenance, **changes})


def faults(tmp_path: Path, plan: Plan, record: Record) -> list[str]:
    write_record(tmp_path / "elsewhere" / f"{record.cell.name}.json", record)
    (foreign,) = read_foreign(tmp_path / "elsewhere")
    return check_foreign(plan, {}, foreign, 1e-4)


def test_same_content_counts(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ("imaging-mge",))
    assert faults(tmp_path, plan, from_elsewhere(plan)) == []


def test_other_data_do_not_count(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ("imaging-mge",))
    record = from_elsewhere(plan)
    ours = {plan.cell("imaging-mge", "candidate").name: record}
    data = dataclasses.replace(record.provenance, datasets={"data.fits": "f" * 64})
    write_record(tmp_path / "elsewhere" / "one.json", dataclasses.replace(record, provenance=data))
    (foreign,) = read_foreign(tmp_path / "elsewhere")
    assert check_foreign(plan, ours, foreign, 1e-4) == ["the data that it read are not this run's"]


def test_other_commit_and_other_solver(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ("imaging-mge",))
    other = plan.model_copy(
        update={
            "solver_tree": "1",
            "checkouts": (plan.checkouts[0].model_copy(update={"commit": "1" * 40}),),
        }
    )
    found = "; ".join(faults(tmp_path, plan, from_elsewhere(other)))
    assert "the solver is 1, here 0" in found
    assert f"baseline commit of PyAutoArray is {'1' * 40}" in found


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": PrecisionFacts(False, "True", False, "float64")},
        {
            "evaluations": dataclasses.replace(
                complete_record("imaging-mge").evaluations, jit=evaluation(24746.0, exact=True)
            )
        },
    ],
)
def test_float32_does_not_count(tmp_path: Path, changes: dict[str, Any]) -> None:
    plan = make_plan(tmp_path, ("imaging-mge",))
    assert any(
        fault.startswith("precision") for fault in faults(tmp_path, plan, from_elsewhere(plan, **changes))
    )


def test_run_folder_is_held_against_its_own_plan(tmp_path: Path) -> None:
    plan = run_on_disk(tmp_path / "run")
    there = read_foreign(plan.folder)
    assert {one.record.cell.pipeline for one in there} == set(PIPELINES)
    mge = next(one for one in there if one.record.cell.pipeline == "imaging-mge")
    moved = dataclasses.replace(mge, record=dataclasses.replace(mge.record, key="of something else"))
    assert "its key is not the one in the plan of its own run" in check_foreign(plan, {}, moved, 1e-4)


def test_wrong_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        read_foreign(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no candidate's record"):
        read_foreign(tmp_path)
    (tmp_path / "torn.json").write_text('{"schema": "nnls-matrix/cell-record"')
    with pytest.raises(RecordError, match=r"torn\.json"):
        read_foreign(tmp_path)


def test_mixed_precision_is_held_against_this_run(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, ("imaging-mge",))
    mixed = from_elsewhere(
        plan,
        cell=Cell("imaging-mge", "mp", "candidate", "production"),
        precision=PrecisionFacts(True, "True", True, "float64"),
    )
    write_record(tmp_path / "elsewhere" / "mp.json", mixed)
    (foreign,) = read_foreign(tmp_path / "elsewhere")
    reference = complete_record("imaging-mge")
    assert check_foreign(plan, {"imaging-mge-fp64-candidate": reference}, foreign, 1e-2) == []
    moved = complete_record("imaging-mge", evaluations={"jit": evaluation(24746.2 * 1.02)})
    faults = check_foreign(plan, {"imaging-mge-fp64-candidate": moved}, foreign, 1e-2)
    assert any(fault.startswith("mixed_precision") for fault in faults)
