"""What can go wrong, each kind with the exit code it ends the program with."""

import contextlib
import errno
import io
import os
import sys
import tempfile
import traceback
from collections.abc import Callable

from matrix.ground.redaction import redact


class MatrixError(Exception):
    """A failure a person can act on: the message says what, where and what to do."""

    exit_code = 3

    def __str__(self) -> str:
        """The message, without secrets: wherever it is printed, logged or recorded."""
        return redact(super().__str__())


class UsageError(MatrixError):
    """Wrong use: an unknown option, a ref that does not exist, code that is not recognised."""

    exit_code = 2


class ManifestError(UsageError):
    """`repos.yaml` is not valid; the message names the file, the key and the remedy."""


class EnvironmentFailure(MatrixError):  # noqa: N818 (the word of the exit codes)
    """The machine or the network failed: no disk, no connection, a package that will not install."""


class NetworkError(EnvironmentFailure):
    """A remote did not answer, or broke off."""


# What the operating system refuses for reasons of its own, and what a person can do about it.
_REMEDIES = {
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there",
    errno.EROFS: "choose a folder that can be written",
    errno.EACCES: "see to its permissions",
    errno.EPERM: "see to its permissions",
    errno.ENOMEM: "run fewer things beside it",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "run fewer things beside it",
    errno.EIO: "see to the disk",
    errno.ESTALE: "see to the disk",
    errno.ELOOP: "correct the links that lead to themselves",
    errno.EISDIR: "move away the folder that lies where a file is to be",
    errno.ENOTDIR: "move away the file that lies where a folder is to be",
    errno.EPIPE: "read all that is printed",
}


def exit_code_of(command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Carry out a command for a person: what goes wrong becomes a line on standard error and an exit code.

    Nothing escapes, whatever it is: Python would end with 1 then, which is a gate's word alone.

    Parameters
    ----------
    command
        Returns its exit code.
    interrupted
        What to say where the person broke it off.
    """
    _print_in_any_encoding()
    try:
        exit_code = command()
        # Here, where it can still be said: a full disk may refuse what was printed last.
        sys.stdout.flush()
    except MatrixError as error:
        _say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        _say(interrupted)
    except Exception as error:
        _say(redact(_explained(error)))
    else:
        return exit_code
    return EnvironmentFailure.exit_code


def _explained(error: Exception) -> str:
    """The machine's refusal with its remedy, or our own mistake with the place of its details."""
    remedy = _REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
    if remedy is not None:
        return f"error: the machine refused: {error}. To go on, {remedy}; then start the same command again."
    what = f"error: an error of ours, which says nothing of what was run: {type(error).__name__}: {error}"
    details = redact("".join(traceback.format_exception(error)))
    try:
        handle, path = tempfile.mkstemp(prefix="nnls-matrix-error-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(redact(details))
    except OSError:
        return f"{what}\n{details}Please report this. What was finished is kept."
    return f"{what}\nIts details are in {path}: please report them. What was finished is kept."


def _say(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)
        return
    # What is printed cannot be written: else Python tries once more at its end, and says 120.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        print(text, file=sys.stderr)


def _print_in_any_encoding() -> None:
    """Let a terminal that cannot show a character show a question mark in its place."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
