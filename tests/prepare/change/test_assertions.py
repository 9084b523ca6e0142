"""The assertion script: switched by parsing, refused where unknown, and cases that tell right from wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.change.assertions import switch_import, with_cases, with_solver
from tests.refresh.branches.world import ASSERTIONS, STAND_INS, TEST

SCRIPT = (STAND_INS / TEST / ASSERTIONS).read_text()

# The library as far as the script calls it: our solver under its future name, and a call site.
HARNESS = """
import importlib, sys, types
ours = importlib.import_module("solver")
inversion = types.ModuleType("autoarray.inversion")
inversion.nnls = ours
autoarray = types.ModuleType("autoarray")
autoarray.inversion = inversion

def reconstruction_positive_only_from(data_vector, curvature_reg_matrix, xp{more}):
    {call}

autoarray.util = types.SimpleNamespace(
    inversion=types.SimpleNamespace(reconstruction_positive_only_from=reconstruction_positive_only_from)
)
modules = {{"autoarray": autoarray, "autoarray.inversion": inversion, "autoarray.inversion.nnls": ours}}
sys.modules.update(modules)
sys.modules["jaxnnls"] = None
exec(compile(open(sys.argv[1]).read(), "nnls.py", "exec"))
"""
RIGHT = "return ours.solve_nnls_primal(curvature_reg_matrix, data_vector, target_kappa=1e-11)"
# Close enough for the assertions that were there before.
LOOSE = f"{RIGHT} * (1 + 1e-7)"
# As since release 2026.9.26.1: the caller chooses, and may ask what ran.
CHOICE = ', solver="pdip", stats=None'
CHOSEN = f"""
    if stats is not None:
        stats["solver"] = solver
    assert solver == "nnls"
    {RIGHT}"""
NOT_FOLLOWED = CHOSEN.replace("= solver", '= "pdip"')


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
    assert switch_import(before, named=False) == after
    assert switch_import(after, named=False) == after


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
        switch_import(script, named=False)


@pytest.mark.parametrize("named", [False, True])
def test_cases_come_before_the_last_word_and_once(named: bool) -> None:
    once = with_cases(switch_import(SCRIPT, named), named)
    assert once.rstrip().endswith('print("nnls: all assertions passed")')
    assert with_cases(switch_import(once, named), named) == once
    older = once.replace("__Matrix of Cases__", "__An older matrix__")
    assert with_cases(older, named) == once


def test_script_without_a_last_word() -> None:
    script = with_cases("import jax\n", named=False)
    assert script.startswith("import jax\n\n# --- Matrix of cases: begin ---\n")
    assert with_cases(script, named=False) == script


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where JAX keeps what it compiled: most programs of the script are the same on each library."""
    return tmp_path_factory.mktemp("programs")


def outcome(tmp_path: Path, programs: Path, call: str, more: str = "") -> subprocess.CompletedProcess[str]:
    """Run the extended script on a library whose call site is `call`, with `more` parameters."""
    script = tmp_path / "nnls.py"
    named = bool(more)
    script.write_text(with_cases(switch_import(SCRIPT, named), named))
    environment = {
        **os.environ,
        "JAX_ENABLE_X64": "True",
        "JAX_PLATFORM_NAME": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # XLA takes hints to its own compiler for features that the machine lacks, and says so at length.
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": str(REPOSITORY_ROOT),
    }
    command = [sys.executable, "-c", HARNESS.format(call=call, more=more), str(script)]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(("call", "more"), [(RIGHT, ""), (CHOSEN, CHOICE)])
def test_our_solver_passes(tmp_path: Path, programs: Path, call: str, more: str) -> None:
    pytest.importorskip("jax")
    done = outcome(tmp_path, programs, call, more)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "nnls: all assertions passed\n"


@pytest.mark.parametrize(
    ("call", "more", "complaint"), [(LOOSE, "", "KKT residual"), (NOT_FOLLOWED, CHOICE, "pdip ran")]
)
def test_wrong_library_fails(tmp_path: Path, programs: Path, call: str, more: str, complaint: str) -> None:
    pytest.importorskip("jax")
    done = outcome(tmp_path, programs, call, more)
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "f.reconstruction_positive_only_from(q, Q)\n",
            'f.reconstruction_positive_only_from(q, Q, solver="nnls")\n',
        ),
        (
            "x = reconstruction_positive_only_from(\n    q,\n    xp=jnp,  # é\n)\n",
            'x = reconstruction_positive_only_from(\n    q,\n    xp=jnp,\n    solver="nnls",  # é\n)\n',
        ),
        (
            "x = reconstruction_positive_only_from(\n    xp=f(\n        1\n    )\n)\n",
            'x = reconstruction_positive_only_from(\n    xp=f(\n        1\n    ),\n    solver="nnls"\n)\n',
        ),
        (
            'reconstruction_positive_only_from(q, solver="pdip")\n',
            'reconstruction_positive_only_from(q, solver="pdip")\n',
        ),
        ("other(q)\n", "other(q)\n"),
    ],
)
def test_calls_name_the_solver(before: str, after: str) -> None:
    assert with_solver(before) == after
    assert with_solver(after) == after
