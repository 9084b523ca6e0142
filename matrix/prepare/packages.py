"""What uv installs and builds for us; whoever builds something is shown no secret."""

import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import uv
from filelock import FileLock

from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.files import inside, read_text
from matrix.ground.hashing import digest
from matrix.ground.layout import Layout
from matrix.ground.process import Completed, run
from matrix.ground.redaction import OF_AN_INDEX
from matrix.ground.shell import inherited
from matrix.prepare.checkout.sdist import fetch_sdist, unpack_sdist
from matrix.prepare.interpreters import Interpreter
from matrix.prepare.locks import LOCKS, Lock, pins

INSTALL_TIMEOUT = 1800.0
BUILD_TOOLS = LOCKS / "build.txt"

# What a project without a word on it is built with, by Python's own rules.
_USUAL_TOOLS = ("setuptools>=40.8.0",)


def run_uv(
    *words: str | Path,
    cwd: Path | None = None,
    check: bool = True,
    variables: Mapping[str, str] | None = None,
) -> Completed:
    """Run uv, with what names an index where it asks one; nothing may be built by it (see `build_wheel`).

    Raises
    ------
    EnvironmentFailure
        With `check`: it failed; the message says what to do.
    """
    # What else it does starts an environment's interpreter, and with it what packages there let start.
    keep = OF_AN_INDEX if words[:2] in (("pip", "install"), ("pip", "compile")) else ()
    return _called(words, cwd=cwd, check=check, keep=keep, variables=variables)


def install_locked(layout: Layout, interpreter: Interpreter, python: Path, lock: Lock) -> None:
    """Install a lock's packages, each file checked against its hash.

    Parameters
    ----------
    layout
        Where archives and build tools are kept.
    interpreter
        What `python`, the environment's own, was made from.
    lock
        What to install; nothing else is.

    Raises
    ------
    EnvironmentFailure
        A package could not be had or built, is not what the lock says, or asks for one that the lock lacks.
    """
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "wheels.txt"
        listed.write_text(lock.wheels, encoding="utf-8")
        words = ("--no-build", "--no-deps", "--require-hashes", "--requirements", listed)
        run_uv("pip", "install", "--python", python, *words)
        install_wheels(python, build_sources(layout, interpreter, lock, Path(scratch) / "built"))
    _check_complete(python)


def _check_complete(python: Path) -> None:
    """Refuse an environment that lacks a package: it would break off in the midst of a run."""
    said = run_uv("pip", "check", "--python", python, check=False).stderr.splitlines()
    absent = [line.strip() for line in said if line.endswith("but it's not installed")]
    if absent:
        raise EnvironmentFailure(
            "the lock lacks what its packages ask for:\n  "
            + "\n  ".join(absent)
            + "\n`git checkout locks` brings the committed one back; `nox -s lock` makes it anew."
        )


def build_sources(layout: Layout, interpreter: Interpreter, lock: Lock, out: Path) -> list[Path]:
    """Build what a lock has no wheels of for this machine and an interpreter; return the wheels."""
    cache = layout.cache / "sdist"
    facts = {"python_version": interpreter.minor, "python_full_version": interpreter.version}
    archives = [
        fetch_sdist(pin.name, pin.version, cache, python=interpreter.minor, hashes=pin.hashes)
        for pin in pins(lock.sources)
        if pin.is_for(facts)
    ]
    return [build_wheel(layout, interpreter, archive, out) for archive in archives]


def install_wheels(python: Path, wheels: Sequence[Path]) -> None:
    """Install wheels that lie here over what an environment has; no index is asked."""
    if wheels:
        _called(("pip", "install", "--python", python, "--no-deps", "--no-index", "--reinstall", *wheels))


def build_wheel(
    layout: Layout,
    interpreter: Interpreter,
    source: Path,
    out: Path,
    variables: Mapping[str, str] | None = None,
) -> Path:
    """Build a source tree or archive without any secret and without a network.

    What it is built with is installed first, from wheels. So its code, which the build runs, finds no
    password of an index in its environment.

    Parameters
    ----------
    interpreter
        Of the environment that it is for.
    source
        A folder with a `pyproject.toml`, or a source archive.
    out
        Folder for the wheel.
    variables
        More for the build's environment.
    """
    if source.is_file():
        with tempfile.TemporaryDirectory() as scratch:
            tree = Path(scratch) / "source"
            unpack_sdist(source, tree)
            return build_wheel(layout, interpreter, tree, out, variables)
    tools = _build_environment(layout, interpreter, _build_requirements(source))
    known = set(out.glob("*.whl"))
    words = ("build", "--wheel", "--no-build-isolation", "--offline", "--python", tools, "--out-dir", out)
    _called((*words, source), variables=variables)
    (wheel,) = set(out.glob("*.whl")) - known
    return wheel


def _build_environment(layout: Layout, interpreter: Interpreter, more: Sequence[str]) -> Path:
    """The interpreter of an environment with the locked build tools, and whatever else a project asks for."""
    key = digest((interpreter.version, str(interpreter.path), BUILD_TOOLS.read_text(), *sorted(more)))[:16]
    folder = layout.environments / f"build-{key}"
    python = folder / "bin" / "python"
    with FileLock(layout.locks / f"environment-build-{key}.lock"):
        if not (folder / "ready").is_file():
            run_uv("venv", "--quiet", "--clear", "--python", interpreter.path, folder)
            wheels = ("pip", "install", "--python", python, "--no-build")
            run_uv(*wheels, "--require-hashes", "--requirements", BUILD_TOOLS)
            if more:
                run_uv(*wheels, *more)
            (folder / "ready").touch()
    return python


def _build_requirements(source: Path) -> tuple[str, ...]:
    """What a source tree says it is built with."""
    try:
        project = tomllib.loads(read_text(inside(source, "pyproject.toml")))
    except FileNotFoundError:
        return _USUAL_TOOLS
    except ValueError as error:
        raise UsageError(f"{source / 'pyproject.toml'} is no TOML: {error}") from error
    return tuple(project.get("build-system", {}).get("requires", _USUAL_TOOLS))


def _called(
    words: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    check: bool = True,
    keep: Sequence[str] = (),
    variables: Mapping[str, str] | None = None,
) -> Completed:
    env = {**inherited(), "UV_HTTP_TIMEOUT": "180", **(variables or {})}
    done = run([uv.find_uv_bin(), *words], cwd=cwd, env=env, timeout=INSTALL_TIMEOUT, check=False, keep=keep)
    if check and done.exit_code != 0:
        raise EnvironmentFailure(_explain(done))
    return done


def _explain(done: Completed) -> str:
    text = done.stderr.strip()
    if any(
        sign in text for sign in ("dns error", "error sending request", "Connection refused", "timed out")
    ):
        return (
            "the package index could not be reached; finished environments are kept, "
            f"so run again when the network is back, or use --base-python PATH.\n{text}"
        )
    if "Hash mismatch" in text:
        return (
            "a package is not the one that the lock names, and was not installed. The index, or a cache on "
            "the way to it, serves another file: ask another index. `uv cache clean` forgets what uv kept. "
            f"`nox -s lock` locks what the index has now, which is then untested.\n{text}"
        )
    if "Wheels are required for" in text:
        return (
            "a package has no wheel. To learn what its source needs, uv would run its code, which could then "
            "read what names the index. Build a wheel of it where no secret is set (`pip wheel --no-deps "
            "NAME==VERSION --wheel-dir FOLDER`), name that folder in UV_FIND_LINKS and run again; or prepare "
            f"an environment yourself and pass --base-python PATH.\n{text}"
        )
    return f"uv could not finish: {done.quoted}\n{text}"
