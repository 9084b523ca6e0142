"""Starts a diagnosis in the environment of a side, with the software of a run that is already there."""

import argparse
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from matrix.execute.local import exit_reason, log_tail, run_on_share, software
from matrix.execute.reservations import own_share, peak_bytes
from matrix.execute.variables import XLA_FLAGS, side_variables
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.files import write_json, write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.options import add_root
from matrix.ground.waiting import doing, shown
from matrix.records import typed_json
from matrix.records.cell import Cell
from matrix.run.plan import Plan, PlanError, read_plan, run_folders

# What is started in the environment of a side, told the name of the diagnosis.
SIDE = "matrix.diagnose.sides.process"

Diagnosed = TypeVar("Diagnosed")


def newest_plan(root: Path, wanted: str | None) -> Plan:
    """The newest run below `root` whose environments and workspace are still there.

    Parameters
    ----------
    root
        Our working folder, `.matrix`.
    wanted
        Name of the one run to take; None for the newest.

    Raises
    ------
    UsageError
        There is none.
    """
    refused: list[str] = []
    folders = [folder for folder in run_folders(root / "runs") if wanted in (None, folder.name)]
    for folder in reversed(folders):
        try:
            plan = read_plan(folder)
        except PlanError as error:
            refused.append(str(error))
            continue
        # What is started in a container lies in there.
        pythons = [made.python for made in plan.environments.values() if not made.launch]
        needed = [plan.workspace, *pythons]
        missing = [str(path) for path in needed if not path.exists()]
        if not missing:
            return plan
        refused.append(f"{folder.name}: {', '.join(missing)} is gone")
    listed = "".join(f"\n  {line}" for line in refused)
    raise UsageError(
        f"no run in {root / 'runs'} whose software could be used: `nox -s matrix-fp64` makes one "
        f"(`--only interferometer-mge` is the quickest).{listed}"
    )


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Options of all that takes the software of a run."""
    add = parser.add_argument
    add_root(parser)
    add("--run", help="take the software of this run (default: the newest)")
    add("--scale", choices=("production", "smoke"), default="production", help="smoke: small, same code path")
    add("--timeout", type=float, default=3600.0, metavar="SECONDS", help="limit per process (default 3600)")


def output_folder(root: Path, diagnosis: str, name: str) -> Path:
    """A new folder for what one diagnosis finds, `.matrix/DIAGNOSIS/NAME-TIME`."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return root.resolve() / diagnosis / f"{name}-{stamp}"


def run_side(
    console: Console,
    plan: Plan,
    name: str,
    cell: Cell,
    folder: Path,
    kind: type[Diagnosed],
    *,
    details: Mapping[str, Any],
    timeout: float,
    variables: Mapping[str, str] | None = None,
    also_import: tuple[Path, ...] = (),
) -> Diagnosed:
    """Run a diagnosis on `cell` in the environment of its side; return the record it leaves in `folder`.

    The process gets the cores, threads and variables that a cell of that run had.

    Parameters
    ----------
    name
        Of the diagnosis.
    kind
        Class of the record.
    details
        What its `look` is told besides, as JSON.
    timeout
        Seconds it may take.
    variables
        Of the process's environment, where it is to differ from a cell's.
    also_import
        Folders with packages that come before those of the side.

    Raises
    ------
    EnvironmentFailure
        It failed or took too long; says where its log is.
    """
    # The process works there, so that a relative path would mean another place to it.
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "provenance.json", software(plan))
    write_json(folder / "details.json", dict(details))
    options = {
        "--pipeline": cell.pipeline,
        "--precision": cell.precision,
        "--side": cell.side,
        "--scale": cell.scale,
        "--workspace": plan.data_workspace,
        "--folder": folder,
        "--seed": plan.seed,
        "--provenance": folder / "provenance.json",
        "--details": folder / "details.json",
    }
    words = [str(word) for pair in options.items() for word in pair]
    log = folder / "log.txt"
    stage = folder / "stage"
    stage.unlink(missing_ok=True)
    memory = peak_bytes(cell.pipeline, cell.scale)

    def say(waiting: str) -> None:
        write_text(stage, f"{waiting}\n")

    with (
        shown(console, f"{name} of {cell.name}", lambda: doing(stage)),
        own_share(memory, plan.threads, plan.platform, timeout, say) as share,
    ):
        exit_code = run_on_share(
            [*plan.environments[cell.side].command, "-m", SIDE, name, *words],
            cwd=folder,
            env={
                **side_variables(plan, cell.side, folder, (*also_import, REPOSITORY_ROOT)),
                **(variables or {}),
            },
            log=log,
            timeout=timeout,
            share=share,
        )
    if exit_code != 0:
        reason = f"no end after {timeout:.0f} s" if exit_code is None else exit_reason(exit_code)
        raise EnvironmentFailure(f"{cell.name}: {reason}; its log is {log}\n{log_tail(log)}")
    return typed_json.read(folder / "record.json", kind)


def traced_variables(plan: Plan) -> dict[str, str]:
    """Of the environment of a process whose programs are traced, beside what a cell has.

    On a GPU, XLA would gather instructions into command buffers, whose parts a trace cannot tell apart
    (openxla/xprof#3070).
    """
    return {"XLA_FLAGS": f"{XLA_FLAGS} --xla_gpu_enable_command_buffer="} if plan.platform == "gpu" else {}
