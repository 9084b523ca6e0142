"""Locks that keep two runs from working on the same folder, and forget runs that died."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from matrix.ground.console import note
from matrix.ground.errors import EnvironmentFailure

PATIENCE = 3600.0
_ORPHAN_PATIENCE = 120.0


@contextlib.contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`, waiting while another run has it.

    The operating system lets go of a lock when its holder ends, however it ends.

    Parameters
    ----------
    path
        The lock file; made if missing.
    what
        What it protects, for the message while waiting.

    Raises
    ------
    EnvironmentFailure
        Another run held it for an hour.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        note(f"another run is working on {what}, waiting for it to finish (lock: {path})")
        try:
            lock.acquire(timeout=PATIENCE)
        except Timeout as error:
            raise EnvironmentFailure(
                f"another run has held {path} for {PATIENCE / 60:.0f} minutes. "
                "End it if it hangs, then start this one again."
            ) from error
    try:
        yield
    finally:
        lock.release()


def wait_for_orphans(folder: Path) -> None:
    """Wait for Git processes on `folder` that outlived the run which started them.

    Call with the lock of `folder` held: then nobody else starts new ones.

    Raises
    ------
    EnvironmentFailure
        One is still there after two minutes.
    """
    deadline = time.monotonic() + _ORPHAN_PATIENCE
    while orphans := _git_processes(folder):
        if time.monotonic() > deadline:
            raise EnvironmentFailure(
                f"a Git process of an earlier run still works on {folder}. "
                f"End it (kill {orphans[0]}), then start this one again."
            )
        time.sleep(0.2)


def _git_processes(folder: Path) -> list[int]:
    found = []
    for candidate in psutil.process_iter(["pid", "name", "cmdline"]):
        facts = candidate.info
        if facts["name"] == "git" and str(folder) in (facts["cmdline"] or ()):
            found.append(int(facts["pid"]))
    return found
