"""The cluster's end: `python -m matrix.execute.slurm submit|states FOLDER`, JSON on standard output."""

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import submitit
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from submitit.slurm import slurm as engine

from matrix.execute import slurm_job
from matrix.execute.slurm_options import split_option
from matrix.execute.slurm_outcomes import JobOutcome, JobRuling, job_ruling
from matrix.execute.slurm_states import Silence, Task, ask
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.files import read_bytes, read_text, write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.shell import without
from matrix.records.cell import RecordError
from matrix.run.kept import kept_pair, read_failure, record_fault, write_failure
from matrix.run.plan import Plan, PlannedCell, PlannedPair, read_plan

TAIL_LINES = 15
SIGNAL_SECONDS = 1
# Ends the name of a pair's job.
PAIR = "-pair"


class Resources(BaseModel):
    """What a profile asks Slurm for, per cell."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    partition: str | None
    account: str | None
    qos: str | None
    constraint: str | None
    gres: str | None
    reservation: str | None = None
    mail_user: str | None = None
    sbatch: tuple[str, ...] = ()
    time: int
    memory: float | None
    cpus: int
    parallel: int
    requeue: bool
    setup: tuple[str, ...]
    tmpdir: str | None = None


class Status(BaseModel):
    """A cell's job as it stands; kept in `jobs.json` once it has ended, since Slurm forgets."""

    cell: str
    job: str | None = None
    outcome: JobOutcome = JobOutcome.NOT_SUBMITTED
    reason: str = ""
    elapsed: str = ""
    limit_end: str = ""
    tail: str = ""


STATUSES = TypeAdapter(list[Status])


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit the cells that have not passed, or say how they stand."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    plan = read_plan(options.folder)
    # A partition exported in a shell would beat the profile's, and an allocation's variables its resources.
    with without("SLURM_", "SBATCH_", "SRUN_", "SALLOC_"):
        if options.verb == "script":
            print(script(plan, Resources.model_validate_json(options.resources)))
            return 0
        if options.verb == "submit":
            submit_cells(plan, Resources.model_validate_json(options.resources))
        answer = STATUSES.dump_json(cell_states(plan)).decode()
    print(answer)
    return 0


def submit_cells(plan: Plan, resources: Resources) -> None:
    """Submit an array with a task for every selected cell that has not passed, and one of pairs after it.

    A pair is one task: both sides are timed on one node. Pairs wait for the cells and for each other, so
    that no cell of ours computes beside them.

    Raises
    ------
    UsageError
        Jobs of this run are still waiting or running.
    EnvironmentFailure
        There is no Slurm here, or it took no job.
    """
    before = cell_states(plan)
    active = [status.cell for status in before if status.outcome.active]
    if active:
        raise UsageError(f"still waiting or running: {', '.join(active)}. Wait for them, or scancel them.")
    passed = {status.cell for status in before if status.outcome is JobOutcome.PASSED}
    asked = parameters(plan.run, resources)
    cells = {cell.name: cell.name for cell in selected(plan) if cell.name not in passed}
    jobs = _submitted(plan, slurm_job.run_cell_job, cells, asked, resources.cpus)
    pairs = {unit_name(pair): pair.pipeline for pair in selected_pairs(plan) if unit_name(pair) not in passed}
    _submitted(plan, slurm_job.run_pair_job, pairs, for_pairs(asked, resources, jobs), resources.cpus)


def _submitted(
    plan: Plan,
    function: Callable[[str, str, int], None],
    units: Mapping[str, str],
    asked: dict[str, object],
    cores: int,
) -> list[str]:
    """The jobs of one array, which calls `function` with the value of each unit; noted under its name."""
    if not units:
        return []
    try:
        executor = submitit.SlurmExecutor(folder=plan.folder / "slurm")
        executor.update_parameters(**asked)
        count = len(units)
        jobs = executor.map_array(function, [str(plan.folder)] * count, list(units.values()), [cores] * count)
    except (RuntimeError, submitit.core.utils.FailedSubmissionError) as error:
        raise EnvironmentFailure(f"Slurm took no job: {error}") from error
    submitted = {name: Status(cell=name, job=job.job_id) for name, job in zip(units, jobs, strict=True)}
    write_statuses(_jobs_path(plan), {**read_statuses(_jobs_path(plan)), **submitted})
    return [job.job_id for job in jobs]


