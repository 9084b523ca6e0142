"""The vendored package: the solver's files, what makes a wheel carry them, and the library's own tests."""

import ast
import tomllib
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError
from matrix.prepare.change.templating import template_text
from matrix.prepare.change.tree import PlannedTree

PACKAGE = "autoarray/inversion/nnls"
TESTS = "test_autoarray/inversion/inversion/nnls"
MANIFEST = "MANIFEST.in"

_LEFT_OUT = {"tests", "__pycache__"}
_REGISTRY = ("_algorithms.py", "_BY_NAME")


def algorithm_names(solver: Path) -> tuple[str, ...]:
    """The names `nnls_algorithm` may have, read from the solver's source: where we run there need be no JAX.

    Raises
    ------
    UsageError
        The solver does not list its algorithms as known.
    """
    name, registry = _REGISTRY
    path = solver / name
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == registry:
            keys = node.value.keys if isinstance(node.value, ast.Dict) else []
            names = tuple(ast.literal_eval(key) for key in keys if isinstance(key, ast.Constant))
            if names:
                return names
    raise UsageError(f"{path} has no table {registry} of the algorithms by name")


def solver_files(solver: Path) -> dict[str, str]:
    """Return the solver's files as they stand: path in the library checkout -> text.

    Parameters
    ----------
    solver
        The folder of the solver; its tests and caches are left out.

    Raises
    ------
    UsageError
        It is not the folder of a Python package with its licence.
    """
    for needed in ("__init__.py", "LICENSE.txt"):
        if not (solver / needed).is_file():
            raise UsageError(f"{solver} is not the solver's folder: it has no {needed}")
    paths = [path for path in sorted(solver.rglob("*")) if path.is_file()]
    return {
        f"{PACKAGE}/{path.relative_to(solver).as_posix()}": path.read_bytes().decode("utf-8")
        for path in paths
        if not any(part in _LEFT_OUT or part.startswith(".") for part in path.relative_to(solver).parts)
    }


def put_tests(tree: PlannedTree, *names: str) -> None:
    """Plan the library's tests by the names of their templates, and the `__init__.py` their folders lack."""
    for name in names:
        tree.put(f"{TESTS}/{Path(name).name}", template_text(name))
    parts = TESTS.split("/")
    for depth in range(1, len(parts) + 1):
        path = "/".join([*parts[:depth], "__init__.py"])
        if not tree.has(path):
            tree.put(path, "")


def stale_files(checkout: Path, wanted: dict[str, str]) -> list[str]:
    """Return the files of an earlier vendoring that the solver no longer has."""
    folder = checkout / PACKAGE
    present = [
        path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts
    ]
    return [name for path in present if (name := path.relative_to(checkout).as_posix()) not in wanted]


def declare_data(manifest: str, pyproject: str, files: dict[str, str]) -> str:
    """Return `MANIFEST.in` such that an installed library carries the solver's files that are not Python.

    Parameters
    ----------
    manifest
        The text of `MANIFEST.in`.
    pyproject
        The text of `pyproject.toml`.
    files
        The vendored files, from `solver_files`.

    Raises
    ------
    UnrecognisedError
        The library does not take its package data from `MANIFEST.in` (setuptools, `include-package-data`).
    """
    suffixes = sorted({Path(name).suffix for name in files} - {".py"})
    if not suffixes:
        return manifest
    setuptools = tomllib.loads(pyproject).get("tool", {}).get("setuptools", {})
    if not setuptools.get("include-package-data", False):
        what = "its package data do not come from MANIFEST.in (no `include-package-data = true`)"
        raise UnrecognisedError(Unrecognised("pyproject.toml", what))
    line = f"recursive-include {PACKAGE} {' '.join(f'*{suffix}' for suffix in suffixes)}"
    newline = "\r\n" if "\r\n" in manifest else "\n"
    lines = manifest.splitlines()
    if line in lines:
        return manifest
    ours = [index for index, text in enumerate(lines) if text.startswith(f"recursive-include {PACKAGE} ")]
    if ours:
        return manifest.replace(lines[ours[0]], line)
    includes = [
        index for index, text in enumerate(lines) if text.startswith(("include ", "recursive-include "))
    ]
    after = includes[-1] + 1 if includes else 0
    head = "".join(manifest.splitlines(keepends=True)[:after])
    if head and not head.endswith("\n"):
        head += newline
    return f"{head}{line}{newline}{''.join(manifest.splitlines(keepends=True)[after:])}"
