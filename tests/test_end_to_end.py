"""The whole line on the real stack at smoke scale: green, kept, killed and resumed, red where it must be."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from matrix.layout import REPOSITORY_ROOT
from matrix.plan import read_plan
from matrix.record import read_record

SMOKE = ("fp64", "--scale", "smoke", "--source", "embedded")
ONE = "interferometer-mge"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One `.matrix` for the module: environments and stand-ins are built once."""
    return tmp_path_factory.mktemp("matrix-root")


def matrix(root: Path, *words: str, repository: Path = REPOSITORY_ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command behind the nox sessions to its end."""
    return subprocess.run(
        command(root, *words), cwd=repository, capture_output=True, text=True, timeout=1500, check=False
    )


def command(root: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "matrix", *SMOKE, "--root", str(root), *words]


def newest_run(root: Path) -> Path:
    return max((root / "runs").iterdir(), key=lambda folder: folder.stat().st_mtime)


def verdicts(run: Path) -> list[dict[str, str]]:
    return list(json.loads((run / "verdicts.json").read_text())["verdicts"])


@pytest.fixture(scope="module")
def green(root: Path) -> subprocess.CompletedProcess[str]:
    """The complete matrix at smoke scale."""
    return matrix(root)


def test_every_gate_of_all_six_pipelines_passes(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0, green.stdout + green.stderr
    assert green.stdout.startswith("source: embedded")
    run = newest_run(root)
    assert len(list((run / "records").glob("*.json"))) == 12
    found = verdicts(run)
    assert len(found) == 6 * 19
    assert {verdict["outcome"] for verdict in found} == {"pass"}


def test_records_say_which_solver_really_answered(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    assert green.returncode == 0
    for path in (newest_run(root) / "records").glob("*.json"):
        record = read_record(path)
        assert record.provenance.jaxnnls_importable == (record.cell.side == "baseline")
        assert (record.solver.name == "jaxnnls") == (record.cell.side == "baseline")
        assert record.precision.x64_enabled


def test_junit_and_summary_tell_the_same(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    suite = ElementTree.parse(run / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": 12 + 6 * 19, "failures": 0, "errors": 0, "skipped": 0}
    summary = (run / "summary.md").read_text()
    assert summary.startswith("# NNLS validation matrix: PASS: 114 pass")
    assert "source: embedded" in summary


def test_running_again_keeps_every_cell(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    before = {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    again = matrix(root)
    assert again.returncode == 0
    assert "12 of 12 cells are kept" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == before


def test_likelihoods_reproduce_the_published_constants_in_their_own_environment(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    """`tests/pipelines/test_likelihood.py` needs the stack: the baseline's Python, our pytest last."""
    assert green.returncode == 0
    plan = read_plan(newest_run(root))
    code = f"import sys; sys.path.append({str(Path(pytest.__file__).parent.parent)!r}); import pytest; " + (
        "sys.exit(pytest.main(['-q', '-rs', '-p', 'no:cacheprovider', 'tests/pipelines/test_likelihood.py']))"
    )
    done = subprocess.run(
        [plan.environments["baseline"].python, "-c", code],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT), "JAX_ENABLE_X64": "True"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the autolens stack is not installed" not in done.stdout


@pytest.fixture
def started(root: Path, green: subprocess.CompletedProcess[str]) -> Iterator["subprocess.Popen[str]"]:
    """A fresh run of one pipeline, going on."""
    assert green.returncode == 0
    process = subprocess.Popen(
        command(root, "--fresh", "--only", ONE),
        cwd=REPOSITORY_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    yield process
    process.kill()
    process.wait()


def test_killed_and_run_again_loses_only_the_cell_in_flight(
    root: Path, started: "subprocess.Popen[str]"
) -> None:
    baseline = wait_for_new_record(root, f"{ONE}-fp64-baseline.json")
    run = baseline.parent.parent
    wait_until(lambda: (run / "cells" / f"{ONE}-fp64-candidate" / "log.txt").exists())
    written = baseline.stat().st_mtime_ns
    os.killpg(started.pid, signal.SIGKILL)
    wait_until(lambda: not cells_running(run))
    assert not (run / "records" / f"{ONE}-fp64-candidate.json").exists()

    again = matrix(root, "--only", ONE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "goes on: 1 of 12 cells are kept" in again.stdout
    assert baseline.stat().st_mtime_ns == written
    found = [verdict for verdict in verdicts(run) if verdict["pipeline"] == ONE]
    assert {verdict["outcome"] for verdict in found} == {"pass"}


def wait_for_new_record(root: Path, name: str) -> Path:
    known = set(root.glob(f"runs/*/records/{name}"))
    wait_until(lambda: bool(set(root.glob(f"runs/*/records/{name}")) - known))
    return (set(root.glob(f"runs/*/records/{name}")) - known).pop()


def wait_until(condition: "object", seconds: float = 300.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def cells_running(run: Path) -> list[int]:
    """Cell processes of `run`, wherever their parents went."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "matrix.cell" in words and any(str(run) in word for word in words):
            found.append(process.info["pid"])
    return found


def test_solver_that_clips_instead_of_solving_turns_the_matrix_red(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert green.returncode == 0
    copy = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".git", ".matrix", ".nox", ".venv", "__pycache__", ".*_cache")
    shutil.copytree(REPOSITORY_ROOT, copy, ignore=ignored)
    api = copy / "solver" / "__init__.py"
    api.write_text(api.read_text() + CLIPPING)
    red = matrix(root, "--only", ONE, repository=copy)
    assert red.returncode == 1, red.stdout + red.stderr
    failed = {(v["gate"], v["side"]) for v in verdicts(newest_run(root)) if v["outcome"] == "fail"}
    assert ("parity", "candidate") in failed
    assert ("solver", "candidate") in failed
    assert not any(side == "baseline" for _, side in failed)
    assert "regressed" in red.stdout


CLIPPING = """

def solve_nnls_primal(Q, q, target_kappa=1e-3, **options):
    import jax.numpy as jnp

    return jnp.maximum(jnp.linalg.solve(Q, q), 0.0)
"""


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("--ref", "PyAutoArray"), 2, "NAME=REF"),
        (("--release", "yesterday"), 2, "yesterday"),
        (("--only", "imaging-mgee"), 2, "invalid choice"),
        (("--soruce", "git"), 2, "--soruce"),
        (("--manifest", "missing.yaml"), 2, "missing.yaml"),
    ],
)
def test_wrong_use_is_refused_at_once(root: Path, words: tuple[str, ...], code: int, says: str) -> None:
    started = time.monotonic()
    done = matrix(root, *words)
    assert done.returncode == code
    assert says in done.stderr
    assert time.monotonic() - started < 60


def test_dead_network_with_an_explicit_git_source_is_a_machine_failure(root: Path, tmp_path: Path) -> None:
    manifest = (REPOSITORY_ROOT / "repos.yaml").read_text()
    dead = tmp_path / "repos.yaml"
    dead.write_text(manifest.replace("https://github.com/", "https://127.0.0.1:9/"))
    done = matrix(root, "--manifest", str(dead), "--source", "git")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr
    assert "--source" in done.stderr
