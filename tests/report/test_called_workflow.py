"""`matrix.yml` as a workflow of another repository calls it: what it tries, and the history that it keeps."""

import datetime
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.commands.report import main as report
from matrix.commands.trend import main as trend
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.yaml_text import parse_yaml
from matrix.records.cell import SIDES
from matrix.report.runs import COMMIT
from tests.actions import GITHUB, WORKFLOWS, Job, Run
from tests.factory import make_record
from tests.report.made_up import write_run

LIBRARY = "PyAutoLabs/PyAutoArray"
HISTORY = "nnls-matrix-history"
DOCUMENT = parse_yaml((WORKFLOWS / "matrix.yml").read_text()).value
JOBS = DOCUMENT["jobs"]
# Slow, and not what is tested: the interpreter that runs this has all of it.
INSTALLED = ("$/.github/actions/setup", "Install")


def git(*words: str, at: Path) -> str:
    identity = ["-c", "user.name=somebody", "-c", "user.email=somebody@example.org"]
    done = subprocess.run(
        ["git", *identity, "-C", at, *words], capture_output=True, text=True, check=True, env=os.environ
    )
    return done.stdout.strip()


def make_remote(server: Path, repository: str) -> list[str]:
    """A bare repository with two commits on main and on a branch beside it; returns the commits."""
    work, bare = server / "work", server / repository
    bare.mkdir(parents=True)
    work.mkdir()
    git("init", "--quiet", "--initial-branch=main", at=work)
    commits = []
    for subject in ("first", "second"):
        git("commit", "--quiet", "--allow-empty", "--message", subject, at=work)
        commits.append(git("rev-parse", "HEAD", at=work))
    git("branch", "feature/x", at=work)
    git("clone", "--quiet", "--bare", str(work), str(bare), at=server)
    return commits


def event(server: Path, sha: str, repository: str = LIBRARY, name: str = "push") -> dict[str, Any]:
    """What GitHub says to a workflow that another repository's workflow calls: all of it is the caller's."""
    return {
        "event_name": name,
        "event": {"action": ""},
        "repository": repository,
        "server_url": server.as_uri(),
        "sha": sha,
        "workflow": "the caller's",
    }


@pytest.fixture(autouse=True)
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This interpreter's folder, and before it one with a `gh` that has nothing to say."""
    folder = tmp_path / "tools"
    folder.mkdir()
    (folder / "gh").write_text("#!/bin/sh\n")
    (folder / "gh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}")
    return folder


def planned(tmp_path: Path, sha: str, repository: str = LIBRARY, **inputs: str) -> Job:
    """The job that lists the shards, called by `repository`."""
    run = Run(
        "matrix",
        tmp_path / "run",
        inputs,
        event=event(tmp_path / "server", sha, repository),
        called=True,
        skipped=INSTALLED,
    )
    return run.job("plan")


def test_every_checkout_is_of_this_repository_whoever_calls() -> None:
    checkouts = [
        step for job in JOBS.values() for step in job["steps"] if "checkout@" in step.get("uses", "")
    ]
    assert len(checkouts) == 3
    for step in checkouts:
        assert step["with"]["repository"] == "${{ job.workflow_repository }}"
        assert step["with"]["ref"] == "${{ job.workflow_sha }}"


