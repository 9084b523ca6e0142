"""The solver study: our candidate and its row are added once, and what is not as known is refused."""

import sys
import types
from typing import Any

import numpy as np
import pytest

from matrix.ground.errors import UsageError
from matrix.refresh.branches.study import with_candidate, with_row
from tests.refresh.branches.studied import README, REGISTRY


def test_the_candidate_stands_after_the_librarys_active_set() -> None:
    once = with_candidate(REGISTRY)
    assert with_candidate(once) == once
    before, after = REGISTRY.splitlines(), once.splitlines()
    assert after.index("def _build_nnls(target_kappa):") > after.index("def _build_certified(target_kappa):")
    assert after.index('            "nnls",') < after.index("    # What comes later")
    # Without what was added it is the registry, line for line.
    kept = iter(after)
    assert all(line in kept for line in before)


def test_the_candidate_solves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built by the study's own registry, on the Jacobi system, and given back in the variables of (Q, q)."""
    asked = []

    def solve_nnls(Q: Any, q: Any) -> tuple[Any, Any, Any, int, int]:
        asked.append(Q)
        x = np.linalg.solve(Q, q)
        return x, x, Q @ x - q, 1, 2

    library = types.ModuleType("autoarray.inversion.nnls")
    library.solve_nnls = solve_nnls  # type: ignore[attr-defined]
    for name in ("autoarray", "autoarray.inversion"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "autoarray.inversion.nnls", library)
    module: dict[str, Any] = {}
    exec(compile(with_candidate(REGISTRY), "registry", "exec"), module)
    assert list(module["CANDIDATES"]) == [
        "fnnls",
        "limit_8",
        "limit_16",
        "certified",
        "nnls",
        "later_20",
        "later_50",
    ]
    _, _, function, candidate = module["CANDIDATES"]["nnls"]
    assert function == "autoarray.inversion.nnls.solve_nnls"
    Q, x = np.array([[4.0, 1.0], [1.0, 100.0]]), np.array([2.0, 3.0])
    found = candidate(Q, Q @ x)
    np.testing.assert_allclose(found["x"], x)
    assert (found["converged"], found["iterations"]) == (1, 2)
    np.testing.assert_allclose(np.diag(asked[0]), 1.0)


def test_the_row_stands_in_the_first_table_and_once() -> None:
    once = with_row(README)
    assert with_row(once) == once
    lines = once.splitlines()
    row = next(line for line in lines if line.startswith("| `nnls` |"))
    assert lines[lines.index(row) - 1] == "| `certified` | passes | `jax_active_set` |"
    assert row.count("|") == 4
    assert [line for line in lines if line != row] == README.splitlines()
    assert with_row(once.replace(row, "| `nnls` | as it was said before | x |")) == once


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("def _jacobi(Q, q):", "def _scaled(Q, q):", r"no function _jacobi\(Q, q\)"),
        (
            "def _jax_candidate(name, description",
            "def _jax_candidate(name, text",
            "no function _jax_candidate",
        ),
        ("def _build_registry():", "def _registry():", r"no function _build_registry\(\)"),
        ('            "certified",', '            "passes",', "adds no candidate 'certified'"),
        (
            "    add(\n        _jax_candidate(\n",
            "    put(\n        _jax_candidate(\n",
            "adds no candidate 'certified'",
        ),
        ("def _fnnls", "def _build_nnls(target_kappa):\n    pass\n\n\ndef _fnnls", "is not ours"),
        ("    known = {}", '    known = {}\n    add(_jax_candidate("nnls", "", "", None))', "is not ours"),
        ("TABLE_LIMIT = 3", "TABLE_LIMIT = ", "line 3: not valid Python"),
    ],
)
def test_another_registry_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in REGISTRY
    with pytest.raises(UsageError, match=complaint):
        with_candidate(REGISTRY.replace(old, new, 1))


@pytest.mark.parametrize(
    ("readme", "complaint"),
    [
        ("# A study\n", "no table of candidates"),
        (README.replace("| `certified` | passes |", "| `active` | passes |"), "no row of `certified`"),
    ],
)
def test_another_readme_is_refused(readme: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        with_row(readme)
