"""A profiling repository of ours in the shape that its branch knows: a study, a script, a result."""

import json
from pathlib import Path

from tests.factory import EVIDENCE
from tests.prepare.change.miniature import write

REGISTRY_FILE, README_FILE = "scripts/lens/solver/_solvers.py", "scripts/lens/solver/README.md"
SCRIPT_FILE = "scripts/imaging/mge/likelihood_runtime.py"
OLDER_SCRIPT_FILE = "scripts/imaging/likelihood_runtime/mge.py"
RESULT_FILE = "results/runtime/imaging/mge/hst/mge_local_cpu_fp64.json"

REGISTRY = '''\
"""Candidates — of the study."""

TABLE_LIMIT = 3


def _jacobi(Q, q):
    scale = 1.0 / Q.diagonal() ** 0.5
    return Q * scale[:, None] * scale, q * scale, scale


def _jax_candidate(name, description, library_function, build, extras=None):
    return name, description, library_function, build(1e-11)


def _build_certified(target_kappa):
    def f(Q, q):
        return {"x": q, "converged": True, "iterations": TABLE_LIMIT}

    return f


def _fnnls(Q, q):
    return q


def _build_registry():
    known = {}

    def add(candidate):
        known[candidate[0]] = candidate

    add(("fnnls", "reference", "fnnls", _fnnls))
    for limit in (8, 16):
        add(_jax_candidate(f"limit_{limit}", "a limit", "passes", _build_certified))
    add(
        _jax_candidate(
            "certified",
            "passes",
            "jax_active_set",
            _build_certified,
        )
    )
    # What comes later
    for limit in (20, 50):
        add(_jax_candidate(f"later_{limit}", "later", "passes", _build_certified))
    return known


CANDIDATES = _build_registry()
'''

README = """\
# A study

| Candidate | What it is | Library primitive(s) |
|-----------|------------|----------------------|
| `fnnls` | the reference | `fnnls` |
| `certified` | passes | `jax_active_set` |

And what came later:

| Candidate | What it is | Library primitive(s) |
|-----------|------------|----------------------|
| `later` | later | `passes` |

| Corpus | Candidate | Unconverged |
|--------|-----------|-------------|
| `all` | `certified` | 48/81 |
"""

SCRIPT = f'''\
"""Times of a likelihood."""

EXPECTED_LOG_LIKELIHOOD = {{
    "hst": {EVIDENCE + 1.5!r},
    "ao": None,
}}
expected = EXPECTED_LOG_LIKELIHOOD.get("hst")
if expected is not None:
    check_pinned(eager, expected, label="eager", rtol=1e-4)
    check_pinned(float(full), expected, label="full", rtol=1e-3)
    check_pinned(lanes, expected, label="vmap", rtol=1e-3)
'''


def make_profiling(folder: Path) -> None:
    """Write the repository as of autumn; without its study it is that of summer."""
    write(folder / REGISTRY_FILE, REGISTRY)
    write(folder / README_FILE, README)
    write(folder / SCRIPT_FILE, SCRIPT)
    write(folder / "scripts" / "misc" / "tooling" / "build_readme.py", "raise SystemExit('not by us')\n")
    write(folder / RESULT_FILE, json.dumps({"autolens_version": "2026.7.6.649"}, indent=2))
