"""Vendoring a whole checkout: what it leaves, that it can be repeated, and that a refusal changes nothing."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.prepare.change import ResidualDependency, UnrecognisedError, vendor_library
from tests.prepare.change.miniature import MODULES, make_library, snapshot, write

UTIL = "autoarray/inversion/inversion/inversion_util.py"
ABSTRACT = "autoarray/inversion/inversion/abstract.py"
GENERAL = "autoarray/config/general.yaml"
TESTS = "test_autoarray/inversion/inversion/nnls"
TEST_FILES = ("__init__.py", "test_solver.py", "test_call_site.py", "test_independence.py")


def test_everything_is_in_place(library: Path, solver: Path) -> None:
    report = vendor_library(library, solver)

    files = {name: text.decode() for name, text in snapshot(library).items()}
    for name, text in files.items():
        if name.endswith(".py"):
            ast.parse(text)
        if not name.startswith(TESTS):
            assert "jaxnnls" not in text, name
    for name in ("__init__.py", "_numbers.py", "LICENSE.txt"):
        assert files[f"autoarray/inversion/nnls/{name}"] == (solver / name).read_text()
    assert "recursive-include autoarray/inversion/nnls *.txt\n" in files["MANIFEST.in"]
    assert {name for name in files if "nnls/" in name} == {
        *(f"autoarray/inversion/nnls/{name}" for name in ("__init__.py", "_numbers.py", "LICENSE.txt")),
        *(f"{TESTS}/{name}" for name in TEST_FILES),
    }
    assert set(report.added) == set(files) - set(MODULES)
    assert set(report.changed) == {name for name in MODULES if files[name] != MODULES[name]}
    assert not report.already_vendored
    assert report.residual == (
        ResidualDependency("autoconf", "autoconf[jax]", "pyproject.toml, project.optional-dependencies.jax"),
    )


def test_what_is_said_of_fnnls_is_true_of_its_path_only(library: Path, solver: Path) -> None:
    vendor_library(library, solver)

    text = (library / ABSTRACT).read_text()
    assert "fnnls (see elsewhere.com) on the NumPy path and by\n        `autoarray.inversion.nnls`" in text
    assert "on the JAX path. Two variables follow." in text
    assert "via fnnls" not in text


def test_second_run_changes_no_byte(library: Path, solver: Path) -> None:
    vendor_library(library, solver)
    before = snapshot(library)

    report = vendor_library(library, solver)

    assert report.already_vendored
    assert snapshot(library) == before


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_nothing_but_the_edits_differs(tmp_path: Path, solver: Path, newline: str) -> None:
    library = make_library(tmp_path / "other", newline)
    before = snapshot(library)

    report = vendor_library(library, solver)

    after = snapshot(library)
    for name in report.changed:
        lines = after[name].decode().splitlines(keepends=True)
        assert {line[len(line.rstrip("\r\n")) :] for line in lines} <= {newline, ""}, name
    old, new = (tree[UTIL].decode().splitlines() for tree in (before, after))
    gone = [line[1:] for line in unified_diff(old, new, n=0, lineterm="") if line.startswith("-")]
    start, end = (
        MODULES[UTIL].splitlines().index(line)
        for line in ("    xp=numpy_like,", "    # The   branch  of NumPy stays as it is.")
    )
    assert set(gone[1:]) <= set(MODULES[UTIL].splitlines()[start:end])
    assert "    xp=numpy_like," in new


def test_a_changed_solver_is_copied_anew(library: Path, solver: Path) -> None:
    vendor_library(library, solver)
    write(solver / "_numbers.py", "ANSWER = 43\n")
    write(solver / "_more.py", "")
    (solver / "LICENSE.txt").write_text("MIT, two authors\n")
    write(solver / "__init__.py", "from ._more import *\n")
    (solver / "_numbers.py").unlink()

    report = vendor_library(library, solver)

    package = "autoarray/inversion/nnls"
    assert report.changed == (f"{package}/LICENSE.txt", f"{package}/__init__.py")
    assert report.added == (f"{package}/_more.py",)
    assert report.removed == (f"{package}/_numbers.py",)
    assert vendor_library(library, solver).already_vendored


@pytest.mark.parametrize(
    "restored", [UTIL, ABSTRACT, GENERAL, "MANIFEST.in", "pyproject.toml", "autoarray/settings.py"]
)
def test_an_interrupted_run_is_completed(library: Path, solver: Path, restored: str) -> None:
    vendor_library(library, solver)
    complete = snapshot(library)
    write(library / restored, MODULES[restored])
    (library / TESTS / "test_call_site.py").unlink()
    (library / "autoarray/inversion/nnls/_numbers.py").unlink()

    vendor_library(library, solver)

    assert snapshot(library) == complete


def _replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(library: Path) -> None:
        text = (library / name).read_text()
        assert old in text
        write(library / name, text.replace(old, new))

    return edit


REFUSALS = {
    "function renamed": (
        UTIL,
        _replace(UTIL, "def reconstruction_positive_only_from", "def positive_from"),
        "found 0",
    ),
    "parameter added": (UTIL, _replace(UTIL, "xp=numpy_like,\n", "xp=numpy_like, factor=None,\n"), "factor"),
    "parameter renamed": (UTIL, _replace(UTIL, "data_vector", "vector"), "parameters are (vector"),
    "other import": (
        UTIL,
        _replace(UTIL, "import jaxnnls", "from autoarray.util import jaxnnls"),
        "jaxnnls`",
    ),
    "other setting": (UTIL, _replace(UTIL, "nnls_target_kappa", "nnls_kappa"), "nnls_kappa"),
    "other default": (UTIL, _replace(UTIL, "kappa = 1.0e-11", "kappa = 1.0e-9"), "1e-09"),
    "other arithmetic": (UTIL, _replace(UTIL, "data_vector * unit,", "data_vector * unit + 1.0,"), "Add"),
    "other array function": (UTIL, _replace(UTIL, "xp.sqrt(", "xp.cbrt("), "xp.cbrt"),
    "uses settings": (UTIL, _replace(UTIL, "scale = True", "scale = settings.scale"), "settings"),
    "other solver": (
        UTIL,
        _replace(UTIL, "jaxnnls.solve_nnls_primal", "jaxnnls.solve_nnls"),
        "jaxnnls.solve_nnls`",
    ),
    "other option": (
        UTIL,
        _replace(UTIL, "target_kappa=kappa", "target_kappa=kappa, max_iter=9"),
        "max_iter",
    ),
    "no JAX branch": (UTIL, _replace(UTIL, 'startswith("jax")', 'startswith("torch")'), "0 branches"),
    "other NumPy branch": (UTIL, _replace(UTIL, "fnnls_cholesky", "other"), "fnnls_cholesky"),
    "not Python": (UTIL, _replace(UTIL, "def after()", "def after("), "not valid Python"),
    "class renamed": (ABSTRACT, _replace(ABSTRACT, "class AbstractInversion", "class Inversion"), "found 0"),
    "third call": (
        ABSTRACT,
        _replace(ABSTRACT, "return None", "return inversion_util.reconstruction_positive_only_from(1)"),
        "3 systems",
    ),
    "other keyword": (ABSTRACT, _replace(ABSTRACT, "xp=self._xp)", "xp=self._xp, factor=None)"), "factor"),
    "other restriction": (
        ABSTRACT,
        _replace(ABSTRACT, "[self.zeroed_ids_to_keep]", "[self.kept]"),
        "self.kept",
    ),
    "no index list": (ABSTRACT, _replace(ABSTRACT, "no_regularization_index_list", "free"), "is missing"),
    "no section": (GENERAL, _replace(GENERAL, "inversion:", "inversions:"), "no section"),
    "no key": (GENERAL, _replace(GENERAL, "nnls_target_kappa", "kappa"), "nnls_target_kappa"),
    "not YAML": (GENERAL, _replace(GENERAL, "psf:", "psf: ["), "not valid YAML"),
    "import elsewhere": (
        "autoarray/settings.py",
        _replace(
            "autoarray/settings.py", "class Settings", "from jaxnnls.pdip import solve\n\nclass Settings"
        ),
        "jaxnnls.pdip",
    ),
    "code elsewhere": (
        "autoarray/settings.py",
        _replace("autoarray/settings.py", "precise = True", 'precise = __import__("jaxnnls")'),
        "in code",
    ),
    "requirement of another form": (
        "pyproject.toml",
        _replace("pyproject.toml", "[tool.setuptools]", '[tool.other]\njaxnnls = "1.0"\n\n[tool.setuptools]'),
        "unknown way",
    ),
    "no package data": (
        "pyproject.toml",
        _replace("pyproject.toml", "include-package-data = true", ""),
        "MANIFEST",
    ),
    "no manifest": ("MANIFEST.in", lambda library: (library / "MANIFEST.in").unlink(), "no such file"),
    "another nnls package": (
        "autoarray/inversion/nnls",
        lambda library: write(library / "autoarray/inversion/nnls/theirs.py", ""),
        "theirs.py",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_unknown_code_is_refused_and_nothing_changes(library: Path, solver: Path, case: str) -> None:
    where, edit, what = REFUSALS[case]
    edit(library)
    before = snapshot(library)

    with pytest.raises(UnrecognisedError) as refusal:
        vendor_library(library, solver)

    assert snapshot(library) == before
    assert f"{where}:\n" in str(refusal.value)
    assert what in str(refusal.value)
    assert refusal.value.exit_code == 2


def test_all_that_is_unknown_is_said_at_once(library: Path, solver: Path) -> None:
    for case in ("other setting", "third call", "no section"):
        REFUSALS[case][1](library)

    with pytest.raises(UnrecognisedError) as refusal:
        vendor_library(library, solver)

    assert {problem.where for problem in refusal.value.problems} == {UTIL, ABSTRACT, GENERAL}


def test_edited_after_vendoring_is_refused(library: Path, solver: Path) -> None:
    vendor_library(library, solver)
    _replace(UTIL, "int(max_iter)", "int(max_iter) + 1")(library)
    before = snapshot(library)

    with pytest.raises(UnrecognisedError, match="another JAX branch"):
        vendor_library(library, solver)

    assert snapshot(library) == before


def test_other_folders_are_refused(library: Path, solver: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a checkout of PyAutoArray"):
        vendor_library(tmp_path, solver)
    with pytest.raises(UsageError, match=r"no __init__\.py"):
        vendor_library(library, tmp_path)
    (solver / "LICENSE.txt").unlink()
    with pytest.raises(UsageError, match=r"no LICENSE\.txt"):
        vendor_library(library, solver)


RUN = """
import json, sys
from types import SimpleNamespace
config = json.loads(sys.argv[1])
sys.modules["jaxnnls"] = None
sys.modules["autoconf"] = SimpleNamespace(conf=SimpleNamespace(instance={"general": {"inversion": config}}))
from autoarray.inversion.inversion.abstract import AbstractInversion
from autoarray.inversion.mappers.abstract import Mapper

