"""The only place that starts other programs."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.errors import EnvironmentFailure


@dataclass(frozen=True)
class Completed:
    """What a finished command left: its exit code and its two streams as text."""

    command: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str

    @property
    def quoted(self) -> str:
        """The command as one could paste it into a shell."""
        return shlex.join(self.command)


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end, its output kept as text.

    Parameters
    ----------
    command
        Program and arguments; no shell is involved.
    cwd, env
        Working directory and the complete environment (the caller's when omitted).
    timeout
        Seconds after which the command is killed.
    check
        Raise when the exit code is not 0.

    Raises
    ------
    EnvironmentFailure
        The program is missing, took longer than `timeout`, or (with `check`) failed.
    """
    words = tuple(str(word) for word in command)
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env=dict(env) if env is not None else None,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except FileNotFoundError as error:
        raise EnvironmentFailure(f"cannot run {words[0]!r}: {error}. Is it installed?") from error
    except subprocess.TimeoutExpired as error:
        raise EnvironmentFailure(f"no end after {timeout:.0f} s: {shlex.join(words)}") from error
    completed = Completed(words, done.returncode, done.stdout, done.stderr)
    if check and completed.exit_code != 0:
        tail = "\n".join((completed.stderr or completed.stdout).strip().splitlines()[-15:])
        raise EnvironmentFailure(f"exit {completed.exit_code} from: {completed.quoted}\n{tail}")
    return completed
