"""Requirements resolved to versions and hashes, for `locks/` or for one run."""

import json
import platform
import sys
import tempfile
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from matrix.catalogue.releases import pythons_for, stack_of
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.interpreters import Interpreter
from matrix.prepare.locks import SOURCES, WHEELS, Pin, written
from matrix.prepare.packages import run_uv

BUILDS = ("cuda12", "cuda13")

# They have no wheel for some machine, and what they need would have to be asked by running them: nothing.
_NEED_NOTHING = ("gprof2dot", "timeout-decorator", "xxhash")
_SOURCES_ALLOWED = tuple(word for name in _NEED_NOTHING for word in ("--no-binary", name))
_WITHOUT_BUILDS = ("--only-binary", ":all:", *_SOURCES_ALLOWED)
# The embedded source takes the library from its archive, so that one is locked beside the wheel.
_FROM_ARCHIVE = "autoarray"

_PYTHONS = ("3.11", "3.12", "3.13")
# There is no JAX for Macs with Intel's processors.
_PLACES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
# How the platforms of wheels begin, by system, and what ends one that is for both processors of Macs.
_WHEELS_OF = {"linux": ("linux_", "manylinux"), "darwin": ("macosx_",)}
_FAT = "_universal2"


@dataclass(frozen=True, order=True)
class Machine:
    """A Python on a kind of machine: ``3.12``, ``linux``, ``x86_64``."""

    python: str
    system: str
    processor: str

    def __str__(self) -> str:
        return f"Python {self.python}, {self.system}, {self.processor}"

    @property
    def facts(self) -> dict[str, str]:
        """What markers speak of."""
        return {
            **{key: str(value) for key, value in default_environment().items()},
            "python_version": self.python,
            "python_full_version": f"{self.python}.0",
            "sys_platform": self.system,
            "platform_system": self.system.capitalize(),
            "platform_machine": self.processor,
            "extra": "",
        }

    def takes(self, wheel: str) -> bool:
        """Whether a wheel of this name can be installed."""
        *_, tags = parse_wheel_filename(wheel)
        return any(
            self._runs(tag.interpreter, tag.abi) and self._is_of_its_kind(tag.platform) for tag in tags
        )

    def _runs(self, interpreter: str, abi: str) -> bool:
        kind, digits = interpreter[:2], interpreter[2:]
        if not digits.isdigit():
            return False
        ours = f"cp{self.python.replace('.', '')}"
        since = (int(digits[0]), int(digits[1:] or 0))
        old_enough = since[0] == 3 and since <= tuple(map(int, self.python.split(".")))
        if kind == "py" or abi == "abi3":
            return old_enough
        return interpreter == ours and abi in (ours, "none")

    def _is_of_its_kind(self, platform: str) -> bool:
        ends = (f"_{self.processor}", *([_FAT] if self.system == "darwin" else []))
        return platform == "any" or (platform.startswith(_WHEELS_OF[self.system]) and platform.endswith(ends))


@dataclass(frozen=True)
class ResolvedLock:
    """What requirements came out as.

    Parameters
    ----------
    wheels, sources
        Packages for machines that there is a wheel for, and for those where one has to be built.
    """

    wheels: tuple[Pin, ...]
    sources: tuple[Pin, ...]


def resolve(requirements: Iterable[str], interpreter: Interpreter) -> ResolvedLock:
    """The newest packages that meet requirements on this machine, for one interpreter."""
    # uv would believe for minutes what an index said before.
    options = ("--refresh", "--python", interpreter.path)
    here = Machine(interpreter.minor, sys.platform, platform.machine())
    return _pins(_compiled(requirements, options, (), ()), [here])


