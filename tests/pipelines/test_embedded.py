"""The stand-in: a drifting simulator is noticed, and constants go where they belong."""

import dataclasses

import pytest

from matrix.embedded.datasets import SimulatorDrift, check_statistics, expected_statistics
from matrix.embedded.record_constants import STAND_IN, with_constant
from matrix.errors import UsageError
from matrix.pipelines import PIPELINES

DATA = "jax_profiling/dataset/imaging/hst/data.fits"


def test_statistics_cover_every_data_file() -> None:
    files = {str(pipeline.dataset / name) for pipeline in PIPELINES.values() for name in pipeline.data_files}
    assert set(expected_statistics()) == files


def test_rounding_of_another_machine_passes() -> None:
    expected = expected_statistics()
    rounded = dataclasses.replace(expected[DATA], sha256="other", mean=expected[DATA].mean * (1 + 1e-12))
    check_statistics({**expected, DATA: rounded}, expected)


def test_one_redrawn_noise_value_is_noticed() -> None:
    expected = expected_statistics()
    count = 1.0 / 300.0
    moved = dataclasses.replace(expected[DATA], sha256="other", mean=expected[DATA].mean + count / 141**2)
    with pytest.raises(SimulatorDrift, match=DATA):
        check_statistics({**expected, DATA: moved}, expected)


def test_other_shape_is_noticed() -> None:
    expected = expected_statistics()
    small = dataclasses.replace(expected[DATA], sha256="other", shape=(15, 15))
    with pytest.raises(SimulatorDrift, match="shape"):
        check_statistics({**expected, DATA: small}, expected)


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("scale", ["production", "smoke"])
def test_constant_replaces_only_itself(name: str, scale: str) -> None:
    pipeline = PIPELINES[name]
    before = (STAND_IN / pipeline.script).read_text()
    after = with_constant(before, pipeline, scale, -1.25e-7)  # type: ignore[arg-type]
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert len(changed) == 1
    old, new = changed[0]
    assert "-1.25e-07" in new
    assert old.partition("#")[2] == new.partition("#")[2]


def test_script_without_the_constant_is_refused() -> None:
    with pytest.raises(UsageError, match="holds no constant"):
        with_constant("x = 1\n", PIPELINES["imaging-mge"], "production", 1.0)
