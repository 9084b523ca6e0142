"""The six pipelines: complete, and at home in the workspace."""

import pytest

from matrix.catalogue.pipelines import PIPELINES, pipeline_named
from matrix.ground.errors import UsageError


def test_there_are_six() -> None:
    assert set(PIPELINES) == {
        f"{data}-{source}"
        for data in ("imaging", "interferometer")
        for source in ("mge", "pixelization", "delaunay")
    }
    assert all(set(pipeline.settings) == {"production", "smoke"} for pipeline in PIPELINES.values())


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="imaging-mge"):
        pipeline_named("imaging-sersic")
