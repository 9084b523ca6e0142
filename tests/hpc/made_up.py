"""Runs whose cells behave as a test tells them, for a real Slurm to carry out."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_script import Resources
from matrix.execute.slurm_status import STATUSES, Status
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.records.cell import SIDES, write_record
from matrix.run.plan import Plan, PlannedEnvironment
from tests.cluster import Slurm, wait_until
from tests.factory import make_plan, make_record

PIPELINES = ("imaging-delaunay", "imaging-pixelization", "imaging-mge")
GOOD = "shutil.copy(ready, record)"
GOOD_AT_SECOND_START = "time.sleep(600 if first else 0); " + GOOD

# Stands for the interpreter of a cell: a job is what is tested here, not a likelihood.
INTERPRETER = """
#!{python}
import json, os, pathlib, shutil, signal, sys, time
option = dict(zip(sys.argv[3::2], sys.argv[4::2]))
record = pathlib.Path(option["--record"])
name = record.stem
ready = pathlib.Path({folder!r}) / "ready" / record.name
starts = pathlib.Path({folder!r}) / (name + ".starts")
first = not starts.exists()
with open(starts, "a") as stream:
    stream.write(os.environ.get("JAX_ENABLE_X64", "unset") + "\\n")
print("the last line of", name, flush=True)
exec(json.loads((pathlib.Path({folder!r}) / "behaviour.json").read_text())[name])
"""


@dataclasses.dataclass
class Run:
    """A run whose cells behave as told."""

    slurm: Slurm
    plan: Plan

    def call(
        self, *words: str, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "matrix.execute.slurm", *words],
            cwd=REPOSITORY_ROOT,
            env={**(environment or self.slurm.environment), "PYTHONPATH": str(REPOSITORY_ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def resources(self, **changes: object) -> str:
        """What is asked for, as the program takes it."""
        return Resources.model_validate({**RESOURCES, **changes}).model_dump_json()

    def submit(self, **changes: object) -> None:
        done = self.call("submit", str(self.plan.folder), "--resources", self.resources(**changes))
        assert done.returncode == 0, done.stderr

    def states(self) -> dict[str, Status]:
        done = self.call("states", str(self.plan.folder))
        assert done.returncode == 0, done.stderr
        return {status.cell: status for status in STATUSES.validate_json(done.stdout)}

    def ended(self, seconds: float = 120.0) -> dict[str, Status]:
        found: dict[str, Status] = {}

        def all_ended() -> bool:
            found.update(self.states())
            return not any(status.outcome.active for status in found.values())

        wait_until(all_ended, "the end of the jobs", seconds, pause=2.0)
        return found

    @property
    def main_job(self) -> str:
        """The id of the array last submitted, as written down then."""
        kept = STATUSES.validate_json((self.plan.folder / "jobs.json").read_text())
        return str(kept[0].job).partition("_")[0]

    def job(self, cell: str) -> str:
        """The id of the cell's job, which has started."""
        wait_until(lambda: bool(self.starts(cell)), f"the start of {cell}")
        job = self.states()[cell].job
        assert job is not None
        return job

    def hurry(self, cell: str) -> None:
        """Start a requeued job soon; Slurm would wait two minutes."""
        wait_until(lambda: "requeued, start 2" in self.states()[cell].reason, "the requeue")
        job = self.job(cell)
        # Not at once: what is left of the first start may still be on its way out.
        update = ("scontrol", "update", f"JobId={job}", "StartTime=now+5")
        wait_until(lambda: not self.slurm.ask(*update), "the new start time")
        wait_until(lambda: self.states()[cell].outcome is not JobOutcome.WAITING, "the second start")

    def starts(self, cell: str) -> list[str]:
        path = self.plan.folder.parent / f"{cell}.starts"
        return path.read_text().split() if path.exists() else []

    def behave(self, behaviour: Mapping[str, str]) -> None:
        (self.plan.folder.parent / "behaviour.json").write_text(json.dumps(behaviour))


RESOURCES = {
    **dict.fromkeys(("partition", "account", "qos", "constraint", "gres")),
    "time": 5,
    "memory": 0.25,
    "cpus": 1,
    "parallel": 12,
    "requeue": False,
    "setup": (),
}


def make_run(slurm: Slurm, folder: Path, behaviour: Mapping[str, str]) -> Run:
    """A run of exactly the cells in `behaviour`'s pipelines; cells not named there are good."""
    folder.mkdir(exist_ok=True)
    interpreter = folder / "python"
    interpreter.write_text(
        textwrap.dedent(INTERPRETER).strip().format(python=sys.executable, folder=str(folder))
    )
    interpreter.chmod(0o755)
    environments = {side: PlannedEnvironment(python=interpreter, pythonpath=(), key="k") for side in SIDES}
    pipelines = tuple(name for name in PIPELINES if any(cell.startswith(name) for cell in behaviour))
    plan = make_plan(folder / "run", pipelines, environments=environments, cell_timeout=900.0)
    plan.write()
    for cell in plan.cells:
        record = make_record(cell.pipeline, cell.side, key=cell.key)
        driver = {"checkouts": [checkout.model_dump() for checkout in plan.checkouts]}
        provenance = dataclasses.replace(record.provenance, driver=driver)
        path = folder / "ready" / f"{cell.name}.json"
        write_record(path, dataclasses.replace(record, provenance=provenance))
    run = Run(slurm, plan)
    run.behave({**{cell.name: GOOD for cell in plan.cells}, **behaviour})
    return run