def resolve_with(
    requirements: Sequence[str],
    packages: Sequence[str],
    before: Mapping[str, str],
    interpreter: Interpreter,
) -> ResolvedLock:
    """Requirements with some packages in other versions; of all the rest as much as can be stays as it was.

    Parameters
    ----------
    requirements
        Of the stack.
    packages
        What is wanted in its place. Where the stack does not admit it, its own word on these is passed over.
    before
        Version of each package as it was, by name.
    interpreter
        What the environment is made with.

    Raises
    ------
    UsageError
        There is no answer; with what uv says of it.
    """
    options = ("--refresh", "--python", interpreter.path)
    here = Machine(interpreter.minor, sys.platform, platform.machine())
    kept = [f"{name}=={version}" for name, version in before.items()]
    wanted = (*requirements, *packages)
    try:
        found = _moved(wanted, options, kept, ())
    except EnvironmentFailure as error:
        if not _has_no_answer(error):
            raise
        try:
            found = _moved(wanted, options, kept, packages)
        except EnvironmentFailure as refused:
            if not _has_no_answer(refused):
                raise
            raise UsageError(
                f"{', '.join(packages)}: no set of packages has them. Name also what must move along, "
                f"as jax and jaxlib.\n{refused}"
            ) from refused
    overrides = [requirement for requirement in found if Requirement(requirement).name in _names(packages)]
    return _pins(_answer(wanted, options, (), found, overrides), [here])


def _has_no_answer(error: EnvironmentFailure) -> bool:
    return any(sign in str(error) for sign in ("No solution found", "was not found in the package registry"))


def _names(packages: Iterable[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in packages}


def _moved(
    wanted: Sequence[str], options: Sequence[str | Path], kept: Sequence[str], overrides: Sequence[str]
) -> list[str]:
    """The versions that meet requirements, each as it was wherever that is one of them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_project(folder, wanted, (), overrides)
        out = folder / "before.txt"
        # What stands in the file that is to be written is what uv prefers.
        out.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        words = ("pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-strip-extras")
        run_uv(*words, *options, *_WITHOUT_BUILDS, "--output-file", out, "pyproject.toml", cwd=folder)
        return [line for line in out.read_text(encoding="utf-8").splitlines() if line.strip()]


def machines(pythons: Sequence[str] = _PYTHONS) -> list[Machine]:
    """Every kind of machine that locks are for."""
    return [Machine(python, *place) for python in pythons for place in _PLACES]


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
        "docs": tuple(groups["docs"]),
        "driver": driver,
        "lint": with_extras("lint", "solver-tests"),
        "solver": with_extras("solver-tests"),
        "bench": with_extras("solver-tests", "bench"),
        "tests": with_extras("solver-tests", "browser-tests", "docs-tests", "workflow-tests", "coverage"),
    }


def locks_of_ours() -> dict[Path, str]:
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


def locks_of_release(release: str) -> dict[Path, str]:
    """The locks of a known release's stack, one for each build of JAX."""
    pythons = pythons_for(release)
    stack = stack_of(release, "cpu")
    found = _universal(stack, pythons)
    folder = Path(release)
    builds = {folder / f"{build}.txt": text for build, text in _builds(stack, found, pythons).items()}
    return {folder / WHEELS: written(found.wheels), folder / SOURCES: written(found.sources), **builds}


def _builds(requirements: Sequence[str], found: ResolvedLock, pythons: Sequence[str]) -> dict[str, str]:
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
) -> ResolvedLock:
    """The newest packages for several Pythons and kinds of machine at once, of versions that are given."""
    oldest, newest = min(pythons), max(pythons)
    before = f"python_full_version < '3.{int(newest.partition('.')[2]) + 1}'"
    bound = f"platform_python_implementation == 'CPython' and {before}"
    where = [
        f"sys_platform == '{system}' and platform_machine == '{processor}' and {bound}"
        for system, processor in _PLACES
        if system in systems
    ]
    options = ("--universal", "--python", sys.executable, "--python-version", oldest)
    grid = [machine for machine in machines(pythons) if machine.system in systems]
    return _pins(_compiled(requirements, options, where, within), grid)


def _compiled(
    requirements: Iterable[str], options: Sequence[str | Path], where: Sequence[str], within: Sequence[Pin]
) -> list[dict[str, Any]]:
    """The packages of the `pylock.toml` that uv makes of requirements; it builds nothing for that.

    What is built runs a package's code, and uv has what names an index in its environment. So the first
    answer is of wheels alone. A second one, for the versions of the first, has all their files.
    """
    wanted = list(requirements)
    bounds = [pin.requirement for pin in within]
    found = _answer(wanted, (*options, *_WITHOUT_BUILDS), where, bounds)
    return _answer(wanted, options, where, [_exactly(package) for package in found])