def for_pairs(asked: dict[str, object], resources: Resources, after: Sequence[str]) -> dict[str, object]:
    """What an array of pairs asks for: memory for two processes, one task at a time, after the cells'."""
    additional = asked["additional_parameters"]
    assert isinstance(additional, dict)
    arrays = sorted({job.partition("_")[0] for job in after})
    awaited = {"dependency": ":".join(("afterany", *arrays))} if arrays else {}
    memory = {} if resources.memory is None else {"mem": f"{round(2 * resources.memory * 1024)}M"}
    return {
        **asked,
        **memory,
        "array_parallelism": 1,
        "additional_parameters": {**additional, **awaited},
    }


def script(plan: Plan, resources: Resources) -> str:
    """The job scripts that `submit` would send now: of the cells, and of the pairs after them."""
    passed = {status.cell for status in cell_states(plan) if status.outcome is JobOutcome.PASSED}
    asked = parameters(plan.run, resources)
    # The jobs of the cells have no number yet, so pairs are shown without their wait for them.
    arrays = ((selected(plan), asked), (selected_pairs(plan), for_pairs(asked, resources, ())))
    scripts = [
        array_script(plan, wanted, tasks)
        for units, wanted in arrays
        if (tasks := sum(unit_name(unit) not in passed for unit in units))
    ]
    return "\n".join(scripts) or "# Everything has passed: nothing would be submitted."


def array_script(plan: Plan, asked: dict[str, Any], tasks: int) -> str:
    """The script of an array of so many jobs of a run, as the engine would send it."""
    folder = plan.folder / "slurm"
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(folder))}"
    return _script_of(asked, str(folder), command, tasks)


def parameters(name: str, resources: Resources) -> dict[str, Any]:
    """The job script's parameters: nothing of the submitting shell's environment gets into the job."""
    path = "/usr/local/bin:/usr/bin:/bin"
    srun = shutil.which("srun")
    before = {"PATH": path if srun is None else f"{Path(srun).parent}:{path}", "HOME": str(Path.home())}
    # After `setup`, which may name packages of the cells: they are not for our own program.
    after = {"PYTHONPATH": str(REPOSITORY_ROOT), "PYTHONDONTWRITEBYTECODE": "1", "JAX_ENABLE_X64": "True"}
    asked = {
        "partition": resources.partition,
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "gres": resources.gres,
        "mem": None if resources.memory is None else f"{round(resources.memory * 1024)}M",
        "mail_user": resources.mail_user,
        "mail_type": None if resources.mail_user is None else "END,FAIL",
    }
    more = dict(map(split_option, resources.sbatch))
    if resources.reservation is not None:
        more["reservation"] = resources.reservation
    return {
        **{name: value for name, value in asked.items() if value is not None},
        "job_name": f"nnls-{name}",
        # The engine's own would be refused where a site keeps a list of them.
        "wckey": None,
        "time": resources.time,
        "cpus_per_task": resources.cpus,
        "array_parallelism": resources.parallel,
        "signal_delay_s": SIGNAL_SECONDS,
        "stderr_to_stdout": True,
        "additional_parameters": {
            **more,
            "export": "NIL",
            "requeue" if resources.requeue else "no-requeue": True,
        },
        "setup": [
            "set -euo pipefail",
            # Slurm hands the job's --export on to srun, which must pass on what is exported here.
            "unset SLURM_EXPORT_ENV",
            *_exported(before),
            *resources.setup,
            *_exported(after),
            *_temporary(resources.tmpdir),
        ],
    }


def unit_name(unit: PlannedCell | PlannedPair) -> str:
    """What a job is called after what it runs."""
    return unit.name if isinstance(unit, PlannedCell) else f"{unit.name}{PAIR}"


def selected_pairs(plan: Plan) -> list[PlannedPair]:
    """The pairs this run was asked for."""
    return [pair for pair in plan.pairs if pair.pipeline in plan.selected]


def job_script(name: str, resources: Resources, folder: str, command: str, tasks: int = 1) -> str:
    """The script of an array of jobs as the engine sends it."""
    return _script_of(parameters(name, resources), folder, command, tasks)


def _script_of(asked: dict[str, Any], folder: str, command: str, tasks: int) -> str:
    return engine._make_sbatch_string(command=command, folder=folder, map_count=tasks, **asked)


def _exported(variables: Mapping[str, str]) -> list[str]:
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _temporary(folder: str | None) -> list[str]:
    """Caches go to the node's own disk; the text has been seen to hold nothing but names and variables."""
    return [] if folder is None else [f'export TMPDIR="{folder}"', 'mkdir -p "$TMPDIR"']


