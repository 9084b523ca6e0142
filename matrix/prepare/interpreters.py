"""The Python interpreters of this machine, found by uv wherever people keep them."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import uv

from matrix.ground.errors import UsageError
from matrix.ground.process import run

_SEARCH_SECONDS = 120.0
# Where pyenv and conda keep their versions; under /opt both administrators and continuous integration do.
_FOLDERS = (
    ".pyenv/versions/*/bin",
    "miniconda3/envs/*/bin",
    "miniforge3/envs/*/bin",
    "anaconda3/envs/*/bin",
    ".conda/envs/*/bin",
)
_SYSTEM_FOLDERS = ("opt/*/bin", "opt/*/*/bin", "opt/*/envs/*/bin")


@dataclass(frozen=True)
class Interpreter:
    """One Python: its whole version, as ``3.12.1``, and where it is."""

    version: str
    path: Path

    @property
    def minor(self) -> str:
        """As ``3.12``."""
        return ".".join(self.version.split(".")[:2])


def interpreters(
    variables: Mapping[str, str] = os.environ, home: Path | None = None, root: Path = Path("/")
) -> tuple[Interpreter, ...]:
    """Every CPython of this machine, the running one first.

    uv searches the `PATH`, and here also the folders of pyenv and conda and those under `/opt`. Shims of
    pyenv are left out: one of a version that is not activated fails, and with it uv's search.

    Parameters
    ----------
    variables
        The caller's environment.
    home, root
        Folders below which is searched: a person's and the machine's.
    """
    path = os.pathsep.join(_search_path(variables, home or Path.home(), root))
    words = (uv.find_uv_bin(), "python", "list", "--only-installed", "--output-format", "json")
    done = run(words, env={**variables, "PATH": path}, timeout=_SEARCH_SECONDS, check=False)
    listed = json.loads(done.stdout) if done.exit_code == 0 else []
    found = [
        Interpreter(entry["version"], Path(entry["path"]))
        for entry in listed
        if entry["implementation"] == "cpython" and entry.get("variant", "default") == "default"
    ]
    running = Interpreter(".".join(map(str, sys.version_info[:3])), Path(sys.executable))
    return (running, *found)


def interpreter_for(pythons: tuple[str, ...], found: tuple[Interpreter, ...]) -> Interpreter:
    """The interpreter to build a side with: the running one if it will do, else the first by preference.

    Parameters
    ----------
    pythons
        Minor versions that will do, the preferred one first.
    found
        From `interpreters`.

    Raises
    ------
    UsageError
        There is none of these versions.
    """
    running = found[0]
    if running.minor in pythons:
        return running
    for minor in pythons:
        for interpreter in found:
            if interpreter.minor == minor:
                return interpreter
    have = ", ".join(sorted({interpreter.minor for interpreter in found}))
    raise UsageError(
        f"this release runs on Python {' or '.join(pythons)}, and this machine has {have}. Install one of "
        "them (for example `uv python install 3.12`), choose another --release, or give --base-python."
    )


def _search_path(variables: Mapping[str, str], home: Path, root: Path) -> Iterator[str]:
    for folder in variables.get("PATH", "").split(os.pathsep):
        if folder and Path(folder).name != "shims":
            yield folder
    places = [(home, pattern) for pattern in _FOLDERS] + [(root, pattern) for pattern in _SYSTEM_FOLDERS]
    if "PYENV_ROOT" in variables:
        places.append((Path(variables["PYENV_ROOT"]), "versions/*/bin"))
    if "CONDA_EXE" in variables:
        conda = Path(variables["CONDA_EXE"]).parent.parent
        places += [(conda, "bin"), (conda, "envs/*/bin")]
    for base, pattern in places:
        for found in sorted(base.glob(pattern)):
            if any(found.glob("python3*")):
                yield str(found)
