"""`nox -s report`: run folders of several machines as one run, if they belong together."""

import argparse
import datetime
import itertools
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

from matrix.commands.flow import conclude
from matrix.gates.judging import judge_run
from matrix.ground.console import open_console
from matrix.ground.errors import UsageError, exit_code_of
from matrix.ground.files import inside
from matrix.ground.layout import open_layout
from matrix.ground.options import SessionParser, add_root
from matrix.prepare.planning import run_key
from matrix.records.arrays import arrays_path
from matrix.records.cell import SIDES, Side
from matrix.report.junit import write_junit
from matrix.run.kept import kept_check, kept_check_failure, kept_pair, kept_pair_failure, record_fault
from matrix.run.plan import ELSEWHERE, Plan, PlannedCell, PlannedCheck, plan_path, read_plan

MERGED = "merged"


@dataclass(frozen=True)
class Found:
    """One cell's finished record, and the run that has it."""

    plan: Plan
    cell: PlannedCell


def main(arguments: Sequence[str] | None = None) -> int:
    """Merge and report; return the exit code (0 pass, 1 a gate failed, 2 wrong use, 3 unfinished)."""
    options = _parser().parse_args(arguments)
    console = open_console()
    return exit_code_of(lambda: report(console, options.folders, options.root, options.times_from))


def report(console: Console, folders: Sequence[Path], root: Path, times_from: Sequence[Path] = ()) -> int:
    """Copy the runs in `folders` into one new run under `root` and judge it, on what they were asked for.

    Of shards the whole session is expected that they are parts of.

    Parameters
    ----------
    console
        Where the table goes.
    folders
        Run folders, or folders that hold some.
    root
        Our working folder.
    times_from
        Folders of runs on another machine, of the same software, whose times are judged.

    Returns
    -------
    int
        0, or 1 where a gate failed, or 3 where a cell or check is missing.

    Raises
    ------
    UsageError
        There is no run, the runs do not belong together, or they have the same cell twice.
    """
    plans = _plans(folders)
    lending = lenders(plans[0], times_from) if times_from else []
    plan = merge(plans, open_layout(root).runs)
    console.print(f"merged      {len(plans)} runs into {plan.folder}")
    if lending:
        console.print(f"times       of {take_times(plan, lending)}")
    return _judged(console, plan)


def lenders(plan: Plan, folders: Sequence[Path]) -> list[Plan]:
    """The runs in `folders`, of another machine, whose times may stand for those of `plan`.

    Raises
    ------
    UsageError
        There is no such run, it is of other software, or it has no pair of a pipeline that has a target.
    """
    plans = _plans(folders)
    for other in plans:
        check_together([plan, other], but=OF_A_MACHINE)
    wanted = dict.fromkeys(name for targets in plan.targets.values() for name in targets)
    if not any(all(_has(plans, name, side) for side in SIDES) for name in wanted):
        raise UsageError(
            f"no run in {', '.join(map(str, folders))} has both sides of a pipeline with a time target "
            f"({', '.join(wanted) or 'the manifest sets none'})"
        )
    return plans


def take_times(plan: Plan, plans: Sequence[Plan]) -> str:
    """Lay what another machine timed, `plans`, beside the run `plan`; return what that run is called."""
    return merge(plans, plan.timed_elsewhere.parent, plan.timed_elsewhere.name).run


def _has(plans: Sequence[Plan], pipeline: str, side: Side) -> bool:
    return any(
        record_fault(plan, plan.cell(pipeline, side)) is None for plan in plans if pipeline in plan.pipelines
    )


def _plans(folders: Sequence[Path]) -> list[Plan]:
    """The runs in some folders, which belong together."""
    plans = [read_plan(path) for path in dict.fromkeys(itertools.chain(*map(_run_folders, folders)))]
    check_together(plans)
    return plans


def report_in_place(console: Console, folder: Path) -> int:
    """Judge the one run in `folder` where it lies, on what it was asked for; otherwise as `report`."""
    plan = read_plan(folder)
    return _judged(console, plan)


