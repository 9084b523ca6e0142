"""The job that has the token: it starts no program but Git, and pushes what a person approved, or nothing."""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from matrix.commands import fetch
from matrix.records.cell import SIDES, read_record, write_record
from matrix.run.plan import PlannedEnvironment, read_plan
from tests.refresh.branches.world import BRANCH, DEVELOPER, LIBRARY, TEST, World, run_git

TOKEN = "t0ken-of-the-three-repositories"
TRIO = (LIBRARY, DEVELOPER, TEST)
STARTED: list[tuple[list[str], dict[str, str]]] = []
LISTENING: list[bool] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if LISTENING and event == "subprocess.Popen":
        STARTED.append(([os.fsdecode(word) for word in arguments[1]], dict(arguments[3] or os.environ)))


sys.addaudithook(_note)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[list[str], dict[str, str]]]]:
    """Command and environment of every process that is started, while we have a token."""
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    STARTED.clear()
    LISTENING.append(True)
    yield STARTED
    LISTENING.clear()


@pytest.fixture
def planted(world: World) -> Path:
    """The run's plan names an interpreter that leaves a trace; returns the trace."""
    trace = world.folder / "trace"
    program = world.folder / "python"
    program.write_text(f"#!/bin/sh\nenv > {trace}\nexit 1\n")
    program.chmod(0o755)
    plan = read_plan(world.plan.folder)
    environments = {side: PlannedEnvironment(python=program, pythonpath=(), key="k") for side in SIDES}
    plan.model_copy(update={"environments": environments}).write()
    return trace


def approved(world: World) -> Path:
    """What a dry run shows a person; the machine it ran on is gone afterwards, but for its run."""
    assert world.run("--run-nothing") == 0
    folder = world.folder / "approved"
    shutil.copytree(world.root / "trio", folder)
    for path in world.root.iterdir():
        if path.name != "runs":
            shutil.rmtree(path)
    return folder


@pytest.fixture
def fetched(solver: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(fetch, "SOLVER", solver)
    return lambda world: fetch.main(["fp64", f"--root={world.root}", f"--manifest={world.manifest}"])


def test_nothing_but_git_is_started_and_for_remotes_of_this_machine_without_the_token(
    world: World, planted: Path, started: list[tuple[list[str], dict[str, str]]]
) -> None:
    assert world.run("--run-nothing", "--push") == 0
    assert not planted.exists()
    assert {words[0] for words, _ in started} == {"git"}
    with_token = [words for words, environment in started if TOKEN in environment.values()]
    # It may be part of a person's configuration, which is asked for first.
    assert with_token
    assert all("config" in words for words in with_token)
    assert all(world.pushed(name) == world.head(name) for name in TRIO)


def test_without_the_option_the_interpreter_is_started_without_the_token(
    world: World, planted: Path, started: list[tuple[list[str], dict[str, str]]]
) -> None:
    assert world.run() == 0
    assert planted.exists()
    assert TOKEN not in planted.read_text()
    assert started


def test_a_run_that_lacks_a_record_is_refused_and_not_finished(
    world: World,
    planted: Path,
    started: list[tuple[list[str], dict[str, str]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.plan.record_path(world.plan.cells[0]).unlink()
    assert world.run("--run-nothing", "--push") == 2
    assert f"no record of {world.plan.cells[0].name}" in capsys.readouterr().err
    assert not planted.exists()
    assert {words[0] for words, _ in started} <= {"git"}
    assert not any(world.pushed(name) for name in TRIO)


def test_the_branches_that_were_approved_are_pushed_from_elsewhere(world: World, fetched: Any) -> None:
    folder = approved(world)
    assert fetched(world) == 0
    assert world.run("--run-nothing", f"--approved={folder}", "--push") == 0
    for name in TRIO:
        bundle = folder / world.plan.run / f"{name}.bundle"
        assert world.pushed(name) == run_git(world.folder, "bundle", "list-heads", str(bundle)).split()[0]


@pytest.mark.parametrize(
    "change", ["a record", "no bundle", "no folder", "another bundle", "two heads", "a link"]
)
def test_other_branches_than_the_approved_ones_are_not_pushed(
    world: World, fetched: Any, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    folder = approved(world)
    assert fetched(world) == 0
    bundle = folder / world.plan.run / f"{DEVELOPER}.bundle"
    match change:
        case "a record":
            # On both sides, which must stay comparable.
            for side in SIDES:
                path = world.plan.record_path(world.plan.cell("imaging-mge", side))
                record = read_record(path)
                other = replace(record.provenance, device_kind="another processor")
                write_record(path, replace(record, provenance=other))
        case "no bundle":
            bundle.unlink()
        case "no folder":
            shutil.rmtree(folder)
        case "another bundle":
            shutil.copy(bundle.with_name(f"{TEST}.bundle"), bundle)
        case "two heads":
            # Which of the two a person looked at, nobody can say.
            head, _, rest = bundle.read_bytes().partition(b"\n\n")
            second = f"\n{'1' * 40} refs/heads/{BRANCH}\n\n"
            bundle.write_bytes(head + second.encode() + rest)
        case "a link":
            bundle.rename(world.folder / "moved")
            bundle.symlink_to(world.folder / "moved")
    assert world.run("--run-nothing", f"--approved={folder}", "--push") == 2
    assert DEVELOPER in capsys.readouterr().err
    assert not any(world.pushed(name) for name in TRIO)


def test_a_run_cannot_name_a_place_outside(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.plan.model_copy(update={"run": "../../outside"}).write()
    assert world.run("--run-nothing") == 2
    assert "(run: String should match pattern" in capsys.readouterr().err
    assert not (world.folder / "outside").exists()
