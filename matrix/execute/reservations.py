"""Shares of this machine: cells of all runs start only when their memory is there, each on its own cores."""

import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from filelock import FileLock
from pydantic import BaseModel, TypeAdapter

from matrix.files import write_text

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
    """What one running cell holds."""

    memory: int
    cores: list[int]


_LEDGER = TypeAdapter(dict[int, Share])


def peak_bytes(pipeline: str, scale: str) -> int:
    """How much memory a cell is expected to need at most, in bytes."""
    return SMOKE_PEAK_BYTES if scale == "smoke" else PEAK_BYTES[pipeline]


def workers_that_fit(scale: str) -> int:
    """How many of the largest cells run side by side on this machine: cores and memory both count."""
    largest = max(peak_bytes(pipeline, scale) for pipeline in PEAK_BYTES)
    return max(1, min(len(usable_cores()), psutil.virtual_memory().available // largest))


def usable_cores() -> list[int]:
    """The cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def machine_folder() -> Path:
    """Where a person's runs on this machine say what they hold, whatever folders they work in."""
    folder = Path(tempfile.gettempdir()) / f"nnls-matrix-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def shares(folder: Path) -> dict[int, Share]:
    """What is held at this moment, by process."""
    return _living(folder / "reservations.json")


@contextmanager
def reserved(folder: Path, memory: int, threads: int) -> Iterator[list[int]]:
    """Hold `memory` bytes and `threads` cores of this machine; wait until the memory is free.

    What others hold is written in a ledger in `folder`; the entry of a process that is gone no
    longer counts. A cell larger than the machine runs when nothing else does. Cores may be shared
    when there are too few; the least used ones are given out first.
    """
    ledger = folder / "reservations.json"
    cores = _try_reserve(ledger, memory, threads)
    while cores is None:
        time.sleep(POLL_SECONDS)
        cores = _try_reserve(ledger, memory, threads)
    try:
        yield cores
    finally:
        _release(ledger)


def _try_reserve(ledger: Path, memory: int, threads: int) -> list[int] | None:
    with FileLock(f"{ledger}.lock"):
        held = _living(ledger)
        free = psutil.virtual_memory().total * USABLE_FRACTION - sum(share.memory for share in held.values())
        if held and memory > free:
            return None
        use = Counter(core for share in held.values() for core in share.cores)
        cores = sorted(usable_cores(), key=lambda core: use[core])[:threads]
        _write(ledger, {**held, os.getpid(): Share(memory=memory, cores=cores)})
        return cores


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
