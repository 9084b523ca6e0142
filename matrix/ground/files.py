"""Files that are written whole or not at all, and never through a symbolic link that others may have laid."""

import contextlib
import errno
import json
import os
import stat
import tempfile
from pathlib import Path, PurePath
from typing import Any

from matrix.ground.errors import UsageError

# A record or a plan; the largest that we ever wrote has half a megabyte.
LARGEST_DOCUMENT = 64 * 2**20


class LinkError(UsageError):
    """Something other than a plain file lies where one is to be read or written; neither is done."""


def inside(folder: Path, *names: str | PurePath) -> Path:
    """Return the path of something in a folder that others fill: a checkout, a run, a pulled folder.

    Raises
    ------
    LinkError
        A symbolic link is on the way from the folder to it, or the names lead out of the folder.
    """
    path = folder
    for part in Path(*names).parts:
        path = path / part
        if part == ".." or Path(part).is_absolute():
            raise LinkError(f"{Path(*names)} leads out of {folder}, where nothing is read or written")
        if path.is_symlink():
            raise _refused(path)
    return path


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return what is in a file.

    Parameters
    ----------
    most
        Bytes that it may have.

    Raises
    ------
    OSError
        It has more, or cannot be read.
    LinkError
        The file is a symbolic link, or a pipe or device, which might never end.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(path) from error
        raise
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise LinkError(f"{path} is no plain file, and is not read: put one there")
    if most is not None and found.st_size > most:
        os.close(handle)
        told = f"it has {found.st_size / 2**20:.0f} MiB, and {most / 2**20:.0f} are the most"
        raise OSError(errno.EFBIG, told, str(path))
    with os.fdopen(handle, "rb") as stream:
        return stream.read()


def read_text(path: Path, errors: str = "strict", most: int | None = None) -> str:
    """Return the text in a file, line ends as Python reads them; otherwise as `read_bytes`."""
    text = read_bytes(path, most).decode("utf-8", errors)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, as `write_bytes`."""
    # Half a character, as JSON can hold, is spelt out: it must not cost the file.
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write to `path` through a temporary file in the same folder and a rename.

    Raises
    ------
    LinkError
        A symbolic link lies there.
    """
    if path.is_symlink():
        raise _refused(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write `document` as indented JSON, whole or not at all."""
    write_text(path, json.dumps(document, indent=2) + "\n")


def _refused(path: Path) -> LinkError:
    return LinkError(
        f"{path} is a symbolic link, which is not followed: put a file or folder of its own there"
    )
