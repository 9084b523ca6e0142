"""The stand-in: a drifting simulator is noticed, and constants go where they belong."""

import dataclasses
import json
import shutil
from pathlib import Path

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.pipelines.conventions import mesh_name_from, rings_from
from matrix.prepare.constants import read_constant
from matrix.prepare.embedded.datasets import SimulatorDrift, check_statistics, expected_statistics
from matrix.prepare.embedded.generations import (
    CONSTANTS,
    GENERATIONS,
    generation_of,
    scripted,
    with_constant,
    write_generation,
)
from matrix.prepare.environments import Recipe
from matrix.prepare.sides import made_of

STAND_IN = REPOSITORY_ROOT / "matrix" / "prepare" / "embedded" / "autolens_workspace_developer"
SCRIPTED = [pipeline.name for pipeline in scripted(STAND_IN)]
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


def test_whatever_has_a_script_has_constants_and_the_other_way_round() -> None:
    names = {pipeline.name for pipeline in scripted(STAND_IN)}
    assert names == {
        f"{script.parent.name}-{script.stem}" for script in STAND_IN.glob("jax_profiling/jit/*/*.py")
    }
    for generation in GENERATIONS:
        assert generation.constants.keys() == names


@pytest.mark.parametrize("name", SCRIPTED)
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


@pytest.fixture(params=["2026.7.9.1", "2026.10.26.1"])
def stand_in(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A release, and the stand-in of its time without data."""
    workspace = tmp_path / "workspace"
    shutil.copytree(STAND_IN, workspace)
    write_generation(workspace, generation_of(request.param))
    return request.param, workspace


@pytest.mark.parametrize("name", SCRIPTED)
@pytest.mark.parametrize("scale", ["production", "smoke"])
def test_stand_in_holds_the_constants_of_its_generation(
    stand_in: tuple[str, Path], name: str, scale: str
) -> None:
    release, workspace = stand_in
    recorded = json.loads(CONSTANTS.read_text())[generation_of(release).since][name][scale]
    assert read_constant(workspace, name, scale, stand_in=True).value == recorded


def test_stand_in_says_bins_and_mesh_of_its_time(stand_in: tuple[str, Path]) -> None:
    release, workspace = stand_in
    expected = {"2026.7.9.1": ((4, 2, 1), "RectangularAdaptDensity")}.get(
        release, ((4, 2, 2), "RectangularBilinearAdaptDensity")
    )
    script = workspace / PIPELINES["imaging-pixelization"].script
    every = ("RectangularAdaptDensity", "RectangularBilinearAdaptDensity")
    found = mesh_name_from("RectangularAdaptDensity", script, release, every)
    assert (rings_from(script, release).sizes, found) == expected


def test_stand_in_is_made_anew_where_other_words_are_written_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever wrote them: a kept stand-in would hide a constant that our code writes wrong."""
    recipe, generation = Recipe("2026.10.26.1"), generation_of("2026.10.26.1")
    kept = made_of(recipe, generation)
    assert made_of(recipe, generation) == kept
    assert made_of(recipe, generation_of("2026.7.9.1")) != kept
    monkeypatch.setattr("matrix.prepare.embedded.generations.with_constant", lambda text, *_: text)
    assert made_of(recipe, generation) != kept


def test_every_generation_has_words_that_the_template_says() -> None:
    text = "".join((STAND_IN / pipeline.script).read_text() for pipeline in scripted(STAND_IN))
    for generation in GENERATIONS:
        for old in generation.words:
            assert old in text
