"""Runs Git with a configuration of ours: silent, fenced, discreet."""

import functools
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

from matrix.ground import process
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.ground.redaction import ANY, redact

# Of a person's Git configuration stays in force what leads to a remote and who they are: addresses,
# credentials, certificates, proxies, ssh, identity, and which folders of other owners they trust.
_KEPT = re.compile(
    r"(url|credential|http|ssh|user|author|committer)\..*|safe\.directory|core\.(sshcommand|gitproxy)",
    re.DOTALL,
)

# Over whatever a repository says of itself: what would change the content of a checkout, start programs,
# or clean up under another run.
_SETTINGS = {
    "core.hooksPath": os.devnull,
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.fsmonitor": "false",
    "core.ignoreStat": "false",
    "core.quotePath": "false",
    "commit.gpgSign": "false",
    "i18n.commitEncoding": "utf-8",
    "init.defaultBranch": "main",
    "log.showSignature": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.version": "2",
    "safe.bareRepository": "all",
    "submodule.recurse": "false",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
}

# Of the variables that steer Git, those of the same kinds; any other is left out.
_KEPT_VARIABLES = re.compile(
    r"GIT_(SSH|SSH_COMMAND|SSH_VARIANT|PROXY_\w+|SSL_\w+|(AUTHOR|COMMITTER)_(NAME|EMAIL)|ALLOW_PROTOCOL|EXEC_PATH)"
)
# Where a person's configuration is, and what they add to it for one command.
_CONFIGURATION = re.compile(r"GIT_CONFIG_\w+")

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
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_DEFAULT_HASH": "sha1",
}

# As Git itself tells a path from `host:path`.
_ON_THIS_MACHINE = re.compile(r"file://|(?!\w+://)[^:/]*(/|$)")

_REFUSED = re.compile(
    r"not found|does not exist|does not appear to be a git repository|Authentication failed|"
    r"could not read (Username|Password)|Permission denied|Access denied|dubious ownership|"
    r"The requested URL returned error: 4(?!08|29)\d\d|no such (file|path)",
    re.IGNORECASE,
)
_DISK = re.compile(r"No space left|Disk quota exceeded|Read-only file system|unable to create", re.IGNORECASE)
_INCOMPLETE = re.compile(r"corruption on the remote side|did not send all necessary objects", re.IGNORECASE)
_OWNER = re.compile(r"dubious ownership in repository at '(.+)'|unsafe repository \('(.+)' is owned")
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


