"""What `check` asks of a driver is what our programs over there import, and what the lock installs."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from packaging.utils import canonicalize_name

from matrix.diagnose.sides.likelihood import of_likelihoods
from matrix.execute.sessions import OTHERS
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.hpc.check import DRIVER_NEEDS, DRIVER_PROBE
from matrix.prepare.locks import pins

STARTED = (
    *("matrix.execute.slurm", "matrix.execute.slurm_sessions"),
    *("matrix.execute.slurm_job", "matrix.execute.session_job"),
    *(kind.command[0] for kind in OTHERS.values() if not kind.in_stack),
    *(f"matrix.diagnose.{name.replace('-', '_')}.session" for name in of_likelihoods()),
)
# Of what got loaded, the packages that a module of ours names.
IMPORTS = """
import ast, importlib, json, pathlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
named = set()
for module in [each for name, each in sys.modules.items() if name.split(".")[0] == "matrix"]:
    for node in ast.walk(ast.parse(pathlib.Path(module.__file__).read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
        named |= {name.split(".")[0] for name in names}
theirs = (named & sys.modules.keys()) - sys.stdlib_module_names - {"matrix"}
print(json.dumps(sorted(theirs)))
"""


@pytest.fixture(scope="module")
def imported() -> list[str]:
    """Packages of others that jobs and their states import in the driver."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *STARTED],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_what_is_asked_for_is_what_is_imported(imported: list[str]) -> None:
    assert imported == DRIVER_NEEDS.split()


def test_the_lock_has_it_all(imported: list[str]) -> None:
    locked = {pin.name for pin in pins((REPOSITORY_ROOT / "locks" / "driver.txt").read_text())}
    brought_by = importlib.metadata.packages_distributions()
    for name in imported:
        assert locked & {canonicalize_name(each) for each in brought_by[name]}, name


def test_what_is_missing_is_named() -> None:
    bare = [sys.executable, "-I", "-S", "-c", DRIVER_PROBE]
    done = subprocess.run(bare, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.strip() == ", ".join(DRIVER_NEEDS.split()) + " missing"
