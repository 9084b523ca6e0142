"""Shares of this machine: cells of all runs start when their memory is there, on their own cores and GPU."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel, TypeAdapter

from matrix.files import write_text
from matrix.machine import gpus

GIB = 1024**3
POLL_SECONDS = 0.5
USABLE_FRACTION = 0.9

# Peak resident memory per pipeline at production scale, measured on CPU in float64, rounded up.
PEAK_BYTES = {
    "imaging-mge": 2 * GIB,
    "imaging-pixelization": 6 * GIB,
    "imaging-delaunay": 6 * GIB,
    "interferometer-mge": GIB,
    "interferometer-pixelization": GIB,
    "interferometer-delaunay": GIB,
}
SMOKE_PEAK_BYTES = 3 * GIB // 2


class Share(BaseModel):
    """What one running cell holds: bytes, cores, and the GPU that is its own, if it runs on one."""

    memory: int
    cores: list[int]
    gpu: str | None = None


_LEDGER = TypeAdapter(dict[int, Share])


def peak_bytes(pipeline: str, scale: str) -> int:
    """How much memory a cell is expected to need at most, in bytes."""
    return SMOKE_PEAK_BYTES if scale == "smoke" else PEAK_BYTES[pipeline]


def workers_that_fit(scale: str, platform: str) -> int:
    """How many of the largest cells run side by side on this machine: cores, memory and GPUs count."""
    largest = max(peak_bytes(pipeline, scale) for pipeline in PEAK_BYTES)
    fitting = min(len(usable_cores()), psutil.virtual_memory().available // largest)
    return max(1, min(fitting, len(gpus())) if platform == "gpu" else fitting)


def usable_cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine_folder() -> Path:
    """Where a person's runs on this machine say what they hold, whatever folders they work in.

    In a Slurm job it is the job's own: Slurm has shared out the node already.
    """
    job = os.environ.get("SLURM_JOB_ID")
    name = f"nnls-matrix-{os.getuid()}" + (f"-job-{job}" if job else "")
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def shares(folder: Path) -> dict[int, Share]:
    """What is held at this moment, by process."""
    return _living(folder / "reservations.json")


@contextmanager
def own_share(memory: int, threads: int, platform: str) -> Iterator[Share]:
    """Hold a share of this machine; on the platform "gpu" with one of its GPUs."""
    with reserved(machine_folder(), memory, threads, gpus() if platform == "gpu" else ()) as share:
        yield share


@contextmanager
def reserved(folder: Path, memory: int, threads: int, gpus: Sequence[str] = ()) -> Iterator[Share]:
    """Hold `memory` bytes, `threads` cores and, if any are named, one of `gpus`; wait until they are free.

    What others hold is written in a ledger in `folder`; the entry of a process that is gone no
    longer counts. A cell larger than the machine runs when nothing else does. Cores may be shared
    when there are too few; the least used ones are given out first. A GPU is never shared: JAX takes
    most of its memory, and times would be worth nothing.
    """
    ledger = folder / "reservations.json"
    share = _try_reserve(ledger, memory, threads, gpus)
    while share is None:
        time.sleep(POLL_SECONDS)
        share = _try_reserve(ledger, memory, threads, gpus)
    try:
        yield share
    finally:
        _release(ledger)


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
        share = Share(memory=memory, cores=cores, gpu=idle[0] if idle else None)
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
    return {
        pid: share
        for pid, share in _LEDGER.validate_json(ledger.read_text()).items()
        if psutil.pid_exists(pid)
    }


def _write(ledger: Path, held: dict[int, Share]) -> None:
    write_text(ledger, _LEDGER.dump_json(held).decode())
