"""Measurements as jobs of a real Slurm: they pass only with what they left, and fail with their reason."""

import dataclasses
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence

import pytest

from matrix.execute.sessions import Session
from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_status import STATUSES, Status
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.run.plan import SIDES, Plan, PlannedEnvironment
from tests.cluster import Slurm, running_slurm, wait_until
from tests.factory import make_plan
from tests.hpc.made_up import RESOURCES

# Stands for the stack's Python, told by the words of a session what to do.
INTERPRETER = """
#!{python}
import os, pathlib, sys, time
how, output = sys.argv[4], pathlib.Path(sys.argv[sys.argv.index("--record") + 1])
print("the last line of", how, flush=True)
if how == "good":
    output.write_text(os.environ["JAX_ENABLE_X64"])
if how == "long":
    time.sleep(600)
sys.exit(7 if how == "bad" else 0)
"""


@dataclasses.dataclass
class Cluster:
    slurm: Slurm
    plan: Plan

    def call(self, verb: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "matrix.execute.slurm_sessions", verb, str(self.plan.folder), *words],
            cwd=REPOSITORY_ROOT,
            env={**self.slurm.environment, "PYTHONPATH": str(REPOSITORY_ROOT)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def submit(self, sessions: Sequence[Session]) -> subprocess.CompletedProcess[str]:
        return self.told("submit", sessions)

    def told(self, verb: str, sessions: Sequence[Session]) -> subprocess.CompletedProcess[str]:
        told = json.dumps([session.model_dump() for session in sessions])
        asked = json.dumps({**RESOURCES, "setup": []})
        return self.call(verb, "--resources", asked, "--sessions", told)

    def states(self) -> dict[str, Status]:
        done = self.call("states")
        assert done.returncode == 0, done.stderr
        return {status.cell: status for status in STATUSES.validate_json(done.stdout)}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    python = folder / "python"
    python.write_text(textwrap.dedent(INTERPRETER).strip().format(python=sys.executable))
    python.chmod(0o755)
    environments = {side: PlannedEnvironment(python=python, pythonpath=(), key="k") for side in SIDES}
    plan = make_plan(folder / "runs" / "run", environments=environments, cell_timeout=900.0)
    plan.write()
    with running_slurm(folder / "slurm") as slurm:
        yield Cluster(slurm, plan)


def session(how: str) -> Session:
    return Session(name=f"bench-{how}", kind="bench", words=(how,))


def test_a_session_passes_only_with_what_it_left(cluster: Cluster) -> None:
    asked = [session(how) for how in ("good", "bad", "nothing", "long")]
    shown = cluster.told("script", asked)
    done = cluster.submit(asked)
    assert done.returncode == 0, done.stderr
    sent = next((cluster.plan.folder / "slurm").glob("*submission.sh"))
    assert shown.stdout.strip() == sent.read_text().strip()
    again = cluster.submit(asked[:1])
    assert again.returncode == 2
    assert "submitted already: bench-good" in again.stderr
    found: dict[str, Status] = {}

    def ended() -> bool:
        found.update(cluster.states())
        left = [status for status in found.values() if status.outcome.active]
        if [status.cell for status in left] == ["bench-long"] and left[0].outcome is JobOutcome.RUNNING:
            cluster.slurm.ask("scancel", str(left[0].job))
        return not left

    wait_until(ended, "the end of the jobs", 240, pause=2.0)
    outcomes = {name: status.outcome for name, status in found.items()}
    assert outcomes == {
        "bench-good": JobOutcome.PASSED,
        "bench-bad": JobOutcome.FAILED,
        "bench-nothing": JobOutcome.NO_RECORD,
        "bench-long": JobOutcome.CANCELLED,
    }
    assert found["bench-bad"].reason == "exit code 7"
    assert "the last line of bad" in found["bench-bad"].tail
    assert "it left nothing" in found["bench-nothing"].reason
    left = session("good").output(cluster.plan.folder.parents[1]) / "bench.json"
    assert left.read_text() == "True"
    left.write_text("another")
    changed = cluster.states()["bench-good"]
    assert changed.outcome is JobOutcome.NO_RECORD
    assert "bench.json is not there as it was left" in changed.reason