def git(
    *words: str | Path,
    at: Path | None = None,
    env: Mapping[str, str] | None = None,
    remote: str | None = None,
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
    remote
        Address that it talks to, for which it may need a token or a proxy's password. On this machine it
        needs none: hooks of the repository there would see it.
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
    UsageError
        The repository belongs to another user, and the person has not said that they trust it.
    """
    with hardened(at) as (command, variables):
        keep = () if remote is None or _leads_here(remote, at, push=words[0] == "push") else ANY
        surroundings = variables | dict(env or {})
        try:
            done = process.run([*command, *words], env=surroundings, timeout=timeout, check=False, keep=keep)
        except EnvironmentFailure as error:
            if isinstance(error.__cause__, subprocess.TimeoutExpired):
                raise GitTimeout(f"git {words[0]}: no end after {timeout:g} s") from None
            raise
    stranger = _OWNER.search(done.stderr) if done.exit_code != 0 else None
    if stranger:
        folder = stranger[1] or stranger[2]
        raise UsageError(
            f"{folder} belongs to another user, so Git does not read it. If you trust what is in it: "
            f"git config --global --add safe.directory {folder}"
        )
    if check and done.exit_code != 0:
        where = f" in {at}" if at is not None else ""
        raise EnvironmentFailure(f"git {words[0]}{where} failed (exit {done.exit_code}): {complaint(done)}")
    return done


@contextmanager
def hardened(at: Path | None) -> Iterator[tuple[list[str | Path], dict[str, str]]]:
    """Give the words that every command of Git begins with, and its environment, as long as they are valid.

    Parameters
    ----------
    at
        As for `git`.
    """
    command: list[str | Path] = ["git"]
    for key, value in _SETTINGS.items():
        command += ["-c", f"{key}={value}"]
    if at is not None:
        command += ["-C", at]
    surroundings = _surroundings(at)
    with _configuration(at) as path:
        yield command, surroundings | {"GIT_CONFIG_GLOBAL": str(path), "GIT_CONFIG_NOSYSTEM": "1"}


def _leads_here(remote: str, at: Path | None, *, push: bool) -> bool:
    """Whether an address is a path of this machine, after the person's address rewriting."""
    asked = _pushed_to(remote, at) if push else git("ls-remote", "--get-url", remote, at=at).stdout
    return _ON_THIS_MACHINE.match(asked) is not None


def _pushed_to(remote: str, at: Path | None) -> str:
    """Where Git would push to: it says so of remotes that have a name."""
    name = "address-of-a-push"
    listed = git("-c", f"remote.{name}.url={remote}", "remote", "--verbose", at=at).stdout.splitlines()
    return next(line for line in listed if line.startswith(name) and line.endswith("(push)")).split("\t")[1]


def _surroundings(at: Path | None) -> dict[str, str]:
    """Our environment without what steers Git, and with what keeps it silent and in its folder."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or _KEPT_VARIABLES.fullmatch(name)
    }
    fence = {} if at is None else {"GIT_CEILING_DIRECTORIES": str(at.resolve().parent)}
    return kept | _SILENT | fence


@contextmanager
def _configuration(at: Path | None) -> Iterator[Path]:
    """Give a configuration file with what we keep of the person's, as it is in force in the folder `at`."""
    folder = Path("/") if at is None else at
    is_repository = (folder / ".git").exists() or (folder / "HEAD").exists()
    lines = _kept_lines(folder, is_repository, _own_variables(), _last_changes())
    # Readable by us alone, since there may be a secret in it; Git takes it for the person's.
    with tempfile.NamedTemporaryFile(
        "w", prefix="gitconfig-", encoding="utf-8", errors="surrogateescape"
    ) as file:
        file.writelines(lines)
        file.flush()
        yield Path(file.name)


@functools.lru_cache(maxsize=1024)
def _kept_lines(
    at: Path, is_repository: bool, variables: tuple[tuple[str, str], ...], changes: tuple[int, ...]
) -> tuple[str, ...]:
    """The lines of that file, kept by all that they depend on: Git takes a process to tell them."""
    del is_repository, changes
    done = _listed(at, dict(variables))
    if done.exit_code != 0:
        # The repository there may be broken, which whoever asked will be told by Git itself.
        done = _listed(Path("/"), dict(variables))
    if done.exit_code != 0:
        raise EnvironmentFailure(f"Git cannot read your configuration: {complaint(done)}")
    fields = done.stdout.split("\0")
    entries = zip(fields[::2], fields[1::2], strict=False)
    # The repository's own stays in its own file.
    return tuple(_written(entry for scope, entry in entries if scope not in ("local", "worktree")))


def _own_variables() -> tuple[tuple[str, str], ...]:
    """Where a person's configuration is, by their environment."""
    places = ("HOME", "XDG_CONFIG_HOME")
    names = [name for name in os.environ if name in places or _CONFIGURATION.fullmatch(name)]
    return tuple((name, os.environ[name]) for name in sorted(names))


def _last_changes() -> tuple[int, ...]:
    """When the person's configuration files were written, where they are in their usual places."""
    found = dict(_own_variables())
    home = Path(found.get("HOME", "/"))
    files = (
        Path(found.get("GIT_CONFIG_GLOBAL", home / ".gitconfig")),
        Path(found.get("XDG_CONFIG_HOME", home / ".config")) / "git" / "config",
        Path(found.get("GIT_CONFIG_SYSTEM", "/etc/gitconfig")),
    )
    return tuple(file.stat().st_mtime_ns if file.is_file() else 0 for file in files)


def _listed(at: Path, variables: Mapping[str, str]) -> process.Completed:
    """Ask Git for the person's configuration: scope and entry in turn."""
    words = ("git", "-C", at, "config", "--list", "--includes", "--show-scope", "--null")
    return process.run(words, env={**_surroundings(at), **variables}, check=False, keep=ANY)


def _written(entries: Iterable[str]) -> Iterator[str]:
    """Lines of a configuration file that say what `git config --list --null` listed, where we keep it."""
    for entry in entries:
        key, has_value, value = entry.partition("\n")
        if not _KEPT.fullmatch(key):
            continue
        section, _, rest = key.partition(".")
        subsection, _, name = rest.rpartition(".")
        inner = f' "{_escaped(subsection)}"' if subsection else ""
        text = _escaped(value).replace("\n", "\\n")
        yield f"[{section}{inner}]\n\t{name}" + (f' = "{text}"\n' if has_value else "\n")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def without_filters(clone: Path) -> dict[str, str]:
    """Return the environment in which Git does not start the filters that a repository itself names."""
    listed = git("config", "--list", "--name-only", "--null", at=clone).stdout.split("\0")
    names = {match[1] for key in listed if (match := re.fullmatch(r"filter\.(.*)\.\w+", key, re.DOTALL))}
    off = [
        (f"filter.{name}.{key}", value)
        for name in sorted(names)
        for key, value in (("clean", ""), ("smudge", ""), ("process", ""), ("required", "false"))
    ]
    variables = {"GIT_CONFIG_COUNT": str(len(off))}
    for number, (key, value) in enumerate(off):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


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
    listing = _over_network(location, "ls-remote", location, timeout=timeout, attempts=attempts)
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
        location,
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
    _over_network(location, *words, timeout=FETCH_TIMEOUT, attempts=1)


def _over_network(remote: str, *words: str, at: Path | None = None, timeout: float, attempts: int) -> str:
    """Run a command that talks to a remote; try again while the failure may pass."""
    retrying = Retrying(
        retry=retry_if_exception(_may_pass),
        stop=stop_after_attempt(attempts),
        wait=wait_exponential(multiplier=0.5, max=8),
        reraise=True,
    )
    return retrying(_once, remote, words, at, timeout)


def _may_pass(error: BaseException) -> bool:
    final = RemoteRefusedError | UnknownObjectError | IncompleteRemoteError
    return isinstance(error, NetworkError) and not isinstance(error, final)


def _once(remote: str, words: tuple[str, ...], at: Path | None, timeout: float) -> str:
    try:
        done = git(*words, at=at, remote=remote, timeout=timeout, check=False)
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
