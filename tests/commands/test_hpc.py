"""Waiting bears silence for a while and no longer; code that was not pushed is not submitted."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from matrix.commands import hpc as cli
from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_status import Status
from matrix.ground.errors import NetworkError, UsageError
from matrix.hpc.profile import Profile


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "POLL_SECONDS", (0.01, 0.02))


def wait(answers: Iterator[JobOutcome | NetworkError], patience: float = 60.0, limit: float = 60.0) -> int:
    """Wait for one job, of which the cluster says these things in turn."""

    def slurm(*_: str) -> list[Status]:
        answer = next(answers)
        if isinstance(answer, NetworkError):
            raise answer
        return [Status(cell="cell", job="1", outcome=answer, reason="a reason", tail="the last line")]

    step = SimpleNamespace(
        console=Console(soft_wrap=True),
        options=argparse.Namespace(patience=patience, limit=limit),
        pushed=lambda: SimpleNamespace(run="run"),
        states=slurm,
    )
    return cli._wait(step)  # type: ignore[arg-type]


def endlessly(*answers: JobOutcome | NetworkError) -> Iterator[JobOutcome | NetworkError]:
    yield from answers
    while True:
        yield answers[-1]


def test_it_ends_with_the_last_job() -> None:
    assert wait(iter([JobOutcome.WAITING, JobOutcome.RUNNING, JobOutcome.PASSED])) == 0
    assert wait(iter([JobOutcome.RUNNING, JobOutcome.TIMEOUT])) == 1


def test_why_a_job_waits_is_said_also_when_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    held = Status(cell="cell", job="1", outcome=JobOutcome.WAITING, reason="pending (JobHeldUser)")
    waiting = held.model_copy(update={"reason": "pending (Resources)"})
    step = SimpleNamespace(console=Console(soft_wrap=True))
    seen: dict[str, Status] = {}
    told = [cli._tell(step, seen, [status]) for status in (waiting, waiting, held)]  # type: ignore[arg-type]
    assert told == [True, False, True]
    assert "cell waiting: pending (JobHeldUser)" in capsys.readouterr().out
    cli._show(SimpleNamespace(console=Console(width=200)), [held])  # type: ignore[arg-type]
    assert "waiting: pending (JobHeldUser)" in " ".join(capsys.readouterr().out.split())


def test_lost_connection_that_comes_back_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert wait(iter([JobOutcome.RUNNING, NetworkError("cannot reach it"), JobOutcome.PASSED])) == 0
    assert "unreachable: cannot reach it" in capsys.readouterr().out


@pytest.mark.parametrize(
    "silence", [JobOutcome.UNREACHABLE, JobOutcome.UNKNOWN_JOB, NetworkError("cannot reach it")]
)
def test_silence_is_borne_for_a_while_and_is_no_pass(
    silence: JobOutcome | NetworkError, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait(endlessly(JobOutcome.RUNNING, silence), patience=0.1) == 3
    out = capsys.readouterr().out
    assert "gave up" in out
    assert "the last line" in out


def test_cluster_that_never_answered_is_a_network_failure() -> None:
    with pytest.raises(NetworkError):
        wait(endlessly(NetworkError("cannot reach it")))


def test_limit_holds_for_jobs_that_never_end() -> None:
    assert wait(endlessly(JobOutcome.WAITING), limit=0.1) == 3


def submit(monkeypatch: pytest.MonkeyPatch, here: str) -> list[tuple[str, ...]]:
    """Submit where the code "pushed" is over there and `here` is here; return what the cluster was told."""
    told: list[tuple[str, ...]] = []
    profile = Profile(root="/scratch", driver="/python", python="/python")
    step = SimpleNamespace(
        console=Console(soft_wrap=True),
        pushed=lambda: SimpleNamespace(run="run", code="pushed"),
        remote=SimpleNamespace(profile=profile),
        slurm=lambda *words: told.append(words) or [],  # type: ignore[func-returns-value]
        words=[],
        options=argparse.Namespace(dry_run=False),
    )
    monkeypatch.setattr(cli, "pushed_code", lambda: here)
    cli._submit(step)  # type: ignore[arg-type]
    return told


def test_code_newer_than_the_last_push_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="push first"):
        submit(monkeypatch, "edited")
    assert [words[:2] for words in submit(monkeypatch, "pushed")] == [("states", "run"), ("submit", "run")]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fp64", "--check", "gradients"], "name pipelines with --only too"),
        (["fp64", "-k", "nothing"], "push does not know -k nothing"),
    ],
)
def test_a_push_that_selects_no_cell_is_refused(tmp_path: Path, words: list[str], says: str) -> None:
    step = SimpleNamespace(words=words, layout=SimpleNamespace(root=tmp_path))
    with pytest.raises(UsageError, match=says):
        cli._push(step)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("outcome", JobOutcome)
def test_every_job_must_pass_wherever_it_stands_among_others(outcome: JobOutcome, place: int) -> None:
    """One passed job is not enough, nor are all but one."""
    ends = [JobOutcome.PASSED] * 3
    ends[place] = outcome
    statuses = [
        Status(cell=str(n), job=str(n), outcome=end, reason="", tail="") for n, end in enumerate(ends)
    ]
    code = cli._judge(SimpleNamespace(console=Console()), statuses)  # type: ignore[arg-type]
    assert code == (0 if outcome is JobOutcome.PASSED else 1 if outcome.broken else 3)


def test_a_run_without_cells_is_not_passed() -> None:
    step = SimpleNamespace(console=Console())
    with pytest.raises(UsageError, match="has no cell"):
        cli._judge(step, [])  # type: ignore[arg-type]


def test_a_measurement_is_a_job_per_pipeline() -> None:
    words = ["probe", "imaging-mge", "--lanes", "8", "imaging-delaunay", "--scale", "smoke"]
    found = cli.sessions_from(words, "now")
    assert [(one.name, one.kind, one.words) for one in found] == [
        ("probe-imaging-mge-now", "probe", ("imaging-mge", "--lanes", "8", "--scale", "smoke")),
        ("probe-imaging-delaunay-now", "probe", ("imaging-delaunay", "--lanes", "8", "--scale", "smoke")),
    ]
    (bench,) = cli.sessions_from(["bench", "--part", "conditions"], "now")
    assert (bench.name, bench.words) == ("bench-now", ("--part", "conditions"))


def test_the_probe_that_a_profile_made_comes_back_with_it() -> None:
    """To where the refresh of result files looks for probes."""
    session, *_ = cli.sessions_from(["profile", "imaging-mge"], "now")
    assert session.outputs(Path("ours")) == (
        Path("ours/profile/profile-imaging-mge-now"),
        Path("ours/probe"),
    )
    session, *_ = cli.sessions_from(["sweep", "imaging-mge"], "now")
    assert session.outputs(Path("ours")) == (Path("ours/sweep/sweep-imaging-mge-now"),)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            ["prob", "imaging-mge"],
            "submit does not know prob.*or: batch, hlo-audit, probe, sweep, systems, profile, bench",
        ),
        (["probe"], "name a pipeline or more, each is a job of its own"),
        (["probe", "imaging-mge", "--output-dir=x"], "--output-dir=x: where what is measured goes"),
        (["bench", "--record", "x"], "--record: where what is measured goes"),
    ],
)
def test_a_measurement_that_cannot_be_is_refused(words: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cli.sessions_from(words, "now")


@pytest.mark.parametrize(
    "words",
    [["probe", "imaging-mge", "--lane=8"], ["probe", "imaging-mge", "imaging-mg"], ["bench", "--sizes=3"]],
)
def test_a_mistyped_word_is_told_before_a_job_waits(words: list[str]) -> None:
    with pytest.raises((SystemExit, UsageError)) as raised:
        cli.sessions_from(words, "now")
    assert getattr(raised.value, "code", 2) == 2


@pytest.mark.parametrize(
    ("gres", "says"),
    [
        (None, "at most 480 core minutes, 60 min once they start"),
        ("gpu:a100:2", "at most 240 GPU minutes, 60 min once they start"),
        ("gpu", "at most 120 GPU minutes"),
    ],
)
def test_what_is_asked_for_is_said_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], gres: str | None, says: str
) -> None:
    monkeypatch.setattr(cli, "expected_start", lambda _: "Job 7 to start at noon")
    profile = Profile(root="/s", driver="/d", python="/p", gres=gres, time=20, cpus=4, parallel=2)
    step = SimpleNamespace(console=Console(soft_wrap=True), remote=None)
    cli._say_cost(step, cli.Resources.model_validate(profile.model_dump()), 6)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "6 jobs of at most 20 min, 2 at a time" in said
    assert says in said
    assert "queue       Job 7 to start at noon" in said


@pytest.mark.parametrize(
    ("cells", "pairs", "says"),
    [
        (
            12,
            6,
            "18 jobs of at most 20 min, 4 at a time, then 6, one at a time: at most 360 core minutes",
        ),
        (0, 2, "2 jobs of at most 20 min, 2, one at a time: at most 40 core minutes, 40 min"),
    ],
)
def test_pairs_take_their_time_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cells: int, pairs: int, says: str
) -> None:
    monkeypatch.setattr(cli, "expected_start", lambda _: "now")
    profile = Profile(root="/s", driver="/d", python="/p", time=20, cpus=1, parallel=4)
    names = [*(f"cell-{n}" for n in range(cells)), *(f"pipeline-{n}-fp64-pair" for n in range(pairs))]
    monkeypatch.setattr(cli, "pushed_code", lambda: "code")
    step = SimpleNamespace(
        console=Console(soft_wrap=True),
        pushed=lambda: SimpleNamespace(run="run", code="code"),
        remote=SimpleNamespace(profile=profile),
        slurm=lambda *_: [Status(cell=name) for name in names],
        told=lambda *_: "#!/bin/bash",
        words=[],
        options=argparse.Namespace(dry_run=True),
    )
    assert cli._submit(step) == 0  # type: ignore[arg-type]
    assert says in capsys.readouterr().out
