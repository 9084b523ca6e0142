"""What runs in a Slurm job: one cell, or one pair with both of its sides."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matrix.execute.local import CellFailure, run_cell
from matrix.execute.pairs import PairFailure, run_pair
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.run.plan import Plan, read_plan

_WRITE = "import os, sys; os.makedirs(sys.argv[1], exist_ok=True); open(sys.argv[1] + '/seen', 'w')"


def run_pair_job(folder: str, pipeline: str, cores: int) -> None:
    """Time both sides of a pipeline in turn, unless an earlier start of the job did.

    Raises
    ------
    EnvironmentFailure
        The pair left no record.
    """
    with _own_plan(folder, cores) as plan:
        result = run_pair(plan, next(pair for pair in plan.pairs if pair.pipeline == pipeline))
    if isinstance(result, PairFailure):
        raise EnvironmentFailure(f"{pipeline}: {result.reason}")


def run_cell_job(folder: str, cell_name: str, cores: int) -> None:
    """Run the cell of the run in `folder`, unless an earlier start of the job finished it.

    Caches and locks are the job's own: nodes share the folder, but neither memory nor process ids.

    Raises
    ------
    EnvironmentFailure
        The cell left no record; holds its reason and the last lines of its log.
    """
    with _own_plan(folder, cores) as plan:
        result = run_cell(plan, next(cell for cell in plan.cells if cell.name == cell_name))
    if isinstance(result, CellFailure):
        raise EnvironmentFailure(f"{cell_name}: {result.reason}\n{result.tail}")


@contextmanager
def _own_plan(folder: str, cores: int) -> Iterator[Plan]:
    # The engine would turn a time limit or a preemption into an error of its own; Slurm's word is wanted.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with tempfile.TemporaryDirectory(prefix="nnls-matrix-") as scratch:
        own = {"cache": Path(scratch), "locks": Path(scratch), "threads": cores}
        plan = read_plan(Path(folder)).model_copy(update=own)
        see_that_it_is_writable(plan, Path(scratch))
        yield plan


def see_that_it_is_writable(plan: Plan, scratch: Path) -> None:
    """See that the job's caches can be written where a side's Python runs; numba computes nothing otherwise.

    Raises
    ------
    EnvironmentFailure
        The container of the profile's `launch` has no such folder.
    """
    environment = plan.environments["baseline"]
    if not environment.launch:
        return
    done = run([*environment.command, "-c", _WRITE, scratch], env=inherited(), check=False)
    if done.exit_code != 0:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise EnvironmentFailure(
            f"`launch`: in the container nothing can be written to {scratch.parent}, the job's TMPDIR "
            f"({said}). Mount it, or name with `tmpdir` a folder that is mounted."
        )
