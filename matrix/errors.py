"""What can go wrong, each kind with the exit code it ends the program with."""

import sys
from collections.abc import Callable

from matrix.redaction import redact


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


def exit_code_of(command: Callable[[], int], interrupted: str = "interrupted") -> int:
    """Carry out a command for a person: what goes wrong becomes a line on standard error and an exit code.

    Parameters
    ----------
    command
        Returns its exit code.
    interrupted
        What to say where the person broke it off.
    """
    try:
        return command()
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return EnvironmentFailure.exit_code
