"""Makes one check: our measurement in the side's environment, or other people's code run there."""

import dataclasses
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.checks import CHECKS
from matrix.checks import companion
from matrix.checks.assertion_script import run_assertion_script
from matrix.checks.declared import declaration
from matrix.checks.inside import check as inside
from matrix.checks.library_tests import run_library_tests
from matrix.checks.scripts import run_scripts
from matrix.checks.workplace import CheckError, Workplace
from matrix.execute.reservations import own_share
from matrix.ground.disk import check_space
from matrix.ground.errors import EnvironmentFailure, MatrixError
from matrix.ground.files import write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.records import typed_json
from matrix.records.check import CheckRecord, Item
from matrix.run.kept import clear_failure, kept_check, write_failure
from matrix.run.plan import Plan, PlannedCheck

_OUTSIDE: dict[str, Callable[[Workplace], tuple[Item, ...]]] = {
    "assertion-script": run_assertion_script,
    "library-tests": run_library_tests,
    "scripts": run_scripts,
}


@dataclass(frozen=True)
class CheckFailure:
    """Why a check left no record."""

    check: PlannedCheck
    reason: str
    log: Path


def run_check(plan: Plan, check: PlannedCheck) -> CheckRecord | CheckFailure:
    """Make `check` unless its record is kept; return the record, or why there is none."""
    record = kept_check(plan, check)
    if record is not None:
        return record

    def say(waiting: str) -> None:
        write_text(plan.check_stage(check), f"{waiting}\n")

    memory, folder = CHECKS[check.check].memory, plan.check_folder(check)
    with own_share(memory, plan.threads, plan.platform, plan.cell_timeout, say) as share:
        place = Workplace(plan, check, share)
        if not place.kept_items():
            shutil.rmtree(folder, ignore_errors=True)
        # Else the logs of what is kept stay, as its evidence.
        folder.mkdir(parents=True, exist_ok=True)
        clear_failure(folder)
        plan.check_path(check).unlink(missing_ok=True)
        try:
            return _inside(place) if check.check in inside.CHECKS else _outside(place)
        except EnvironmentFailure:
            # No verdict on the change: nothing is kept of it, and the next run tries again.
            raise
        except (CheckError, MatrixError) as error:
            check_space(folder, str(error))
            write_failure(folder, str(error))
            return CheckFailure(check, str(error), place.log)


def _inside(place: Workplace) -> CheckRecord:
    plan, check = place.plan, place.check
    path = plan.check_path(check)
    command = [
        *(place.python, "-m", "matrix.checks.inside.check", "--check", check.check, "--side", check.side),
        *("--scale", check.scale, "--key", check.key, "--record", path),
    ]
    exit_code = place.run(command, place.folder, place.variables(REPOSITORY_ROOT))
    if exit_code != 0:
        raise place.failed(exit_code)
    record = typed_json.read(path, CheckRecord)
    if check.check == "independence":
        record = dataclasses.replace(
            record,
            items=(*record.items, declaration(plan.libraries[check.side])),
            facts={**record.facts, **companion.write_patches(plan, record)},
        )
        typed_json.write(path, record)
    return record


def _outside(place: Workplace) -> CheckRecord:
    started = time.monotonic()
    items = _OUTSIDE[place.check.check](place)
    facts = {"log": str(place.folder.relative_to(place.plan.folder))}
    check = place.check
    record = CheckRecord(check.check, check.side, check.key, items, facts, time.monotonic() - started)
    typed_json.write(place.plan.check_path(check), record)
    place.unfinished.unlink(missing_ok=True)
    return record
