"""Compiled programs: how long each stage takes, and what XLA says of their memory."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from matrix.ground.errors import MatrixError
from matrix.records.cell import Evaluation, Timing, XlaMemory
from matrix.records.precision import is_float32

STEADY_SECONDS = 2.0
_MOST_REPEATS = 50

# How many programs JAX found in its persistent cache, since this module was imported.
_found: Counter[str] = Counter()


def _note(event: str, **_: Any) -> None:
    _found["programs"] += event == "/jax/compilation_cache/cache_hits"


jax.monitoring.register_event_listener(_note)


@dataclass(frozen=True)
class Program:
    """A compiled function with the seconds it took to lower and to compile.

    `found` says that JAX had it compiled already: then `compile_s` are the seconds to load it.
    """

    executable: Any
    lower_s: float
    compile_s: float
    found: bool = False

    def __call__(self, parameters: Any) -> Any:
        """Run to the end; `parameters` must have the shapes the program was compiled for."""
        return jax.block_until_ready(self.executable(parameters))

    def memory(self) -> XlaMemory | None:
        """XLA's memory analysis, None on backends that have none."""
        analysis = self.executable.memory_analysis()
        if analysis is None:
            return None
        return XlaMemory(
            argument_bytes=int(analysis.argument_size_in_bytes),
            output_bytes=int(analysis.output_size_in_bytes),
            temporary_bytes=int(analysis.temp_size_in_bytes),
            generated_code_bytes=int(analysis.generated_code_size_in_bytes),
        )


def compiled(function: Callable[[Any], Any], parameters: Any) -> Program:
    """Lower and compile `function` for the shapes of `parameters`."""
    started = time.perf_counter()
    lowered = jax.jit(function).lower(parameters)
    between = time.perf_counter()
    before = _found["programs"]
    executable = lowered.compile()
    seconds = time.perf_counter() - between
    return Program(executable, between - started, seconds, _found["programs"] > before)


def compiled_anew(function: Callable[[Any], Any], parameters: Any) -> Program:
    """Compile, for the sake of how long that takes.

    Raises
    ------
    MatrixError
        JAX only loaded what was compiled before.
    """
    program = compiled(function, parameters)
    if program.found:
        raise MatrixError(
            "JAX found the program in its cache, so there is no time to compile it. A cell starts with an "
            "empty cache: run it through `nox -s matrix-fp64`, or empty the folder JAX_COMPILATION_CACHE_DIR."
        )
    return program


def timed(
    program: Program, parameters: Any, repeats: int, seconds: float = STEADY_SECONDS
) -> tuple[Any, Timing]:
    """Run a program until its steady time is known.

    Parameters
    ----------
    program
        Not called before: its first call is timed apart.
    parameters
        What to call it with.
    repeats
        At least so many calls after the first.
    seconds
        More calls, up to 50 in all, until so many seconds are spent.

    Returns
    -------
    tuple
        The first call's result, and the timing.

    Raises
    ------
    MatrixError
        A call came back before its result was there.
    """
    result, first_call_s = _clocked(program, parameters)
    lanes = sum(leaf.size for leaf in jax.tree_util.tree_leaves(result))
    steady: list[float] = []
    while len(steady) < repeats or (sum(steady) < seconds and len(steady) < _MOST_REPEATS):
        steady.append(_clocked(program, parameters)[1])
    return result, Timing(program.lower_s, program.compile_s, first_call_s, tuple(steady), lanes)


def _clocked(program: Program, parameters: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    result = program(parameters)
    seconds = time.perf_counter() - started
    if not all(leaf.is_ready() for leaf in jax.tree_util.tree_leaves(result)):
        raise MatrixError(
            f"the clock stopped after {seconds:.1e} s, before the program was done: that is the time to "
            "start it, not to run it. Program.__call__ in matrix/pipelines/programs.py has to wait for the "
            "result."
        )
    return result, seconds


def evaluation_of(*results: Any) -> Evaluation:
    """Note the values of one path with the dtype they came back in.

    Parameters
    ----------
    results
        Scalars or arrays of lanes, from NumPy or JAX.
    """
    arrays = [np.atleast_1d(np.asarray(result)) for result in results]
    lanes = np.concatenate(arrays)
    values = tuple(float(value) for value in lanes)
    # Each one's own dtype: a single float32 among float64 lanes would vanish in the concatenation.
    dtypes = sorted({array.dtype.name for array in arrays})
    return Evaluation(values, "+".join(dtypes), tuple(map(is_float32, values)))