def light(params):
    return SimpleNamespace(params=params, regularization=None)

def mapper(pixels, zeroed, regularization="constant"):
    found = Mapper()
    found.params, found.regularization = pixels, regularization
    found.mesh = SimpleNamespace(pixels=pixels, zeroed_pixels=zeroed)
    return found

def solve(edge_zeroed, name):
    inversion = AbstractInversion(
        [
            light(2),
            SimpleNamespace(params=3, regularization="reg"),
            light(1),
            mapper(4, [0, 3]),
            mapper(5, [1], None),
        ],
        SimpleNamespace(use_positive_only_solver=True, use_edge_zeroed_pixels=edge_zeroed),
        SimpleNamespace(__name__=name),
    )
    AbstractInversion.zeroed_ids_to_keep = "kept"
    return inversion.reconstruction

print(json.dumps([solve(True, "jax.numpy"), solve(False, "jax.numpy"), solve(True, "numpy")]))
"""


def _run(library: Path, config: dict[str, object]) -> list:
    environment = {**os.environ, "PYTHONPATH": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(config)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_vendored_library_runs_with_defaults_where_the_config_has_no_keys(
    library: Path, solver: Path
) -> None:
    vendor_library(library, solver)

    restricted, full, numpy = _run(library, {})

    options = {"algorithm": "auto", "max_iter": None, "solver_tol": None, "jacobi": True}
    assert restricted == ["primal", 1e-11, {**options, "dense_columns": [0, 1, 5, 8, 9, 10, 11]}]
    assert full == ["primal", 1e-11, {**options, "dense_columns": [0, 1, 5, 10, 11, 12, 13, 14]}]
    assert numpy == "fnnls"


def test_the_config_reaches_the_solver(library: Path, solver: Path) -> None:
    vendor_library(library, solver)
    config = {
        "nnls_algorithm": "schur",
        "nnls_max_iter": 12,
        "nnls_solver_tol": "1e-8",
        "nnls_jacobi_preconditioning": False,
        "nnls_target_kappa": "1e-6",
    }
    options = {"algorithm": "schur", "max_iter": 12, "solver_tol": 1e-8, "jacobi": False}

    _, full, _ = _run(library, config)
    _, forward, _ = _run(library, {**config, "nnls_forward_only": True})

    columns = {"dense_columns": [0, 1, 5, 10, 11, 12, 13, 14]}
    assert full == ["primal", 1e-6, {**options, **columns}]
    assert forward == ["forward", {**options, **columns}]
