"""Scheduler's answers: every state, every silence, and the forms the two programs print them in."""

import pytest

from matrix.execute.slurm_outcomes import JobOutcome, job_ruling
from matrix.execute.slurm_states import Silence, Task, expanded, from_sacct, from_scontrol

SACCT = """\
7_0|COMPLETED|0:0|00:00:41|n1
7_1|FAILED|9:0|00:00:03|n1
7_[2-3,5%4]|PENDING|0:0|00:00:00|None assigned
8|CANCELLED by 1000|0:0|00:00:10|n2
9|TIMEOUT|0:0|00:30:12|n2
"""

SCONTROL = (
    "JobId=12 ArrayJobId=11 ArrayTaskId=0 JobName=nnls JobState=RUNNING Reason=None Requeue=1 Restarts=2 "
    "ExitCode=0:0 RunTime=00:01:00 EndTime=2026-01-01T00:30:00 ReqNodeList=(null) NodeList=n1\n"
    "JobId=11 ArrayJobId=11 ArrayTaskId=1-2%1 JobName=nnls JobState=PENDING Reason=Resources Restarts=0 "
    "ExitCode=0:0 RunTime=00:00:00\n"
    "JobId=13 JobName=nnls JobState=TIMEOUT Reason=TimeLimit Restarts=0 ExitCode=0:15 RunTime=00:30:20\n"
)


def test_sacct_is_read_with_its_ranges() -> None:
    found = from_sacct(SACCT)
    assert sorted(found) == ["7_0", "7_1", "7_2", "7_3", "7_5", "8", "9"]
    assert found["7_1"] == Task("FAILED", "9:0", "00:00:03", node="n1")
    assert found["7_5"].state == "PENDING"
    assert from_sacct("") == {}


def test_scontrol_is_read_with_its_ranges() -> None:
    found = from_scontrol(SCONTROL)
    assert sorted(found) == ["11_0", "11_1", "11_2", "13"]
    assert found["11_0"] == Task("RUNNING", "0:0", "00:01:00", "2026-01-01T00:30:00", "n1", "None", 2)
    assert found["13"].state == "TIMEOUT"


@pytest.mark.parametrize(
    ("text", "numbers"), [("0-2,5%4", [0, 1, 2, 5]), ("7", [7]), ("", []), ("0-1%1", [0, 1])]
)
def test_ranges(text: str, numbers: list[int]) -> None:
    assert expanded(text) == numbers


@pytest.mark.parametrize(
    ("state", "exit_code", "outcome"),
    [
        ("COMPLETED", "0:0", JobOutcome.PASSED),
        ("COMPLETED+", "0:0", JobOutcome.PASSED),
        ("COMPLETED", "0:9", JobOutcome.FAILED),
        ("COMPLETED", "", JobOutcome.FAILED),
        ("FAILED", "3:0", JobOutcome.FAILED),
        ("FAILED", "0:11", JobOutcome.FAILED),
        ("TIMEOUT", "0:0", JobOutcome.TIMEOUT),
        ("DEADLINE", "0:0", JobOutcome.TIMEOUT),
        ("CANCELLED by 1000", "0:0", JobOutcome.CANCELLED),
        ("NODE_FAIL", "0:0", JobOutcome.NODE_FAILURE),
        ("BOOT_FAIL", "0:0", JobOutcome.NODE_FAILURE),
        ("PREEMPTED", "0:0", JobOutcome.PREEMPTED),
        ("OUT_OF_MEMORY", "0:125", JobOutcome.OUT_OF_MEMORY),
        ("PENDING", "0:0", JobOutcome.WAITING),
        ("REQUEUE_HOLD", "0:0", JobOutcome.WAITING),
        ("RUNNING", "0:0", JobOutcome.RUNNING),
        ("COMPLETING", "0:0", JobOutcome.RUNNING),
        ("SOMETHING_NEW", "0:0", JobOutcome.UNRECOGNISED),
    ],
)
def test_state_with_a_valid_record(state: str, exit_code: str, outcome: JobOutcome) -> None:
    ruling = job_ruling(Task(state, exit_code), None, None)
    assert ruling.outcome is outcome
    assert ruling.reason


@pytest.mark.parametrize("silence", list(Silence))
def test_silence_is_never_a_pass(silence: Silence) -> None:
    ruling = job_ruling(silence, None, None)
    assert ruling.outcome not in (JobOutcome.PASSED, JobOutcome.WAITING, JobOutcome.RUNNING)
    assert ruling.reason == silence.value


def test_completed_without_its_record_is_no_pass() -> None:
    ruling = job_ruling(Task("COMPLETED", "0:0"), "its record names other commits than planned", None)
    assert ruling.outcome is JobOutcome.NO_RECORD
    assert "other commits" in ruling.reason


def test_reasons_of_a_failure() -> None:
    assert (
        job_ruling(Task("FAILED", "0:9"), "none", None).reason
        == "killed by signal 9: most likely over its memory"
    )
    assert job_ruling(Task("FAILED", "0:11"), "none", None).reason == "killed by signal 11"
    assert job_ruling(Task("FAILED", "1:0"), "none", "exit code 7").reason == "exit code 7"
    assert "start 3" in job_ruling(Task("PENDING", "0:0", reason="BeginTime", restarts=2), None, None).reason


@pytest.mark.parametrize(
    "line",
    [
        "slurmstepd-n1: error: StepId=2.0 exceeded memory limit (851197952 > 209715200), being killed",
        "slurmstepd: error: Exceeded job memory limit",
        "slurmstepd: error: Detected 1 oom_kill event in StepId=7.0..",
        "slurmstepd: error: Detected 2 oom-kill event(s) in StepId=7.batch.",
    ],
)
def test_memory_is_told_by_the_scheduler_in_the_log(line: str) -> None:
    ruling = job_ruling(Task("FAILED", "9:0"), "none", None, f"some output\n{line}\nmore")
    assert ruling.outcome is JobOutcome.OUT_OF_MEMORY


def test_what_the_cell_itself_says_of_memory_does_not_count() -> None:
    log = "RESOURCE_EXHAUSTED: Out of memory, oom_kill, memory limit\nas slurmstepd: error: memory limit"
    assert job_ruling(Task("FAILED", "1:0"), "none", "exit code 1", log).outcome is JobOutcome.FAILED


def test_pass_is_a_pass_whatever_the_log_says() -> None:
    log = "slurmstepd: error: Exceeded job memory limit"
    assert job_ruling(Task("COMPLETED", "0:0"), None, None, log).outcome is JobOutcome.PASSED
