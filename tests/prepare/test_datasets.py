"""A person's data take an instrument's place, or are refused before anything is built."""

import sys
from pathlib import Path

import pytest

from matrix.catalogue.pipelines import INSTRUMENTS, pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.hashing import tree_hash
from matrix.ground.layout import Layout, open_layout
from matrix.prepare.checkout import Checkout
from matrix.prepare.datasets import (
    LikelihoodData,
    check_given,
    check_there,
    lay_out_data,
    pipelines_without_data,
    simulated,
)
from matrix.prepare.manifest import Role, SourceKind

MGE = "imaging-mge"


def dataset(folder: Path, name: str, text: str = "own") -> Path:
    """The files that the pipelines of one instrument read, each with a text of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in pipeline_named(f"{INSTRUMENTS[name].data}-mge@{name}").data_files:
        (folder / file).write_text(f"{text} {file}")
    return folder


def workspace(folder: Path, *instruments: str) -> Path:
    """A developer workspace with these instruments' data and one script."""
    for name in instruments:
        pipeline = pipeline_named(f"{INSTRUMENTS[name].data}-mge@{name}")
        dataset(folder / pipeline.dataset, name, "theirs")
    script = folder / pipeline_named(MGE).script
    script.parent.mkdir(parents=True)
    script.write_text("x = 1\n")
    return folder


