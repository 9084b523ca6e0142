"""The cluster's end: `python -m matrix.execute.slurm submit|states FOLDER`, JSON on standard output."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import submitit

from matrix.execute import slurm_job
from matrix.execute.slurm_outcomes import JobOutcome, JobRuling, job_ruling
from matrix.execute.slurm_script import Resources, array_script, parameters
from matrix.execute.slurm_states import ask
from matrix.execute.slurm_status import (
    STATUSES,
    Status,
    job_log,
    log_text,
    lost,
    read_statuses,
    ruled,
    write_statuses,
)
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.shell import without
from matrix.run.kept import kept_pair, read_failure, record_fault, write_failure
from matrix.run.plan import Plan, PlannedCell, PlannedPair, read_plan

# Ends the name of a pair's job.
PAIR = "-pair"


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


def unit_name(unit: PlannedCell | PlannedPair) -> str:
    """What a job is called after what it runs."""
    return unit.name if isinstance(unit, PlannedCell) else f"{unit.name}{PAIR}"


def selected_pairs(plan: Plan) -> list[PlannedPair]:
    """The pairs this run was asked for."""
    return [pair for pair in plan.pairs if pair.pipeline in plan.selected]


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


def _jobs_path(plan: Plan) -> Path:
    return plan.folder / "jobs.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix.execute.slurm", description=__doc__)
    parser.add_argument("verb", choices=("submit", "script", "states"))
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--resources", help="what to ask for, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
