"""What the disk refuses, said in our words."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from matrix.errors import EnvironmentFailure

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
        if not root.exists() or shutil.disk_usage(root).free >= FULL_BYTES:
            raise
        raise EnvironmentFailure(
            f"no space is left in {root}: make room there and start again. {error}"
        ) from error
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot work in {root}: {error}. Make room there, or see to its permissions, and start again."
        ) from error
