"""The two sides' Python environments: built once per content, or prepared by somebody else."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from filelock import FileLock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrix.catalogue.releases import STACK, newest_known, package_of, pythons_for, stack_of
from matrix.ground import installed
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.files import read_text, write_json, write_text
from matrix.ground.hashing import digest, file_hash, tree_hash
from matrix.ground.imports import files_behind
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.process import run
from matrix.ground.shell import inherited
from matrix.ground.suggestions import did_you_mean
from matrix.prepare.interpreters import Interpreter, interpreter_for, interpreters
from matrix.prepare.locking import resolve, resolve_with
from matrix.prepare.locks import NO_LOCK, SOURCES, WHEELS, Lock, committed, versions_in, written
from matrix.prepare.packages import build_wheel, install_locked, install_wheels, run_uv
from matrix.records.cell import REPLACED
from matrix.run.change import LIBRARY_PACKAGE

ACCELERATORS = ("cpu", "cuda12", "cuda13")
NO_OTHERS: Mapping[str, Path] = MappingProxyType({})

_BLOCKER = (
    f'"""Stands in the way of {REPLACED}: the candidate side must work without it."""\n\n'
    f'raise ModuleNotFoundError("{REPLACED} is not part of the candidate side", '
    f'name="{REPLACED}")\n'
)

# Sent as text to Pythons that do not have this program.
DESCRIBE = read_text(Path(installed.__file__))


@dataclass(frozen=True)
class SideEnvironment:
    """What runs one side's cells.

    Parameters
    ----------
    python
        The interpreter.
    pythonpath
        Folders put in front of its installed packages (empty where we built it ourselves).
    key
        Hash of everything the environment was made from.
    """

    python: Path
    pythonpath: tuple[Path, ...]
    key: str


@dataclass(frozen=True)
class Recipe:
    """What an environment is made of: the part of the key that does not depend on a checkout.

    Parameters
    ----------
    release
        The PyAuto release that supplies the stack, for example ``2026.7.9.1``.
    accelerator
        ``cpu``, ``cuda12`` or ``cuda13``: which build of JAX.
    lock
        The packages that are installed for it, the checkout itself aside.
    """

    release: str
    accelerator: str = "cpu"
    lock: Lock = NO_LOCK

    @property
    def requirements(self) -> tuple[str, ...]:
        """What the lock answers to."""
        return stack_of(self.release, self.accelerator)


def recipe_for(layout: Layout, release: str, accelerator: str, *, newest: bool = False) -> Recipe:
    """The recipe of a release with the lock that all environments of a run are built from.

    Parameters
    ----------
    layout
        Where a lock is kept that had to be resolved here, since this repository has none.
    newest
        Whether the newest packages are taken, whatever is locked.

    Raises
    ------
    UsageError
        The release runs on no interpreter of this machine.
    EnvironmentFailure
        The package index could not be asked, or there is no answer to these requirements.
    """
    locked = None if newest else committed(release, accelerator)
    return Recipe(release, accelerator, locked or _resolved(layout, release, accelerator, newest))


def _resolved(layout: Layout, release: str, accelerator: str, newest: bool) -> Lock:
    """What the requirements came out as on this machine; kept, so that a run that goes on finds the same."""
    interpreter = interpreter_of(release)
    folder = layout.cache / "locks" / f"{release}-python{interpreter.version}-{accelerator}"
    wheels, sources = folder / WHEELS, folder / SOURCES
    when = "earlier"
    with FileLock(layout.locks / f"lock-{folder.name}.lock"):
        if newest or not (wheels.is_file() and sources.is_file()):
            found = resolve(stack_of(release, accelerator), interpreter)
            write_text(wheels, written(found.wheels))
            write_text(sources, written(found.sources))
            when = "now"
        why = "as --newest asks" if newest else f"since there is no lock for {release}"
        meaning = f"the newest packages, resolved {when} {why}; kept in {folder}"
        return Lock(wheels.read_text(encoding="utf-8"), sources.read_text(encoding="utf-8"), meaning)


def with_packages(layout: Layout, recipe: Recipe, packages: Sequence[str]) -> Recipe:
    """The recipe with other packages, and all the rest as it was where these admit it.

    Parameters
    ----------
    layout
        Where the answer is kept, so that a run that goes on finds the same.
    recipe
        Of the stack as it would be.
    packages
        Requirements, as ``jax==0.11.2``. They may be such as the stack itself does not admit.

    Raises
    ------
    UsageError
        A name is a near miss of one of the stack, or no set of packages meets the requirements.
    EnvironmentFailure
        The package index could not be asked.
    """
    if not packages:
        return recipe
    interpreter = interpreter_of(recipe.release)
    before = versions_in(recipe.lock, interpreter.minor)
    _check_names(packages, before)
    key = digest((recipe.lock.key, interpreter.version, *packages))[:16]
    folder = layout.cache / "locks" / f"{recipe.release}-packages-{key}"
    wheels, sources = folder / WHEELS, folder / SOURCES
    with FileLock(layout.locks / f"lock-{folder.name}.lock"):
        if not (wheels.is_file() and sources.is_file()):
            found = resolve_with(recipe.requirements, packages, before, interpreter)
            write_text(sources, written(found.sources))
            write_text(wheels, written(found.wheels))
        meaning = f"{recipe.lock.meaning}, but for {', '.join(packages)}"
        lock = Lock(wheels.read_text(encoding="utf-8"), sources.read_text(encoding="utf-8"), meaning)
    return replace(recipe, lock=lock)


def _check_names(packages: Sequence[str], known: Collection[str]) -> None:
    """Refuse what is almost a package of the stack: it would be installed beside it and change nothing."""
    for text in packages:
        name = canonicalize_name(Requirement(text).name)
        hint = "" if name in known else did_you_mean(name, sorted(known))
        if hint:
            raise UsageError(f"the package {text}: the stack has none of that name.{hint}")


def interpreter_of(release: str) -> Interpreter:
    """The interpreter of this machine that environments of a release are built with.

    Raises
    ------
    UsageError
        The release runs on none that is here.
    """
    return interpreter_for(pythons_for(release), interpreters())


def newest_release() -> str:
    """The newest release of the stack on the package index that a Python of this machine can run.

    Raises
    ------
    EnvironmentFailure
        The package index could not be asked.
    """
    known = newest_known([found.minor for found in interpreters()])
    interpreter = interpreter_of(known.release)
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch) / "requirements.in"
        wanted.write_text("autolens\n")
        words = ("pip", "compile", "--quiet", "--no-deps", "--no-header", "--no-annotate")
        # Wheels alone: for a Python no longer supported, upstream has a source archive that only refuses.
        done = run_uv(*words, "--only-binary", "autolens", "--python", interpreter.path, wanted)
    return done.stdout.strip().rpartition("==")[2]


def stock_environment(layout: Layout, recipe: Recipe) -> SideEnvironment:
    """The release as it is published, with nothing of ours: it simulates the embedded datasets."""
    return _built(layout, "stock", recipe, "", lambda _: None)


def side_environment(
    layout: Layout,
    recipe: Recipe,
    side: str,
    library: Path,
    base_python: Path | None,
    *,
    others: Mapping[str, Path] = NO_OTHERS,
    vendored: bool = True,
) -> SideEnvironment:
    """The environment of `side` with the library of the working tree `library`.

    Built with uv: the release's stack as locked, then the library over it; on a vendored candidate
    without jaxnnls. With `base_python` nothing is installed: a copy of the library is put in
    front of that environment's packages, and jaxnnls is hidden from that candidate.

    Parameters
    ----------
    layout, recipe, side
        Where it is kept, and what it is made of.
    library
        Working tree of the library.
    base_python
        Interpreter of a prepared environment, or None.
    others
        Working trees of other packages of the stack that this side has, by the package's name.
    vendored
        Whether the candidate has the solver vendored, so that it must do without jaxnnls.

    Raises
    ------
    UsageError
        The library does not fit the release, or `base_python` holds another release.
    EnvironmentFailure
        Packages could not be had or installed.
    """
    without = vendored and side == "candidate"
    trees = {LIBRARY_PACKAGE: library, **others}
    content = digest(
        (*(word for name, tree in trees.items() for word in (name, tree_hash(tree))), str(without))
    )
    if base_python is not None:
        return _prepared(layout, recipe, side, trees, content, base_python, without)

    def finish(python: Path) -> None:
        if without:
            run_uv("pip", "uninstall", "--python", python, REPLACED)
        for tree in trees.values():
            _install_tree(layout, python, tree, recipe.release)
        _check_fit(python, library, recipe.release)
        if without:
            _check_absent(python)

    return _built(layout, side, recipe, content, finish)


def packages_of(python: Path) -> dict[str, str]:
    """Version of every package that an interpreter has, by its name in lower case with hyphens."""
    found = _description(python)["packages"]
    assert isinstance(found, dict)
    return found


def _description(python: Path) -> dict[str, object]:
    return described(run([python, "-c", DESCRIBE], env=inherited()).stdout, python)


def described(said: str, python: Path | str) -> dict[str, object]:
    """What `DESCRIBE` printed, whatever a start-up file of that Python printed around it.

    Raises
    ------
    EnvironmentFailure
        It is not there.
    """
    for line in said.splitlines():
        with suppress(ValueError, RecursionError):
            found = json.loads(line)
            if isinstance(found, dict) and isinstance(found.get("packages"), dict):
                return found
    raise EnvironmentFailure(f"{python} does not say which packages it has, but: {said.strip() or 'nothing'}")


def _key(side: str, recipe: Recipe, python: str, library_hash: str) -> str:
    # How an environment is made is part of what it is.
    made_by = file_hash(_made_by())
    locked = recipe.lock.key
    return digest((side, python, sys.platform, *recipe.requirements, locked, library_hash, made_by))[:16]


def _made_by(root: Path = REPOSITORY_ROOT) -> list[Path]:
    """The modules of this room by which an environment is made."""
    room = root / "matrix" / "prepare"
    return [path for path in files_behind([__name__], root) if path.parent == room]


def _built(
    layout: Layout, name: str, recipe: Recipe, library_hash: str, finish: Callable[[Path], None]
) -> SideEnvironment:
    if recipe.lock == NO_LOCK:
        raise UsageError(f"release {recipe.release} has no lock here: it can be used, and not built")
    interpreter = interpreter_of(recipe.release)
    key = _key(name, recipe, interpreter.version, library_hash)
    folder = layout.environments / f"{name}-{key}"
    python = folder / "bin" / "python"
    ready = folder / "ready.json"
    # The lock is per environment: two runs that need the same one build it once.
    with FileLock(layout.locks / f"environment-{name}-{key}.lock"):
        if not _is_as_made(ready, python):
            shutil.rmtree(folder, ignore_errors=True)
            run_uv("venv", "--quiet", "--python", interpreter.path, folder)
            install_locked(layout, interpreter, python, recipe.lock)
            finish(python)
            write_json(
                ready, {"requirements": recipe.requirements, "key": key, "packages": _fingerprint(folder)}
            )
    return SideEnvironment(python, (), key)


def _is_as_made(ready: Path, python: Path) -> bool:
    """Whether a kept environment can be trusted: its interpreter starts, and its files are those we made."""
    try:
        made = json.loads(ready.read_bytes())["packages"]
        starts = run([python, "-c", ""], env=inherited(), check=False).exit_code == 0
    except (OSError, ValueError, KeyError, TypeError, EnvironmentFailure):
        return False
    return starts and bool(made == _fingerprint(ready.parent))


def _fingerprint(folder: Path) -> str:
    """Of an environment as it lies there: what differs between the sides, and the versions of all others."""
    packages = next(folder.glob("lib/python*/site-packages"), folder)
    names = (LIBRARY_PACKAGE, REPLACED, *map(package_of, STACK))
    found = [packages / name for name in names if (packages / name).is_dir()]
    versions = sorted(path.name for path in packages.glob("*.dist-info"))
    return digest((*versions, *(word for package in found for word in (package.name, tree_hash(package)))))


def _prepared(
    layout: Layout,
    recipe: Recipe,
    side: str,
    trees: Mapping[str, Path],
    content: str,
    base_python: Path,
    without: bool,
) -> SideEnvironment:
    if not os.access(base_python, os.X_OK):
        raise UsageError(f"--base-python {base_python}: no such interpreter, or it may not be executed.")
    # What is installed there is the person's to change: records of before then answer for neither side.
    description = _description(base_python)
    key = _key(side, recipe, f"{base_python} {json.dumps(description, sort_keys=True)}", content)
    folder = layout.environments / f"{side}-{key}"
    with FileLock(layout.locks / f"environment-{side}-{key}.lock"):
        if not _is_as_made(folder / "ready.json", base_python):
            shutil.rmtree(folder, ignore_errors=True)
            # A copy: the working tree is edited by whichever run comes next.
            for name, tree in trees.items():
                shutil.copytree(tree / name, folder / name, symlinks=True)
            if without:
                write_blocker(folder)
            made = {"base_python": str(base_python), "key": key, "packages": _fingerprint(folder)}
            write_json(folder / "ready.json", made)
    packages = description["packages"]
    assert isinstance(packages, dict)
    if packages.get("autolens") != recipe.release:
        raise UsageError(
            f"--base-python {base_python} holds autolens {packages.get('autolens', 'not at all')}, "
            f"the manifest asks for {recipe.release}: install that release there, or pass --release."
        )
    return SideEnvironment(base_python, (folder,), key)


def write_blocker(folder: Path) -> None:
    """Hide jaxnnls from whatever has `folder` in front of its packages."""
    package = folder / REPLACED
    package.mkdir()
    (package / "__init__.py").write_text(_BLOCKER)


def _install_tree(layout: Layout, python: Path, tree: Path, release: str) -> None:
    # Built from a copy: setuptools leaves build folders behind, and a checkout stays clean.
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "library"
        shutil.copytree(tree, copy, ignore=shutil.ignore_patterns(".git"), symlinks=True)
        versions = {"VERSION": release, "SETUPTOOLS_SCM_PRETEND_VERSION": release}
        built = build_wheel(layout, interpreter_of(release), copy, Path(scratch) / "built", versions)
        install_wheels(python, [built])


def _check_fit(python: Path, library: Path, release: str) -> None:
    """Say before anything runs when the library's ref is of another age than the stack around it."""
    verdict = run_uv("pip", "check", "--python", python, check=False)
    complaints = [
        line for line in verdict.stderr.splitlines() if "autoarray" in line and REPLACED not in line
    ]
    # From an empty folder and a clean environment: a clone in either would be imported in its place.
    with tempfile.TemporaryDirectory() as empty:
        imported = run([python, "-c", "import autolens"], cwd=Path(empty), env=inherited(), check=False)
    if imported.exit_code != 0:
        complaints.append(imported.stderr.strip().splitlines()[-1])
    if complaints:
        raise UsageError(
            f"the library at {library} does not fit release {release} of the rest of the stack:\n  "
            + "\n  ".join(complaints)
            + "\nChoose a ref of that release's age (--ref PyAutoArray=REF) or another --release."
        )


def _check_absent(python: Path) -> None:
    probe = f"import importlib.util as u; raise SystemExit(u.find_spec({REPLACED!r}) is not None)"
    if run([python, "-c", probe], env=inherited(), check=False).exit_code != 0:
        raise EnvironmentFailure(f"{REPLACED} is still importable in the candidate environment {python}")
