"""What can go wrong, each kind with the exit code it ends the program with."""


class MatrixError(Exception):
    """A failure a person can act on: the message says what, where and what to do."""

    exit_code = 3


class UsageError(MatrixError):
    """Wrong use: an unknown option, a ref that does not exist, code that is not recognised."""

    exit_code = 2


class ManifestError(UsageError):
    """`repos.yaml` is not valid; the message names the file, the key and the remedy."""


class EnvironmentFailure(MatrixError):  # noqa: N818 (the word of the exit codes)
    """The machine or the network failed: no disk, no connection, a package that will not install."""


class NetworkError(EnvironmentFailure):
    """A remote did not answer, or broke off."""
