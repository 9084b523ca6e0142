"""Data that do not fit a pipeline are told before it reads them, each by its file."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from matrix.catalogue.pipelines import pipeline_named
from matrix.pipelines import dataset
from matrix.pipelines.dataset import faults_of, main

Faults = Callable[..., list[str]]

IMAGE, VISIBILITIES = (141, 141), (190, 2)


def fitting(name: str) -> dict[str, np.ndarray]:
    """Data of the right shapes."""
    if name.startswith("imaging"):
        return {"data": np.ones(IMAGE), "noise_map": np.ones(IMAGE), "psf": np.ones((21, 21))}
    return {word: np.ones(VISIBILITIES) for word in ("data", "noise_map", "uv_wavelengths")}


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    """What is found in data of which some are others than those that fit."""

    def found(name: str, **spoilt: np.ndarray) -> list[str]:
        arrays = {**fitting(name), **spoilt}
        monkeypatch.setattr(dataset, "_array", lambda path: arrays[path.stem])
        return faults_of(pipeline_named(name), "production", Path("workspace"))

    return found


def spoilt(shape: tuple[int, ...], value: float, at: tuple[int, int]) -> np.ndarray:
    values = np.ones(shape)
    values[at] = value
    return values


@pytest.mark.parametrize("name", ["imaging-mge", "interferometer-delaunay", "interferometer-mge@hannah"])
def test_what_fits_is_taken(faults: Faults, name: str) -> None:
    assert faults(name) == []


@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("imaging-mge", {"noise_map": np.ones((141, 140))}, "one shape, and are (141, 141), (141, 140)"),
        ("imaging-mge", {"data": np.ones(141)}, "hst: data.fits and noise_map.fits must be images"),
        ("imaging-mge", {"psf": np.ones((20, 21))}, "psf.fits must have odd sides"),
        ("imaging-mge", {"psf": np.ones((143, 143))}, "no longer than the image's"),
        (
            "imaging-mge",
            {"data": np.ones((101, 101)), "noise_map": np.ones((101, 101))},
            "radius of 3.5 arcsec, and data.fits, (101, 101) pixels of 0.05 arcsec, reaches 2.525",
        ),
        ("imaging-mge", {"data": spoilt(IMAGE, np.nan, (70, 70))}, "data.fits holds 1 values that are no"),
        (
            "imaging-mge",
            {"noise_map": spoilt(IMAGE, 0.0, (70, 70))},
            "noise_map.fits holds values",
        ),
        ("interferometer-mge", {"uv_wavelengths": np.ones((189, 2))}, "uv_wavelengths.fits (189, 2)"),
        ("interferometer-mge", {"data": np.ones((190, 3))}, "rows of two numbers"),
        (
            "interferometer-mge@alma",
            {"noise_map": np.zeros(VISIBILITIES)},
            "alma: noise_map.fits holds",
        ),
    ],
)
def test_what_does_not_fit_is_named(
    faults: Faults, name: str, changes: dict[str, np.ndarray], says: str
) -> None:
    (found,) = faults(name, **changes)
    assert says in found


def test_what_lies_beyond_the_mask_does_not_matter(faults: Faults) -> None:
    assert (
        faults("imaging-mge", noise_map=spoilt(IMAGE, 0.0, (0, 0)), data=spoilt(IMAGE, np.nan, (0, 0))) == []
    )


def test_a_file_that_cannot_be_read_is_named_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(_: Path) -> np.ndarray:
        raise OSError("no SIMPLE card")

    monkeypatch.setattr(dataset, "_array", read)
    assert main(["imaging-mge", "imaging-delaunay", "--scale", "smoke", "--workspace", "w"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found == "hst: data.fits holds no array that can be read (no SIMPLE card)"
