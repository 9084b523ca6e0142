"""What the disk refuses, said in our words."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from matrix.ground.errors import EnvironmentFailure

# With less left, what failed most probably failed for want of space; Git does not say so of every file.
FULL_BYTES = 4 * 2**20


@contextlib.contextmanager
def disk_failures(root: Path) -> Iterator[None]:
    """Turn what the operating system refuses below `root` into a message.

    Raises
    ------
    EnvironmentFailure
        No space, no permission, a read-only disk.
    """
    try:
        yield
    except EnvironmentFailure as error:
        if not root.exists() or not _is_full(root):
            raise
        raise EnvironmentFailure(
            f"no space is left in {root}: make room there and start again. {error}"
        ) from error
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot work in {root}: {error}. Make room there, or see to its permissions, and start again."
        ) from error


def check_space(folder: Path, said: str) -> None:
    """See that what a process `said` when it broke was not for want of space in `folder`.

    Raises
    ------
    EnvironmentFailure
        It was: then nothing is known of what it was to find.
    """
    words = [os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT)]
    if _is_full(folder) or any(word in said for word in words):
        raise EnvironmentFailure(f"no space is left in {folder}: make room there and start again. {said}")


def _is_full(folder: Path) -> bool:
    return shutil.disk_usage(folder).free < FULL_BYTES