def test_what_docs_tell_others_to_paste_is_valid_and_grants_enough(tmp_path: Path) -> None:
    page = (REPOSITORY_ROOT / "docs" / "runners.md").read_text()
    (text,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "matrix.yml@" in block)
    (tmp_path / "pasted.yml").write_text(text)
    pytest.importorskip("check_jsonschema", reason="the extra workflow-tests is not installed")
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*words, tmp_path / "pasted.yml"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    caller = parse_yaml(text).value["jobs"]["matrix"]
    asked = [job["permissions"] for job in DOCUMENT["jobs"].values() if "permissions" in job]
    assert caller["permissions"] == {name: word for job in asked for name, word in job.items()}
    inputs = DOCUMENT["on"]["workflow_call"]["inputs"]
    assert set(caller["with"]) <= set(inputs)
    table = page.partition("| `with` |")[2].partition("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(inputs)


@pytest.mark.parametrize("ref", [None, "main", "feature/x", "refs/heads/main"])
def test_candidate_is_the_caller_s_commit_and_baseline_its_parent(ref: str | None, tmp_path: Path) -> None:
    first, second = make_remote(tmp_path / "server", LIBRARY)
    job = planned(tmp_path, second, **({} if ref is None else {"ref": ref}))
    assert job.result == "success", job.log
    change = f"--candidate PyAutoArray={second} --baseline PyAutoArray={first}"
    assert job.outputs["options"].split() == f"--source git {change}".split()
    assert job.outputs["commit"] == second
    assert job.outputs["shards"].count('"shard"') == 6


def test_workspace_is_what_both_sides_are_held_against(tmp_path: Path) -> None:
    repository = "PyAutoLabs/autolens_workspace_developer"
    _, second = make_remote(tmp_path / "server", repository)
    job = planned(tmp_path, second, repository)
    assert job.result == "success", job.log
    assert job.outputs["options"].split() == [
        *("--source", "git", "--ref", f"autolens_workspace_developer={second}")
    ]


def test_release_and_options_go_with_it(tmp_path: Path) -> None:
    _, second = make_remote(tmp_path / "server", LIBRARY)
    job = planned(tmp_path, second, release="2026.10.26.1", options="--only imaging-mge\n--lanes 3,16")
    assert job.result == "success", job.log
    assert job.outputs["options"].endswith(" --release 2026.10.26.1 --only imaging-mge --lanes 3,16")
    assert job.outputs["shards"].count('"shard"') == 1


def test_this_repository_s_own_runs_vendor_the_solver(tmp_path: Path) -> None:
    run = Run("matrix", tmp_path / "run", {"options": "--lanes 3,16"}, skipped=INSTALLED)
    job = run.job("plan")
    assert job.result == "success", job.log
    assert job.outputs["options"].split() == ["--lanes", "3,16"]
    assert job.outputs["commit"] == GITHUB["sha"]


@pytest.mark.parametrize("ref", ["no-such-branch", "$(touch made)", "--upload-pack=touch made"])
def test_what_the_caller_does_not_have_is_named_and_never_run(ref: str, tmp_path: Path) -> None:
    _, second = make_remote(tmp_path / "server", LIBRARY)
    job = planned(tmp_path, second, ref=ref)
    assert job.steps["Say what is tried"] == "failure"
    assert ref in job.log
    assert not list(tmp_path.rglob("made"))


@pytest.mark.parametrize("name", ["options", "release"])
def test_what_is_given_is_words_and_never_run(name: str, tmp_path: Path) -> None:
    _, second = make_remote(tmp_path / "server", LIBRARY)
    job = planned(tmp_path, second, **{name: "$(touch made) `touch made` ; touch made"})
    assert "$(touch made) `touch made` ; touch made" in job.outputs["options"]
    assert not list(tmp_path.rglob("made"))


def test_every_shard_is_given_what_was_planned(tmp_path: Path, tools: Path) -> None:
    said = tmp_path / "said"
    (tools / "python").write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {said}\n')
    (tools / "python").chmod(0o755)
    run = Run("matrix", tmp_path / "run", {"scale": "smoke"}, called=True, skipped=INSTALLED)
    run.jobs["plan"] = Job(outputs={"options": "--candidate A=1 $(touch made) *"})
    job = run.job("shard", shard="2/6", name="x")
    assert job.steps["Run the shard"] == "success", job.log
    words = ["--candidate", "A=1", "$(touch", "made)", "*"]
    start = ["run.py", "matrix-fp64", "--", "-n", "1", "--scale", "smoke", "--shard", "2/6"]
    assert said.read_text().splitlines() == [*start, *words]
    assert not list(tmp_path.rglob("made"))


def keep(place: Path, server: Path, sha: str) -> Job:
    """The job that keeps the history, after a run of one pipeline."""
    folder = place / "artifacts" / "report" / f"run-{sha[:7]}"
    records = [make_record(side=side) for side in SIDES]
    # Another one for each commit.
    started = datetime.datetime.fromtimestamp(1.7e9 + int(sha[:7], 16), datetime.UTC).isoformat()
    made = [replace(record, provenance=replace(record.provenance, started=started)) for record in records]
    write_run(folder, made)
    report([str(folder), "--root", str(place / "root")])
    (folder / "summary.md").write_text("# NNLS validation matrix: PASS: 2 pass\n")
    run = Run("matrix", place, event=event(server, sha), called=True)
    run.jobs["plan"] = Job(outputs={"commit": sha})
    run.jobs["report"] = Job()
    return run.job("history")


def history(server: Path, place: Path) -> Path:
    """A clone of the branch that the workflow keeps."""
    git("clone", "--quiet", "--branch", HISTORY, str(server / LIBRARY), str(place), at=server)
    return place


def test_history_has_the_records_of_each_commit_and_nothing_else(tmp_path: Path) -> None:
    commits = make_remote(tmp_path / "server", LIBRARY)
    for sha in commits:
        job = keep(tmp_path / sha, tmp_path / "server", sha)
        assert job.result == "success", job.log
    kept = history(tmp_path / "server", tmp_path / "kept")
    for sha in commits:
        found = sorted(path.name for path in (kept / f"run-{sha[:7]}").rglob("*") if path.is_file())
        records = [f"imaging-pixelization-fp64-{side}.json" for side in SIDES]
        assert found == sorted([COMMIT, "plan.json", *records])
    subjects = git("log", "--format=%s", at=kept).splitlines()
    assert subjects == [f"PyAutoArray {sha[:12]}: PASS: 2 pass" for sha in reversed(commits)]


def test_history_of_pushes_at_the_same_time_has_them_all(tmp_path: Path) -> None:
    """Also the very first ones, when there is no branch yet."""
    make_remote(tmp_path / "server", LIBRARY)
    shas = [digit * 40 for digit in "12345"]
    with ThreadPoolExecutor() as pool:
        jobs = list(pool.map(lambda sha: keep(tmp_path / sha, tmp_path / "server", sha), shas))
    assert [job.result for job in jobs] == ["success"] * len(shas), "\n".join(job.log for job in jobs)
    kept = history(tmp_path / "server", tmp_path / "kept")
    assert len(git("log", "--format=%s", at=kept).splitlines()) == len(shas)
    assert {path.name for path in kept.glob("run-*")} == {f"run-{sha[:7]}" for sha in shas}
    # Nothing but that branch was written.
    assert git("for-each-ref", "--format=%(refname:short)", at=tmp_path / "server" / LIBRARY).split() == [
        *("feature/x", "main", HISTORY)
    ]


def test_history_that_cannot_be_pushed_is_a_failure(tmp_path: Path, tools: Path) -> None:
    (tools / "sleep").write_text("#!/bin/sh\n")
    (tools / "sleep").chmod(0o755)
    job = keep(tmp_path / "run", tmp_path / "no-such-server", "1" * 40)
    assert job.result == "failure"


def test_trend_of_a_history_has_commits_on_its_axis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commits = make_remote(tmp_path / "server", LIBRARY)
    for sha in commits:
        keep(tmp_path / sha, tmp_path / "server", sha)
    kept = history(tmp_path / "server", tmp_path / "kept")
    capsys.readouterr()
    assert trend([str(kept), "--root", str(tmp_path / "root")]) == 0
    said, page = capsys.readouterr().out, (tmp_path / "root" / "trend.html").read_text()
    for sha in commits:
        assert sha[:12] in said
        assert f">{sha[:12]}</text>" in page
    assert ">commit</text>" in page


@pytest.mark.parametrize("said", ["", "<b>PyAutoArray</b> 1234567", "$\\alpha$ 1234567", "PyAutoArray"])
def test_what_is_no_commit_is_not_shown_as_one(said: str, tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "20260101-a")
    (tmp_path / "runs" / "20260101-a" / COMMIT).write_text(said)
    assert trend(["--root", str(tmp_path)]) == 0
    page = (tmp_path / "trend.html").read_text()
    assert ">commit</text>" not in page
    assert "could not be drawn" not in page


def test_job_that_may_push_runs_no_program_but_git() -> None:
    download, push = JOBS["history"]["steps"]
    assert download["uses"].startswith("actions/download-artifact@")
    assert not [word for word in ("python", "pip", "npm", "make", "curl") if word in push["run"]]
    assert "--force" not in push["run"]
