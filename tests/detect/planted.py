"""Run the matrix in a copy with a planted defect: `python -m tests.detect.planted CLEAN_RUN OPTION...`."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.commands.flow import carry_out, plan_matrix
from matrix.commands.matrix import matrix_options
from matrix.ground.console import open_console
from matrix.ground.errors import exit_code_of
from matrix.records.arrays import arrays_path
from matrix.run.kept import kept_check, kept_record
from matrix.run.plan import Plan, read_plan


def main(words: Sequence[str]) -> int:
    """Plan a new run of this copy, take over the clean run's baseline, run what is left and judge all."""
    return exit_code_of(lambda: _run(Path(words[0]), words[1:]), "interrupted")


def _run(clean: Path, words: Sequence[str]) -> int:
    console = open_console()
    options = matrix_options(words)
    plan = plan_matrix(console, options)
    take_over_baseline(plan, read_plan(clean))
    return carry_out(console, plan, options.pytest_arguments)


def take_over_baseline(plan: Plan, clean: Plan) -> None:
    """Copy those records of the baseline that `clean` has of exactly what `plan` plans.

    A defect in the candidate leaves the baseline's content keys alone: measured again it would give the
    same numbers once more.
    """
    for cell in plan.cells:
        if cell.side == "baseline" and kept_record(clean, cell) is not None:
            _copy(clean.record_path(cell), plan.record_path(cell))
            _copy(arrays_path(clean.record_path(cell)), arrays_path(plan.record_path(cell)))
    for check in plan.checks:
        if check.side == "baseline" and kept_check(clean, check) is not None:
            _copy(clean.check_path(check), plan.check_path(check))


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
