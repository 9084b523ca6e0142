"""Compiled programs: what is noted of their results and their time."""

from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from matrix.ground.errors import MatrixError  # noqa: E402
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


def test_clock_that_does_not_wait_is_refused() -> None:
    class Hasty(Program):
        def __call__(self, parameters: Any) -> Any:
            return self.executable(parameters)

    argument = jax.numpy.eye(300)
    product = compiled(lambda a: jax.lax.fori_loop(0, 50, lambda _, x: x @ a, a), argument)
    hasty = Hasty(product.executable, product.lower_s, product.compile_s)
    with pytest.raises(MatrixError, match="the clock stopped"):
        timed(hasty, argument, repeats=3)
