"""Runs one cell in a process of its own on this machine."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.execute.reservations import Share, own_share, peak_bytes
from matrix.ground import process
from matrix.ground.disk import check_space
from matrix.ground.errors import MatrixError
from matrix.ground.files import read_text, write_json, write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.settings import nested
from matrix.ground.shell import inherited
from matrix.pipelines.cell import SETTINGS_VARIABLE
from matrix.records.cell import Record, RecordError, read_record
from matrix.run.plan import Plan, PlanError, PlannedCell, Side, read_plan

LOG_TAIL_LINES = 25
FAILURE = "failure.json"
_ERROR = re.compile(r"error: |[\w.]*(?:Error|Exception|Interrupt|Exit)(?::|$)")
# What begins the reason of a process that did not end by itself.
KILLED = "killed"

# Constant folding off is what autoconf itself would set. Without the thread flag XLA's FFT can wait for
# ever on its own thread pool on a busy machine (PyAutoFit#1530: 8 of 8 hung, 8 of 8 passed with it).
XLA_FLAGS = "--xla_disable_hlo_passes=constant_folding --xla_cpu_multi_thread_eigen=false"

# A smoke run is there to be over soon, and nobody reads its times: most of it is compiling.
SMOKE_XLA_FLAGS = f"{XLA_FLAGS} --xla_backend_optimization_level=0"

# On a GPU the CPU stays usable beside it, since the Delaunay triangulation is a callback to the host.
PLATFORM_VARIABLES = {"cpu": {"JAX_PLATFORM_NAME": "cpu"}, "gpu": {"JAX_PLATFORMS": "cuda,cpu"}}


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


def run_cell(plan: Plan, cell: PlannedCell) -> Record | CellFailure:
    """Run `cell` unless its record is kept; return the record, or why there is none."""
    record = kept_record(plan, cell)
    if record is not None:
        return record
    begin = time.monotonic()

    def say(waiting: str) -> None:
        write_text(stage_path(plan, cell), f"{waiting}\n")

    memory = peak_bytes(cell.pipeline, cell.scale)
    # What the machine refuses, a share or room on the disk, says nothing of the cell: it passes through.
    with own_share(memory, plan.threads, plan.platform, plan.cell_timeout, say) as share:
        outcome = _run(plan, cell, share, time.monotonic() - begin)
    if isinstance(outcome, CellFailure):
        write_failure(plan.cell_folder(cell), outcome.reason)
    return outcome


def kept_failure(plan: Plan, cell: PlannedCell) -> str | None:
    """Why the last attempt at `cell` in this run came to nothing, if it did."""
    return read_failure(plan.cell_folder(cell))


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


def cell_command(plan: Plan, cell: PlannedCell) -> list[str]:
    """The command line that evaluates `cell`."""
    folder = plan.cell_folder(cell)
    options = {
        "--pipeline": cell.pipeline,
        "--precision": cell.precision,
        "--side": cell.side,
        "--scale": cell.scale,
        "--workspace": plan.workspace,
        "--record": plan.record_path(cell),
        "--provenance": folder / "provenance.json",
        "--seed": plan.seed,
    }
    words = [str(word) for pair in options.items() for word in pair]
    return [*plan.environments[cell.side].command, "-m", "matrix.pipelines.cell", *words]


def cell_environment(plan: Plan, cell: PlannedCell) -> dict[str, str]:
    """The complete environment of a cell's process."""
    return {**inherited(), **cell_variables(plan, cell)}


def cell_variables(plan: Plan, cell: PlannedCell) -> dict[str, str]:
    """What of a cell's environment we set, whatever the caller's shell holds."""
    variables = _own_variables(plan, cell.side, plan.cell_folder(cell), (REPOSITORY_ROOT,))
    return {**variables, "XLA_FLAGS": SMOKE_XLA_FLAGS} if cell.scale == "smoke" else variables


def side_variables(plan: Plan, side: Side, folder: Path, also_import: tuple[Path, ...]) -> dict[str, str]:
    """The complete environment of a process of `side`; nothing that steers JAX or PyAuto leaks in.

    Parameters
    ----------
    plan, side
        Whose Python it is.
    folder
        Where the process may keep its own caches.
    also_import
        Folders to import from beside the side's packages.
    """
    return {**inherited(), **_own_variables(plan, side, folder, also_import)}


def _own_variables(plan: Plan, side: Side, folder: Path, also_import: tuple[Path, ...]) -> dict[str, str]:
    environment = plan.environments[side]
    threads = str(plan.threads)
    return {
        "PYTHONPATH": os.pathsep.join(str(path) for path in (*environment.pythonpath, *also_import)),
        SETTINGS_VARIABLE: json.dumps(nested(environment.settings)),
        "PYTHONUNBUFFERED": "1",
        # Not beside the sources, which may be a checkout; kept, since compiling the stack takes seconds.
        "PYTHONPYCACHEPREFIX": str(plan.cache / "bytecode"),
        "JAX_ENABLE_X64": "True",
        # The NumPy path's memo of earlier solutions: with it, values depend on what was evaluated before.
        "AUTOARRAY_NNLS_WARM_START": "0",
        **PLATFORM_VARIABLES[plan.platform],
        "XLA_FLAGS": XLA_FLAGS,
        "NUMBA_CACHE_DIR": str(plan.cache / "numba" / environment.key),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
    }


def supervise(
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
    plan.record_path(cell).parent.mkdir(exist_ok=True)
    plan.record_path(cell).unlink(missing_ok=True)
    write_json(folder / "provenance.json", _provenance(plan, cell))
    log = folder / "log.txt"
    exit_code = supervise(
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
