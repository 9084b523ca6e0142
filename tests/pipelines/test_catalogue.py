"""The six pipelines: complete, and at home in the workspace."""

import pytest

from matrix.artifacts import read_constant
from matrix.embedded.record_constants import STAND_IN
from matrix.errors import UsageError
from matrix.pipelines import PIPELINES, pipeline_named


def test_there_are_six() -> None:
    assert set(PIPELINES) == {
        f"{data}-{source}"
        for data in ("imaging", "interferometer")
        for source in ("mge", "pixelization", "delaunay")
    }
    assert all(set(pipeline.settings) == {"production", "smoke"} for pipeline in PIPELINES.values())


@pytest.mark.parametrize("name", PIPELINES)
@pytest.mark.parametrize("scale", ["production", "smoke"])
def test_stand_in_holds_the_constant(name: str, scale: str) -> None:
    constant = read_constant(STAND_IN, name, scale)
    assert constant.value is not None
    assert ("LIKELIHOOD" in constant.name) == (PIPELINES[name].quantity == "log_likelihood")


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="imaging-mge"):
        pipeline_named("imaging-sersic")