def merge(plans: Sequence[Plan], runs: Path, name: str | None = None) -> Plan:
    """Copy the cells of `plans`, which belong together, into one new run in `runs`, and return its plan.

    The same runs give the same folder, made anew; `name` is what it is called, if not after them.

    Raises
    ------
    UsageError
        Two runs have a record of the same cell, or the two sides of a pipeline ran in different places.
    """
    found = _records(plans)
    cells = tuple(found[cell.name].cell if cell.name in found else cell for cell in plans[0].cells)
    homes = {check.name: _home(plans, check.name) for check in plans[0].checks}
    checks = tuple(_planned_check(home, name) for name, home in homes.items())
    timed = {name: home for name in plans[0].pipelines if (home := _timed(plans, name)) is not None}
    pairs = tuple(pair for name, home in timed.items() if (pair := home.pair(name)) is not None)
    newest = max(plans, key=lambda plan: plan.created)
    key = run_key(cells)
    run, created = newest.run, newest.created
    if len(plans) > 1 or name is None:
        # After all it is made of, and the same wherever it is merged: commits are dated by it.
        when = datetime.datetime.fromisoformat(created) + datetime.timedelta(seconds=1)
        created = when.isoformat(timespec="seconds")
        # By this machine's clock, as other runs are called.
        run = f"{when.astimezone():%Y%m%d-%H%M%S}-{newest.precision}-{key[:6]}-{MERGED}"
    folder = runs / (name or run)
    merged = plans[0].model_copy(
        update={
            "run": run,
            "key": key,
            "folder": folder,
            "created": created,
            "cells": cells,
            "pairs": pairs,
            "checks": checks,
            "selected": _united(plan.whole or plan.selected for plan in plans),
            "selected_checks": _united((*plan.selected_checks, *plan.whole_checks) for plan in plans),
            "whole": (),
            "whole_checks": (),
        }
    )
    shutil.rmtree(folder, ignore_errors=True)
    for plan, cell in itertools.product(plans, merged.cells):
        if cell.name not in found:
            _copy(plan, merged, plan.cell_folder(cell).glob("*.*"))
        elif found[cell.name].plan is plan:
            record = plan.record_path(cell)
            _copy(plan, merged, (record, arrays_path(record), *plan.cell_folder(cell).glob("*.*")))
    for pair in pairs:
        home = timed[pair.pipeline]
        _copy(home, merged, (home.pair_path(pair), *home.pair_folder(pair).glob("*.*")))
    for check in checks:
        home = homes[check.name]
        _copy(home, merged, (home.check_path(check), *home.check_folder(check).glob("*.*")))
    # Last: a folder without a plan is no run.
    merged.write()
    return merged


# In what a run that lends its times may differ: where it was made, and what is checked there.
OF_A_MACHINE = ("accelerator", "source", "cells", "checks")


def check_together(plans: Sequence[Plan], but: Sequence[str] = ()) -> None:
    """See that the runs were planned from the same software, data and settings, `but` for some facts.

    Raises
    ------
    UsageError
        Something differs; names every difference and the runs.
    """
    if not plans:
        raise UsageError("no run folder (one with a plan.json) in what was given")
    first, *others = plans
    differences = [
        f"  {name}: {mine!r} in {first.folder}, {theirs!r} in {other.folder}"
        for other in others
        for (name, mine), theirs in zip(_facts(first).items(), _facts(other).values(), strict=True)
        if mine != theirs and name not in but
    ]
    if differences:
        raise UsageError("these runs do not belong together:\n" + "\n".join(dict.fromkeys(differences)))


def _judged(console: Console, plan: Plan) -> int:
    judged = judge_run(plan)
    ended = conclude(console, plan)
    write_junit(plan, judged.verdicts)
    missing = {
        cell.name: fault
        for cell in plan.cells
        if cell.pipeline in plan.selected and (fault := record_fault(plan, cell))
    }
    missing |= {
        f"times of {pair.name}": kept_pair_failure(plan, pair) or "there is no record"
        for pair in plan.pairs
        if pair.pipeline in plan.selected and kept_pair(plan, pair) is None
    }
    missing |= {
        check.name: kept_check_failure(plan, check) or "there is no record"
        for check in plan.checks
        if check.check in plan.selected_checks and kept_check(plan, check) is None
    }
    for name, fault in missing.items():
        console.print(Text.assemble(("missing", "bold red"), f"     {name}: {fault}"))
    return ended.exit_code


