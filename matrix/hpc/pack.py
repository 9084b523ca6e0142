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
from pathlib import Path

import uv

from matrix.checkout import Checkout, store
from matrix.checkout.git import git
from matrix.checkout.refs import is_full_sha
from matrix.cli import matrix_options
from matrix.console import open_console
from matrix.environments import Recipe, interpreter_of
from matrix.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.interpreters import Interpreter
from matrix.layout import REPOSITORY_ROOT, open_layout
from matrix.options import add_root
from matrix.preparing import announced_source, manifest_for, obtain
from matrix.process import run
from matrix.redaction import OF_AN_INDEX
from matrix.shell import inherited

BUILD_SECONDS = 3600.0
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".matrix", ".nox", ".venv", "__pycache__", ".*_cache", ".hypothesis"
)
UNPACK = Path(__file__).with_name("unpack.py")


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
    manifest = manifest_for(options)
    source = announced_source(console, manifest)
    _, checkouts = obtain(console, open_layout(options.root), manifest, source, options)
    recipe = Recipe(manifest.release, options.accelerator)
    python = interpreter_of(manifest.release)
    again = ["--release", manifest.release]
    again += [word for name, ref in options.refs.items() for word in ("--ref", f"{name}={ref}")]
    pack(known.file, REPOSITORY_ROOT, recipe.requirements, list(checkouts.values()), again, python)
    console.print(f"packed      {known.file} ({known.file.stat().st_size / 1e6:.0f} MB)")
    console.print(
        f"over there  tar -xf {known.file.name} && python{python.minor} {known.file.stem}/unpack.py"
    )
    return 0


def pack(
    file: Path,
    code: Path,
    stack: Sequence[str],
    checkouts: Sequence[Checkout],
    options: Sequence[str],
    python: Interpreter,
) -> None:
    """Write the tar file.

    Environments travel as wheels, which install anywhere; an environment itself knows its path. Checkouts
    travel as bare clones, which ``--source mirror`` reads.

    Parameters
    ----------
    file
        Where to; its stem is the one folder inside.
    code
        Root of this project.
    stack
        Requirements of the environment with the likelihood software.
    checkouts
        The repositories, at the commits to validate.
    options
        What the matrix must be told over there, since it was told here: release and refs.
    python
        The wheels are for its version, of both environments alike: over there one Python is enough.

    Raises
    ------
    EnvironmentFailure
        A package cannot be had, or the disk is full.
    """
    with tempfile.TemporaryDirectory(dir=file.resolve().parent, prefix=".pack-") as scratch:
        folder = Path(scratch) / file.stem
        shutil.copytree(code, folder / "code", ignore=LEFT_OUT)
        for checkout in checkouts:
            _clone(checkout, folder / "mirror" / f"{checkout.name}.git")
        _build_wheels(folder / "wheels" / "driver", [str(code)], python)
        _build_wheels(folder / "wheels" / "stack", stack, python)
        about = {
            "python": python.minor,
            "machine": f"{platform.system()} {platform.machine()}",
            "stack": list(stack),
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
    store.obtain(target, checkout.name, [checkout.commit], str(checkout.path))
    # Under the name it was asked for, so that the same manifest finds it; a commit is found without one.
    branch = "packed" if is_full_sha(checkout.ref) else checkout.ref
    git("update-ref", f"refs/heads/{branch}", checkout.commit, at=target)


def _build_wheels(folder: Path, requirements: Sequence[str], python: Interpreter) -> None:
    pip = ["tool", "run", "--python", str(python.path), "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
    command = [uv.find_uv_bin(), *pip, *requirements]
    done = run(command, env=inherited(), timeout=BUILD_SECONDS, check=False, keep=OF_AN_INDEX)
    if done.exit_code != 0:
        raise EnvironmentFailure(f"cannot have {', '.join(requirements)} as wheels:\n{done.stderr.strip()}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pack", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("file", type=Path, metavar="FILE.tar", help="what to write; the matrix's own options may follow")
    add_root(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
