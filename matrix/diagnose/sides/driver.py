"""Starts a diagnosis in the environment of a side, with the software of a run that is already there."""

import argparse
import datetime
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from matrix.catalogue.pipelines import PIPELINES, pipeline_named
from matrix.execute.local import exit_reason, log_tail, software, supervise
from matrix.execute.reservations import own_share, peak_bytes
from matrix.execute.variables import XLA_FLAGS, side_variables
from matrix.ground.console import open_console
from matrix.ground.disk import disk_failures
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.files import write_json, write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.options import add_root
from matrix.ground.waiting import doing, shown
from matrix.records import typed_json
from matrix.records.cell import SIDES, Cell, Side
from matrix.run.plan import Plan, PlanError, read_plan, run_folders

EVERY = "all"

Diagnosis = TypeVar("Diagnosis")


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
    """Options that every diagnosis of likelihoods has."""
    add = parser.add_argument
    add_root(parser)
    add("--run", help="take the software of this run (default: the newest)")
    add("--scale", choices=("production", "smoke"), default="production", help="smoke: small, same code path")
    add("--timeout", type=float, default=3600.0, metavar="SECONDS", help="limit per process (default 3600)")


def output_folder(root: Path, kind: str, name: str) -> Path:
    """A new folder for one diagnosis, `.matrix/KIND/NAME-TIME`."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return root.resolve() / kind / f"{name}-{stamp}"


def folder_of(options: argparse.Namespace, pipeline: str, kind: str, name: str) -> Path:
    """Where one pipeline's diagnosis goes: a folder of its own in `--output-dir`, else a new one of ours."""
    if options.output_dir:
        return Path(options.output_dir) / pipeline
    return output_folder(options.root, kind, name)


def for_each_pipeline(
    options: argparse.Namespace, diagnose: Callable[[Console, str, argparse.Namespace], int | None]
) -> int:
    """Diagnose every pipeline that was named; return the worst exit code, 2 for wrong use, 3 for the machine.

    Parameters
    ----------
    diagnose
        Told a pipeline and the options; returns its exit code, or nothing where it judges nothing.
    """
    console = open_console()

    def command() -> int:
        names = pipeline_names(options.pipeline)
        if len(names) > 1:
            sides = len(sides_of(getattr(options, "side", "both")))
            limit = len(names) * sides * options.timeout / 3600.0
            console.print(
                f"measures    {len(names)} pipelines one after the other, a process per side of each; their "
                f"limits (--timeout) add up to {limit:.3g} h"
            )
        with disk_failures(options.output_dir or options.root):
            return max(diagnose(console, name, options) or 0 for name in names)

    return exit_code_of(command)


def deliver(console: Console, folder: Path, table: str, contents: str = "") -> None:
    """Show a diagnosis's table, leave it in `folder`, and say where that is and what else it has."""
    write_text(folder / "table.txt", table + "\n")
    console.print(table, markup=False)
    console.print(f"\nwritten     {folder}{contents}\n", markup=False)


def run_side(
    console: Console,
    plan: Plan,
    module: str,
    cell: Cell,
    folder: Path,
    kind: type[Diagnosis],
    *,
    details: Mapping[str, Any],
    timeout: float,
    variables: Mapping[str, str] | None = None,
    also_import: tuple[Path, ...] = (),
) -> Diagnosis:
    """Run `module` on `cell` in the environment of its side; return the record it leaves in `folder`.

    The process gets the cores, threads and variables that a cell of that run had.

    Parameters
    ----------
    kind
        Class of the record.
    details
        What the module is told besides, as JSON.
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
        shown(console, f"{module.split('.')[-2]} of {cell.name}", lambda: doing(stage)),
        own_share(memory, plan.threads, plan.platform, timeout, say) as share,
    ):
        exit_code = supervise(
            [*plan.environments[cell.side].command, "-m", module, *words],
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


def pipeline_names(words: list[str]) -> tuple[str, ...]:
    """The pipelines named; every one of them for the word `all`.

    Raises
    ------
    UsageError
        None is named, or there is no such pipeline.
    """
    known = f"choose from: {', '.join(PIPELINES)}, or {EVERY} of them, one after the other"
    if not words:
        raise UsageError(f"name a pipeline or more; {known}.")
    named = [pipeline_named(word).name for word in words if word != EVERY]
    return tuple(PIPELINES) if EVERY in words else tuple(dict.fromkeys(named))


def sides_of(word: str) -> tuple[Side, ...]:
    """The sides that `--side` names: one of them, or both."""
    return SIDES if word == "both" else tuple(side for side in SIDES if side == word)
