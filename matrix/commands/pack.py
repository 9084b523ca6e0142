"""`nox -s pack`: environments, checkouts and code in one file, for a machine that reaches no network."""

import argparse
import json
import os
import platform
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.commands.matrix import matrix_options
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.layout import REPOSITORY_ROOT, Layout, open_layout
from matrix.ground.options import SessionParser, add_root
from matrix.ground.process import run
from matrix.ground.redaction import OF_AN_INDEX
from matrix.ground.shell import inherited
from matrix.prepare.checkout import Checkout, store
from matrix.prepare.checkout.git import git
from matrix.prepare.checkout.refs import is_full_sha
from matrix.prepare.environments import interpreter_of
from matrix.prepare.interpreters import Interpreter
from matrix.prepare.locks import LOCKS, Lock
from matrix.prepare.packages import build_sources, build_wheel
from matrix.prepare.sides import announced_recipe, announced_source, check_out, manifest_for
from matrix.run.change import VENDORING

DOWNLOAD_SECONDS = 3600.0
DRIVER = LOCKS / "driver.txt"
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".matrix", ".nox", ".venv", "__pycache__", ".*_cache", ".hypothesis"
)
UNPACK = Path(__file__).parents[1] / "hpc" / "unpack.py"


def main(arguments: Sequence[str] | None = None) -> int:
    """Pack; return the exit code (0 done, 2 wrong use, 3 machine or network)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    known, rest = _parser().parse_known_args(words)
    return exit_code_of(lambda: _pack(known, rest))


def _pack(known: argparse.Namespace, rest: Sequence[str]) -> int:
    console = open_console()
    if not known.file.parent.is_dir():
        raise UsageError(f"{known.file}: there is no folder {known.file.parent}. Make it, or name another.")
    options = matrix_options(["fp64", *rest, "--root", str(known.root)])
    if options.datasets:
        raise UsageError("a pack holds no data of your own: give --dataset where it is unpacked.")
    manifest = manifest_for(options)
    if manifest.change != VENDORING:
        raise UsageError(
            "a pack holds one library and one stack, for the change that vendors the solver. Give settings "
            "where it is unpacked; try refs and packages on a machine with a network."
        )
    source = announced_source(console, manifest)
    layout = open_layout(options.root)
    recipe = announced_recipe(console, layout, manifest, options)
    _, checkouts = check_out(console, layout, manifest, source, recipe, options)
    python = interpreter_of(manifest.release)
    again = ["--release", manifest.release]
    again += [word for name, ref in options.refs.items() for word in ("--ref", f"{name}={ref}")]
    driver = Lock(DRIVER.read_text(encoding="utf-8"), "", "as locked")
    pack(
        known.file,
        Contents(REPOSITORY_ROOT, driver, recipe.lock, recipe.requirements),
        list(checkouts.values()),
        again,
        layout,
        python,
    )
    console.print(f"packed      {known.file} ({known.file.stat().st_size / 1e6:.0f} MB)")
    console.print(
        f"over there  tar -xf {known.file.name} && python{python.minor} {known.file.stem}/unpack.py"
    )
    return 0


@dataclass(frozen=True)
class Contents:
    """What a pack installs over there.

    Parameters
    ----------
    code
        Root of this project.
    driver
        The packages that it needs, itself aside.
    stack
        The packages of the environment with the likelihood software.
    requirements
        What `stack` was locked for.
    """

    code: Path
    driver: Lock
    stack: Lock
    requirements: Sequence[str]


def pack(
    file: Path,
    contents: Contents,
    checkouts: Sequence[Checkout],
    options: Sequence[str],
    layout: Layout,
    python: Interpreter,
) -> None:
    """Write the tar file.

    Environments travel as wheels, which install anywhere; an environment itself knows its path. Checkouts
    travel as bare clones, which ``--source mirror`` reads.

    Parameters
    ----------
    file
        Where to; its stem is the one folder inside.
    contents
        What is installed.
    checkouts
        The repositories, at the commits to validate.
    options
        What the matrix must be told over there, since it was told here: release and refs.
    layout
        Where archives and build tools are kept.
    python
        The wheels are for its version, of both environments alike: over there one Python is enough.

    Raises
    ------
    EnvironmentFailure
        A package cannot be had, or the disk is full.
    """
    with tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".pack-") as scratch:
        folder = Path(scratch) / file.stem
        shutil.copytree(contents.code, folder / "code", ignore=LEFT_OUT)
        for checkout in checkouts:
            _clone(checkout, folder / "mirror" / f"{checkout.name}.git")
        for name, lock in (("driver", contents.driver), ("stack", contents.stack)):
            wheels = folder / "wheels" / name
            _download(wheels, lock, python)
            build_sources(layout, python, lock, wheels)
        build_wheel(layout, python, contents.code, folder / "wheels" / "driver")
        about = {
            "python": python.minor,
            "machine": f"{platform.system()} {platform.machine()}",
            "stack": list(contents.requirements),
            "options": list(options),
        }
        (folder / "pack.json").write_text(json.dumps(about, indent=2) + "\n")
        shutil.copy2(UNPACK, folder / "unpack.py")
        whole = Path(scratch) / file.name
        with tarfile.open(whole, "w") as archive:
            archive.add(folder, arcname=file.stem)
        os.replace(whole, file)


def _clone(checkout: Checkout, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    store.open_store(target)
    # Our own checkouts have no history, and where the source lacked files they lack them too.
    store.fetch_first(target, checkout.name, [checkout.commit], str(checkout.path))
    # Under the name it was asked for, so that the same manifest finds it; a commit is found without one.
    branch = "packed" if is_full_sha(checkout.ref) else checkout.ref
    git("update-ref", f"refs/heads/{branch}", checkout.commit, at=target)


def _download(folder: Path, lock: Lock, python: Interpreter) -> None:
    """The lock's wheels; nothing is built, so that pip may have what names an index."""
    with tempfile.TemporaryDirectory() as scratch:
        listed = Path(scratch) / "wheels.txt"
        listed.write_text(lock.wheels, encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "--python", str(python.path), "download", "--quiet"]
        exactly = ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
        command = [*pip, *exactly, "--dest", str(folder), "--requirement", str(listed)]
        done = run(command, env=inherited(), timeout=DOWNLOAD_SECONDS, check=False, keep=OF_AN_INDEX)
    if done.exit_code != 0:
        raise EnvironmentFailure(f"cannot have what is locked as wheels:\n{done.stderr.strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser(
        "pack",
        "Put environments, checkouts and code into one file, for a machine that reaches no network.",
        "matrix.tar",
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE.tar", help="what to write; the matrix's own options may follow")
    add_root(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
