"""What Slurm says of our jobs, asked of the controller and then of its accounting, each bounded in time."""

import enum
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from matrix.ground.errors import EnvironmentFailure
from matrix.ground.process import Completed, run

ASK_SECONDS = 30.0
UNKNOWN_ID = "Invalid job id"
ACCOUNTING_OFF = re.compile(r"accounting storage is disabled", re.IGNORECASE)
SACCT_FIELDS = ("JobID", "State", "ExitCode", "Elapsed", "NodeList")
_ROW = re.compile(r"(\d+(?:_(?:\d+|\[[^|]*\]))?)\|([A-Z_]+\b[^|]*)\|(\d+:\d+)\|([^|]*)\|([^|]*)\|?")


class Silence(enum.StrEnum):
    """Why the scheduler says nothing of a job."""

    UNKNOWN = "unknown job: neither the controller nor the accounting knows this id"
    ACCOUNTING_OFF = (
        "accounting is switched off and the controller has forgotten the job (MinJobAge): its end cannot be "
        "confirmed. Submit again: a cell or pair that is finished is kept, another measurement is made anew"
    )
    UNREACHABLE = "the Slurm controller or its accounting cannot be reached"


@dataclass(frozen=True)
class Task:
    """One job, or one task of an array, as the scheduler has it."""

    state: str
    exit_code: str
    elapsed: str = ""
    limit_end: str = ""
    node: str = ""
    reason: str = ""
    restarts: int = 0


def ask(job_ids: Iterable[str]) -> dict[str, Task | Silence]:
    """What the scheduler says of every id (``12`` or, in an array, ``12_3``)."""
    wanted = set(job_ids)
    answers: dict[str, Task | Silence] = {}
    for main in sorted({job_id.partition("_")[0] for job_id in wanted}):
        mine = {job_id for job_id in wanted if job_id.partition("_")[0] == main}
        answers |= _ask(main, mine)
    return answers


def _ask(main: str, wanted: set[str]) -> Mapping[str, Task | Silence]:
    controller = _run("scontrol", "--oneliner", "show", "job", main)
    if controller is None or (controller.exit_code != 0 and UNKNOWN_ID not in controller.stderr):
        return dict.fromkeys(wanted, Silence.UNREACHABLE)
    known: dict[str, Task | Silence] = dict(from_scontrol(controller.stdout))
    forgotten = wanted - known.keys()
    if forgotten:
        known |= _ask_accounting(main, forgotten)
    return {job_id: known[job_id] for job_id in wanted}


def _ask_accounting(main: str, wanted: set[str]) -> Mapping[str, Task | Silence]:
    done = _run(
        "sacct",
        "--allocations",
        "--noheader",
        "--parsable2",
        f"--format={','.join(SACCT_FIELDS)}",
        "-j",
        main,
    )
    if done is not None and ACCOUNTING_OFF.search(done.stderr):
        return dict.fromkeys(wanted, Silence.ACCOUNTING_OFF)
    if done is None or done.exit_code != 0:
        return dict.fromkeys(wanted, Silence.UNREACHABLE)
    # An id it does not know is no error to sacct: exit 0 and no line.
    found = from_sacct(done.stdout)
    return {job_id: found.get(job_id, Silence.UNKNOWN) for job_id in wanted}


def from_scontrol(text: str) -> dict[str, Task]:
    """Read `scontrol --oneliner show job`: one line per job or array task."""
    found: dict[str, Task] = {}
    for line in text.splitlines():
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        if not {"JobState", "JobId"} <= fields.keys():
            continue
        task = Task(
            state=fields["JobState"],
            exit_code=fields.get("ExitCode", ""),
            elapsed=fields.get("RunTime", ""),
            limit_end=fields.get("EndTime", ""),
            node=fields.get("NodeList", ""),
            reason=fields.get("Reason", ""),
            restarts=int(fields["Restarts"]) if fields.get("Restarts", "").isdecimal() else 0,
        )
        if "ArrayJobId" in fields:
            indices = expanded(fields.get("ArrayTaskId", ""))
            found |= {f"{fields['ArrayJobId']}_{index}": task for index in indices}
        else:
            found[fields["JobId"]] = task
    return found


def from_sacct(text: str) -> dict[str, Task]:
    """Read `sacct --allocations --parsable2` with our fields."""
    found: dict[str, Task] = {}
    for line in text.splitlines():
        # A site's notices stand among the answers, and some versions end a line with one bar more.
        row = _ROW.fullmatch(line.strip())
        if row is None:
            continue
        job_id, state, exit_code, elapsed, node = row.groups()
        task = Task(state, exit_code, elapsed, node=node)
        main, separator, indices = job_id.partition("_")
        names = [f"{main}_{index}" for index in expanded(indices.strip("[]"))] if separator else [main]
        found |= dict.fromkeys(names, task)
    return found


def expanded(indices: str) -> list[int]:
    """The tasks that ``0-2,5%4`` stands for; the part after % limits how many run at a time."""
    found: list[int] = []
    for part in filter(None, indices.partition("%")[0].split(",")):
        first, _, last = part.partition("-")
        if first.isdigit():
            found += range(int(first), int(last or first) + 1)
    return found


def _run(*words: str) -> Completed | None:
    try:
        return run(words, timeout=ASK_SECONDS, check=False)
    except EnvironmentFailure:
        return None
