"""Workspaces' rules and what their scripts print, read as the workspaces mean them."""

from pathlib import Path

import pytest

from matrix.checks.inside.independence import importing_lines
from matrix.checks.rules import read_rules
from matrix.checks.scripts import likelihood_scripts, printed_numbers
from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT

STAND_IN = REPOSITORY_ROOT / "matrix" / "prepare" / "embedded" / "autolens_workspace_test"
NO_RUN = """\
# why
- database/scrape/general # NEEDS_FIX 2026-04-27 - broken: badly
- delaunay_mge # SLOW 2026-04-10 - exceeds 60s
- bare
"""


def test_rules_of_our_stand_in() -> None:
    rules = read_rules(STAND_IN)
    likelihood = Path("scripts/jax_likelihood_functions/imaging/mge.py")
    assert rules.smoke == ("jax_likelihood_functions/imaging/mge.py",)
    assert rules.environment(likelihood, {"HOME": "/"})["PYAUTO_TEST_MODE"] == "2"
    assert "PYAUTO_DISABLE_JAX" not in rules.environment(likelihood, {})
    assert rules.environment(Path("scripts/other.py"), {})["PYAUTO_DISABLE_JAX"] == "1"
    assert likelihood_scripts(STAND_IN, rules) == [likelihood]


def test_scripts_are_left_out_with_the_reason_of_the_comment(tmp_path: Path) -> None:
    (tmp_path / "config" / "build").mkdir(parents=True)
    (tmp_path / "config" / "build" / "no_run.yaml").write_text(NO_RUN)
    rules = read_rules(tmp_path)
    assert (
        rules.reason_left_out(Path("scripts/database/scrape/general.py"))
        == "NEEDS_FIX 2026-04-27 - broken: badly"
    )
    assert rules.reason_left_out(Path("scripts/imaging/delaunay_mge.py")) == "SLOW 2026-04-10 - exceeds 60s"
    assert rules.reason_left_out(Path("scripts/imaging/delaunay.py")) is None
    assert rules.reason_left_out(Path("scripts/bare.py")) == "no reason given"


@pytest.mark.parametrize("text", ["- [", "defaults: [1]\n"])
def test_rules_that_are_not_as_known_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config" / "build").mkdir(parents=True)
    (tmp_path / "config" / "build" / "env_vars.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"are not as known|:1: not YAML"):
        read_rules(tmp_path)


def test_numbers_are_read_by_their_text_and_seconds_and_bytes_are_not() -> None:
    output = (
        "NumPy fit.log_likelihood: -3153.9020\n"
        "[26288.32 26288.33 nan]\n"
        "JAX Time Taken using VMAP: 0.123\n"
        "jit: -12.5 in 0.0042 s (float64)\n"
        "[dataset_load] 0.048 s\n"
        "  -> per-call avg: 0.001506 s\n"
        "Ray-trace grids  1.5 ms | Temp size: 68.001 MB | batching 1.02x, chi^2 = 77.5\n"
        "2026-05-04 19:37:50,123 - autofit - INFO - 1.5\n"
        "log_likelihood at 1e-3: -1.5\n"
        "version 2026.7.9.1, K=40\n"
    )
    found = printed_numbers(output)
    assert found.pop("[# # #] [3]") != found["[# # #] [2]"]
    assert found == {
        "NumPy fit.log_likelihood: # [1]": -3153.902,
        "[# # #] [1]": 26288.32,
        "[# # #] [2]": 26288.33,
        "jit: # (float64) [1]": -12.5,
        "Ray-trace grids | Temp size: | batching , chi^2 = # [1]": 77.5,
        "log_likelihood at #: # [1]": 1e-3,
        "log_likelihood at #: # [2]": -1.5,
    }


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ("import jaxnnls", [1]),
        ("def f():\n    from jaxnnls.pdip import x", [2]),
        ("import importlib\nimportlib.import_module('jaxnnls')", [2]),
        ("__import__('jaxnnls')", [1]),
        ("'import jaxnnls'  # import jaxnnls", []),
        ("from autoarray.inversion import nnls\nimport jaxnnls_like", []),
        ("from .jaxnnls import x", []),
    ],
)
def test_every_way_to_import_is_seen_and_no_mention_is(source: str, lines: list[int]) -> None:
    assert importing_lines(source) == lines
