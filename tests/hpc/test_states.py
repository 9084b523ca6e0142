"""Each way the scheduler can say nothing: told apart, bounded in time, by programs that stand for its own."""

import dataclasses
import time
from pathlib import Path

import pytest

from matrix.execute import slurm, slurm_states
from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_states import Silence, Task, ask, from_sacct, from_scontrol
from matrix.execute.slurm_status import Status, write_statuses
from matrix.records.cell import RecordError, write_record
from matrix.report.runs import load_run, verdict_of
from tests.factory import make_plan, make_record

FORGOTTEN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
KNOWN = "echo 'JobId=7 JobState=COMPLETED ExitCode=0:0'"
HANGS = "exec sleep 60"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(slurm_states, "ASK_SECONDS", 1.0)
    return tmp_path


def says(folder: Path, program: str, script: str) -> None:
    (folder / program).write_text(f"#!/bin/sh\n{script}\n")
    (folder / program).chmod(0o755)


@pytest.mark.parametrize(
    ("controller", "accounting", "answer"),
    [
        (KNOWN, "exit 9", Task("COMPLETED", "0:0")),
        (FORGOTTEN, "echo '7|TIMEOUT|0:0|00:30:00|n1'", Task("TIMEOUT", "0:0", "00:30:00", node="n1")),
        (FORGOTTEN, "exit 0", Silence.UNKNOWN),
        (FORGOTTEN, "echo 'Slurm accounting storage is disabled' >&2; exit 1", Silence.ACCOUNTING_OFF),
        (FORGOTTEN, "echo 'sacct: error: Connection refused' >&2; exit 1", Silence.UNREACHABLE),
        (FORGOTTEN, HANGS, Silence.UNREACHABLE),
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "exit 0", Silence.UNREACHABLE),
        (HANGS, "exit 0", Silence.UNREACHABLE),
    ],
)
def test_answer(programs: Path, controller: str, accounting: str, answer: Task | Silence) -> None:
    says(programs, "scontrol", controller)
    says(programs, "sacct", accounting)
    began = time.monotonic()
    assert ask(["7"]) == {"7": answer}
    assert time.monotonic() - began < 10


def test_no_slurm_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ask(["7_1"]) == {"7_1": Silence.UNREACHABLE}


ROW = "7_0|COMPLETED|0:0|00:00:01|n1"


@pytest.mark.parametrize(
    "answer",
    [
        f"{ROW}\n",
        f"This cluster will be down on Friday.\n{ROW}\n",
        f"{ROW}|\n",
        f"{ROW}\n\n",
        f"a|b|c|d|e\n|||||\n{ROW}\r\nbye | bye\n",
    ],
)
def test_what_stands_around_the_accounting_is_left_out(answer: str) -> None:
    assert from_sacct(answer) == {"7_0": Task("COMPLETED", "0:0", "00:00:01", node="n1")}


def test_states_of_several_words_and_ranges_of_tasks_are_read() -> None:
    found = from_sacct("7_[1-2%4]|PENDING|0:0|00:00:00|None assigned\n8|CANCELLED by 1000|0:15|00:00:01|n1\n")
    assert found["7_2"].state == "PENDING"
    assert found["8"].state == "CANCELLED by 1000"


def test_what_stands_around_the_controllers_answer_is_left_out() -> None:
    text = "JobState=odd news\nJobId=7 JobState=COMPLETED ExitCode=0:0 Restarts=some\n\nNote: JobId=8\n"
    assert from_scontrol(text) == {"7": Task("COMPLETED", "0:0")}


@pytest.mark.parametrize(
    ("state", "outcome", "word"),
    [
        ("TIMEOUT", JobOutcome.TIMEOUT, "FAIL"),
        ("NODE_FAIL", JobOutcome.NODE_FAILURE, "FAIL"),
        ("COMPLETED", JobOutcome.PASSED, "PASS on stand-ins as far as it ran"),
    ],
)
def test_the_report_says_of_a_cell_what_slurm_says_of_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, outcome: JobOutcome, word: str
) -> None:
    plan = make_plan(tmp_path)
    plan.write()
    for cell in plan.cells:
        record = make_record(cell.pipeline, cell.side)
        driver = {"checkouts": [checkout.model_dump() for checkout in plan.checkouts]}
        provenance = dataclasses.replace(record.provenance, driver=driver)
        write_record(plan.record_path(cell), dataclasses.replace(record, provenance=provenance))
    jobs = {
        cell.name: Status(cell=cell.name, job=f"7_{n}", outcome=JobOutcome.RUNNING)
        for n, cell in enumerate(plan.cells)
    }
    write_statuses(plan.folder / "jobs.json", jobs)
    monkeypatch.setattr(slurm, "ask", lambda ids: dict.fromkeys(ids, Task(state, "0:0")))
    assert {status.outcome for status in slurm.cell_states(plan)} == {outcome}
    assert verdict_of(load_run(plan.folder)).startswith(f"{word}:")


def test_a_note_of_jobs_that_is_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "jobs.json").write_bytes(b"\xff[")
    with pytest.raises(RecordError, match=r"jobs\.json is damaged"):
        slurm.cell_states(make_plan(tmp_path))
