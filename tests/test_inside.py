"""What runs inside a side is found by its folder, and asks for the library's packages alone."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.locks import LOCKS, WHEELS, pins

FOLDERS = ("records", "catalogue", "pipelines", "checks/inside", "prepare/embedded")
# What a diagnosis does in a side's environment is its `cell`.
CELLS = "diagnose/*/cell.py"

PROGRAM = """
import importlib, sys, types
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock
blocked, modules = set(sys.argv[1].split(",")), sys.argv[2].split(",")
# The library itself is not installed where our tests run.
absent = {"autoarray", "autofit", "autogalaxy", "autolens", "autoconf", "autonerves"}


class Library(types.ModuleType):
    __path__ = []

    def __getattr__(self, name):
        return MagicMock()


class Finder:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in blocked:
            raise ModuleNotFoundError(f"{name} is a package of the driver's")
        return ModuleSpec(name, self, is_package=True) if top in absent else None

    def create_module(self, spec):
        return Library(spec.name)

    def exec_module(self, module):
        pass


sys.meta_path.insert(0, Finder())
for module in modules:
    importlib.import_module(module)
"""


def inside() -> list[str]:
    """The modules that run in a side's environment, with all of ours that they import, also late."""
    package = REPOSITORY_ROOT / "matrix"
    paths = [*(path for folder in FOLDERS for path in package.glob(f"{folder}/*.py")), *package.glob(CELLS)]
    found: set[Path] = set()
    while paths:
        path = paths.pop()
        if path not in found:
            found.add(path)
            paths += filter(Path.is_file, map(path_of, imports_in(path)))
    return sorted(".".join(path.relative_to(REPOSITORY_ROOT).with_suffix("").parts) for path in found)


def imports_in(path: Path) -> Iterator[str]:
    """What a file of ours imports of us, wherever in it; of a name, also the module that it may be."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("matrix"):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("matrix."))


def path_of(module: str) -> Path:
    """The file of a module, if it is one and no package."""
    return REPOSITORY_ROOT.joinpath(*module.split(".")).with_suffix(".py")


def of_the_driver_alone() -> set[str]:
    """How the driver's packages are imported, those aside that every locked release's stack has."""
    project = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())["project"]
    ours = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    stacks = [{pin.name for pin in pins(path.read_text())} for path in LOCKS.glob(f"*/{WHEELS}")]
    alone = {name for name in ours if not all(name in stack for stack in stacks)}
    found = packages_distributions()
    return {name for name, owners in found.items() if alone & {canonicalize_name(owner) for owner in owners}}


def test_side_needs_no_package_of_the_drivers(tmp_path: Path) -> None:
    blocked, modules = of_the_driver_alone(), inside()
    assert {"pydantic", "rich", "libcst", "pytest"} <= blocked
    assert "matrix.diagnose.sides.record" in modules
    done = imported(blocked, modules, tmp_path)
    assert done.returncode == 0, done.stderr


def test_package_of_the_drivers_would_be_seen(tmp_path: Path) -> None:
    done = imported(of_the_driver_alone(), ["matrix.run.plan"], tmp_path)
    assert "pydantic is a package of the driver's" in done.stderr


def imported(blocked: set[str], modules: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", PROGRAM, ",".join(sorted(blocked)), ",".join(modules)]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY_ROOT), "JAX_PLATFORMS": "cpu"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
