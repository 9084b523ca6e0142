"""What changed in the solver since the last green run, to stand beside a red one."""

import difflib
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import MatrixError
from matrix.ground.files import read_text
from matrix.prepare.change.package import PACKAGE
from matrix.report.rows import Ending, ending
from matrix.report.runs import load_run
from matrix.run.plan import Plan, run_folders

# A longer difference is read elsewhere.
MOST_LINES = 300


@dataclass(frozen=True)
class SolverChange:
    """The solver of a run against that of the last green one.

    Attributes
    ----------
    green
        The green run's name.
    said
        What changed, in a sentence.
    difference
        The lines that differ, as `diff -u` has them; empty where there are none or files are gone.
    """

    green: str
    said: str
    difference: str


def since_green(plan: Plan) -> SolverChange | None:
    """Hold the vendored solver against that of the last green run before this one; None where there is none.

    Only runs that vendor count, of the same precision and scale, in the folder where this run lies.
    """
    green = _last_green(plan) if plan.change.vendor else None
    if green is None:
        return None
    if green.solver_tree == plan.solver_tree:
        return SolverChange(green.run, "The solver is the same.", "")
    before, after = (_solver_of(each) for each in (green, plan))
    if before is None or after is None:
        return SolverChange(green.run, "The solver is another one; its files are no longer kept.", "")
    lines = {name: _lines(before, after, name) for name in sorted({*before, *after})}
    changed = {name: found for name, found in lines.items() if found}
    if not changed:
        return SolverChange(green.run, "Only files that are not vendored differ.", "")
    counted = ", ".join(
        f"{name} (+{_count(found, '+')} −{_count(found, '-')})" for name, found in changed.items()
    )
    shown = [line for found in changed.values() for line in found]
    more = [f"… {len(shown) - MOST_LINES} more lines"] if len(shown) > MOST_LINES else []
    return SolverChange(green.run, f"Changed: {counted}.", "\n".join([*shown[:MOST_LINES], *more]))


def _last_green(plan: Plan) -> Plan | None:
    wanted = (plan.precision, plan.scale, True)
    for folder in reversed(run_folders(plan.folder.parent)):
        try:
            run = load_run(folder)
        except MatrixError:
            # Of another version of this program.
            continue
        alike = (run.plan.precision, run.plan.scale, run.plan.change.vendor) == wanted
        ended = ending(run.plan, run.records, run.verdicts)
        if alike and run.plan.created < plan.created and ended in (Ending.PASS, Ending.AS_FAR):
            return run.plan
    return None


def _solver_of(plan: Plan) -> dict[str, str] | None:
    """The vendored files by name, from the copy of the candidate's library; None where it is gone."""
    library = plan.libraries.get("candidate")
    package = library / PACKAGE if library else Path()
    if not library or not package.is_dir():
        return None
    files = sorted(path for path in package.rglob("*.py") if path.is_file())
    return {str(path.relative_to(package)): read_text(path, errors="replace") for path in files}


def _lines(before: dict[str, str], after: dict[str, str], name: str) -> list[str]:
    first, second = (each.get(name, "").splitlines() for each in (before, after))
    return list(difflib.unified_diff(first, second, f"green/{name}", f"this/{name}", lineterm=""))


def _count(difference: list[str], sign: str) -> int:
    """Lines that came or went; the first two name the files."""
    return sum(line.startswith(sign) for line in difference[2:])
