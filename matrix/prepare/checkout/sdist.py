"""The source archive of a release, from the package index a person's pip or uv would ask."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from httpx2 import HTTPError
from packaging.version import Version
from unearth import PackageFinder, TargetPython
from unearth.errors import UnpackError

from matrix.catalogue.releases import pythons_for
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.ground.file_locks import locked
from matrix.ground.redaction import redact

# The first that is set is the index; PyPI when none is.
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_MORE_INDEXES = ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
# Every release runs on it, whatever Python runs this.
_OF_ALL = TargetPython(py_ver=(3, 12))
_FOLDERS = ("UV_FIND_LINKS", "PIP_FIND_LINKS")


def fetch_sdist(
    distribution: str, version: str, cache: Path, *, python: str | None = None, hashes: Sequence[str] = ()
) -> Path:
    """Return the source archive of a release, downloaded once.

    Parameters
    ----------
    distribution
        Name on the package index, as autoarray.
    version
        As 2026.7.9.1.
    cache
        Folder that keeps archives; one in it is taken without a network.
    python
        Minor version that it is for, by default what a release of that version runs on. It need not be of
        the Python that runs this.
    hashes
        SHA-256 that it may have, where that is locked; else what the index states.

    Returns
    -------
    Path
        The `.tar.gz`.

    Raises
    ------
    NetworkError
        The index did not answer.
    UsageError
        It has no such archive.
    EnvironmentFailure
        What it has is not what is locked.
    """
    archive = cache / f"{distribution}-{version}.tar.gz"
    with locked(cache / f"{archive.name}.lock", archive.name):
        if not archive.is_file():
            _download(f"{distribution}=={version}", archive, python or pythons_for(version)[0])
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if hashes and found not in hashes:
            archive.unlink()
            raise EnvironmentFailure(
                f"{archive.name} is not the one that the lock names and was removed: its SHA-256 is {found}, "
                f"locked is {' or '.join(hashes)}. The index ({', '.join(_asked())}), or a cache on the way "
                "to it, serves another file: ask another index. `nox -s lock` locks what the index has now, "
                "which is then untested."
            )
    return archive


def released_versions(distribution: str) -> tuple[str, ...]:
    """The releases of which the index has a source archive for Python 3.12, the oldest first.

    Raises
    ------
    NetworkError
        The index did not answer.
    """
    indexes, folders = _places()
    try:
        finder = PackageFinder(
            index_urls=indexes, find_links=folders, target_python=_OF_ALL, no_binary=[distribution]
        )
        found = {str(package.version) for package in finder.find_matches(distribution)}
    except (HTTPError, UnpackError, OSError) as error:
        raise NetworkError(
            f"no list of the releases of {distribution}: {error} (asked: {', '.join(_asked())}). Check the "
            "network and the index settings of pip or uv (UV_INDEX_URL, PIP_INDEX_URL), then start again."
        ) from error
    return tuple(sorted(found, key=Version))


def unpack_sdist(archive: Path, folder: Path) -> None:
    """Unpack a source archive so that its one top folder becomes `folder`, which must not exist yet.

    Raises
    ------
    EnvironmentFailure
        Not a readable source archive; it is removed from the cache.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
        try:
            with tarfile.open(archive) as bundle:
                bundle.extractall(aside, filter="data")
            (top,) = Path(aside).iterdir()
        except (tarfile.TarError, EOFError, ValueError) as error:
            archive.unlink(missing_ok=True)
            raise EnvironmentFailure(
                f"{archive} is no source archive ({error}) and was removed: start again to download it anew"
            ) from error
        top.rename(folder)


def _download(requirement: str, archive: Path, python: str) -> None:
    target = TargetPython(py_ver=tuple(map(int, python.split("."))))
    name = requirement.partition("==")[0]
    indexes, folders = _places()
    try:
        # In this process: an index's password is on no command line and in no other environment.
        finder = PackageFinder(index_urls=indexes, find_links=folders, target_python=target, no_binary=[name])
        best = finder.find_best_match(requirement).best
        if best is None:
            raise UsageError(
                f"there is no source archive for {requirement} (asked: {', '.join(_asked())}): check the "
                "release in the manifest or --release, and the index settings of pip or uv"
            )
        with tempfile.TemporaryDirectory(dir=archive.parent) as aside:
            # A copy, since an archive that lies in a folder is taken from where it lies.
            whole = shutil.copyfile(finder.download(best.link, aside), Path(aside) / "whole")
            whole.rename(archive)
    except (HTTPError, UnpackError, OSError) as error:
        raise NetworkError(
            f"no source archive for {requirement}: {error} (asked: {', '.join(_asked())}). Check the "
            "network and the index settings of pip or uv (UV_INDEX_URL, PIP_INDEX_URL), then start again."
        ) from error


def _places() -> tuple[list[str], list[str]]:
    """Indexes, and folders or pages with archives; none where no index is set."""
    chosen = next((os.environ[name] for name in _INDEX if os.environ.get(name)), None)
    if chosen is None:
        # Any place named here would stand in for the finder's own default, which is PyPI.
        return [], []
    return [chosen, *_listed(_MORE_INDEXES)], _listed(_FOLDERS)


def _listed(variables: Sequence[str]) -> list[str]:
    # uv separates by commas too, pip by blanks only.
    return [place for name in variables for place in os.environ.get(name, "").replace(",", " ").split()]


def _asked() -> list[str]:
    return [redact(place) for places in _places() for place in places] or ["PyPI"]
