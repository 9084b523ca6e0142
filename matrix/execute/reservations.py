"""Shares of this machine: cells of all runs start when their memory is there, on their own cores and GPU."""

import contextlib
import math
import os
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import psutil
from filelock import FileLock
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from matrix.catalogue.pipelines import LANES, PIPELINES, pipeline_named
from matrix.ground.console import note
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.files import inside, read_bytes, write_text
from matrix.ground.machine import GIB, USABLE_FRACTION, gpus, usable_bytes, usable_cores

LEDGER = "reservations.json"
POLL_SECONDS = 0.5
# The kernel counts a process's start in hundredths of a second, the clock it is told by may be set.
SAME_START_SECONDS = 2.0
SMOKE_PEAK_BYTES = 3 * GIB // 2


class NoShareError(EnvironmentFailure):
    """What a cell needs of this machine was not free in its time."""


class Share(BaseModel):
    """What one running cell holds: bytes, cores, and the GPU that is its own, if it runs on one.

    `started` is when its process began, in seconds since 1970; None where it was not noted.
    """

    memory: Annotated[int, Field(ge=0, lt=2**63)]
    cores: list[int]
    gpu: str | None = None
    started: float | None = None


_LEDGER = TypeAdapter(dict[Annotated[int, Field(gt=0, lt=2**31)], Share])


def peak_bytes(pipeline: str, scale: str, lanes: Sequence[int] = ()) -> int:
    """How much memory a cell is expected to need at most, in bytes.

    Parameters
    ----------
    pipeline, scale
        Which cell.
    lanes
        Sizes of more batches: memory goes with the largest, up to all that there is.
    """
    usual = SMOKE_PEAK_BYTES if scale == "smoke" else pipeline_named(pipeline).cost.peak_bytes
    return min(usual * max((LANES, *lanes)) // LANES, max(usual, usable_bytes()))


def workers_that_fit(scale: str, platform: str) -> int:
    """How many of the largest cells run side by side on this machine: cores, memory and GPUs count."""
    largest = max(peak_bytes(pipeline, scale) for pipeline in PIPELINES)
    fitting = min(len(usable_cores()), psutil.virtual_memory().available // largest)
    return max(1, min(fitting, len(gpus())) if platform == "gpu" else fitting)


def threads_per_worker(scale: str, platform: str) -> int:
    """How many cores each of `workers_that_fit` has."""
    return max(1, len(usable_cores()) // workers_that_fit(scale, platform))


def machine_folder() -> Path:
    """Where a person's runs on this machine say what they hold, whatever folders they work in.

    In a Slurm job it is the job's own: Slurm has shared out the node already.

    Raises
    ------
    EnvironmentFailure
        What lies there in the temporary folder, which all users share, is not ours alone.
    """
    job = os.environ.get("SLURM_JOB_ID")
    name = f"nnls-matrix-{os.getuid()}" + (f"-job-{job}" if job else "")
    folder = Path(tempfile.gettempdir()) / name
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
        return folder
    raise EnvironmentFailure(
        f"{folder} is not a folder of yours that nobody else can write to or read, so nothing in it is "
        "believed. Remove it, or let TMPDIR name another temporary folder."
    )


def shares(folder: Path) -> dict[int, Share]:
    """What is held at this moment, by process."""
    return _living(folder / LEDGER)


@contextmanager
def own_share(
    memory: int, threads: int, platform: str, patience: float, say: Callable[[str], None]
) -> Iterator[Share]:
    """Hold a share of this machine; on the platform "gpu" with one of its GPUs; otherwise as `reserved`."""
    needed = gpus() if platform == "gpu" else ()
    with reserved(machine_folder(), memory, threads, needed, patience, say) as share:
        yield share


@contextmanager
def reserved(
    folder: Path,
    memory: int,
    threads: int,
    gpus: Sequence[str] = (),
    patience: float = math.inf,
    say: Callable[[str], None] = note,
) -> Iterator[Share]:
    """Hold `memory` bytes, `threads` cores and, if any are named, one of `gpus`; wait until they are free.

    What others hold is written in a ledger in `folder`; the entry of a process that is gone no
    longer counts. A cell larger than the machine runs when nothing else does. Cores may be shared
    when there are too few; the least used ones are given out first. A GPU is never shared: JAX takes
    most of its memory, and times would be worth nothing.

    Parameters
    ----------
    folder
        Ours alone.
    patience
        Seconds to wait at most.
    say
        Is told what is waited for, whenever that changes.

    Raises
    ------
    NoShareError
        It was not free in time; says who holds it and what to do.
    """
    ledger = inside(folder, LEDGER)
    deadline = time.monotonic() + patience
    said = ""
    while (share := _try_reserve(ledger, memory, threads, gpus)) is None:
        waiting = _waiting(_living(ledger), memory, gpus)
        if waiting != said:
            said = waiting
            say(said)
        if time.monotonic() > deadline:
            raise NoShareError(f"not started within {patience:.0f} s: {said}")
        time.sleep(min(POLL_SECONDS, max(patience, 0.01)))
    try:
        yield share
    finally:
        _release(ledger)


def _waiting(held: Mapping[int, Share], memory: int, gpus: Sequence[str]) -> str:
    """What is waited for, who holds it, and what a person can do."""
    holders = ", ".join(
        f"process {pid} ({share.memory / GIB:.1f} GiB{f' and GPU {share.gpu}' if share.gpu else ''})"
        for pid, share in sorted(held.items())
    )
    also = " and a GPU of its own" if gpus else ""
    return (
        f"waiting for {memory / GIB:.1f} GiB of memory{also}, held by {holders or 'nobody any more'}. "
        "It goes on when they end; to go on now, end what you do not need (kill PROCESS)"
    )


def _try_reserve(ledger: Path, memory: int, threads: int, gpus: Sequence[str]) -> Share | None:
    with FileLock(f"{ledger}.lock"):
        held = _living(ledger)
        free = psutil.virtual_memory().total * USABLE_FRACTION - sum(share.memory for share in held.values())
        taken = {share.gpu for share in held.values()}
        idle = [gpu for gpu in gpus if gpu not in taken]
        if (held and memory > free) or (gpus and not idle):
            return None
        use = Counter(core for share in held.values() for core in share.cores)
        cores = sorted(usable_cores(), key=lambda core: use[core])[:threads]
        share = Share(
            memory=memory,
            cores=cores,
            gpu=idle[0] if idle else None,
            started=psutil.Process().create_time(),
        )
        _write(ledger, {**held, os.getpid(): share})
        return share


def _release(ledger: Path) -> None:
    with FileLock(f"{ledger}.lock"):
        held = _living(ledger)
        held.pop(os.getpid(), None)
        _write(ledger, held)


def _living(ledger: Path) -> dict[int, Share]:
    if not ledger.exists():
        return {}
    try:
        entries = _LEDGER.validate_json(read_bytes(ledger))
    except ValidationError:
        note(f"{ledger} is not a ledger of this program: it counts as empty, and is written anew")
        return {}
    return {pid: share for pid, share in entries.items() if _lives(pid, share.started)}


def _lives(pid: int, started: float | None) -> bool:
    """Whether a process is there, and is the one that wrote the entry: numbers are given out again."""
    try:
        began = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
    return started is None or abs(began - started) < SAME_START_SECONDS


def _write(ledger: Path, held: dict[int, Share]) -> None:
    write_text(ledger, _LEDGER.dump_json(held).decode())
