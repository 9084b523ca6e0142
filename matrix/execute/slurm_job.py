"""What runs in a Slurm job: one cell, or one pair with both of its sides."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from matrix.execute.local import CellFailure, run_cell
from matrix.execute.pairs import PairFailure, run_pair
from matrix.ground.errors import EnvironmentFailure
from matrix.run.plan import Plan, read_plan


def run_both(folder: str, pipeline: str, cores: int) -> None:
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


def run(folder: str, cell_name: str, cores: int) -> None:
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
        yield read_plan(Path(folder)).model_copy(update=own)
