"""`nox -s lock-check`: whether each lock can be installed on each kind of machine that it is for."""

import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.releases import KNOWN, pythons_for
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, exit_code_of
from matrix.ground.files import read_text
from matrix.ground.options import SessionParser
from matrix.prepare.locking import BUILDS, Machine, machines
from matrix.prepare.locks import LOCKS, SOURCES, pins
from matrix.prepare.packages import run_uv

DESCRIPTION = "Ask the index whether each lock has a wheel, with a locked hash, for each kind of machine."

# The oldest that all packages have wheels for, in the words of uv.
_PLATFORMS = {
    ("linux", "x86_64"): "x86_64-manylinux_2_28",
    ("linux", "aarch64"): "aarch64-manylinux_2_28",
    ("darwin", "arm64"): "aarch64-apple-darwin",
}
OLDEST_MACOS = "14.0"
_NOT_SERVED = "No solution found"


@dataclass(frozen=True)
class Looked:
    """One lock on one kind of machine.

    Parameters
    ----------
    complaint
        What uv says where a package has no wheel for it, or none with a locked hash; empty where all have.
    """

    lock: Path
    machine: Machine
    complaint: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at all locks; return the exit code (0 all can be had, 1 one cannot, 3 machine or network)."""
    parser = SessionParser("lock-check", DESCRIPTION)
    parser.add_argument("--folder", type=Path, default=LOCKS, help="which to look at (default: locks)")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _check(options.folder))


def _check(folder: Path) -> int:
    console = open_console()
    looked = list(look_at_all(folder))
    bad = [one for one in looked if one.complaint]
    for one in bad:
        console.print(f"{one.lock} on {one.machine}: {one.complaint}", markup=False)
    console.print(f"looked at   {len(looked)} pairs of lock and machine: {len(bad)} cannot be installed")
    return int(bool(bad))


def look_at_all(folder: Path) -> Iterator[Looked]:
    """Ask the index for every lock below a folder, on every kind of machine that it is for.

    Raises
    ------
    EnvironmentFailure
        The index could not be asked.
    """
    for lock in sorted(folder.rglob("*.txt")):
        # A source archive is for every machine.
        if lock.name != SOURCES:
            for machine in _machines_of(lock):
                yield Looked(lock.relative_to(folder), machine, _complaint(lock, machine))


def _machines_of(lock: Path) -> list[Machine]:
    release = lock.parent.name
    found = machines(pythons_for(release)) if release in KNOWN else machines()
    # JAX for GPUs exists for Linux.
    on_linux = lock.stem.endswith(BUILDS)
    return [machine for machine in found if machine.system == "linux" or not on_linux]


def _complaint(lock: Path, machine: Machine) -> str:
    platform = _PLATFORMS[machine.system, machine.processor]
    which = ("--python", sys.executable, "--python-version", machine.python, "--python-platform", platform)
    locked = {pin.name: pin.hashes for pin in pins(read_text(lock)) if pin.is_for(machine.facts)}
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "pylock.toml"
        how = ("--quiet", "--no-deps", "--only-binary", ":all:", "--format", "pylock.toml", "-o", out)
        try:
            run_uv("pip", "compile", *how, *which, lock, variables={"MACOSX_DEPLOYMENT_TARGET": OLDEST_MACOS})
        except EnvironmentFailure as error:
            if _NOT_SERVED in str(error):
                return str(error)
            raise
        packages = tomllib.loads(read_text(out))["packages"]
    # A dry run of an installation would not look at hashes.
    taken = {one["name"]: [wheel["hashes"]["sha256"] for wheel in one.get("wheels", ())] for one in packages}
    bad = [name for name, hashes in locked.items() if not set(hashes) & set(taken.get(name, ()))]
    return f"the wheel for it is not among the locked files: {', '.join(sorted(bad))}" if bad else ""


if __name__ == "__main__":
    sys.exit(main())
