"""Starts other programs; what they inherit holds no secret that is not for them."""

import contextlib
import ctypes
import functools
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import EnvironmentFailure
from matrix.ground.redaction import without_secrets

_PR_SET_PDEATHSIG = 1


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
    keep: Sequence[str] = (),
) -> Completed:
    """Run a command to its end, its output kept as text.

    Parameters
    ----------
    command
        Program and arguments; no shell is involved.
    cwd, env
        Working directory and the complete environment (the caller's when omitted), but for secrets.
    timeout
        Seconds after which the command is killed.
    check
        Raise when the exit code is not 0.
    keep
        Variables it gets although they hold secrets, by how their names begin (`matrix.ground.redaction`).

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
            env=without_secrets(os.environ if env is None else env, keep),
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


def start(command: Sequence[str | Path], *, env: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a command that one talks with: its three streams are pipes of bytes.

    Parameters
    ----------
    command, env
        Program and arguments, and its complete environment, but for secrets.
    """
    pipe = subprocess.PIPE
    words = [str(word) for word in command]
    try:
        return subprocess.Popen(words, env=without_secrets(env), stdin=pipe, stdout=pipe, stderr=pipe)
    except FileNotFoundError as error:
        raise EnvironmentFailure(f"cannot run {words[0]!r}: {error}. Is it installed?") from error


def supervise(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    timeout: float,
    cores: Sequence[int],
    errors: Path | None = None,
) -> int | None:
    """Run a command to its end on some cores, output in `log`; nothing it started outlives it.

    Parameters
    ----------
    command, cwd, env
        What to run, where, and its complete environment, but for secrets.
    log, errors
        Files for standard output and standard error; both go to `log` where `errors` is None.
    timeout
        Seconds after which it is killed.
    cores
        Those it may use.

    Returns
    -------
    int or None
        The exit code; None if it was killed after `timeout` seconds.
    """
    with contextlib.ExitStack() as files:
        for path in filter(None, (log, errors)):
            # A new file: what is written never goes through a link that lies in its place.
            path.unlink(missing_ok=True)
        stream = files.enter_context(log.open("x"))
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=without_secrets(env),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=files.enter_context(errors.open("x")) if errors else subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=functools.partial(_in_child, cores),
        )
        try:
            return process.wait(max(timeout, 0.0))
        except subprocess.TimeoutExpired:
            return None
        finally:
            _kill_group(process)


@contextlib.contextmanager
def serving(
    command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], log: Path, cores: Sequence[int]
) -> Iterator["subprocess.Popen[str]"]:
    """Have a command wait for lines on its standard input; it ends with the context, and all that it started.

    Parameters
    ----------
    command, cwd, env
        What to run, where, and its complete environment, but for secrets.
    log
        File for standard error; standard output is a pipe of lines.
    cores
        Those it may use.
    """
    log.unlink(missing_ok=True)
    with log.open("x") as stream:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=without_secrets(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            start_new_session=True,
            preexec_fn=functools.partial(_in_child, cores),
        )
        try:
            yield process
        finally:
            _kill_group(process)
            for pipe in (process.stdin, process.stdout):
                with contextlib.suppress(OSError):
                    if pipe is not None:
                        pipe.close()


def _in_child(cores: Sequence[int]) -> None:
    # Linux only. A worker that is killed must not leave its cell behind to race with the next run's;
    # elsewhere an orphan finishes and its record is then simply found.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.sched_setaffinity(0, cores)


def _kill_group(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
