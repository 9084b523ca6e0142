"""Compiled programs: what is noted of their results and their time."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from matrix.ground.errors import MatrixError  # noqa: E402
from matrix.ground.layout import REPOSITORY_ROOT  # noqa: E402
from matrix.ground.process import run  # noqa: E402
from matrix.ground.shell import inherited  # noqa: E402
from matrix.pipelines import programs  # noqa: E402
from matrix.pipelines.programs import Program, compiled, evaluation_of, timed  # noqa: E402


def test_float32_value_in_float64_is_told() -> None:
    evaluation = evaluation_of(np.array([27379.38890685539, 24745.8828125, np.nan]))
    assert evaluation.dtype == "float64"
    assert evaluation.float32_exact == (False, True, False)


def test_one_float32_lane_shows_in_the_dtype() -> None:
    assert evaluation_of(np.float64(0.1), np.float32(0.1)).dtype == "float32+float64"


def test_program_is_repeated_and_measured() -> None:
    argument = jax.numpy.arange(4.0)
    program = compiled(lambda x: (x * x).sum(), argument)
    result, timing = timed(program, argument, repeats=4, seconds=0.0)
    assert float(result) == 14.0
    assert len(timing.steady_s) == 4
    assert timing.compile_s > 0.0
    assert timing.lanes == 1
    memory = program.memory()
    assert memory is None or memory.argument_bytes == argument.nbytes


def test_how_many_lanes_the_timed_program_gave_is_noted() -> None:
    argument = jax.numpy.ones((3, 4))
    _, timing = timed(compiled(jax.vmap(jax.numpy.sum), argument), argument, repeats=1, seconds=0.0)
    assert timing.lanes == 3


def test_fast_program_fills_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_MOST_REPEATS", 7)
    argument = jax.numpy.arange(4.0)
    _, timing = timed(compiled(jax.numpy.sum, argument), argument, repeats=2)
    assert len(timing.steady_s) == 7


SLOW_TO_COMPILE = """
import jax, matrix.pipelines.programs as programs
program = programs.compiled(lambda x: jax.numpy.linalg.cholesky(x @ x.T).sum(), jax.numpy.eye(50))
print(program.found, float(program(jax.numpy.eye(50))))
"""


def test_program_that_another_process_compiled_is_told(tmp_path: Path) -> None:
    """Its seconds are not those of compiling, and its result is the same."""
    variables = {
        **inherited(),
        "JAX_PLATFORM_NAME": "cpu",
        "JAX_ENABLE_COMPILATION_CACHE": "True",
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, "-c", SLOW_TO_COMPILE]
    said = [run(command, cwd=REPOSITORY_ROOT, env=variables).stdout.split() for _ in range(2)]
    assert said == [["False", "50.0"], ["True", "50.0"]]
    anew = [sys.executable, "-c", SLOW_TO_COMPILE.replace("compiled(", "compiled_anew(")]
    assert (
        "JAX found the program in its cache"
        in run(anew, cwd=REPOSITORY_ROOT, env=variables, check=False).stderr
    )
    off = {**variables, "JAX_ENABLE_COMPILATION_CACHE": "False"}
    assert run(command, cwd=REPOSITORY_ROOT, env=off).stdout.split() == ["False", "50.0"]


def test_clock_that_does_not_wait_is_refused() -> None:
    class Hasty(Program):
        def __call__(self, parameters: Any) -> Any:
            return self.executable(parameters)

    argument = jax.numpy.eye(300)
    product = compiled(lambda a: jax.lax.fori_loop(0, 50, lambda _, x: x @ a, a), argument)
    hasty = Hasty(product.executable, product.lower_s, product.compile_s)
    with pytest.raises(MatrixError, match="the clock stopped"):
        timed(hasty, argument, repeats=3)
