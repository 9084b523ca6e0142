"""Folds and annotations where CI is set, and only there; workflows that are valid, pinned and modest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from ruamel.yaml import YAML

from matrix.commands import canary
from matrix.gates import Outcome, Verdict
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.planning import PIPELINES, selected_checks
from matrix.report.ci import annotate, folded

WORKFLOWS = sorted((REPOSITORY_ROOT / ".github" / "workflows").glob("*.yml"))
# What a job may do besides reading this repository, for the jobs that may.
PERMISSIONS = {
    ("canary", "tell"): {"contents": "read", "issues": "write"},
    ("locks", "propose"): {"contents": "write", "pull-requests": "write"},
}
LOCKED_INSTALL = (
    "python -m pip install --require-hashes -r locks/driver.txt\n"
    "python -m pip install --no-deps --no-build-isolation .\n"
)
BAD = Verdict("parity", "imaging-mge", "candidate", Outcome.FAIL, "off by 100%: 1,2\nsee the log")
GOOD = Verdict("parity", "imaging-mge", "baseline", Outcome.PASS, "fine")


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    console = Console(soft_wrap=True)
    with folded(console, "[cells]"):
        console.print("inside")
    annotate(console, [GOOD, BAD])
    return capsys.readouterr().out


def test_folds_and_annotations_in_ci(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CI", "true")
    assert printed(capsys).splitlines() == [
        "::group::[cells]",
        "inside",
        "::endgroup::",
        "::error title=parity imaging-mge candidate::off by 100%25%3A 1%2C2%0Asee the log",
    ]


def test_nothing_of_it_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert printed(capsys) == "inside\n"


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def test_workflows_fit_the_published_schema() -> None:
    pytest.importorskip("check_jsonschema", reason="the extra workflow-tests is not installed")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*words, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_linter_finds_nothing() -> None:
    linter = Path(sys.executable).parent / "zizmor"
    if not linter.exists():
        pytest.skip("the extra workflow-tests is not installed")
    done = subprocess.run([linter, "--offline", *WORKFLOWS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_pinned_bounded_and_modest(path: Path) -> None:
    document = load(path)
    assert document["permissions"] == {"contents": "read"}
    assert document["concurrency"]["group"]
    for name, job in document["jobs"].items():
        assert job.get("permissions") == PERMISSIONS.get((path.stem, name))
        assert job["timeout-minutes"] > 0
    used = re.findall(r"uses: (.*)", path.read_text())
    assert used
    assert all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_secret_is_guarded_by_a_person_and_kept_from_other_peoples_code(path: Path) -> None:
    jobs = load(path)["jobs"]
    with_secret = {name: job for name, job in jobs.items() if "secrets." in json.dumps(job)}
    assert list(with_secret) == (["push"] if path.stem == "refresh" else [])
    for job in with_secret.values():
        assert job["environment"]
        assert jobs[job["needs"]]["steps"]
        commands = "\n".join(step.get("run", "") for step in job["steps"])
        # These build the environments of the two sides and run what is in them.
        assert not re.search(r"matrix-(fp64|mp)|-m matrix (fp64|mp)|nox", commands)
        refreshes = re.findall(r"matrix\.commands\.refresh_artifacts.*", commands)
        assert refreshes
        assert all("--run-nothing --approved .approved" in words for words in refreshes)


def test_what_is_uploaded_for_approval_is_what_is_downloaded() -> None:
    jobs = load(REPOSITORY_ROOT / ".github" / "workflows" / "refresh.yml")["jobs"]
    uploads, downloads = (
        {
            step["with"]["name"]: step["with"]["path"]
            for step in jobs[job]["steps"]
            if action in step.get("uses", "")
        }
        for job, action in (("show", "upload-artifact"), ("push", "download-artifact"))
    )
    # Of several paths an artifact holds what is below the folder they share.
    assert uploads["run"].split() == [".matrix/runs", ".matrix/probes"]
    assert downloads == {"run": ".matrix", "branches": ".approved"}
    assert uploads["branches"] == ".matrix/trio"


def test_job_that_may_write_issues_runs_nobody_elses_code() -> None:
    jobs = load(REPOSITORY_ROOT / ".github" / "workflows" / "canary.yml")["jobs"]
    assert jobs["tell"]["needs"] == "newest"
    commands = [step["run"] for step in jobs["tell"]["steps"] if "run" in step]
    assert commands == [LOCKED_INSTALL, "python -m matrix.commands.canary --tell news/canary-news.md"]
    with_token = [name for name, job in jobs.items() if "github.token" in json.dumps(job)]
    assert with_token == ["tell"]


def test_job_that_may_push_new_locks_runs_none_of_their_packages() -> None:
    jobs = load(REPOSITORY_ROOT / ".github" / "workflows" / "locks.yml")["jobs"]
    assert [name for name, job in jobs.items() if "github.token" in json.dumps(job)] == ["propose"]
    commands = "\n".join(step.get("run", "") for step in jobs["propose"]["steps"])
    assert "git push --force origin locks" in commands
    assert not re.search(r"python|pip|uv |nox -s (?!lock)", commands)
    # Proposed is what was resolved, once it is tested, and nothing of what the tests left.
    assert jobs["propose"]["needs"] == ["resolve", "test"]
    uploads = [name for name, job in jobs.items() if "upload-artifact" in json.dumps(job)]
    assert uploads == ["resolve"]
    resolving = [step["run"] for step in jobs["resolve"]["steps"] if "nox -s" in step.get("run", "")]
    assert resolving == ["nox -s lock", "nox -s lock-check"]


@pytest.mark.parametrize("news", [True, False])
def test_canary_s_news_are_told_where_there_are_some(news: bool, tmp_path: Path) -> None:
    """The workflow's own step, as the runner would run it."""
    steps = load(REPOSITORY_ROOT / ".github" / "workflows" / "canary.yml")["jobs"]["newest"]["steps"]
    step = next(step for step in steps if step.get("id") == "news")
    (tmp_path / ".matrix").mkdir()
    if news:
        (tmp_path / ".matrix" / canary.NEWS).write_text("something\n")
    environment = {**os.environ, "GITHUB_OUTPUT": str(tmp_path / "output")}
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "output").exists() is news
    if news:
        assert (tmp_path / "output").read_text() == "news=true\n"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_caches_are_named_after_their_content(path: Path) -> None:
    for job in load(path)["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/cache@"):
                assert "hashFiles('locks/**')" in step["with"]["key"]


