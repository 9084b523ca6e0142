"""`nox -s lock`: requirements resolved to versions and hashes, for `locks/` or for one run."""

import argparse
import json
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker, default_environment
from packaging.utils import canonicalize_name, parse_wheel_filename

from matrix.console import open_console
from matrix.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.files import write_text
from matrix.layout import REPOSITORY_ROOT
from matrix.locks import LOCKS, SOURCES, WHEELS, Pin, written
from matrix.packages import run_uv
from matrix.releases import KNOWN, pythons_for, stack_of

DESCRIPTION = "Lock the newest packages that our environments, or a known release's stack, may have."
OURS = "ours"
BUILDS = ("cuda12", "cuda13")

# Their sources' own words on it would have to be asked by running them: they need nothing.
_NEED_NOTHING = ("gprof2dot", "timeout-decorator")
# The embedded source takes the library from its archive, so that one is locked beside the wheel.
_FROM_ARCHIVE = "autoarray"

_PYTHONS = ("3.11", "3.12", "3.13")
# There is no JAX for Macs with Intel's processors.
_MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
_PLATFORMS = ("any", "linux_", "manylinux", "macosx_")
_PROCESSORS = ("any", "_x86_64", "_aarch64", "_arm64", "_universal2")


@dataclass(frozen=True)
class Resolved:
    """What requirements came out as.

    Parameters
    ----------
    wheels, sources
        Packages that have a wheel for one of our machines, and those that have none.
    """

    wheels: tuple[Pin, ...]
    sources: tuple[Pin, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files of `locks/` anew; return the exit code (0 done, 2 wrong use, 3 machine or network)."""
    options = _parser().parse_args(arguments)
    return exit_code_of(lambda: _lock(options.what or [OURS, *KNOWN], options.folder))


def resolve(requirements: Iterable[str], python: Path) -> Resolved:
    """The newest packages that meet requirements on this machine, for one interpreter."""
    # uv would believe for minutes what an index said before.
    return _pins(_compiled(requirements, ("--refresh", "--python", python), (), ()))


def machines(pythons: Sequence[str] = _PYTHONS) -> Iterator[dict[str, str]]:
    """What markers speak of, on every kind of machine that locks are for."""
    for python in pythons:
        for system, processor in _MACHINES:
            name = system.capitalize()
            yield {
                **{key: str(value) for key, value in default_environment().items()},
                "python_version": python,
                "python_full_version": f"{python}.0",
                "sys_platform": system,
                "platform_system": name,
                "platform_machine": processor,
                "extra": "",
            }


def own_environments(project: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The requirements of each of our environments, by the name of its lock.

    Parameters
    ----------
    project
        Content of `pyproject.toml`.
    """
    extras, groups = project["project"]["optional-dependencies"], project["dependency-groups"]
    driver = (*project["project"]["dependencies"], *groups["editable"])

    def with_extras(*names: str) -> tuple[str, ...]:
        return (*driver, *(line for name in names for line in extras[name]))

    return {
        "nox": tuple(groups["nox"]),
        "build": tuple(groups["build"]),
        "driver": driver,
        "lint": with_extras("lint", "solver-tests"),
        "solver": with_extras("solver-tests"),
        "bench": with_extras("solver-tests", "bench"),
        "tests": with_extras("solver-tests", "browser-tests", "docs-tests", "workflow-tests"),
    }


def _lock(what: Sequence[str], folder: Path) -> int:
    unknown = sorted({*what} - {OURS, *KNOWN})
    if unknown:
        raise UsageError(f"there is no lock for {', '.join(unknown)}. Known: {OURS}, {', '.join(KNOWN)}.")
    console = open_console()
    for name in what:
        files = _of_ours() if name == OURS else _of_release(name)
        for path, text in files.items():
            write_text(folder / path, text)
        console.print(f"locked      {name}: {', '.join(map(str, files))}")
    return 0


def _of_ours() -> dict[Path, str]:
    """The locks of our environments: what two of them have, they have in the same version."""
    project = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = own_environments(project)
    together = _universal([line for lines in wanted.values() for line in lines], _PYTHONS)
    files = {}
    for name, requirements in wanted.items():
        found = _universal(requirements, _PYTHONS, within=together.wheels)
        if found.sources:
            names = ", ".join(pin.name for pin in found.sources)
            raise UsageError(
                f"{names}: there is no wheel, and an environment of ours is made of wheels alone"
            )
        files[Path(f"{name}.txt")] = written(found.wheels)
        if name == "solver":
            builds = _builds(requirements, found, _PYTHONS)
            files |= {Path(f"solver-{build}.txt"): text for build, text in builds.items()}
    return files


def _of_release(release: str) -> dict[Path, str]:
    pythons = pythons_for(release)
    stack = stack_of(release, "cpu")
    found = _universal(stack, pythons)
    folder = Path(release)
    builds = {folder / f"{build}.txt": text for build, text in _builds(stack, found, pythons).items()}
    return {folder / WHEELS: written(found.wheels), folder / SOURCES: written(found.sources), **builds}


def _builds(requirements: Sequence[str], found: Resolved, pythons: Sequence[str]) -> dict[str, str]:
    """What each build of JAX for GPUs has on top, by its name; it exists for Linux, and not of every JAX."""
    before = (*found.wheels, *found.sources)
    known = {pin.name for pin in before}
    texts = {}
    for build in BUILDS:
        wanted = (*requirements, f"jax[{build}]")
        try:
            whole = _universal(wanted, pythons, within=before, systems=("linux",))
        except EnvironmentFailure as error:
            if "No solution found" in str(error):
                continue
            raise
        texts[build] = written(pin for pin in whole.wheels if pin.name not in known)
    return texts


def _universal(
    requirements: Iterable[str],
    pythons: Sequence[str],
    *,
    within: Sequence[Pin] = (),
    systems: Sequence[str] = ("linux", "darwin"),
) -> Resolved:
    """The newest packages for several Pythons and kinds of machine at once, of versions that are given."""
    oldest, newest = min(pythons), max(pythons)
    bound = f"python_full_version < '3.{int(newest.partition('.')[2]) + 1}'"
    where = [
        f"sys_platform == '{system}' and platform_machine == '{processor}' and {bound}"
        for system, processor in _MACHINES
        if system in systems
    ]
    options = ("--universal", "--python", sys.executable, "--python-version", oldest)
    return _pins(_compiled(requirements, options, where, within), tuple(machines(pythons)))


def _compiled(
    requirements: Iterable[str], options: Sequence[str | Path], where: Sequence[str], within: Sequence[Pin]
) -> list[dict[str, Any]]:
    """The packages of the `pylock.toml` that uv makes of requirements."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        lines = ", ".join(map(json.dumps, requirements))
        needs = ", ".join(f'{{ name = "{name}", requires-dist = [] }}' for name in _NEED_NOTHING)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "wanted"\nversion = "0"\ndependencies = [{lines}]\n'
            f"[tool.uv]\ndependency-metadata = [{needs}]\n"
            + (f"environments = {json.dumps(list(where))}\n" if where else ""),
            encoding="utf-8",
        )
        (folder / "constraints.txt").write_text("".join(f"{pin.requirement}\n" for pin in within))
        out = folder / "pylock.toml"
        words = ("pip", "compile", "--quiet", "--format", "pylock.toml", "--output-file", out)
        run_uv(*words, *options, "--constraints", "constraints.txt", "pyproject.toml", cwd=folder)
        packages: list[dict[str, Any]] = tomllib.loads(out.read_text(encoding="utf-8"))["packages"]
        return packages


def _pins(packages: Iterable[Mapping[str, Any]], everywhere: Sequence[Mapping[str, str]] = ()) -> Resolved:
    wheels, sources = [], []
    for package in packages:
        usable = [_hash(wheel) for wheel in package.get("wheels", ()) if _fits(_file_name(wheel))]
        archive = [_hash(package["sdist"])] if "sdist" in package else []
        requirement = _requirement(package, everywhere)
        if not usable:
            sources.append(Pin(requirement, tuple(archive)))
        elif canonicalize_name(package["name"]) == _FROM_ARCHIVE:
            wheels.append(Pin(requirement, tuple(sorted((*usable, *archive)))))
        else:
            wheels.append(Pin(requirement, tuple(sorted(usable))))
    return Resolved(tuple(wheels), tuple(sources))


def _requirement(package: Mapping[str, Any], everywhere: Sequence[Mapping[str, str]]) -> str:
    """Its name and version; its marker where that is not true on every machine."""
    pinned = f"{package['name']}=={package['version']}"
    marker = package.get("marker")
    if marker is None or (everywhere and all(Marker(marker).evaluate(dict(one)) for one in everywhere)):
        return pinned
    return f"{pinned} ; {marker}"


def _file_name(wheel: Mapping[str, Any]) -> str:
    place = wheel.get("name") or wheel.get("path") or unquote(urlsplit(wheel["url"]).path)
    return Path(place).name


def _hash(file: Mapping[str, Any]) -> str:
    try:
        return str(file["hashes"]["sha256"])
    except KeyError as error:
        raise EnvironmentFailure(
            f"the package index states no SHA-256 of {_file_name(file)}, so that it cannot be locked: ask an "
            "index that does (UV_DEFAULT_INDEX)"
        ) from error


def _fits(name: str) -> bool:
    """Whether a wheel is for a Python and a kind of machine that locks are for."""
    *_, tags = parse_wheel_filename(name)
    return any(
        _is_for_python(tag.interpreter, tag.abi)
        and tag.platform.startswith(_PLATFORMS)
        and tag.platform.endswith(_PROCESSORS)
        for tag in tags
    )


def _is_for_python(interpreter: str, abi: str) -> bool:
    ours = [f"cp{python.replace('.', '')}" for python in _PYTHONS]
    if interpreter in ("py3", *(name.replace("cp", "py") for name in ours)):
        return True
    if abi == "abi3":
        return interpreter[2:].isdigit() and (3, int(interpreter[3:])) <= (3, 13)
    return interpreter in ours and abi in (interpreter, "none")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lock", description=DESCRIPTION, allow_abbrev=False)
    add = parser.add_argument
    add("what", nargs="*", metavar="NAME", help=f"{OURS}, or a known release; all without it")
    add("--folder", type=Path, default=LOCKS, help="where to write (default: locks)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
