"""The only place that runs Git: never asks, never leaves the folder it is given, never prints a secret."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from matrix import process
from matrix.errors import EnvironmentFailure, NetworkError

# A person's Git configuration stays in force (address rewriting, credentials, proxies, certificates), except
# for what would change the content of a checkout, start programs of theirs, or clean up under another run.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.quotePath": "false",
    "commit.gpgSign": "false",
    "i18n.commitEncoding": "utf-8",
    "init.defaultBranch": "main",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "safe.bareRepository": "all",
    "submodule.recurse": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}

# Whatever points Git at another repository (set when we run inside a hook), or traces what it sends.
_UNWANTED = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_TRACE",
    "GIT_TRACE_CURL",
    "GIT_CURL_VERBOSE",
)

_SILENT = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GCM_INTERACTIVE": "never",
    # ssh asks on the terminal itself; forced to ask a program that refuses, it gives up instead.
    "SSH_ASKPASS": "false",
    "SSH_ASKPASS_REQUIRE": "force",
    # Reading a person's clone must not refresh its index nor complete it from the network.
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
}

_REFUSED = re.compile(
    r"not found|does not exist|does not appear to be a git repository|Authentication failed|"
    r"could not read (Username|Password)|Permission denied|Access denied|dubious ownership|"
    r"The requested URL returned error: 4(?!08|29)\d\d|no such (file|path)",
    re.IGNORECASE,
)
_DISK = re.compile(r"No space left|Disk quota exceeded|Read-only file system|unable to create", re.IGNORECASE)
_INCOMPLETE = re.compile(r"corruption on the remote side|did not send all necessary objects", re.IGNORECASE)
_UNKNOWN_OBJECT = re.compile(r"not our ref|unadvertised object|couldn't find remote ref", re.IGNORECASE)

FETCH_ATTEMPTS = 3
FETCH_TIMEOUT = 1800.0
LISTING_TIMEOUT = 60.0


class GitTimeout(EnvironmentFailure):
    """Git did not end in time."""


class RemoteRefusedError(NetworkError):
    """The remote answered no: it is missing, private, or not a repository. Trying again does not help."""


class UnknownObjectError(NetworkError):
    """The remote does not have the commit that was asked for."""


class IncompleteRemoteError(NetworkError):
    """The remote has the commit, but not every file of it."""


def redact(text: str) -> str:
    """Return `text` with user name and password taken out of every address."""
    return re.sub(r"(\w+://)[^/\s@'\"]*@", r"\1***@", text)


def git(
    *words: str | Path,
    at: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    check: bool = True,
) -> process.Completed:
    """Run one Git command.

    Parameters
    ----------
    words
        Subcommand and arguments.
    at
        The repository or working tree. Git does not look for one above this folder.
    env
        Added to the environment.
    timeout
        Seconds.
    check
        Raise when the exit code is not 0.

    Returns
    -------
    process.Completed
        Output as text, addresses not redacted.

    Raises
    ------
    EnvironmentFailure
        Git is missing, took too long, or (with `check`) failed. Secrets in addresses are taken out.
    """
    command: list[str | Path] = ["git"]
    for key, value in _SETTINGS.items():
        command += ["-c", f"{key}={value}"]
    surroundings = {key: value for key, value in os.environ.items() if key not in _UNWANTED} | _SILENT
    if at is not None:
        command += ["-C", at]
        surroundings["GIT_CEILING_DIRECTORIES"] = str(at.resolve().parent)
    try:
        done = process.run(
            [*command, *words], env=surroundings | dict(env or {}), timeout=timeout, check=False
        )
    except EnvironmentFailure as error:
        if isinstance(error.__cause__, subprocess.TimeoutExpired):
            raise GitTimeout(f"git {words[0]}: no end after {timeout:g} s") from None
        raise
    if check and done.exit_code != 0:
        where = f" in {at}" if at is not None else ""
        raise EnvironmentFailure(f"git {words[0]}{where} failed (exit {done.exit_code}): {complaint(done)}")
    return done


def complaint(done: process.Completed) -> str:
    """Return what Git said was wrong, in one line, without secrets."""
    lines = [line.strip() for line in redact(done.stderr or done.stdout).splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:", "remote:"))]
    return "; ".join((fatal or lines)[-3:]).removesuffix(".") or "no message"


def is_repository(path: Path) -> bool:
    """Return whether `path` itself (not a folder above it) is a repository, bare or with a working tree."""
    if not path.is_dir():
        return False
    return git("rev-parse", "--git-dir", at=path, check=False).exit_code == 0


def local_clone(location: str) -> Path | None:
    """Return the clone on this machine that an address leads to, after the person's address rewriting."""
    path = Path(git("ls-remote", "--get-url", location).stdout.strip().removeprefix("file://"))
    if not path.is_absolute():
        return None
    # Git, too, takes an address without the ending that a bare repository's folder usually has.
    return next((place for place in (path, path.with_name(f"{path.name}.git")) if is_repository(place)), None)


