"""The script of an array of jobs, from what a profile asks Slurm for."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from submitit.slurm import slurm as engine

from matrix.execute.slurm_options import split_option
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.run.plan import Plan

SIGNAL_SECONDS = 1


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
