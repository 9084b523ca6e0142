"""Runs as they lie on disk, judged anew: what reports, comparisons and trends read."""

import re
from pathlib import Path

from matrix.gates.judging import Run, judge_run
from matrix.ground.errors import UsageError
from matrix.ground.files import inside, read_text
from matrix.ground.suggestions import did_you_mean
from matrix.records.cell import Record
from matrix.report.rows import overall
from matrix.run.plan import plan_path, read_plan, run_folders

# Beside a run's plan in the branch that keeps a history: NAME COMMIT, as the workflow writes it.
COMMIT = "commit.txt"
_SAID = re.compile(r"[\w.-]+ [0-9a-f]{7,64}")


def machine_class(record: Record) -> str:
    """What times depend on besides the software: processor, cores a cell may use, and the device."""
    facts = record.provenance
    device = "" if facts.device_platform == "cpu" else f", {facts.device_kind}"
    return f"{facts.cpu}, {len(facts.affinity)} of {facts.cores} cores{device}"


def machines_of(run: Run) -> tuple[str, ...]:
    """The classes of machine that the records come from, one unless the run was moved."""
    return tuple(dict.fromkeys(machine_class(record) for record in run.records.values()))


def verdict_of(run: Run) -> str:
    """The run in one line."""
    return overall(run.plan, run.records, run.verdicts)


def tried_commit(run: Run) -> str:
    """What a run of a history says of itself: a repository and its commit; nothing where none is said."""
    path = inside(run.plan.folder, COMMIT)
    said = read_text(path, "replace").strip() if path.is_file() else ""
    return said if _SAID.fullmatch(said) else ""


def load_run(folder: Path) -> Run:
    """Read the run in `folder`, finished or not.

    Raises
    ------
    PlanError
        There is no run, or it is of another version of this program.
    """
    # A run that was copied, say from CI, is read where it lies now.
    return judge_run(read_plan(folder.resolve()))


def find_run(runs: Path, name: str) -> Path:
    """The folder of a run that was given as a path, by its name, by the start of its name, or as `latest`.

    Raises
    ------
    UsageError
        No run is meant, or more than one.
    """
    if plan_path(Path(name)).is_file():
        return Path(name)
    known = run_folders(runs)
    if name == "latest" and known:
        return known[-1]
    found = [folder for folder in known if folder.name == name] or [
        folder for folder in known if folder.name.startswith(name)
    ]
    if len(found) == 1:
        return found[0]
    hint = "" if found else did_you_mean(name, [folder.name for folder in known])
    trouble = "could be any of" if found else "is none of"
    listed = ", ".join(folder.name for folder in found or known) or f"none in {runs}"
    raise UsageError(
        f"{name!r} {trouble} the runs: {listed}.{hint} Give a name, or the path of a run's folder."
    )
