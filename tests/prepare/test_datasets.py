"""A person's data take an instrument's place, or are refused before anything is built."""

from pathlib import Path

import pytest

from matrix.catalogue.pipelines import INSTRUMENTS, pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.layout import Layout, open_layout
from matrix.prepare.checkout import Checkout
from matrix.prepare.datasets import Data, check_given, check_there, laid_out
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


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        (
            "interferometer-mge@hannah",
            SourceKind.EMBEDDED,
            "repository has them: --source git",
        ),
        ("interferometer-mge@hannah", SourceKind.GIT, "No source has them"),
        ("imaging-mge@euclid", SourceKind.EMBEDDED, "dataset_setup/imaging.py --instrument euclid"),
        ("imaging-mge@euclid", SourceKind.MIRROR, "dataset_setup/imaging.py --instrument euclid"),
    ],
)
def test_where_a_source_lacks_an_instrument_it_says_who_has_it(
    tmp_path: Path, name: str, source: SourceKind, says: str
) -> None:
    theirs = workspace(tmp_path, "hst")
    instrument = pipeline_named(name).instrument
    with pytest.raises(UsageError, match=says) as refused:
        check_there(theirs, source, (name,), {})
    assert f"--dataset {instrument}=FOLDER" in str(refused.value)
    check_there(theirs, source, (name,), {instrument: tmp_path})
    dataset(theirs / pipeline_named(name).dataset, instrument)
    check_there(theirs, source, (name, MGE), {})


def laid(layout: Layout, theirs: Path, given: dict[str, Path], *names: str) -> Data:
    checkout = Checkout("w", Role.DEVELOPER, "baseline", theirs, "0" * 40, "0" * 40, "main", dirty=False)
    return laid_out(layout, checkout, names, given)


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
    assert laid(open_layout(tmp_path), workspace(tmp_path / "w", "hst"), {}, MGE) == Data({}, None)