def selected(plan: Plan) -> list[PlannedCell]:
    """The cells this run was asked for."""
    return [cell for cell in plan.cells if cell.pipeline in plan.selected]


def cell_states(plan: Plan) -> list[Status]:
    """How every selected cell and pair stands; what has ended is written down."""
    kept = read_statuses(_jobs_path(plan))
    open_jobs = {
        status.job for status in kept.values() if status.job is not None and not status.outcome.settled
    }
    answers = ask(open_jobs)
    found = []
    units: list[PlannedCell | PlannedPair] = [*selected(plan), *selected_pairs(plan)]
    for unit in units:
        status = kept.get(unit_name(unit), Status(cell=unit_name(unit)))
        if status.job in answers:
            answer = answers[status.job]
            printed = job_log(plan, status.job)
            failure = read_failure(_folder(plan, unit))
            ruling = job_ruling(answer, _fault(plan, unit), failure, printed)
            _note_broken(plan, unit, ruling)
            status = ruled(status, answer, ruling, failure, _own_log(plan, unit), printed)
        elif status.outcome is JobOutcome.PASSED and (fault := _fault(plan, unit)) is not None:
            status = lost(status, fault)
        found.append(status)
    if open_jobs:
        write_statuses(_jobs_path(plan), {**kept, **{status.cell: status for status in found}})
    return found


def ruled(
    status: Status, answer: Task | Silence, ruling: JobRuling, failure: str | None, own_log: str, printed: str
) -> Status:
    """The status by what Slurm said of its job, with the end of the log that tells most."""
    # A job that failed without a word from its process failed around it.
    around = ruling.outcome is JobOutcome.FAILED and failure is None
    log = printed if around else own_log or printed
    return status.model_copy(
        update={
            "outcome": ruling.outcome,
            "reason": ruling.reason,
            "elapsed": getattr(answer, "elapsed", ""),
            "limit_end": getattr(answer, "limit_end", ""),
            "tail": "\n".join(log.splitlines()[-TAIL_LINES:]) or "(no log)",
        }
    )


def lost(status: Status, fault: str) -> Status:
    """The status of what passed, whose record does not count any more."""
    return status.model_copy(
        update={"outcome": JobOutcome.NO_RECORD, "reason": f"it passed, but now {fault}"}
    )


def _note_broken(plan: Plan, unit: PlannedCell | PlannedPair, ruling: JobRuling) -> None:
    """Let the report say of a cell what Slurm says of its job, also where that left a record before."""
    folder = _folder(plan, unit)
    if ruling.outcome.broken and read_failure(folder) is None:
        write_failure(folder, f"{ruling.outcome}: {ruling.reason}")


def _fault(plan: Plan, unit: PlannedCell | PlannedPair) -> str | None:
    if isinstance(unit, PlannedCell):
        return record_fault(plan, unit)
    return None if kept_pair(plan, unit) is not None else "there is no record of its times"


def _folder(plan: Plan, unit: PlannedCell | PlannedPair) -> Path:
    return plan.cell_folder(unit) if isinstance(unit, PlannedCell) else plan.pair_folder(unit)


def _own_log(plan: Plan, unit: PlannedCell | PlannedPair) -> str:
    """What the process, or the processes, of a unit printed."""
    return "\n".join(filter(None, map(log_text, sorted(_folder(plan, unit).glob("*.txt")))))


def job_log(plan: Plan, job: str | None) -> str:
    """What task 0 of a job, the only one, printed; the engine lets Slurm write it there."""
    return log_text(plan.folder / "slurm" / f"{job}_0_log.out")


def log_text(log: Path) -> str:
    """What a log holds; nothing where there is none."""
    return read_text(log, errors="replace").strip() if log.exists() else ""


def _jobs_path(plan: Plan) -> Path:
    return plan.folder / "jobs.json"


def read_statuses(path: Path) -> dict[str, Status]:
    """The statuses that were written down, by the name of the cell.

    Raises
    ------
    RecordError
        The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        return {status.cell: status for status in STATUSES.validate_json(read_bytes(path))}
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise RecordError(f"{path} is damaged ({what}): remove it, and submit again.") from error


def write_statuses(path: Path, statuses: Mapping[str, Status]) -> None:
    """Write statuses down, whole or not at all."""
    write_text(path, STATUSES.dump_json(list(statuses.values()), indent=2).decode() + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix.execute.slurm", description=__doc__)
    parser.add_argument("verb", choices=("submit", "script", "states"))
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--resources", help="what to ask for, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