def _facts(plan: Plan) -> Mapping[str, object]:
    """What runs must share to be one: what was asked for, and what it came to."""
    commits = {
        f"{checkout.name} {checkout.purpose}": checkout.commit + (" (dirty)" if checkout.dirty else "")
        for checkout in plan.checkouts
    }
    return {
        "precision": plan.precision,
        "scale": plan.scale,
        "release": plan.release,
        "source": plan.source,
        "accelerator": plan.accelerator,
        "solver tree": plan.solver_tree,
        "algorithm asked for": plan.algorithm,
        "change": plan.change.model_dump(),
        "packages that differ": dict(plan.moved),
        "evidences expected": {name: expected.model_dump() for name, expected in plan.expected.items()},
        "this program": plan.code,
        "commits": commits,
        "tolerances of the manifest": plan.tolerances.model_dump(),
        "time targets of the manifest": {
            device: {name: target.model_dump() for name, target in targets.items()}
            for device, targets in plan.targets.items()
        },
        "data beside the workspace's": {name: own.checksum for name, own in plan.datasets.items()},
        "constants": {name: constant.value for name, constant in plan.constants.items()},
        "seed": plan.seed,
        "lanes": plan.lanes,
        "cells": [cell.name for cell in plan.cells],
        "checks": [check.name for check in plan.checks],
    }


def _run_folders(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder: give that of a run, as .matrix/runs/RUN, or one that holds some"
        )
    found = (path.parent.resolve() for path in folder.rglob(plan_path(folder).name))
    yield from sorted(path for path in found if path.name != ELSEWHERE)


def _records(plans: Sequence[Plan]) -> dict[str, Found]:
    found: dict[str, Found] = {}
    for plan in plans:
        for cell in plan.cells:
            if record_fault(plan, cell) is not None:
                continue
            other = found.setdefault(cell.name, Found(plan, cell)).plan
            if other is not plan:
                raise UsageError(f"{cell.name} is in both {other.folder} and {plan.folder}: give one of them")
    for pipeline in plans[0].pipelines:
        homes = {
            found[name].plan.folder for side in SIDES if (name := plans[0].cell(pipeline, side).name) in found
        }
        if len(homes) > 1:
            listed = " and ".join(sorted(map(str, homes)))
            raise UsageError(
                f"the sides of {pipeline} are in {listed}: their times would not be comparable. "
                "Run both sides on one machine."
            )
    return found


def _home(plans: Sequence[Plan], check: str) -> Plan:
    """The run that has a check's record; else one that was asked for it, and may know why there is none."""
    having = [plan for plan in plans if kept_check(plan, _planned_check(plan, check)) is not None]
    if len(having) > 1:
        raise UsageError(f"{check} is in both {having[0].folder} and {having[1].folder}: give one of them")
    asked = [plan for plan in plans if _planned_check(plan, check).check in plan.selected_checks]
    return (having or asked or list(plans))[0]


def _timed(plans: Sequence[Plan], pipeline: str) -> Plan | None:
    """The run that timed a pipeline; else one that was asked to, and may know why it has no record."""
    asked = [plan for plan in plans if pipeline in plan.selected and plan.pair(pipeline) is not None]
    having = [plan for plan in asked if (pair := plan.pair(pipeline)) and kept_pair(plan, pair) is not None]
    return next(iter((*having, *asked)), None)


def _united(parts: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(itertools.chain(*parts)))


def _planned_check(plan: Plan, name: str) -> PlannedCheck:
    return next(check for check in plan.checks if check.name == name)


def _copy(source: Plan, target: Plan, paths: Iterable[Path]) -> None:
    for path in (path for path in paths if path.is_file()):
        name = path.relative_to(source.folder)
        copy = inside(target.folder, name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(inside(source.folder, name), copy)


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser(
        "report",
        "Judge the runs of several machines as one, if they belong together, and write its report anew.",
        "downloaded",
    )
    add = parser.add_argument
    add("folders", nargs="+", type=Path, metavar="DIR", help="a run's folder, or one that holds several")
    add(
        "--times-from",
        nargs="+",
        type=Path,
        default=[],
        metavar="DIR",
        help="runs of the same software on a GPU, whose times are judged against its targets",
    )
    add_root(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
