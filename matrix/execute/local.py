"""Runs one cell in a process of its own on this machine."""

import re
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.execute.reservations import Share, own_share, peak_bytes
from matrix.execute.variables import cell_environment, compiled_folder
from matrix.ground import process
from matrix.ground.disk import check_space
from matrix.ground.files import read_text, write_json, write_text
from matrix.records.cell import Record
from matrix.run.kept import kept_record, write_failure
from matrix.run.plan import Plan, PlannedCell

LOG_TAIL_LINES = 25
_ERROR = re.compile(r"error: |[\w.]*(?:Error|Exception|Interrupt|Exit)(?::|$)")
# What begins the reason of a process that did not end by itself.
KILLED = "killed"


@dataclass(frozen=True)
class CellFailure:
    """Why a cell left no record."""

    cell: PlannedCell
    reason: str
    log: Path

    @property
    def tail(self) -> str:
        """The last lines of the cell's log."""
        return log_tail(self.log)


def log_tail(log: Path) -> str:
    """The last lines of a process's log."""
    if not log.exists():
        return "(no log)"
    return "\n".join(read_text(log, errors="replace").splitlines()[-LOG_TAIL_LINES:])


def run_cell(plan: Plan, cell: PlannedCell) -> Record | CellFailure:
    """Run `cell` unless its record is kept; return the record, or why there is none."""
    record = kept_record(plan, cell)
    if record is not None:
        return record
    begin = time.monotonic()

    def say(waiting: str) -> None:
        write_text(stage_path(plan, cell), f"{waiting}\n")

    memory = peak_bytes(cell.pipeline, cell.scale, plan.lanes)
    # What the machine refuses, a share or room on the disk, says nothing of the cell: it passes through.
    with own_share(memory, plan.threads, plan.platform, plan.cell_timeout, say) as share:
        outcome = _run(plan, cell, share, time.monotonic() - begin)
    if isinstance(outcome, CellFailure):
        write_failure(plan.cell_folder(cell), outcome.reason)
    return outcome


def cell_command(plan: Plan, cell: PlannedCell) -> list[str]:
    """The command line that evaluates `cell`."""
    folder = plan.cell_folder(cell)
    options = {
        "--pipeline": cell.pipeline,
        "--precision": cell.precision,
        "--side": cell.side,
        "--scale": cell.scale,
        "--workspace": plan.data_workspace,
        "--record": plan.record_path(cell),
        "--provenance": folder / "provenance.json",
        "--seed": plan.seed,
    }
    words = [str(word) for pair in options.items() for word in pair]
    words += ["--lanes", *map(str, plan.lanes)] if plan.lanes else []
    return [*plan.environments[cell.side].command, "-m", "matrix.pipelines.cell", *words]


def run_on_share(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float,
    share: Share,
    errors: Path | None = None,
) -> int | None:
    """Run a command to its end on its share of the machine, output in `log`; nothing it started outlives it.

    Parameters
    ----------
    command, cwd, env
        What to run, where, and its complete environment but for the GPU it is given.
    log, errors
        Files for standard output and standard error; both go to `log` where `errors` is None.
    timeout
        Seconds after which it is killed.
    share
        The cores and the GPU it may use.

    Returns
    -------
    int or None
        The exit code; None if it was killed after `timeout` seconds.
    """
    own_gpu = {} if share.gpu is None else {"CUDA_VISIBLE_DEVICES": share.gpu}
    return process.supervise(
        command, cwd=cwd, env={**env, **own_gpu}, log=log, errors=errors, timeout=timeout, cores=share.cores
    )


def _run(plan: Plan, cell: PlannedCell, share: Share, waited: float) -> Record | CellFailure:
    folder = plan.cell_folder(cell)
    shutil.rmtree(folder, ignore_errors=True)
    work = folder / "work"
    work.mkdir(parents=True)
    # Its compile time is that of compiling, and not of finding what an earlier attempt compiled.
    shutil.rmtree(compiled_folder(plan, cell), ignore_errors=True)
    plan.record_path(cell).parent.mkdir(exist_ok=True)
    plan.record_path(cell).unlink(missing_ok=True)
    write_json(folder / "provenance.json", _provenance(plan, cell))
    log = folder / "log.txt"
    exit_code = run_on_share(
        cell_command(plan, cell),
        cwd=work,
        env=cell_environment(plan, cell),
        log=log,
        timeout=plan.cell_timeout - waited,
        share=share,
    )
    if exit_code is None:
        return CellFailure(cell, _timeout_reason(plan, cell, waited), log)
    if exit_code != 0:
        reason = failure_reason(exit_code, log)
        check_space(folder, f"{cell.name}: {reason}")
        return CellFailure(cell, reason, log)
    record = kept_record(plan, cell)
    if record is None:
        return CellFailure(cell, "the process ended with exit 0 but left no valid record of this cell", log)
    return record


def software(plan: Plan) -> dict[str, object]:
    """What a process is told of the software it runs, to be noted in its record."""
    return {
        "run": plan.run,
        "release": plan.release,
        "source": plan.source,
        "checkouts": [checkout.model_dump() for checkout in plan.checkouts],
        "solver_tree": plan.solver_tree,
        "stack": dict(plan.stack),
        "threads": plan.threads,
        "settings": {side: dict(environment.settings) for side, environment in plan.environments.items()},
    }


def _provenance(plan: Plan, cell: PlannedCell) -> dict[str, object]:
    own = {"key": cell.key, "environment_key": plan.environments[cell.side].key, "seed": plan.seed}
    return {**software(plan), **own}


def stage_path(plan: Plan, cell: PlannedCell) -> Path:
    """Where a running cell writes what it is doing."""
    record = plan.record_path(cell)
    return record.with_name(f"{record.name}.stage")


def _timeout_reason(plan: Plan, cell: PlannedCell, waited: float) -> str:
    stage_file = stage_path(plan, cell)
    stage = read_text(stage_file, errors="replace").strip() if stage_file.exists() else "unknown"
    also = f", {waited:.0f} s of them waiting for its share of the machine" if waited >= 1 else ""
    return (
        f"no end after {plan.cell_timeout:.0f} s{also} (last stage: {stage}). A stage that calls the "
        "compiled likelihood can hang in XLA's FFT on a busy CPU (PyAutoFit#1530). On a slow machine raise "
        "--cell-timeout."
    )


def failure_reason(exit_code: int, log: Path) -> str:
    """The exit code in words, and the error that the process ended with, if it named one."""
    said = [line for line in read_text(log, errors="replace").splitlines() if _ERROR.match(line)]
    return f"{exit_reason(exit_code)}: {said[-1]}" if said and exit_code > 0 else exit_reason(exit_code)


def exit_reason(exit_code: int) -> str:
    """What an exit code other than 0 means, in words."""
    if exit_code == -signal.SIGKILL:
        return f"{KILLED} (signal 9): most likely the machine ran out of memory"
    if exit_code < 0:
        return f"{KILLED} by signal {-exit_code}"
    return f"exit code {exit_code}"
