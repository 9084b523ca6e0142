"""The pipelines: complete, and at home in the workspace."""

from typing import get_args

import pytest

from matrix.catalogue.pipelines import COSTS, PIPELINES, Data, Source, pipeline_named
from matrix.ground.errors import UsageError


def test_every_likelihood_of_the_workspace_is_there_and_at_both_scales() -> None:
    assert set(PIPELINES) >= {
        f"{data}-{source}"
        for data in ("imaging", "interferometer")
        for source in ("mge", "pixelization", "delaunay")
    }
    for name, pipeline in PIPELINES.items():
        assert name == pipeline.name == f"{pipeline.data}-{pipeline.source}"
        assert {type(settings.source) for settings in pipeline.settings.values()} == {pipeline.source_type}
        assert set(pipeline.settings) == {"production", "smoke"}


def test_the_longest_come_first() -> None:
    seconds = [pipeline.cost.seconds for pipeline in PIPELINES.values()]
    assert seconds == sorted(seconds, reverse=True)


@pytest.mark.parametrize("data", get_args(Data))
@pytest.mark.parametrize("source", get_args(Source))
def test_whatever_may_be_put_together_has_a_cost(data: Data, source: type[Source]) -> None:
    assert COSTS[data, source].peak_bytes > 0


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="imaging-mge"):
        pipeline_named("imaging-sersic")