def _write_project(
    folder: Path, requirements: Sequence[str], where: Sequence[str], overrides: Sequence[str]
) -> None:
    """Write the project that uv is asked about."""
    lines = ", ".join(map(json.dumps, requirements))
    needs = ", ".join(f'{{ name = "{name}", requires-dist = [] }}' for name in _NEED_NOTHING)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "wanted"\nversion = "0"\ndependencies = [{lines}]\n'
        f"[tool.uv]\ndependency-metadata = [{needs}]\n"
        + (f"environments = {json.dumps(list(where))}\n" if where else "")
        + (f"override-dependencies = {json.dumps(list(overrides))}\n" if overrides else ""),
        encoding="utf-8",
    )


def _answer(
    requirements: Sequence[str],
    options: Sequence[str | Path],
    where: Sequence[str],
    bounds: Sequence[str],
    overrides: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """What uv answers, asked once."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_project(folder, requirements, where, overrides)
        (folder / "constraints.txt").write_text("".join(f"{bound}\n" for bound in bounds))
        out = folder / "pylock.toml"
        words = ("pip", "compile", "--quiet", "--format", "pylock.toml", "--output-file", out)
        run_uv(*words, *options, "--constraints", "constraints.txt", "pyproject.toml", cwd=folder)
        packages: list[dict[str, Any]] = tomllib.loads(out.read_text(encoding="utf-8"))["packages"]
        return packages


def _exactly(package: Mapping[str, Any]) -> str:
    marker = f" ; {package['marker']}" if "marker" in package else ""
    return f"{package['name']}=={package['version']}{marker}"


def _pins(packages: Iterable[Mapping[str, Any]], grid: Sequence[Machine]) -> ResolvedLock:
    wheels, sources = [], []
    for package in packages:
        marker = Marker(package["marker"]) if "marker" in package else None
        needed = [machine for machine in grid if marker is None or marker.evaluate(machine.facts)]
        files = {_hash(file): _file_name(file) for file in package.get("wheels", ())}
        served = [machine for machine in needed if any(map(machine.takes, files.values()))]
        left = [machine for machine in needed if machine not in served]
        archive = [_hash(package["sdist"])] if "sdist" in package else []
        pinned = f"{package['name']}=={package['version']}"
        if served:
            usable = [value for value, name in files.items() if any(one.takes(name) for one in served)]
            more = archive if canonicalize_name(package["name"]) == _FROM_ARCHIVE else []
            wheels.append(Pin(pinned + _for(served, grid), tuple(sorted((*usable, *more)))))
        if left:
            sources.append(Pin(pinned + _for(left, grid), tuple(archive)))
    return ResolvedLock(tuple(wheels), tuple(sources))


def _for(chosen: Sequence[Machine], grid: Sequence[Machine]) -> str:
    """The end of a requirement that is for some machines of a grid; nothing where it is for all."""
    if len(chosen) == len(grid):
        return ""
    places = {(machine.system, machine.processor) for machine in grid}
    by_places: dict[frozenset[tuple[str, str]], list[str]] = {}
    for python in dict.fromkeys(machine.python for machine in chosen):
        found = frozenset((one.system, one.processor) for one in chosen if one.python == python)
        by_places.setdefault(found, []).append(python)
    everywhere = len({machine.python for machine in grid})
    parts = [
        f"{_of_pythons(pythons, everywhere)}{_of_places(found, places)}".removeprefix(" and ")
        for found, pythons in by_places.items()
    ]
    return f" ; {' or '.join(parts)}"


def _of_pythons(pythons: Sequence[str], everywhere: int) -> str:
    if len(pythons) == everywhere:
        return ""
    named = " or ".join(f"python_version == '{python}'" for python in pythons)
    return f"({named})" if len(pythons) > 1 else named


def _of_places(found: Collection[tuple[str, str]], places: Collection[tuple[str, str]]) -> str:
    if len(found) == len(places):
        return ""
    systems = {system for system, _ in found}
    if set(found) == {place for place in places if place[0] in systems}:
        named = [f"sys_platform == '{system}'" for system in sorted(systems)]
    else:
        named = [f"sys_platform == '{one}' and platform_machine == '{other}'" for one, other in sorted(found)]
    return f" and ({' or '.join(named)})" if len(named) > 1 else f" and {named[0]}"


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
