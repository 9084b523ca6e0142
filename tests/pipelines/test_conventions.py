"""Bins and meshes follow the workspace's script, else the release; what fits neither is refused."""

from dataclasses import replace
from pathlib import Path

import pytest

from matrix.catalogue.pipelines import INSTRUMENTS
from matrix.ground.errors import UsageError
from matrix.pipelines.conventions import RANK_CDF, Rings, instrument_from, mesh_name_from, rings_from

BILINEAR = "RectangularBilinearAdaptDensity"
RTU = "RectangularRTUAdaptDensity"
MAY, OCTOBER = "2026.5.8.2", "2026.10.26.1"
IN_MAY = (RANK_CDF, "RectangularUniform", "Delaunay")
IN_OCTOBER = (BILINEAR, RTU, "RectangularUniform", "Delaunay")


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "script.py"
    path.write_text(text)
    return path


def call(sizes: str) -> str:
    return f"sizes = al.util.rings(grid=grid, sub_size_list={sizes}, radial_list=[0.3, 0.6])\n"


def test_script_says_the_rings_whatever_the_release(tmp_path: Path) -> None:
    path = script(tmp_path, "# about it\n" + call("[8, 4, 1]"))
    assert rings_from(path, MAY) == rings_from(path, OCTOBER) == Rings((8, 4, 1), (0.3, 0.6))


@pytest.mark.parametrize("text", ["", "x = 1\n", call("sizes_of(instrument)")])
def test_script_without_literal_rings_leaves_them_to_the_release(tmp_path: Path, text: str) -> None:
    path = script(tmp_path, text)
    assert rings_from(path, MAY).sizes == (4, 2, 1)
    assert rings_from(path, "2026.8.29.1").sizes == (4, 2, 1)
    assert rings_from(path, OCTOBER).sizes == (4, 2, 2)


def test_missing_script_leaves_them_to_the_release(tmp_path: Path) -> None:
    assert rings_from(tmp_path / "nothing.py", OCTOBER).sizes == (4, 2, 2)


def test_two_kinds_of_rings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"over-samples the light in 2 ways"):
        rings_from(script(tmp_path, call("[4, 2, 1]") + call("[4, 2, 2]")), MAY)


def test_same_rings_twice_are_one(tmp_path: Path) -> None:
    assert rings_from(script(tmp_path, 2 * call("[4, 2, 2]")), MAY).sizes == (4, 2, 2)


def test_script_that_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"line 1: not valid Python"):
        rings_from(script(tmp_path, "<<<<<<< HEAD\n"), MAY)


@pytest.mark.parametrize(
    ("text", "release", "available", "expected"),
    [
        (f"al.mesh.{RANK_CDF}(shape=s)", MAY, IN_MAY, RANK_CDF),
        (f"al.mesh.{BILINEAR}(shape=s)", OCTOBER, IN_OCTOBER, BILINEAR),
        # A workspace of May beside a release of October, and the other way round: what the release has.
        (f"al.mesh.{RANK_CDF}(shape=s)", OCTOBER, IN_OCTOBER, BILINEAR),
        (f"al.mesh.{BILINEAR}(shape=s)", MAY, IN_MAY, RANK_CDF),
        ("", "2026.7.23.1", IN_MAY, RANK_CDF),
        ("", "2026.8.22.1", IN_OCTOBER, BILINEAR),
    ],
)
def test_rank_cdf_mesh_has_the_name_of_its_time(
    tmp_path: Path, text: str, release: str, available: tuple[str, ...], expected: str
) -> None:
    assert mesh_name_from(RANK_CDF, script(tmp_path, text), release, available) == expected


@pytest.mark.parametrize("release", ["2026.7.27.1", "2026.8.10.1", "2026.8.20.1"])
def test_name_that_means_another_mesh_is_refused(tmp_path: Path, release: str) -> None:
    path = script(tmp_path, f"al.mesh.{RANK_CDF}(shape=s)")
    with pytest.raises(UsageError, match="names another mesh"):
        mesh_name_from(RANK_CDF, path, release, IN_MAY)


def test_other_meshes_keep_their_names_and_missing_ones_are_refused(tmp_path: Path) -> None:
    path = script(tmp_path, f"al.mesh.{BILINEAR}(shape=s)")
    assert mesh_name_from("RectangularUniform", path, "2026.8.10.1", IN_OCTOBER) == "RectangularUniform"
    with pytest.raises(UsageError, match=rf"autolens {MAY} has no mesh '{RTU}'"):
        mesh_name_from(RTU, path, MAY, IN_MAY)


TABLE = """
INSTRUMENTS = {
    "sma": {"pixel_scale": 0.1},
    "hannah": {"pixel_scale": 0.2, "real_space_shape": (50, 50), "colour": "red"},
}
"""


def test_instrument_is_as_the_script_has_it_and_else_as_the_catalogue(tmp_path: Path) -> None:
    found = instrument_from(script(tmp_path, TABLE), "hannah")
    assert found == replace(INSTRUMENTS["hannah"], pixel_scale=0.2, real_space_shape=(50, 50))
    assert found.mask_radius == INSTRUMENTS["hannah"].mask_radius
    assert instrument_from(script(tmp_path, TABLE), "alma") == INSTRUMENTS["alma"]
    assert instrument_from(tmp_path / "missing.py", "alma") == INSTRUMENTS["alma"]
    assert instrument_from(script(tmp_path, "INSTRUMENTS = dict(a=1)"), "alma") == INSTRUMENTS["alma"]
