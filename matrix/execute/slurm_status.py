"""A job as it stands: what Slurm says of it with the end of its log, kept since Slurm forgets."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, TypeAdapter, ValidationError

from matrix.execute.slurm_outcomes import JobOutcome, JobRuling
from matrix.execute.slurm_states import Silence, Task
from matrix.ground.files import read_bytes, read_text, write_text
from matrix.records.cell import RecordError
from matrix.run.plan import Plan

TAIL_LINES = 15


class Status(BaseModel):
    """A cell's job as it stands; kept in `jobs.json` once it has ended, since Slurm forgets."""

    cell: str
    job: str | None = None
    outcome: JobOutcome = JobOutcome.NOT_SUBMITTED
    reason: str = ""
    elapsed: str = ""
    limit_end: str = ""
    tail: str = ""


STATUSES = TypeAdapter(list[Status])


def ruled(
    status: Status, answer: Task | Silence, ruling: JobRuling, failure: str | None, own_log: str, printed: str
) -> Status:
    """The status by what Slurm said of its job, with the end of the log that tells most."""
    # A job that failed without a word from its process failed around it.
    around = ruling.outcome is JobOutcome.FAILED and failure is None
    log = printed if around else own_log or printed
    return status.model_copy(
        update={
            "outcome": ruling.outcome,
            "reason": ruling.reason,
            "elapsed": getattr(answer, "elapsed", ""),
            "limit_end": getattr(answer, "limit_end", ""),
            "tail": "\n".join(log.splitlines()[-TAIL_LINES:]) or "(no log)",
        }
    )


def lost(status: Status, fault: str) -> Status:
    """The status of what passed, whose record does not count any more."""
    return status.model_copy(
        update={"outcome": JobOutcome.NO_RECORD, "reason": f"it passed, but now {fault}"}
    )


def job_log(plan: Plan, job: str | None) -> str:
    """What task 0 of a job, the only one, printed; the engine lets Slurm write it there."""
    return log_text(plan.folder / "slurm" / f"{job}_0_log.out")


def log_text(log: Path) -> str:
    """What a log holds; nothing where there is none."""
    return read_text(log, errors="replace").strip() if log.exists() else ""


def read_statuses(path: Path) -> dict[str, Status]:
    """The statuses that were written down, by the name of the cell.

    Raises
    ------
    RecordError
        The file is damaged.
    """
    if not path.exists():
        return {}
    try:
        return {status.cell: status for status in STATUSES.validate_json(read_bytes(path))}
    except ValidationError as error:
        what = error.errors()[0]["msg"]
        raise RecordError(f"{path} is damaged ({what}): remove it, and submit again.") from error


def write_statuses(path: Path, statuses: Mapping[str, Status]) -> None:
    """Write statuses down, whole or not at all."""
    write_text(path, STATUSES.dump_json(list(statuses.values()), indent=2).decode() + "\n")