@pytest.mark.parametrize("path", [*WORKFLOWS, REPOSITORY_ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_nothing_is_installed_that_is_not_locked(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if "pip install" in line]
    assert lines
    for line in lines:
        assert re.search(r" --require-hashes -r locks/\w+\.txt$| --no-deps --no-build-isolation \.$", line), (
            line
        )


def test_job_with_the_token_installs_from_the_lock_alone() -> None:
    steps = load(REPOSITORY_ROOT / ".github" / "workflows" / "refresh.yml")["jobs"]["push"]["steps"]
    installs = [step["run"] for step in steps if "install" in step.get("run", "")]
    assert installs == [LOCKED_INSTALL]


def test_job_matrix_is_made_by_the_matrix_itself(tmp_path: Path) -> None:
    """The workflow's own step, as the runner would run it."""
    document = load(REPOSITORY_ROOT / ".github" / "workflows" / "matrix.yml")
    step = next(step for step in document["jobs"]["plan"]["steps"] if step.get("id") == "list")
    output = tmp_path / "output"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "GITHUB_OUTPUT": str(output),
        "PRECISION": "fp64",
        "SHARDS": str(document["env"]["SHARDS"]),
    }
    subprocess.run(["bash", "-e", "-c", step["run"]], cwd=REPOSITORY_ROOT, env=environment, check=True)
    name, _, value = output.read_text().partition("=")
    assert name == "shards"
    shards = json.loads(value)["include"]
    parts = sorted(", ".join(shard["name"] for shard in shards).split(", "))
    assert parts == sorted((*PIPELINES, *selected_checks((), (), False)))
