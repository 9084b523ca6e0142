"""The cluster's end for what is measured beside the matrix; JSON on standard output, as that of the cells."""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import submitit
from pydantic import TypeAdapter

from matrix.execute import session_job
from matrix.execute.sessions import (
    Session,
    read_sessions,
    session_fault,
    session_folder,
    write_session,
)
from matrix.execute.slurm_outcomes import JobOutcome, JobRuling, job_ruling
from matrix.execute.slurm_script import Resources, array_script, parameters
from matrix.execute.slurm_states import Silence, Task, ask
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
from matrix.run.kept import read_failure
from matrix.run.plan import Plan, read_plan

_SESSIONS = TypeAdapter(tuple[Session, ...])


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit what is to be measured, or say how it stands."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    plan = read_plan(options.folder)
    with without("SLURM_", "SBATCH_", "SRUN_", "SALLOC_"):
        if options.verb == "script":
            asked = parameters(plan.run, Resources.model_validate_json(options.resources))
            print(array_script(plan, asked, len(_SESSIONS.validate_json(options.sessions))))
            return 0
        if options.verb == "submit":
            sessions = _SESSIONS.validate_json(options.sessions)
            submit_sessions(plan, Resources.model_validate_json(options.resources), sessions)
        answer = STATUSES.dump_json(session_states(plan)).decode()
    print(answer)
    return 0


def submit_sessions(plan: Plan, resources: Resources, sessions: Sequence[Session]) -> None:
    """Submit one array with a task for every session.

    Raises
    ------
    UsageError
        One of that name is there already.
    EnvironmentFailure
        There is no Slurm here, or it took no job.
    """
    known = {session.name for session in read_sessions(plan.folder)}
    if twice := [session.name for session in sessions if session.name in known]:
        raise UsageError(f"submitted already: {', '.join(twice)}")
    count = len(sessions)
    names = [session.name for session in sessions]
    for session in sessions:
        write_session(plan, session)
    try:
        executor = submitit.SlurmExecutor(folder=plan.folder / "slurm")
        executor.update_parameters(**parameters(plan.run, resources))
        jobs = executor.map_array(session_job.run_session_job, [str(plan.folder)] * count, names)
    except (RuntimeError, submitit.core.utils.FailedSubmissionError) as error:
        for session in sessions:
            shutil.rmtree(session_folder(plan, session))
        raise EnvironmentFailure(f"Slurm took no job: {error}") from error
    submitted = {name: Status(cell=name, job=job.job_id) for name, job in zip(names, jobs, strict=True)}
    write_statuses(_jobs_path(plan), {**read_statuses(_jobs_path(plan)), **submitted})


def session_states(plan: Plan) -> list[Status]:
    """How every session stands; what has ended is written down."""
    kept = read_statuses(_jobs_path(plan))
    answers = ask(
        {status.job for status in kept.values() if status.job is not None and not status.outcome.settled}
    )
    found = [
        _stands(plan, session, kept.get(session.name, Status(cell=session.name)), answers)
        for session in read_sessions(plan.folder)
    ]
    if answers:
        write_statuses(_jobs_path(plan), {status.cell: status for status in found})
    return found


def _stands(plan: Plan, session: Session, status: Status, answers: dict[str, Task | Silence]) -> Status:
    fault = session_fault(plan, session)
    if status.job not in answers:
        return lost(status, fault) if status.outcome is JobOutcome.PASSED and fault is not None else status
    answer, printed = answers[status.job], job_log(plan, status.job)
    failure = read_failure(session_folder(plan, session))
    ruling = job_ruling(answer, fault, failure, printed)
    if ruling.outcome is JobOutcome.PASSED:
        ruling = JobRuling(JobOutcome.PASSED, "COMPLETED, exit 0, and what it left is as it was left")
    own_log = log_text(session_folder(plan, session) / "log.txt")
    return ruled(status, answer, ruling, failure, own_log, printed)


def _jobs_path(plan: Plan) -> Path:
    return plan.folder / "session-jobs.json"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m matrix.execute.slurm_sessions", description=__doc__)
    parser.add_argument("verb", choices=("submit", "script", "states"))
    parser.add_argument("folder", type=Path, help="the run's folder")
    parser.add_argument("--resources", help="what to ask for, as JSON")
    parser.add_argument("--sessions", help="what to measure, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