@pytest.mark.parametrize(
    ("name", "selected", "says"),
    [
        ("hubble", (MGE,), r"no instrument 'hubble'.*Known: hst, euclid"),
        ("euclidd", (MGE,), "Did you mean 'euclid'"),
        ("jwst", (MGE,), "no pipeline that is run is on jwst. Name one, as --only imaging-mge@jwst"),
        ("hst", (), "no pipeline that is run is on hst"),
        ("sma", (MGE, "interferometer-mge@alma"), "no pipeline that is run is on sma"),
    ],
)
def test_data_that_nobody_asked_for_are_refused(
    tmp_path: Path, name: str, selected: tuple[str, ...], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        check_given({name: tmp_path}, selected)


@pytest.mark.parametrize(("name", "third"), [("hst", "psf.fits"), ("sma", "uv_wavelengths.fits")])
def test_a_missing_file_is_named_with_what_is_needed(tmp_path: Path, name: str, third: str) -> None:
    selected = (MGE, "interferometer-mge")
    folder = dataset(tmp_path, name)
    check_given({name: folder}, selected)
    (folder / third).unlink()
    with pytest.raises(UsageError, match=rf"{third} is not there.*must hold data.fits, .*, {third}"):
        check_given({name: folder}, selected)


SETUP = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--instrument", choices=["euclid", "jwst"])
name = parser.parse_args().instrument
folder = pathlib.Path("jax_profiling", "dataset", "imaging", name)
folder.mkdir(parents=True)
for file in ("data.fits", "noise_map.fits", "psf.fits"):
    (folder / file).write_text(f"{name} {file}")
"""


def with_simulator(theirs: Path, text: str = SETUP) -> Path:
    script = theirs / pipeline_named(MGE).simulator
    script.parent.mkdir(parents=True)
    script.write_text(text)
    return theirs


@pytest.mark.parametrize("source", [SourceKind.EMBEDDED, SourceKind.MIRROR])
def test_data_that_only_the_repository_has_are_not_made_up(tmp_path: Path, source: SourceKind) -> None:
    name, theirs = "interferometer-mge@hannah", with_simulator(workspace(tmp_path, "hst"))
    with pytest.raises(
        UsageError, match=f"the {source} source has no data of hannah.*--source git.*--dataset"
    ):
        check_there(theirs, source, (name,), {})
    check_there(theirs, source, (name,), {"hannah": tmp_path})
    dataset(theirs / pipeline_named(name).dataset, "hannah")
    check_there(theirs, source, (name, MGE), {})


def test_without_a_simulator_the_other_instruments_are_refused(tmp_path: Path) -> None:
    theirs, name = workspace(tmp_path, "hst"), "imaging-mge@euclid"
    with pytest.raises(UsageError, match=r"the git source has no data of euclid.*--dataset euclid=FOLDER"):
        check_there(theirs, SourceKind.GIT, (name,), {})
    check_there(with_simulator(theirs), SourceKind.GIT, (name,), {})


def test_an_instrument_is_lacking_once_and_never_a_pipelines_own(tmp_path: Path) -> None:
    names = (MGE, "imaging-mge@jwst", "imaging-delaunay@jwst", "imaging-mge@euclid", "interferometer-mge")
    found = pipelines_without_data(workspace(tmp_path), names, {"euclid": tmp_path})
    assert [pipeline.instrument for pipeline in found] == ["jwst"]


def checkout(theirs: Path) -> Checkout:
    return Checkout("w", Role.DEVELOPER, "baseline", theirs, "0" * 40, "0" * 40, "main")


def test_the_workspaces_own_script_simulates_what_it_lacks_once(tmp_path: Path) -> None:
    theirs, layout = with_simulator(workspace(tmp_path / "w", "hst")), open_layout(tmp_path / "ours")
    before = tree_hash(theirs)
    euclid = pipeline_named("imaging-mge@euclid")
    first = simulated(layout, checkout(theirs), euclid, Path(sys.executable))
    assert (first / "psf.fits").read_text() == "euclid psf.fits"
    (first / "psf.fits").write_text("kept")
    again = simulated(layout, checkout(theirs), euclid, Path(sys.executable))
    assert (again / "psf.fits").read_text() == "kept"
    assert tree_hash(theirs) == before
    (theirs / euclid.simulator).write_text(SETUP + "# changed")
    assert simulated(layout, checkout(theirs), euclid, Path(sys.executable)) != first


def test_a_script_that_makes_nothing_is_quoted_and_leaves_nothing(tmp_path: Path) -> None:
    theirs, layout = with_simulator(workspace(tmp_path / "w", "hst")), open_layout(tmp_path / "ours")
    ao = pipeline_named("imaging-mge@ao")
    with pytest.raises(UsageError, match=r"made no data of ao.*invalid choice: 'ao'.*--dataset ao=FOLDER"):
        simulated(layout, checkout(theirs), ao, Path(sys.executable))
    assert not [path for path in (layout.cache / "simulated").iterdir() if path.suffix != ".new"]


def test_simulated_data_are_no_persons(tmp_path: Path) -> None:
    theirs, layout = workspace(tmp_path / "theirs", "hst"), open_layout(tmp_path / "ours")
    made, own = (dataset(tmp_path / name, name) for name in ("jwst", "euclid"))
    names = (MGE, "imaging-mge@jwst", "imaging-mge@euclid")
    data = lay_out_data(layout, checkout(theirs), names, {"euclid": own}, {"jwst": made})
    assert {name: one.simulated for name, one in data.own.items()} == {"euclid": False, "jwst": True}
    assert data.own["jwst"].given == "dataset_setup/imaging.py"


def laid(layout: Layout, theirs: Path, given: dict[str, Path], *names: str) -> LikelihoodData:
    return lay_out_data(layout, checkout(theirs), names, given)


def test_own_data_take_their_place_and_the_rest_stays(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "ours")
    theirs = workspace(tmp_path / "theirs", "hst", "sma")
    own = dataset(tmp_path / "own", "hst")
    data = laid(layout, theirs, {"hst": own}, MGE, "interferometer-mge")
    assert data.workspace is not None
    hst, sma = (data.workspace / pipeline_named(name).dataset for name in (MGE, "interferometer-mge"))
    assert (hst / "psf.fits").read_text() == "own psf.fits"
    assert (sma / "data.fits").read_text() == "theirs data.fits"
    assert (data.workspace / pipeline_named(MGE).script).read_text() == "x = 1\n"
    assert set(data.own) == {"hst"}
    assert set(data.own["hst"].files) == {
        f"jax_profiling/dataset/imaging/hst/{name}" for name in ("data.fits", "noise_map.fits", "psf.fits")
    }
    assert (theirs / pipeline_named(MGE).dataset / "psf.fits").read_text() == "theirs psf.fits"


def test_an_edit_of_own_data_is_another_folder_and_another_checksum(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "ours")
    theirs = workspace(tmp_path / "theirs", "hst")
    own = dataset(tmp_path / "own", "hst")
    first, again = (laid(layout, theirs, {"hst": own}, MGE) for _ in range(2))
    assert first == again
    (own / "psf.fits").write_text("edited")
    other = laid(layout, theirs, {"hst": own}, MGE)
    assert other.workspace != first.workspace
    assert other.own["hst"].checksum != first.own["hst"].checksum


def test_what_was_edited_in_our_copy_is_put_right(tmp_path: Path) -> None:
    layout = open_layout(tmp_path / "ours")
    theirs, own = workspace(tmp_path / "theirs", "hst"), dataset(tmp_path / "own", "hst")
    made = laid(layout, theirs, {"hst": own}, MGE).workspace
    assert made is not None
    (made / pipeline_named(MGE).dataset / "psf.fits").write_text("edited")
    assert laid(layout, theirs, {"hst": own}, MGE).workspace == made
    assert (made / pipeline_named(MGE).dataset / "psf.fits").read_text() == "own psf.fits"


def test_files_that_are_links_are_read_where_they_lead(tmp_path: Path) -> None:
    theirs, kept = workspace(tmp_path / "theirs", "hst"), dataset(tmp_path / "kept", "hst")
    own = tmp_path / "own"
    own.mkdir()
    for path in kept.iterdir():
        (own / path.name).symlink_to(path)
    layout = open_layout(tmp_path / "ours")
    linked, plain = (laid(layout, theirs, {"hst": folder}, MGE) for folder in (own, kept))
    assert linked.workspace == plain.workspace
    assert linked.own["hst"].checksum == plain.own["hst"].checksum


def test_without_own_data_nothing_is_copied(tmp_path: Path) -> None:
    assert laid(open_layout(tmp_path), workspace(tmp_path / "w", "hst"), {}, MGE) == LikelihoodData({}, None)
