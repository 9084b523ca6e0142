"""What became of a cell's job: passed only if the scheduler says so and its own record bears it out."""

import enum
import re
from dataclasses import dataclass

from matrix.execute.slurm_states import Silence, Task


class JobOutcome(enum.StrEnum):
    """How a cell's job stands or ended."""

    WAITING = "waiting"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    NO_RECORD = "no valid record"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    NODE_FAILURE = "node failure"
    PREEMPTED = "preempted"
    OUT_OF_MEMORY = "out of memory"
    UNKNOWN_JOB = "unknown job"
    ACCOUNTING_OFF = "accounting off"
    UNREACHABLE = "unreachable"
    UNRECOGNISED = "unrecognised state"
    NOT_SUBMITTED = "not submitted"

    @property
    def active(self) -> bool:
        """Whether the job may still come to something."""
        return self in (JobOutcome.WAITING, JobOutcome.RUNNING)

    @property
    def silent(self) -> bool:
        """Whether the scheduler said nothing, which a moment later may be otherwise."""
        return self in (JobOutcome.UNKNOWN_JOB, JobOutcome.UNREACHABLE)

    @property
    def settled(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.broken or self in (JobOutcome.PASSED, JobOutcome.ACCOUNTING_OFF)

    @property
    def broken(self) -> bool:
        """Whether the job has ended, for all anybody knows, and not well."""
        open_or_unseen = (JobOutcome.NOT_SUBMITTED, JobOutcome.ACCOUNTING_OFF)
        return not (self.active or self.silent or self is JobOutcome.PASSED or self in open_or_unseen)


@dataclass(frozen=True)
class JobRuling:
    """The outcome, and in a sentence why."""

    outcome: JobOutcome
    reason: str


_WAITING = {
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_HOLD",
    "REQUEUE_FED",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
    "SUSPENDED",
    "STOPPED",
}
_RUNNING = {"RUNNING", "COMPLETING", "SIGNALING", "STAGE_OUT", "RESIZING"}
_ENDED = {
    "TIMEOUT": (JobOutcome.TIMEOUT, "over its time limit: raise `time` in the profile"),
    "DEADLINE": (JobOutcome.TIMEOUT, "over its deadline"),
    "CANCELLED": (JobOutcome.CANCELLED, "cancelled"),
    "REVOKED": (JobOutcome.CANCELLED, "revoked by the scheduler"),
    "NODE_FAIL": (JobOutcome.NODE_FAILURE, "its node failed: submit again"),
    "BOOT_FAIL": (JobOutcome.NODE_FAILURE, "its node did not start: submit again"),
    "PREEMPTED": (JobOutcome.PREEMPTED, "preempted by another job and not requeued: submit again"),
    "OUT_OF_MEMORY": (JobOutcome.OUT_OF_MEMORY, "over its memory: raise `memory` in the profile"),
}
_SILENT = {
    Silence.UNKNOWN: JobOutcome.UNKNOWN_JOB,
    Silence.ACCOUNTING_OFF: JobOutcome.ACCOUNTING_OFF,
    Silence.UNREACHABLE: JobOutcome.UNREACHABLE,
}


# Without cgroups a job that Slurm kills for its memory is FAILED like any other; only its log says why.
_KILLED_FOR_MEMORY = re.compile(
    r"^slurmstepd\S*: error: .*(memory limit|oom.kill)", re.IGNORECASE | re.MULTILINE
)


def job_ruling(
    answer: Task | Silence, record_fault: str | None, failure: str | None, log: str = ""
) -> JobRuling:
    """Rule on a cell's job.

    Parameters
    ----------
    answer
        What the scheduler says of the job.
    record_fault
        What is wrong with the cell's record, if anything.
    failure
        Why the cell's own process left no record, where that was written down.
    log
        What the job printed, with the scheduler's own words in it.
    """
    if isinstance(answer, Silence):
        return JobRuling(_SILENT[answer], answer.value)
    # "CANCELLED by 1000", "COMPLETED+": the first word, without the mark of a shortened column.
    state = answer.state.partition(" ")[0].rstrip("+")
    if state in _WAITING:
        again = f"requeued, start {answer.restarts + 1}; " if answer.restarts else ""
        return JobRuling(JobOutcome.WAITING, f"{again}{state.lower()} ({answer.reason or 'no reason given'})")
    if state in _RUNNING:
        again = f", start {answer.restarts + 1}" if answer.restarts else ""
        return JobRuling(JobOutcome.RUNNING, f"on {answer.node}{again}")
    if state in _ENDED:
        return JobRuling(*_ENDED[state])
    if state == "FAILED" or (state == "COMPLETED" and answer.exit_code != "0:0"):
        if _KILLED_FOR_MEMORY.search(log):
            return JobRuling(*_ENDED["OUT_OF_MEMORY"])
        return JobRuling(JobOutcome.FAILED, _failed(answer.exit_code, failure))
    if state == "COMPLETED":
        if record_fault is not None:
            return JobRuling(JobOutcome.NO_RECORD, f"Slurm says COMPLETED with exit 0, but {record_fault}")
        return JobRuling(
            JobOutcome.PASSED, "COMPLETED, exit 0, its record is valid and names the planned commits"
        )
    return JobRuling(JobOutcome.UNRECOGNISED, f"Slurm says {answer.state}, which this program does not know")


def _failed(exit_code: str, failure: str | None) -> str:
    if failure is not None:
        return failure
    code, _, signal = exit_code.partition(":")
    if signal == "9":
        return "killed by signal 9: most likely over its memory"
    return f"killed by signal {signal}" if signal not in ("", "0") else f"exit code {code}"
