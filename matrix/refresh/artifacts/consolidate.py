"""Records of other machines: found in a folder, and checked before they count."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.gates import Outcome, apply, evidence_for, judged_in
from matrix.ground.errors import UsageError
from matrix.records.cell import Record, read_record
from matrix.run.plan import CheckedOut, Plan, plan_path, read_plan


@dataclass(frozen=True)
class Foreign:
    """One record of another machine, and where it lies."""

    path: Path
    record: Record


def read_foreign(folder: Path) -> list[Foreign]:
    """Read the candidate's records in a folder: a run's own, or one that holds records.

    Raises
    ------
    UsageError
        There is no such folder, or no candidate's record in it.
    RecordError
        A file is no valid record of this version.
    """
    records = folder / "records" if (folder / "records").is_dir() else folder
    if not records.is_dir():
        raise UsageError(f"--consolidate-from {folder}: there is no such folder")
    found = [Foreign(path, read_record(path)) for path in sorted(records.glob("*.json"))]
    candidates = [one for one in found if one.record.cell.side == "candidate"]
    if not candidates:
        raise UsageError(
            f"--consolidate-from {folder}: no candidate's record in it. "
            "Give a run's folder, or the records/ folder in it."
        )
    return candidates


def check_foreign(plan: Plan, records: Mapping[str, Record], foreign: Foreign, tolerance: float) -> list[str]:
    """Why a record of another machine does not count beside this run; empty if it does.

    Parameters
    ----------
    plan
        Of this run: what was measured must be the same commits, solver, release and scale.
    records
        Of this run, by cell name: what a record in mixed precision is held against.
    foreign
        The record.
    tolerance
        Relative, on the log evidence, at the record's precision.
    """
    record = foreign.record
    planned = {cell.pipeline for cell in plan.cells}
    if record.cell.pipeline not in planned:
        return [f"this run has no pipeline {record.cell.pipeline}"]
    return [
        *_differences(plan, record),
        *_data_differ(plan, records, record),
        *_key_differs(foreign),
        *_failing_gates(plan, records, record, tolerance),
    ]


def _differences(plan: Plan, record: Record) -> list[str]:
    driver = record.provenance.driver
    facts = {
        "the release": (driver.get("release"), plan.release),
        "the solver": (driver.get("solver_tree"), plan.solver_tree),
        "the scale": (record.cell.scale, plan.scale),
        "the seed of the lanes": (record.provenance.seed, plan.seed),
    }
    theirs = _commits(driver.get("checkouts", ()))
    for checkout in plan.checkouts:
        # The tests' workspace takes no part in a cell.
        if checkout.role in ("library", "developer"):
            place = (checkout.name, checkout.purpose)
            facts[f"the {checkout.purpose} commit of {checkout.name}"] = (theirs.get(place), checkout.commit)
    return [f"{name} is {there}, here {here}" for name, (there, here) in facts.items() if there != here]


def _data_differ(plan: Plan, records: Mapping[str, Record], record: Record) -> list[str]:
    """Hold the data files against this run's; a run with a person's own is of the same commits."""
    ours = records.get(plan.cell(record.cell.pipeline, "candidate").name)
    alike = ours is None or ours.provenance.datasets == record.provenance.datasets
    return [] if alike else ["the data that it read are not this run's"]


def _commits(checkouts: Sequence[dict[str, object]]) -> dict[tuple[str, str], str]:
    found = [CheckedOut.model_validate(checkout) for checkout in checkouts]
    return {(checkout.name, checkout.purpose): checkout.commit for checkout in found}


def _key_differs(foreign: Foreign) -> list[str]:
    """Hold a record against the plan of the run it came from, where that came along."""
    run = foreign.path.parent.parent
    if not plan_path(run).is_file():
        return []
    cell = foreign.record.cell
    keys = {planned.name: planned.key for planned in read_plan(run).cells}
    if keys.get(cell.name) == foreign.record.key:
        return []
    return ["its key is not the one in the plan of its own run"]


def _failing_gates(plan: Plan, records: Mapping[str, Record], record: Record, tolerance: float) -> list[str]:
    """Judge the record by the gates that look at one side, precision among them."""
    evidence = dataclasses.replace(
        evidence_for(plan, record.cell.pipeline, {}, {}, records),
        precision=record.cell.precision,
        records={"candidate": record},
        missing={},
        platform=record.provenance.device_platform,
        tolerance=tolerance,
    )
    gates = [(gate, side) for gate, side in judged_in(record.cell.precision) if side == "candidate"]
    verdicts = [apply(gate, side, evidence) for gate, side in gates]
    return [f"{v.gate}: {v.message}" for v in verdicts if v.outcome is not Outcome.PASS]
