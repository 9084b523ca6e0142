"""The source archive of a release, from the package index a person's pip or uv would ask."""

import os
import sys
import tarfile
import tempfile
from pathlib import Path

from matrix import process
from matrix.checkout.locks import locked
from matrix.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.redaction import OF_AN_INDEX, redact
from matrix.releases import pythons_for

_TIMEOUT = 600.0
# The first that is set is the index; PyPI when none is.
_INDEX = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
_MORE = {
    "--index-url": ("UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
    "--find-link": ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
}


def fetch_sdist(distribution: str, release: str, cache: Path) -> Path:
    """Return the source archive of a release, downloaded once.

    Parameters
    ----------
    distribution
        Name on the package index, as autoarray.
    release
        As 2026.7.9.1.
    cache
        Folder that keeps archives; one in it is taken without a network.

    Returns
    -------
    Path
        The `.tar.gz`, its checksum as the index states it.

    Raises
    ------
    NetworkError
        The index did not answer.
    UsageError
        It has no such archive.
    """
    archive = cache / f"{distribution}-{release}.tar.gz"
    with locked(cache / f"{archive.name}.lock", archive.name):
        if not archive.is_file():
            # For a Python of the release's, which need not be the one that runs this.
            _download(f"{distribution}=={release}", archive, f"{pythons_for(release)[0]}.0")
    return archive


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
    with tempfile.TemporaryDirectory(dir=archive.parent) as aside:
        command = [
            sys.executable,
            "-m",
            "unearth",
            "--no-binary",
            "--python-version",
            python,
            "--download",
            aside,
            *_indexes(),
            requirement,
        ]
        done = process.run(command, timeout=_TIMEOUT, check=False, keep=OF_AN_INDEX)
        found = sorted(Path(aside).iterdir())
        if done.exit_code != 0 or not found:
            if "No matches" in done.stderr:
                raise UsageError(
                    f"there is no source archive for {requirement} (asked: {', '.join(_asked())}): check the "
                    "release in the manifest or --release, and the index settings of pip or uv"
                )
            said = (redact(done.stderr).strip().splitlines() or ["no message"])[-1]
            raise NetworkError(
                f"no source archive for {requirement}: {said} (asked: {', '.join(_asked())}). Check the "
                "network and the index settings of pip or uv (UV_INDEX_URL, PIP_INDEX_URL), then start again."
            )
        found[0].rename(archive)


def _indexes() -> list[str]:
    chosen = next((os.environ[name] for name in _INDEX if os.environ.get(name)), None)
    if chosen is None:
        # Any place named here would stand in for the finder's own default, which is PyPI.
        return []
    words = ["--index-url", chosen]
    for option, variables in _MORE.items():
        for variable in variables:
            # uv separates by commas too, pip by blanks only.
            for place in os.environ.get(variable, "").replace(",", " ").split():
                words += [option, place]
    return words


def _asked() -> list[str]:
    return [redact(place) for place in _indexes()[1::2]] or ["PyPI"]
