"""What a container must let a job do, with a real one; skipped where none can be made."""

from pathlib import Path

import pytest

from matrix.execute.slurm_job import see_that_it_is_writable
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.process import Completed, run
from matrix.hpc.check import MOUNTED
from matrix.records.cell import SIDES
from matrix.run.plan import Plan, PlannedEnvironment
from tests.cluster import require_bubblewrap
from tests.factory import make_plan

PYTHON = "/usr/bin/python3"


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch" / "job").mkdir(parents=True)
    return tmp_path / "scratch" / "job"


def plan_in(folder: Path, launch: str) -> Plan:
    started = PlannedEnvironment(python=Path(PYTHON), pythonpath=(), key="k", launch=tuple(launch.split()))
    return make_plan(folder, environments=dict.fromkeys(SIDES, started))


@pytest.mark.parametrize("more", ["", "--tmpfs {}"])
def test_caches_that_can_be_written_are_enough(tmp_path: Path, scratch: Path, more: str) -> None:
    """A container may have a temporary folder of its own."""
    launch = f"{require_bubblewrap()} {more.format(scratch.parent)}"
    see_that_it_is_writable(plan_in(tmp_path / "run", launch), scratch)


def test_caches_that_cannot_be_written_are_named_before_anything_runs(tmp_path: Path, scratch: Path) -> None:
    launch = f"{require_bubblewrap()} --ro-bind {scratch.parent} {scratch.parent}"
    with pytest.raises(EnvironmentFailure, match=rf"to {scratch.parent}, .*TMPDIR \(OSError.*`tmpdir`"):
        see_that_it_is_writable(plan_in(tmp_path / "run", launch), scratch)


def mounted(root: Path, *launch: str) -> Completed:
    words = [*require_bubblewrap().split(), *launch, PYTHON]
    return run(["sh", "-c", MOUNTED, "sh", root, *words], check=False)


def test_a_root_that_is_mounted_is_found_and_left_as_it_was(scratch: Path) -> None:
    done = mounted(scratch / "not" / "there")
    assert (done.exit_code, done.stdout) == (0, f"{scratch} is there\n")
    assert not list(scratch.iterdir())


@pytest.mark.parametrize(
    ("how", "says"), [("--tmpfs", "No such file"), ("--ro-bind", "Read-only file system")]
)
def test_a_root_that_is_another_inside_is_refused(scratch: Path, how: str, says: str) -> None:
    words = [how, str(scratch)] if how == "--tmpfs" else [how, str(scratch), str(scratch)]
    done = mounted(scratch, *words)
    assert done.exit_code != 0
    assert says in done.stderr
    assert not list(scratch.iterdir())
