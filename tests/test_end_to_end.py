"""The whole line on the real stack at smoke scale: green, kept, killed and resumed, red where it must be."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from packaging.utils import canonicalize_name

from matrix.diagnose.systems.record import ExtractionRecord
from matrix.diagnose.systems.session import DIAGNOSIS as EXTRACTION
from matrix.diagnose.systems.stored import stored_systems
from matrix.gates import CHANGE, TIME, judged_in
from matrix.ground.layout import MANIFEST, REPOSITORY_ROOT
from matrix.prepare.embedded.generations import scripted
from matrix.prepare.locks import committed, pins
from matrix.prepare.manifest import load_manifest
from matrix.prepare.packages import run_uv
from matrix.prepare.sides import DEVELOPER, EMBEDDED
from matrix.records import typed_json
from matrix.records.arrays import arrays_path, read_arrays
from matrix.records.cell import SIDES, VENDORED, read_record
from matrix.records.pair import PairRecord
from matrix.report.html.lensing import critical_curves
from matrix.run.plan import read_plan
from tests.actions import Job, Run
from tests.cluster import require_bubblewrap, running_slurm, running_sshd
from tests.copies import copy_project

SMOKE = ("fp64", "--scale", "smoke", "--source", "embedded")
ONE = "interferometer-mge"
CHECKED = ("independence", "gradients")
# What the stand-in records a constant of.
SCRIPTED = [pipeline.name for pipeline in scripted(EMBEDDED / DEVELOPER)]
EVERYTHING = (
    *(word for name in SCRIPTED for word in ("--only", name)),
    *(word for name in CHECKED for word in ("--check", name)),
)


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


def outcomes_but_of_times(found: list[dict[str, str]], pipelines: int) -> list[str]:
    """What the gates of so many pipelines said, the gate of times aside: at smoke scale it is not run."""
    times = [verdict for verdict in found if verdict["gate"] == TIME]
    assert [verdict["message"] for verdict in times] == ["smoke scale: its times mean nothing"] * pipelines
    return [verdict["outcome"] for verdict in found if verdict["gate"] != TIME]


@pytest.fixture(scope="module")
def green(root: Path) -> subprocess.CompletedProcess[str]:
    """All pipelines at smoke scale, with the two quickest checks of the change."""
    return matrix(root, *EVERYTHING)


def test_every_gate_of_all_pipelines_passes(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0, green.stdout + green.stderr
    assert green.stdout.startswith("source: embedded")
    run = newest_run(root)
    assert len(list((run / "records").glob("*.json"))) == len(SIDES) * len(SCRIPTED)
    manifest = load_manifest(MANIFEST)
    assert read_plan(run).urls == {one.name: one.url for one in manifest.repositories}
    found = outcomes_but_of_times([v for v in verdicts(run) if v["pipeline"] != CHANGE], len(SCRIPTED))
    assert found == ["pass"] * len(SCRIPTED) * len(judged_in("fp64"))


def test_gates_of_the_change_say_what_ran_and_what_did_not(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    found = {v["gate"]: v for v in verdicts(run) if v["pipeline"] == CHANGE}
    outcomes = {name.partition(":")[0]: verdict["outcome"] for name, verdict in found.items()}
    assert outcomes == {
        **dict.fromkeys(("gate 1", "gate 5", "gate 6"), "pass"),
        **dict.fromkeys(("gate 2", "gate 3", "gate 4", "definition of done"), "not run"),
    }
    assert "STILL OPEN" in found["gate 5: independence of jaxnnls"]["message"]
    # The package that declares jaxnnls was renamed in July 2026; the release follows the Python found.
    (patch,) = (run / "companion").glob("auto*.patch")
    assert any(line.startswith("-") and "jaxnnls" in line for line in patch.read_text().splitlines())
    assert "gate 6: finite gradients" in green.stdout


def test_records_say_which_solver_really_answered(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    assert green.returncode == 0
    for path in (newest_run(root) / "records").glob("*.json"):
        record = read_record(path)
        assert record.provenance.jaxnnls_importable == (record.cell.side == "baseline")
        assert (record.solver.name == VENDORED) == (record.cell.side == "candidate")
        assert record.precision.x64_enabled


INSTALLED = """
import importlib.metadata as m, json, platform
found = {d.metadata["Name"]: d.version for d in m.distributions()}
print(json.dumps([platform.python_version(), found]))
"""


def test_each_side_has_what_is_locked_and_nothing_else(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    assert green.returncode == 0
    plan = read_plan(newest_run(root))
    assert f"as locked in locks/{plan.release}" in green.stdout
    lock = committed(plan.release, "cpu")
    assert lock is not None
    for side, environment in plan.environments.items():
        done = subprocess.run(
            [environment.python, "-c", INSTALLED], capture_output=True, text=True, check=True
        )
        version, found = json.loads(done.stdout)
        facts = {"python_full_version": version, "python_version": ".".join(version.split(".")[:2])}
        stack = [*pins(lock.wheels), *pins(lock.sources)]
        locked = {pin.name: pin.version for pin in stack if pin.is_for(facts)}
        if side == "candidate":
            del locked["jaxnnls"]
        assert {canonicalize_name(name): version for name, version in found.items()} == locked


def test_junit_and_summary_tell_the_same(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    suite = ElementTree.parse(run / "junit.xml").getroot().find("testsuite")
    assert suite is not None
    counts = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {
        "tests": (len(SIDES) + len(judged_in("fp64"))) * len(SCRIPTED) + 2 * len(CHECKED),
        "failures": 0,
        "errors": 0,
        "skipped": 0,
    }
    summary = (run / "summary.md").read_text()
    passed, left_out = len(SCRIPTED) * len(judged_in("fp64")) + 3, len(SCRIPTED) + 4
    assert summary.startswith(
        "## NNLS matrix: PASS on stand-ins as far as it ran\n\n"
        f"- **Gates**: {passed} pass, {left_out} not run\n"
    )
    assert "source: embedded" in summary


def test_pictures_of_both_sides_show_the_same_galaxy_and_fit_the_data(
    root: Path, green: subprocess.CompletedProcess[str]
) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    for path in sorted((run / "records").glob("*-candidate.json")):
        candidate, baseline = (
            read_arrays(arrays_path(side), read_record(side).key)
            for side in (path, path.with_name(path.name.replace("-candidate", "-baseline")))
        )
        assert candidate is not None and baseline is not None
        assert np.max(np.abs(candidate.model - baseline.model) / baseline.noise) < 1e-2, path.name
        # The models are simple, so no good fit, but a reconstruction in wrong units is off by hundreds.
        assert np.std((candidate.data - candidate.model) / candidate.noise) < 5.0, path.name
        assert np.max(candidate.source) > 0.0
        # A lens, and so a closed curve of infinite magnification.
        assert critical_curves(candidate.traced, candidate.extent)[0], path.name
    assert (run / "report.html").stat().st_size < 10 * 1024**2
    assert (run / "report.html").read_text().count("data:image/png") >= 6 * 8


def test_systems_are_taken_from_the_likelihood_of_the_run(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert green.returncode == 0
    run, name = newest_run(root), "interferometer-pixelization"
    words = [name, "--scale", "smoke", "--draws", "2", "--vary", "", "--vary", "mesh=8,gaussians=5"]
    assert (
        EXTRACTION.main([*words, "--root", str(root), "--run", run.name, "--output-dir", str(tmp_path)]) == 0
    )
    systems = {system.name: system for system in stored_systems(tmp_path / name)}
    varied = (f"{name}-mesh8-gaussians5-0", f"{name}-mesh8-gaussians5-1")
    assert list(systems) == [f"{name}-0", f"{name}-1", *varied]
    # The first lane of a cell and the first draw are both the prior medians.
    record = read_record(run / "records" / f"{name}-fp64-candidate.json")
    extracted = typed_json.read(tmp_path / name / "candidate" / "record.json", ExtractionRecord).systems
    assert (extracted[0].K, extracted[0].zeros) == (record.nnls[0].size, record.nnls[0].zeros)
    assert [each.dense for each in extracted] == [0, 0, 5, 5]
    assert not np.array_equal(systems[f"{name}-0"].q, systems[f"{name}-1"].q)
    assert systems[varied[0]].dense == (0, 1, 2, 3, 4)


def test_running_again_keeps_every_cell(root: Path, green: subprocess.CompletedProcess[str]) -> None:
    assert green.returncode == 0
    run = newest_run(root)
    before = {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()}
    again = matrix(root, *EVERYTHING)
    assert again.returncode == 0
    cells = len(SIDES) * len(SCRIPTED)
    assert f"{cells} of {cells} cells are kept" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in (run / "records").iterdir()} == before


def test_likelihoods_reproduce_the_published_constants_in_their_own_environment(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    """`tests/pipelines/test_likelihood.py` needs the stack: the baseline's Python and a pytest beside it."""
    assert green.returncode == 0
    python = read_plan(newest_run(root)).environments["baseline"].python
    run_uv("pip", "install", "--no-build", "--python", python, "--target", tmp_path / "pytest", "pytest")
    words = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "tests/pipelines/test_likelihood.py"]
    done = subprocess.run(
        [python, *words],
        cwd=REPOSITORY_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": f"{REPOSITORY_ROOT}{os.pathsep}{tmp_path / 'pytest'}",
            "JAX_ENABLE_X64": "True",
            "AUTOARRAY_NNLS_WARM_START": "0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SCRIPTED) + 1} passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.fixture
def started(root: Path, green: subprocess.CompletedProcess[str]) -> Iterator["subprocess.Popen[bytes]"]:
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
    root: Path, started: "subprocess.Popen[bytes]"
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
    assert outcomes_but_of_times(found, 1) == ["pass"] * len(judged_in("fp64"))


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
        if "matrix.pipelines.cell" in words and any(str(run) in word for word in words):
            found.append(process.info["pid"])
    return found


Told = Callable[..., subprocess.CompletedProcess[str]]


@contextlib.contextmanager
def cluster(folder: Path, root: Path, **facts: object) -> Iterator[Told]:
    """A real Slurm behind a real sshd; yields what tells `hpc` a verb, with a profile of `facts`."""
    with running_slurm(folder / "slurm") as slurm:
        login = {"SLURM_CONF": str(slurm.configuration)}
        with running_sshd(folder / "ssh", login, "No trespassing. {\n") as ssh_config:
            place = {"host": "cluster", "ssh_config": str(ssh_config), "root": str(folder / "cluster")}
            profile = {**place, "partition": "test", "memory": 4, **facts}
            (folder / "hpc.yaml").write_text(json.dumps({"profiles": {"test": profile}}))

            def hpc(*words: str) -> subprocess.CompletedProcess[str]:
                where = ("--config", str(folder / "hpc.yaml"), "--root", str(root))
                return subprocess.run(
                    [sys.executable, "-m", "matrix.commands.hpc", *words, *where],
                    cwd=REPOSITORY_ROOT,
                    capture_output=True,
                    text=True,
                    timeout=900,
                    check=False,
                )

            yield hpc


def test_same_verdicts_come_back_from_a_slurm_cluster_over_ssh(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert green.returncode == 0
    here = newest_run(root)
    stack = read_plan(here).environments["baseline"].python
    local = {v["gate"]: v["outcome"] for v in verdicts(here) if v["pipeline"] == ONE}
    driver = str(tmp_path / "driver" / "bin" / "python")
    with cluster(tmp_path, root, driver=driver, python=str(stack)) as hpc:
        assert "✗ driver" in hpc("check").stdout
        installed = hpc("install", "--release", read_plan(here).release, "--base", sys.executable)
        assert installed.returncode == 0, installed.stdout + installed.stderr
        assert f"left        {stack.parents[1]} is there already" in installed.stdout
        assert (checked := hpc("check")).returncode == 0, checked.stdout
        early = hpc("submit")
        assert early.returncode == 2
        assert "push" in early.stderr
        pushed = hpc("push", *SMOKE, "--only", ONE)
        assert pushed.returncode == 0, pushed.stderr
        script = hpc("submit", "--dry-run")
        assert script.returncode == 0, script.stderr
        assert "#SBATCH --array=0-1%" in script.stdout
        assert (submitted := hpc("submit")).returncode == 0, submitted.stderr
        meddling = hpc("push", *SMOKE, "--only", ONE)
        assert meddling.returncode == 2
        assert "waiting or running" in meddling.stderr
        measures = hpc("submit", "probe", ONE, "--scale", "smoke", "--repeats", "1", "--side", "candidate")
        assert measures.returncode == 0, measures.stdout + measures.stderr
        parts = ("--part", "conditions", "--size", "20", "--repeats", "1")
        assert (benched := hpc("submit", "bench", *parts)).returncode == 0, benched.stderr
        assert (waited := hpc("wait")).returncode == 0, waited.stdout
        assert (pulled := hpc("pull")).returncode == 0, pulled.stdout + pulled.stderr
        assert list(root.glob(f"probe/probe-{ONE}-*/{ONE}/candidate/record.json"))
        assert list(root.glob("bench/bench-*/bench.json"))
        edited = next((tmp_path / "cluster" / "workspace").rglob("*.fits"))
        edited.write_bytes(b"edited over there")
        assert f"{edited.name} (replaced)" in hpc("push", *SMOKE, "--only", ONE).stdout
    run = newest_run(root)
    assert run != here
    assert {v["gate"]: v["outcome"] for v in verdicts(run) if v["pipeline"] == ONE} == local


def test_cells_a_pair_and_a_probe_run_in_a_container(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    """In it the stack lies where outside there is nothing; of what jobs write, it sees the root alone."""
    assert green.returncode == 0
    stack = read_plan(newest_run(root)).environments["baseline"].python.parents[1]
    inside, scratch = tmp_path / "inside", tmp_path / "scratch"
    inside.mkdir()
    scratch.mkdir()
    launch = f"{require_bubblewrap()} --ro-bind {stack} {inside} --tmpfs {scratch}"
    python = f"{inside}/bin/python"
    with cluster(
        tmp_path, root, driver=sys.executable, python=python, launch=launch, tmpdir=str(scratch)
    ) as hpc:
        assert (checked := hpc("check")).returncode == 0, checked.stdout
        pushed = hpc("push", *SMOKE, "--only", ONE, "--pair-seconds", "5")
        assert pushed.returncode == 0, pushed.stderr
        assert (submitted := hpc("submit")).returncode == 0, submitted.stderr
        words = (ONE, "--scale", "smoke", "--repeats", "1", "--side", "candidate")
        assert (measures := hpc("submit", "probe", *words)).returncode == 0, measures.stderr
        assert (waited := hpc("wait")).returncode == 0, waited.stdout
        assert (pulled := hpc("pull")).returncode == 0, pulled.stdout + pulled.stderr
    # Outside there is nothing of it.
    assert not list(inside.iterdir())
    # No other test can do anything with an environment that is not there.
    plan = read_plan(Path(shutil.move(newest_run(root), tmp_path / "pulled")))
    assert all(environment.python == inside / "bin" / "python" for environment in plan.environments.values())
    pair = plan.pair(ONE)
    assert pair is not None
    timed = typed_json.read(plan.pair_path(pair), PairRecord)
    assert all(each.baseline.solver != each.candidate.solver for each in timed.pairs)
    assert list(root.glob(f"probe/probe-{ONE}-*/{ONE}/candidate/record.json"))


def test_same_verdicts_come_from_the_steps_of_the_actions_workflow(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert green.returncode == 0
    local = {v["gate"]: v["outcome"] for v in verdicts(newest_run(root)) if v["pipeline"] == ONE}
    actions = Run(
        "matrix",
        tmp_path,
        {"scale": "smoke"},
        restored={f".matrix/{name}": root / name for name in ("environments", "embedded", "cache")},
    )
    actions.jobs["plan"] = Job(outputs={"options": f"--source embedded --only {ONE}"})
    shard = actions.job("shard", shard="1/1", name=ONE)
    assert shard.result == "success", shard.log
    assert "::group::log of" in shard.log
    report = actions.job("report")
    # One pipeline was asked for, and it is judged as such: what nobody asked for is not missing.
    assert report.steps["Merge and judge"] == "success"
    assert "not asked for: imaging-delaunay" in " ".join(report.log.split())
    assert report.steps["Upload the report"] == "success"
    assert ONE in report.summary
    (merged,) = (tmp_path / "artifacts" / "report").iterdir()
    assert {v["gate"]: v["outcome"] for v in verdicts(merged) if v["pipeline"] == ONE} == local
    assert all((merged / name).stat().st_size > 0 for name in ("report.html", "junit.xml", "summary.md"))


def test_solver_that_clips_instead_of_solving_turns_the_matrix_red(
    root: Path, green: subprocess.CompletedProcess[str], tmp_path: Path
) -> None:
    assert green.returncode == 0
    copy = copy_project(tmp_path / "copy")
    api = copy / "solver" / "__init__.py"
    api.write_text(api.read_text() + CLIPPING)
    stack = read_plan(newest_run(root)).environments["baseline"].python
    red = matrix(root, "--only", ONE, "--base-python", str(stack), repository=copy)
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


def solve_nnls_primal_with_status(Q, q, target_kappa=1e-3, **options):
    return solve_nnls_primal(Q, q), 1, 1
"""


def test_dead_network_with_an_explicit_git_source_is_a_machine_failure(root: Path, tmp_path: Path) -> None:
    manifest = (REPOSITORY_ROOT / "repos.yaml").read_text()
    dead = tmp_path / "repos.yaml"
    dead.write_text(manifest.replace("https://github.com/", "https://127.0.0.1:9/"))
    done = matrix(root, "--manifest", str(dead), "--source", "git")
    assert done.returncode == 3
    assert "127.0.0.1:9" in done.stderr
    assert "--source" in done.stderr