def list_refs(
    location: str, *, timeout: float = LISTING_TIMEOUT, attempts: int = FETCH_ATTEMPTS
) -> dict[str, str]:
    """Ask a remote which refs it has.

    Parameters
    ----------
    location
        Address or path.
    timeout
        Seconds it has to answer.
    attempts
        How often it is asked while the failure may pass.

    Returns
    -------
    dict
        Full ref name to commit; annotated tags are followed to their commit.

    Raises
    ------
    NetworkError
        No answer (`RemoteRefusedError` when the answer is no).
    """
    listing = _over_network("ls-remote", location, timeout=timeout, attempts=attempts)
    refs: dict[str, str] = {}
    # A tag's own object comes first, then the commit it points to, marked `^{}`: the second wins.
    for line in listing.splitlines():
        commit, _, ref = line.partition("\t")
        refs[ref.removesuffix("^{}")] = commit
    return refs


def fetch_commit(store: Path, location: str, commit: str, ref: str) -> None:
    """Fetch one commit, without its history, into the bare repository `store` and name it `ref`.

    Raises
    ------
    UnknownObjectError
        The remote does not have `commit`.
    IncompleteRemoteError
        The remote lacks some of its files.
    NetworkError
        The remote did not answer or broke off; nothing in `store` refers to what is missing.
    """
    _over_network(
        "fetch",
        "--quiet",
        "--depth=1",
        "--update-shallow",
        "--no-tags",
        "--no-write-fetch-head",
        location,
        f"+{commit}:{ref}",
        at=store,
        timeout=FETCH_TIMEOUT,
        attempts=FETCH_ATTEMPTS,
    )


def clone_history(location: str, target: Path) -> None:
    """Clone the commits of a remote into bare `target`, without file contents where the remote can."""
    words = ("clone", "--quiet", "--bare", "--filter=tree:0", location, str(target))
    _over_network(*words, timeout=FETCH_TIMEOUT, attempts=1)


def _over_network(*words: str, at: Path | None = None, timeout: float, attempts: int) -> str:
    """Run a command that talks to a remote; try again while the failure may pass."""
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.5, max=8),
        reraise=True,
    )
    return retrying(_once, words, at, timeout)


def _may_pass(error: BaseException) -> bool:
    final = RemoteRefusedError | UnknownObjectError | IncompleteRemoteError
    return isinstance(error, NetworkError) and not isinstance(error, final)


def _once(words: tuple[str, ...], at: Path | None, timeout: float) -> str:
    try:
        done = git(*words, at=at, timeout=timeout, check=False)
    except GitTimeout as error:
        raise NetworkError(f"no answer within {timeout:g} s") from error
    if done.exit_code == 0:
        return done.stdout
    if _DISK.search(done.stderr):
        raise EnvironmentFailure(f"git {words[0]}: {complaint(done)}")
    if _UNKNOWN_OBJECT.search(done.stderr):
        raise UnknownObjectError(complaint(done))
    if _INCOMPLETE.search(done.stderr):
        raise IncompleteRemoteError(complaint(done))
    if _REFUSED.search(done.stderr):
        raise RemoteRefusedError(complaint(done))
    raise NetworkError(complaint(done))
