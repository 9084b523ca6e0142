"""What a run kept: records that answer for what is planned, and why others are missing."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from matrix.ground.errors import MatrixError
from matrix.ground.files import read_text, write_json
from matrix.records import typed_json
from matrix.records.arrays import arrays_path
from matrix.records.cell import Record, RecordError, read_record, write_record
from matrix.records.check import CheckRecord
from matrix.records.pair import PairRecord, read_pair
from matrix.run.plan import Plan, PlanError, PlannedCell, PlannedCheck, PlannedPair, read_plan

FAILURE = "failure.json"


def kept_record(plan: Plan, cell: PlannedCell) -> Record | None:
    """The finished record of `cell` in this run, if it is there, valid and of the planned content.

    A process that broke after it had written its record has not finished, and its record does not count.
    """
    try:
        record = read_record(plan.record_path(cell))
    except RecordError:
        return None
    named = record.provenance.driver.get("checkouts")
    planned = [checkout.model_dump() for checkout in plan.checkouts]
    answers = record.key == cell.key and named in (None, planned)
    return record if answers and kept_failure(plan, cell) is None else None


def take_over_records(plan: Plan, other: Plan) -> None:
    """Copy what another run has kept of the very content that this one plans and has no record of.

    A copy names the commits of this run, and still the run that measured it.
    """
    theirs = {cell.key: cell for cell in other.cells}
    for cell in plan.cells:
        twin = theirs.get(cell.key)
        if twin is None or kept_record(plan, cell) or not (record := kept_record(other, twin)):
            continue
        clear_failure(plan.cell_folder(cell))
        driver = {**record.provenance.driver, "checkouts": [one.model_dump() for one in plan.checkouts]}
        write_record(
            plan.record_path(cell), replace(record, provenance=replace(record.provenance, driver=driver))
        )
        arrays = arrays_path(other.record_path(twin))
        if arrays.is_file():
            copy = arrays_path(plan.record_path(cell))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(arrays, copy)


def kept_check(plan: Plan, check: PlannedCheck) -> CheckRecord | None:
    """The finished record of `check` in this run, if it is there, valid and of the planned content.

    As with a cell, the record of a process that broke after writing it does not count.
    """
    try:
        record = typed_json.read(plan.check_path(check), CheckRecord)
    except RecordError:
        return None
    return record if record.key == check.key and kept_check_failure(plan, check) is None else None


def kept_pair(plan: Plan, pair: PlannedPair) -> PairRecord | None:
    """The finished record of `pair` in this run, if it is there, valid and of the planned content.

    As with a cell, the record of a job that broke after writing it does not count.
    """
    try:
        record = read_pair(plan.pair_path(pair))
    except RecordError:
        return None
    return record if record.key == pair.key and kept_pair_failure(plan, pair) is None else None


def record_fault(plan: Plan, cell: PlannedCell) -> str | None:
    """Why this run holds no valid record of `cell` that names the planned commits; None if it does."""
    path = plan.record_path(cell)
    if not path.exists():
        return "there is no record"
    try:
        record = read_record(path)
    except RecordError as error:
        return str(error)
    if record.key != cell.key:
        return "its record is of other content than planned"
    failure = kept_failure(plan, cell)
    if failure is not None:
        return f"it left a record and then broke: {failure}"
    planned = [checkout.model_dump() for checkout in plan.checkouts]
    if record.provenance.driver.get("checkouts") != planned:
        return "its record names other commits than planned"
    return None


def float64_records(plan: Plan) -> dict[str, Record]:
    """The kept records of the fp64 run that a mixed-precision run is held against, by cell name."""
    if plan.float64_run is None:
        return {}
    try:
        other = read_plan(plan.float64_run)
    except PlanError:
        # Of another machine, or gone since.
        return {}
    found = {cell.name: kept_record(other, cell) for cell in other.cells}
    return {name: record for name, record in found.items() if record is not None}


def kept_failure(plan: Plan, cell: PlannedCell) -> str | None:
    """Why the last attempt at `cell` in this run came to nothing, if it did."""
    return read_failure(plan.cell_folder(cell))


def kept_check_failure(plan: Plan, check: PlannedCheck) -> str | None:
    """Why the last attempt at `check` in this run came to nothing, if it did."""
    return read_failure(plan.check_folder(check))


def kept_pair_failure(plan: Plan, pair: PlannedPair) -> str | None:
    """Why the last attempt at `pair` came to nothing, if it did."""
    return read_failure(plan.pair_folder(pair))


def write_failure(folder: Path, reason: str) -> None:
    """Note in the folder of a cell or check why it came to nothing."""
    write_json(folder / FAILURE, {"reason": reason})


def clear_failure(folder: Path) -> None:
    """Forget what `write_failure` noted: a new attempt begins."""
    (folder / FAILURE).unlink(missing_ok=True)


def read_failure(folder: Path) -> str | None:
    """What `write_failure` noted; None where nothing was. A note that cannot be read is still one."""
    path = folder / FAILURE
    try:
        return str(json.loads(read_text(path))["reason"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, MatrixError, ValueError, TypeError, KeyError, RecursionError):
        return f"it failed, and {FAILURE}, which says why, cannot be read"
