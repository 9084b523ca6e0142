"""What runs in a Slurm job: one cell."""

import signal
import tempfile
from pathlib import Path

from matrix.execute.local import CellFailure, run_cell
from matrix.ground.errors import EnvironmentFailure
from matrix.run.plan import read_plan


def run(folder: str, cell_name: str, cores: int) -> None:
    """Run the cell of the run in `folder`, unless an earlier start of the job finished it.

    Caches and locks are the job's own: nodes share the folder, but neither memory nor process ids.

    Raises
    ------
    EnvironmentFailure
        The cell left no record; holds its reason and the last lines of its log.
    """
    # The engine would turn a time limit or a preemption into an error of its own; Slurm's word is wanted.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    plan = read_plan(Path(folder))
    cell = next(cell for cell in plan.cells if cell.name == cell_name)
    with tempfile.TemporaryDirectory(prefix="nnls-matrix-") as scratch:
        own = {"cache": Path(scratch), "locks": Path(scratch), "threads": cores}
        result = run_cell(plan.model_copy(update=own), cell)
    if isinstance(result, CellFailure):
        raise EnvironmentFailure(f"{cell_name}: {result.reason}\n{result.tail}")
