"""The assertion script: switched by parsing, refused where unknown, and cases that tell right from wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.branches.assertions import switch_import, with_cases
from matrix.errors import UsageError
from matrix.layout import REPOSITORY_ROOT
from tests.branches.world import ASSERTIONS, STAND_INS, TEST

SCRIPT = (STAND_INS / TEST / ASSERTIONS).read_text()

# The library as far as the script calls it: our solver under its future name, and a call site.
HARNESS = """
import importlib, sys, types
solver = importlib.import_module("solver")
inversion = types.ModuleType("autoarray.inversion")
inversion.nnls = solver
autoarray = types.ModuleType("autoarray")
autoarray.inversion = inversion

def reconstruction_positive_only_from(data_vector, curvature_reg_matrix, xp):
    {call}

autoarray.util = types.SimpleNamespace(
    inversion=types.SimpleNamespace(reconstruction_positive_only_from=reconstruction_positive_only_from)
)
modules = {{"autoarray": autoarray, "autoarray.inversion": inversion, "autoarray.inversion.nnls": solver}}
sys.modules.update(modules)
sys.modules["jaxnnls"] = None
exec(compile(open(sys.argv[1]).read(), "nnls.py", "exec"))
"""
RIGHT = "return solver.solve_nnls_primal(curvature_reg_matrix, data_vector, target_kappa=1e-11)"
# Close enough for the assertions that were there before.
LOOSE = f"{RIGHT} * (1 + 1e-7)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("import jaxnnls\n", "from autoarray.inversion import nnls\n"),
        ("import jaxnnls as fast\n", "from autoarray.inversion import nnls as fast\n"),
        (
            "from jaxnnls import solve_nnls, solve_nnls_primal as primal  # why\n",
            "from autoarray.inversion.nnls import solve_nnls, solve_nnls_primal as primal  # why\n",
        ),
        (
            "def f():\n    import jaxnnls\n    return 'é', jaxnnls.solve_nnls(Q, q), jaxnnls.solve_nnls\n",
            "def f():\n    from autoarray.inversion import nnls\n"
            "    return 'é', nnls.solve_nnls(Q, q), nnls.solve_nnls\n",
        ),
        (
            '"""``jaxnnls.solve_nnls_primal``; jaxnnls returned NaN."""\nimport jaxnnls\n',
            '"""``nnls.solve_nnls_primal``; jaxnnls returned NaN."""\nfrom autoarray.inversion import nnls\n',
        ),
        ('"""jaxnnls.solve_nnls was used here once."""\n', '"""jaxnnls.solve_nnls was used here once."""\n'),
    ],
)
def test_switched(before: str, after: str) -> None:
    assert switch_import(before) == after
    assert switch_import(after) == after


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("import numpy, jaxnnls\n", "not a known way"),
        ("import jaxnnls.pdip\n", "not a known way"),
        ("from jaxnnls import (\n    solve_nnls,\n)\n", "over several lines"),
        ("import jaxnnls\nnnls = 1\n", "is taken"),
        ("import jaxnnls\nfrom jaxnnls.pdip import solve\n", "still used"),
        ("<<<<<<< HEAD\n", "line 1"),
    ],
)
def test_unknown_use_is_refused(script: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        switch_import(script)


def test_cases_come_before_the_last_word_and_once() -> None:
    once = with_cases(switch_import(SCRIPT))
    assert once.rstrip().endswith('print("nnls: all assertions passed")')
    assert with_cases(once) == once
    older = once.replace("__Matrix of Cases__", "__An older matrix__")
    assert with_cases(older) == once


def test_script_without_a_last_word() -> None:
    script = with_cases("import jax\n")
    assert script.startswith("import jax\n\n# --- Matrix of cases: begin ---\n")
    assert with_cases(script) == script


def outcome(tmp_path: Path, call: str) -> subprocess.CompletedProcess[str]:
    """Run the extended script on a library whose call site is `call`."""
    script = tmp_path / "nnls.py"
    script.write_text(with_cases(switch_import(SCRIPT)))
    environment = {
        **os.environ,
        "JAX_ENABLE_X64": "True",
        "JAX_PLATFORM_NAME": "cpu",
        "PYTHONPATH": str(REPOSITORY_ROOT),
    }
    command = [sys.executable, "-c", HARNESS.format(call=call), str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_our_solver_passes(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    done = outcome(tmp_path, RIGHT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "nnls: all assertions passed\n"


def test_loose_answer_fails(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    done = outcome(tmp_path, LOOSE)
    assert done.returncode != 0
    assert "KKT residual" in done.stderr
