"""What runs in a Slurm job: one measurement beside the matrix."""

import os
import shutil
import signal
from pathlib import Path

from matrix.execute.local import failure_reason, log_tail
from matrix.execute.sessions import (
    Session,
    kind_named,
    note_end,
    read_sessions,
    session_command,
    session_fault,
    session_folder,
)
from matrix.execute.variables import PLATFORM_VARIABLES
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.machine import usable_cores
from matrix.ground.process import supervise
from matrix.ground.shell import inherited
from matrix.run.kept import clear_failure, write_failure
from matrix.run.plan import Plan, read_plan


def run_session_job(folder: str, name: str) -> None:
    """Run one session of the run in `folder`, in a job, unless an earlier start of the job finished it.

    Raises
    ------
    EnvironmentFailure
        It failed; holds the reason and the last lines of its log.
    """
    # Slurm's word on a time limit or a preemption is wanted, and not the engine's.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    plan = read_plan(Path(folder))
    session = next(session for session in read_sessions(plan.folder) if session.name == name)
    if session_fault(plan, session) is None:
        return
    place, output = session_folder(plan, session), session.output(plan.folder.parents[1])
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    clear_failure(place)
    log = place / "log.txt"
    code = supervise(
        session_command(plan, session),
        cwd=place,
        env=_variables(plan, session),
        log=log,
        timeout=plan.cell_timeout,
        cores=usable_cores(),
    )
    if code != 0:
        reason = f"no end after {plan.cell_timeout:.0f} s" if code is None else failure_reason(code, log)
        write_failure(place, reason)
        raise EnvironmentFailure(f"{name}: {reason}\n{log_tail(log)}")
    note_end(plan, session)


def _variables(plan: Plan, session: Session) -> dict[str, str]:
    environment = plan.environments["baseline"]
    packages = environment.pythonpath if kind_named(session.kind).in_stack else ()
    return {
        **inherited(),
        # By which it knows that the node is shared out already.
        "SLURM_JOB_ID": os.environ["SLURM_JOB_ID"],
        "PYTHONPATH": os.pathsep.join(map(str, (*packages, REPOSITORY_ROOT))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "JAX_ENABLE_X64": "True",
        "MPLBACKEND": "Agg",
        **PLATFORM_VARIABLES[plan.platform],
    }
