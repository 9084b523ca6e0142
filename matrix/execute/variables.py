"""The environment variables that a side's process is started with: precision, XLA's flags, threads."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.ground.files import inside
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.machine import machine_word
from matrix.ground.settings import nested
from matrix.ground.shell import inherited
from matrix.pipelines.cell import SETTINGS_VARIABLE
from matrix.pipelines.vendored import VENDORS_VARIABLE

# What is started depends on the plan's values, and not on how a plan is written and read.
if TYPE_CHECKING:
    from matrix.records.cell import Side
    from matrix.run.plan import Plan, PlannedCell

# Constant folding off is what autoconf itself would set. Without the thread flag XLA's FFT can wait for
# ever on its own thread pool on a busy machine (PyAutoFit#1530: 8 of 8 hung, 8 of 8 passed with it).
XLA_FLAGS = "--xla_disable_hlo_passes=constant_folding --xla_cpu_multi_thread_eigen=false"

# A smoke run is there to be over soon, and nobody reads its times: most of it is compiling.
SMOKE_XLA_FLAGS = f"{XLA_FLAGS} --xla_backend_optimization_level=0"

# On a GPU the CPU stays usable beside it, since the Delaunay triangulation is a callback to the host.
PLATFORM_VARIABLES = {"cpu": {"JAX_PLATFORM_NAME": "cpu"}, "gpu": {"JAX_PLATFORMS": "cuda,cpu"}}


def cell_environment(plan: "Plan", cell: "PlannedCell") -> dict[str, str]:
    """The complete environment of a cell's process."""
    return {**inherited(), **cell_variables(plan, cell)}


def cell_variables(plan: "Plan", cell: "PlannedCell") -> dict[str, str]:
    """What of a cell's environment we set, whatever the caller's shell holds."""
    variables = {
        **_own_variables(plan, cell.side, plan.cell_folder(cell), (REPOSITORY_ROOT,)),
        "JAX_ENABLE_COMPILATION_CACHE": "True",
        "JAX_COMPILATION_CACHE_DIR": str(compiled_folder(plan, cell)),
        # What compiles in less than a second would be left out, on one side maybe and not on the other.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return {**variables, "XLA_FLAGS": SMOKE_XLA_FLAGS} if cell.scale == "smoke" else variables


def compiled_folder(plan: "Plan", cell: "PlannedCell") -> Path:
    """Where JAX keeps what a cell compiled on this machine, for the processes in which it is timed again.

    Not in the run's folder, which may come from elsewhere: that is code, and for one processor.
    """
    return inside(plan.cache, "compiled", machine_word(), cell.key)


def side_variables(plan: "Plan", side: "Side", folder: Path, also_import: tuple[Path, ...]) -> dict[str, str]:
    """The complete environment of a process of `side`; nothing that steers JAX or PyAuto leaks in.

    Parameters
    ----------
    plan, side
        Whose Python it is.
    folder
        Where the process may keep its own caches.
    also_import
        Folders to import from beside the side's packages.
    """
    return {**inherited(), **_own_variables(plan, side, folder, also_import)}


def _own_variables(plan: "Plan", side: "Side", folder: Path, also_import: tuple[Path, ...]) -> dict[str, str]:
    environment = plan.environments[side]
    threads = str(plan.threads)
    return {
        "PYTHONPATH": os.pathsep.join(str(path) for path in (*environment.pythonpath, *also_import)),
        SETTINGS_VARIABLE: json.dumps(nested(environment.settings)),
        VENDORS_VARIABLE: "yes" if plan.change.vendor else "no",
        "PYTHONUNBUFFERED": "1",
        # Not beside the sources, which may be a checkout; kept, since compiling the stack takes seconds.
        "PYTHONPYCACHEPREFIX": str(plan.cache / "bytecode"),
        "JAX_ENABLE_X64": "True",
        # The library would have JAX take programs from a folder in the person's home.
        "JAX_ENABLE_COMPILATION_CACHE": "False",
        # The NumPy path's memo of earlier solutions: with it, values depend on what was evaluated before.
        "AUTOARRAY_NNLS_WARM_START": "0",
        **PLATFORM_VARIABLES[plan.platform],
        "XLA_FLAGS": XLA_FLAGS,
        "NUMBA_CACHE_DIR": str(plan.cache / "numba" / environment.key),
        "MPLCONFIGDIR": str(folder / "matplotlib"),
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
    }
