"""Where one check works: its folder in the run, its side's Python, its share of the machine."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.execute.local import failure_reason, log_tail, run_on_share
from matrix.execute.reservations import Share
from matrix.execute.variables import side_variables
from matrix.ground.files import write_text
from matrix.records import typed_json
from matrix.records.cell import RecordError
from matrix.records.check import CheckRecord, Item
from matrix.run.plan import Plan, PlannedCheck


class CheckError(Exception):
    """A check came to no result; the message says why."""


@dataclass(frozen=True)
class Workplace:
    """One check of one run, about to be made."""

    plan: Plan
    check: PlannedCheck
    share: Share

    @property
    def folder(self) -> Path:
        """Holds logs and copies."""
        return self.plan.check_folder(self.check)

    @property
    def python(self) -> Path:
        """The side's interpreter."""
        return self.plan.environments[self.check.side].python

    @property
    def log(self) -> Path:
        """The log of a check that is one process."""
        return self.folder / "log.txt"

    def variables(self, *also_import: Path) -> dict[str, str]:
        """The complete environment of the check's processes."""
        return side_variables(self.plan, self.check.side, self.folder, also_import)

    def copy(self, tree: Path, name: str) -> Path:
        """Copy a checkout into the check's folder, for code that writes where it is run."""
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        return Path(shutil.copytree(tree, target, ignore=shutil.ignore_patterns(".git"), symlinks=True))

    @property
    def unfinished(self) -> Path:
        """Where a long check keeps what it has so far, for the run after an interruption."""
        return self.plan.check_path(self.check).with_suffix(".unfinished")

    def kept_items(self) -> tuple[Item, ...]:
        """What an interrupted run of this very check had come to."""
        try:
            record = typed_json.read(self.unfinished, CheckRecord)
        except RecordError:
            return ()
        return record.items if record.key == self.check.key else ()

    def keep_items(self, items: Iterable[Item]) -> None:
        """Keep what the check has so far."""
        check = self.check
        typed_json.write(
            self.unfinished, CheckRecord(check.check, check.side, check.key, tuple(items), {}, 0.0)
        )

    def say(self, stage: str) -> None:
        """Announce what the check does now."""
        write_text(self.plan.check_stage(self.check), f"{stage}\n")

    def run(
        self,
        command: Sequence[str | Path],
        cwd: Path,
        variables: Mapping[str, str],
        log: Path | None = None,
        errors: Path | None = None,
    ) -> int:
        """Run a process of the check to its end and return its exit code.

        Raises
        ------
        CheckError
            It took longer than a cell may.
        """
        exit_code = run_on_share(
            [str(word) for word in command],
            cwd=cwd,
            env=variables,
            log=log or self.log,
            timeout=self.plan.cell_timeout,
            share=self.share,
            errors=errors,
        )
        if exit_code is None:
            raise CheckError(f"no end after {self.plan.cell_timeout:.0f} s")
        return exit_code

    def failed(self, exit_code: int) -> CheckError:
        """The error of a process that broke, with the end of its log."""
        return CheckError(f"{failure_reason(exit_code, self.log)}\n{log_tail(self.log)}")
