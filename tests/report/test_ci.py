"""Folds and annotations where CI is set, and only there; workflows that are valid, pinned and modest."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from rich.console import Console

from matrix.catalogue.pipelines import PIPELINES
from matrix.commands import canary
from matrix.gates import Outcome, Verdict
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.yaml_text import parse_yaml
from matrix.prepare.planning import selected_checks
from matrix.report.ci import annotate, folded
from tests.actions import GITHUB, Job, Run

WORKFLOWS = sorted((REPOSITORY_ROOT / ".github" / "workflows").glob("*.yml"))
# What a job may do besides reading this repository, for the jobs that may.
PERMISSIONS = {
    ("canary", "tell"): {"contents": "read", "issues": "write"},
    ("matrix", "comment"): {"pull-requests": "write"},
    ("matrix", "history"): {"contents": "write"},
    ("locks", "propose"): {"contents": "write", "pull-requests": "write"},
}
SETUP = REPOSITORY_ROOT / ".github" / "actions" / "setup" / "action.yml"
LOCKED_INSTALL = (
    "python -m pip install --require-hashes --only-binary :all: -r locks/driver.txt\n"
    "python -m pip install --no-deps --no-build-isolation .\n"
)
BAD = Verdict("gate 3: a, b", "imaging-mge", "candidate", Outcome.FAIL, "off by 100%: 1,2\nsee the log")
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
        "::error title=gate 3%3A a%2C b on imaging-mge%2C candidate::off by 100%25: 1,2%0Asee the log",
    ]


def test_nothing_of_it_elsewhere(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert printed(capsys) == "inside\n"


def load(path: Path) -> Any:
    return parse_yaml(path.read_text()).value


def test_workflows_fit_the_published_schema() -> None:
    pytest.importorskip("check_jsonschema", reason="the extra workflow-tests is not installed")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema"]
    for schema, paths in (("vendor.github-workflows", WORKFLOWS), ("vendor.github-actions", [SETUP])):
        done = subprocess.run([*words, schema, *paths], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_linter_finds_nothing() -> None:
    linter = Path(sys.executable).parent / "zizmor"
    if not linter.exists():
        pytest.skip("the extra workflow-tests is not installed")
    done = subprocess.run(
        [linter, "--offline", *WORKFLOWS, SETUP], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflow_is_pinned_bounded_and_modest(path: Path) -> None:
    document = load(path)
    assert document["permissions"] == {"contents": "read"}
    assert document["concurrency"]["group"]
    for name, job in document["jobs"].items():
        assert job.get("permissions") == PERMISSIONS.get((path.stem, name))
        assert job["timeout-minutes"] > 0
    used = re.findall(r"uses: (.*)", path.read_text() + SETUP.read_text())
    pinned = r"actions/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\$/\.github/actions/setup"
    assert all(re.fullmatch(pinned, line) for line in used)


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
    assert uploads["run"].split() == [".matrix/runs", ".matrix/probe"]
    assert downloads == {"run": ".shown", "branches": ".approved"}
    assert uploads["branches"] == ".matrix/trio"


@pytest.mark.parametrize("probes", [True, False])
def test_of_an_artifact_the_job_with_the_token_takes_records_and_probes_alone(
    probes: bool, tmp_path: Path
) -> None:
    """What else lies there is a repository with programs of its own, where the job would make one."""
    steps = load(REPOSITORY_ROOT / ".github" / "workflows" / "refresh.yml")["jobs"]["push"]["steps"]
    ours = {"actions/checkout", "Download the run and its probes"}
    names = [step.get("name") or step["uses"].partition("@")[0] for step in steps]
    taking = names.index("Download the run and its probes") + 1
    run = Run("refresh", tmp_path, {"push": True}, skipped=[*({*names} - ours - {names[taking]})])
    run.jobs["show"] = Job()
    kept = ("runs", "probe") if probes else ("runs",)
    for name in (*kept, "store", "trio", "environments", "runs.git"):
        (tmp_path / "artifacts" / "run" / name / "inside").mkdir(parents=True)
    job = run.job("push")
    assert job.result == "success", job.log
    taken = tmp_path / "push" / "workspace" / ".matrix"
    assert sorted(path.name for path in taken.iterdir()) == sorted(kept)
    assert all((taken / name / "inside").is_dir() for name in kept)


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


def test_downloads_are_kept_once_for_all_jobs_and_named_after_the_locks() -> None:
    (cache,) = (s for s in load(SETUP)["runs"]["steps"] if s.get("uses", "").startswith("actions/cache@"))
    assert "hashFiles('locks/**')" in cache["with"]["key"]
    for path in WORKFLOWS:
        assert "actions/cache@" not in path.read_text()


@pytest.mark.parametrize("path", [*WORKFLOWS, REPOSITORY_ROOT / ".ci" / "run"], ids=lambda path: path.name)
def test_nothing_is_installed_that_is_not_locked(path: Path) -> None:
    lines = [line.strip() for line in path.read_text().splitlines()]
    installs = [line for line in lines if "pip install" in line]
    assert installs or [line for line in lines if re.search(r"python3? run\.py ", line)]
    for line in installs:
        assert re.search(
            r" --require-hashes --only-binary :all: -r locks/\w+\.txt$| --no-deps --no-build-isolation \.$",
            line,
        ), line


def test_every_test_is_in_one_of_the_parallel_jobs() -> None:
    """What one part leaves out, another has."""
    entries = load(REPOSITORY_ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"][
        "matrix"
    ]
    which = {entry["part"]: entry["which"].split() for entry in entries["include"] if "part" in entry}
    assert set(which) == set(entries["part"])
    whole, *left_out = which.pop("harness")
    assert whole == "tests"
    assert sorted(f"--ignore={path}" for words in which.values() for path in words) == sorted(left_out)
    for path in (path for words in which.values() for path in words):
        assert (REPOSITORY_ROOT / path).exists(), path


def pull_request(*labels: str) -> dict[str, Any]:
    """What GitHub says of a pull request of this repository."""
    head = {"repo": {"full_name": GITHUB["repository"]}}
    request = {"number": 12, "labels": [{"name": label} for label in labels], "head": head}
    return {"event_name": "pull_request", "event": {"action": "opened", "pull_request": request}}


@pytest.mark.parametrize(
    ("given", "scale"),
    [
        ({}, "production"),
        ({"inputs": {"scale": "smoke"}}, "smoke"),
        ({"event": pull_request()}, "smoke"),
        ({"event": pull_request("documentation")}, "smoke"),
        ({"event": pull_request("documentation", "production")}, "production"),
    ],
)
def test_pull_request_is_tried_in_small_unless_a_label_asks_for_more(
    given: dict[str, Any], scale: str, tmp_path: Path
) -> None:
    assert Run("matrix", tmp_path, **given).variable("SCALE") == scale


def labeled(label: str) -> dict[str, Any]:
    """What GitHub says when a pull request is given a label."""
    found = pull_request(label)
    return {**found, "event": {**found["event"], "action": "labeled", "label": {"name": label}}}


@pytest.mark.parametrize(("label", "ends"), [("documentation", False), ("production", True)])
def test_label_that_starts_nothing_ends_nothing(label: str, ends: bool, tmp_path: Path) -> None:
    going_on = Run("matrix", tmp_path / "a", event=pull_request()).group
    assert (Run("matrix", tmp_path / "b", event=labeled(label)).group == going_on) is ends


def test_sides_of_a_pipeline_never_run_at_once() -> None:
    steps = load(REPOSITORY_ROOT / ".github" / "workflows" / "matrix.yml")["jobs"]["shard"]["steps"]
    (command,) = (step["run"] for step in steps if step.get("name") == "Run the shard")
    assert " -- -n 1 " in command


def test_job_that_writes_the_comment_runs_nobody_s_code() -> None:
    jobs = load(REPOSITORY_ROOT / ".github" / "workflows" / "matrix.yml")["jobs"]
    assert [name for name, job in jobs.items() if "github.token" in json.dumps(job)] == ["comment", "history"]
    download, write = jobs["comment"]["steps"]
    assert download["uses"].startswith("actions/download-artifact@")
    assert set(re.findall(r"^ *(?:id=\"\$\()?(\w+) ", write["run"], flags=re.MULTILINE)) <= {
        *("echo", "gh", "if", "else", "fi")
    }


@pytest.mark.parametrize("found", ["", "4711"])
def test_pull_request_has_one_comment_that_is_brought_up_to_date(found: str, tmp_path: Path) -> None:
    artifact, tools = tmp_path / "artifacts" / "summary", tmp_path / "tools"
    for folder in (artifact, tools):
        folder.mkdir(parents=True)
    (artifact / "summary.md").write_text("# the table `$(exit 1)`\n" + "x" * 70_000)
    gh, log = tools / "gh", tmp_path / "log"
    gh.write_text(
        f'#!/bin/sh\necho "$*" >> {log}\ncase "$*" in *--paginate*) echo {found};; esac\n'
        f"test ! -f comment.md || cp comment.md {tmp_path}\n"
    )
    gh.chmod(0o755)
    variables = {"PATH": f"{tools}:{os.environ['PATH']}"}
    run = Run("matrix", tmp_path, event=pull_request())
    run.jobs["report"] = Job(outputs={"page": "https://example.org/page"})
    with mock.patch.dict(os.environ, variables):
        job = run.job("comment")
    assert job.result == "success", job.log
    *_, written = log.read_text().splitlines()
    where = "issues/comments/4711" if found else "issues/12/comments"
    assert written.startswith(
        f"api --method {'PATCH' if found else 'POST'} repos/somebody/nnls-matrix/{where} "
    )
    comment = (tmp_path / "comment.md").read_text()
    mark, links, table = comment.split("\n", 2)
    assert mark == "<!-- nnls-matrix: matrix -->"
    assert links.startswith("[The report](https://example.org/page) · [the run](https://github.com/")
    assert table.startswith("\n# the table `$(exit 1)`\n")
    assert len(comment) < 65_536


def test_job_with_the_token_installs_from_the_lock_alone() -> None:
    steps = load(REPOSITORY_ROOT / ".github" / "workflows" / "refresh.yml")["jobs"]["push"]["steps"]
    installs = [step["run"] for step in steps if "install" in step.get("run", "")]
    assert installs == [LOCKED_INSTALL]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_sides_of_a_pipeline_are_never_at_once_on_a_runner(path: Path) -> None:
    started = re.findall(r"(?:run\.py|nox -s) \"?(?:matrix-\S+|canary) -- (.*)", path.read_text())
    assert all(words.startswith("-n 1 ") for words in started)
    assert bool(started) == (path.stem != "tests")


def test_downloaded_packages_are_shared_by_all_jobs_and_named_after_the_locks() -> None:
    (cache,) = (step["with"] for step in load(SETUP)["runs"]["steps"] if "cache@" in step.get("uses", ""))
    assert "hashFiles('locks/**')" in cache["key"]
    assert cache["key"].startswith(cache["restore-keys"].strip())
    assert all("cache@" not in path.read_text() for path in WORKFLOWS)


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
