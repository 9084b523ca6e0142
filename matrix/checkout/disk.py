"""What the disk refuses, said in our words."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from matrix.errors import EnvironmentFailure


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
    except OSError as error:
        raise EnvironmentFailure(
            f"cannot work in {root}: {error}. Make room there, or see to its permissions, and start again."
        ) from error
