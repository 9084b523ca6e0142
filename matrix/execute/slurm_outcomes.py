"""What became of a cell's job: passed only if the scheduler says so and its own record bears it out."""

import enum
import re
from dataclasses import dataclass

from matrix.execute.slurm_states import Silence, Task


class Outcome(enum.StrEnum):
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
        return self in (Outcome.WAITING, Outcome.RUNNING)

    @property
    def silent(self) -> bool:
        """Whether the scheduler said nothing, which a moment later may be otherwise."""
        return self in (Outcome.UNKNOWN_JOB, Outcome.UNREACHABLE)

    @property
    def settled(self) -> bool:
        """Whether asking again would tell nothing new."""
        return self.broken or self in (Outcome.PASSED, Outcome.ACCOUNTING_OFF)

    @property
    def broken(self) -> bool:
        """Whether the job has ended, for all anybody knows, and not well."""
        open_or_unseen = (Outcome.NOT_SUBMITTED, Outcome.ACCOUNTING_OFF)
        return not (self.active or self.silent or self is Outcome.PASSED or self in open_or_unseen)


@dataclass(frozen=True)
class Ruling:
    """The outcome, and in a sentence why."""

    outcome: Outcome
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
    "TIMEOUT": (Outcome.TIMEOUT, "over its time limit: raise `time` in the profile"),
    "DEADLINE": (Outcome.TIMEOUT, "over its deadline"),
    "CANCELLED": (Outcome.CANCELLED, "cancelled"),
    "REVOKED": (Outcome.CANCELLED, "revoked by the scheduler"),
    "NODE_FAIL": (Outcome.NODE_FAILURE, "its node failed: submit again"),
    "BOOT_FAIL": (Outcome.NODE_FAILURE, "its node did not start: submit again"),
    "PREEMPTED": (Outcome.PREEMPTED, "preempted by another job and not requeued: submit again"),
    "OUT_OF_MEMORY": (Outcome.OUT_OF_MEMORY, "over its memory: raise `memory` in the profile"),
}
_SILENT = {
    Silence.UNKNOWN: Outcome.UNKNOWN_JOB,
    Silence.ACCOUNTING_OFF: Outcome.ACCOUNTING_OFF,
    Silence.UNREACHABLE: Outcome.UNREACHABLE,
}


# Without cgroups a job that Slurm kills for its memory is FAILED like any other; only its log says why.
_KILLED_FOR_MEMORY = re.compile(
    r"^slurmstepd\S*: error: .*(memory limit|oom.kill)", re.IGNORECASE | re.MULTILINE
)


def rule(answer: Task | Silence, record_fault: str | None, failure: str | None, log: str = "") -> Ruling:
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
        return Ruling(_SILENT[answer], answer.value)
    # "CANCELLED by 1000", "COMPLETED+": the first word, without the mark of a shortened column.
    state = answer.state.partition(" ")[0].rstrip("+")
    if state in _WAITING:
        again = f"requeued, start {answer.restarts + 1}; " if answer.restarts else ""
        return Ruling(Outcome.WAITING, f"{again}{state.lower()} ({answer.reason or 'no reason given'})")
    if state in _RUNNING:
        again = f", start {answer.restarts + 1}" if answer.restarts else ""
        return Ruling(Outcome.RUNNING, f"on {answer.node}{again}")
    if state in _ENDED:
        return Ruling(*_ENDED[state])
    if state == "FAILED" or (state == "COMPLETED" and answer.exit_code != "0:0"):
        if _KILLED_FOR_MEMORY.search(log):
            return Ruling(*_ENDED["OUT_OF_MEMORY"])
        return Ruling(Outcome.FAILED, _failed(answer.exit_code, failure))
    if state == "COMPLETED":
        if record_fault is not None:
            return Ruling(Outcome.NO_RECORD, f"Slurm says COMPLETED with exit 0, but {record_fault}")
        return Ruling(Outcome.PASSED, "COMPLETED, exit 0, its record is valid and names the planned commits")
    return Ruling(Outcome.UNRECOGNISED, f"Slurm says {answer.state}, which this program does not know")


def _failed(exit_code: str, failure: str | None) -> str:
    if failure is not None:
        return failure
    code, _, signal = exit_code.partition(":")
    if signal == "9":
        return "killed by signal 9: most likely over its memory"
    return f"killed by signal {signal}" if signal not in ("", "0") else f"exit code {code}"
