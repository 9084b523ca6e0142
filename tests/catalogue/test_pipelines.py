"""The pipelines: complete, and at home in the workspace."""

from typing import get_args

import pytest

from matrix.catalogue.arguments import pipeline_argument
from matrix.catalogue.pipelines import (
    COSTS,
    INSTRUMENTS,
    PIPELINES,
    Data,
    Pipeline,
    SourceModel,
    pipeline_named,
    planned_pipelines,
)
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
@pytest.mark.parametrize("source", get_args(SourceModel))
def test_whatever_may_be_put_together_has_a_cost(data: Data, source: type[SourceModel]) -> None:
    assert COSTS[data, source].peak_bytes > 0


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="imaging-mge"):
        pipeline_named("imaging-sersic")


def on_every_instrument() -> list[Pipeline]:
    return [
        pipeline_named(f"{name}@{instrument}")
        for name, pipeline in PIPELINES.items()
        for instrument, one in INSTRUMENTS.items()
        if one.data == pipeline.data
    ]


def test_no_two_instruments_share_a_pipelines_name_or_data() -> None:
    found = on_every_instrument()
    assert len({pipeline.name for pipeline in found}) == len(found) > len(PIPELINES)
    assert len({pipeline.dataset for pipeline in found}) == len(INSTRUMENTS)
    for pipeline in found:
        assert pipeline_named(pipeline.name) == pipeline
        assert pipeline.name.partition("@")[0] in PIPELINES


def test_own_instrument_is_the_pipeline_itself() -> None:
    assert pipeline_named("imaging-mge@hst") is PIPELINES["imaging-mge"]
    assert pipeline_argument("interferometer-mge@sma") == "interferometer-mge"
    assert planned_pipelines(("imaging-mge",)) == tuple(PIPELINES)


def test_instrument_has_its_scale_and_its_mask_and_smoke_is_small() -> None:
    hannah = pipeline_named("interferometer-delaunay@hannah")
    production = hannah.settings["production"]
    assert (hannah.pixel_scale, production.mask_radius, production.real_space_shape) == (0.125, 2.3, (40, 40))
    for pipeline in on_every_instrument():
        smoke, whole = (pipeline.settings[scale] for scale in ("smoke", "production"))
        assert smoke.mask_radius <= whole.mask_radius
        if smoke.real_space_shape and whole.real_space_shape:
            assert smoke.real_space_shape <= whole.real_space_shape
            assert min(smoke.real_space_shape) * pipeline.pixel_scale >= 2 * smoke.mask_radius


def test_finer_pixels_take_longer_and_what_takes_longest_comes_first() -> None:
    names = planned_pipelines(("imaging-mge@ao", "imaging-mge@euclid"))
    costs = [pipeline_named(name).cost for name in names]
    assert [cost.seconds for cost in costs] == sorted((cost.seconds for cost in costs), reverse=True)
    assert names[0] == "imaging-mge@ao"
    assert pipeline_named("imaging-mge@euclid").cost == PIPELINES["imaging-mge"].cost


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "imaging-mge@euclidd",
            "no imaging instrument 'euclidd'. Did you mean 'euclid'?",
        ),
        ("imaging-mge@alma", "no imaging instrument 'alma'"),
        ("imaging-mge@", "no imaging instrument ''"),
        ("imaging-mg@euclid", "no pipeline 'imaging-mg'. Did you mean 'imaging-mge'"),
    ],
)
def test_unknown_instrument_is_answered_by_those_that_are_near(name: str, says: str) -> None:
    with pytest.raises(UsageError) as refused:
        pipeline_named(name)
    assert says in str(refused.value)
