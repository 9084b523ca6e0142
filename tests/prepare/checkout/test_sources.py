"""Which source is taken, and what a mirror may look like."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.ground.errors import NetworkError, UsageError
from matrix.prepare.checkout import prepare, resolve_source
from matrix.prepare.manifest import Manifest, SourceKind
from tests.prepare.checkout.helpers import NAMES, Upstream, fingerprint, make_repository, run_git


def test_auto_takes_git_where_the_library_answers(
    upstream: Upstream, git_configuration: Path, make_manifest: Callable[..., Manifest]
) -> None:
    with git_configuration.open("a") as stream:
        stream.write(f'[url "file://{upstream.folder}/"]\n\tinsteadOf = https://forge.invalid/\n')
    source = resolve_source(make_manifest(source="auto"))
    assert source.kind is SourceKind.GIT
    assert source.locations["PyAutoArray"] == "https://forge.invalid/PyAutoLabs/PyAutoArray"


def test_auto_takes_embedded_where_nothing_answers_and_says_why(
    make_manifest: Callable[..., Manifest],
) -> None:
    source = resolve_source(make_manifest(source="auto"))
    assert source.kind is SourceKind.EMBEDDED
    assert "because https://forge.invalid/PyAutoLabs/PyAutoArray did not answer" in source.meaning
    assert "stand-ins" in source.meaning
    assert "\n" not in source.meaning


def test_git_never_falls_back(make_manifest: Callable[..., Manifest]) -> None:
    with pytest.raises(NetworkError, match=r"did not answer: .*--source git uses nothing else") as caught:
        resolve_source(make_manifest(source="git"))
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize(
    "naming",
    [
        "PyAutoLabs+{}/repo",
        "Jammy2211+{}/repo",
        "PyAutoLabs/{}",
        "Jammy2211/{}",
        "{}",
        "{}.git",
    ],
)
def test_a_mirror_may_name_its_clones_in_four_ways(
    tmp_path: Path, make_manifest: Callable[..., Manifest], naming: str, bare: bool
) -> None:
    original = make_repository(tmp_path / "original")
    mirror = tmp_path / "mirror"
    for name in NAMES:
        kind = ["--bare"] if bare else []
        clone = mirror / naming.format(name)
        run_git(tmp_path, "clone", "--quiet", *kind, str(original), str(clone))
    manifest = make_manifest(source="mirror", mirror=str(mirror))
    checkouts = prepare(manifest, resolve_source(manifest), tmp_path / "root")
    assert list(checkouts) == list(NAMES)
    assert (checkouts["PyAutoArray"].path / "package" / "code.py").read_text() == "x = 2\n"


def test_a_bare_clone_needs_no_configuration(tmp_path: Path, make_manifest: Callable[..., Manifest]) -> None:
    original, mirror = make_repository(tmp_path / "original"), tmp_path / "mirror"
    for name in NAMES:
        run_git(tmp_path, "clone", "--quiet", "--bare", str(original), str(mirror / name))
        (mirror / name / "config").unlink()
    manifest = make_manifest(source="mirror", mirror=str(mirror))
    source = resolve_source(manifest)
    assert source.dirty == frozenset()
    assert (prepare(manifest, source, tmp_path / "root")["PyAutoArray"].path / "package").is_dir()


def test_a_missing_clone_says_what_was_looked_for_and_what_is_there(upstream: Upstream) -> None:
    (upstream.folder / "something_else").mkdir()
    upstream.clone("PyAutoArray").rename(upstream.folder / "renamed")
    with pytest.raises(UsageError) as caught:
        resolve_source(upstream.manifest)
    message = str(caught.value)
    for looked_for in (
        "PyAutoLabs+PyAutoArray/repo",
        "PyAutoLabs/PyAutoArray",
        "PyAutoArray.git",
        "Jammy2211/",
    ):
        assert looked_for in message
    assert "PyAutoLabs, renamed, something_else" in message


def test_a_plain_folder_inside_a_repository_is_no_clone(
    tmp_path: Path, make_manifest: Callable[..., Manifest]
) -> None:
    outer = make_repository(tmp_path / "outer")
    (outer / "PyAutoArray").mkdir()
    with pytest.raises(UsageError, match="no clone of PyAutoArray"):
        resolve_source(make_manifest(source="mirror", mirror=str(outer)))


@pytest.mark.parametrize("mirror", [None, "/nowhere/at/all"])
def test_a_mirror_needs_a_folder(make_manifest: Callable[..., Manifest], mirror: str | None) -> None:
    with pytest.raises(UsageError, match="--mirror"):
        resolve_source(make_manifest(source="mirror", mirror=mirror))


def test_a_dirty_clone_stays_as_it_was_and_its_changes_stay_out(upstream: Upstream, tmp_path: Path) -> None:
    clone = upstream.clone("PyAutoArray")
    (clone / "package" / "code.py").write_text("x = 'uncommitted'\n")
    (clone / "untracked.txt").write_text("mine\n")
    run_git(clone, "add", "package")
    # The same content with a new time: reading Git's way would refresh the index.
    os.utime(clone / "tool.sh", (1, 1))
    before = fingerprint(upstream.folder)
    source = resolve_source(upstream.manifest)
    checkouts = prepare(upstream.manifest, source, tmp_path / "root")
    assert fingerprint(upstream.folder) == before
    library = checkouts["PyAutoArray"]
    assert (library.path / "package" / "code.py").read_text() == "x = 2\n"
    assert not (library.path / "untracked.txt").exists()
    assert library.dirty
    assert not checkouts["autolens_workspace_test"].dirty
    assert "Uncommitted changes in PyAutoArray are not part of it" in source.meaning
