"""`hpc install`: makes `driver` and `python` over there from the locks, or prints how."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from rich.console import Console
from rich.text import Text

from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.hpc.remote import Remote

LOCKS = REPOSITORY_ROOT / "locks"
INSTALL_SECONDS = 3600.0
# Made by us, and so ours to go on with.
OURS = ".nnls-matrix"


@dataclass(frozen=True)
class WantedEnvironment:
    """One environment: its interpreter, the one it is made with, and its locks."""

    name: str
    python: PurePosixPath
    base: str
    locks: tuple[Path, ...]

    @property
    def folder(self) -> PurePosixPath:
        """The environment."""
        return self.python.parents[1]

    def commands(self, root: str) -> Iterator[list[str]]:
        """What makes it, one command after the other, with the locks as they lie under `root`."""
        yield [self.base, "-m", "venv", str(self.folder)]
        yield ["touch", str(self.folder / OURS)]
        for lock in self.locks:
            there = f"{root}/locks-sent/{lock.relative_to(LOCKS)}"
            # Each lock is whole with those before it.
            yield [str(self.python), "-m", "pip", "install", "--require-hashes", "--no-deps", "-r", there]


def install(console: Console, remote: Remote, release: str, base: str, *, printed: bool) -> int:
    """Make what is not there yet; with `printed` say the commands alone. Returns the exit code.

    Raises
    ------
    UsageError
        There is no lock of the release, or a path is not that of an environment.
    EnvironmentFailure
        A command failed: says which are left to do.
    """
    root = remote.profile.root
    wanted = [one for one in _wanted(remote, release, base) if printed or not _foreign(console, remote, one)]
    if remote.profile.launched:
        told = f"left        `python` lies in a container (`launch`), which is made with locks/{release}"
        console.print(Text(told))
    commands = [command for one in wanted for command in one.commands(root)]
    if printed:
        send = (
            f"rsync -a locks/ {remote.profile.host or ''}{':' * bool(remote.profile.host)}{root}/locks-sent/"
        )
        console.print(Text(send))
        for command in commands:
            console.print(Text(shlex.join(command)))
        return 0
    if wanted:
        remote.send(LOCKS, f"{root}/locks-sent")
    for number, command in enumerate(commands):
        console.print(Text(f"installing  {shlex.join(command)}"))
        try:
            remote.run(command, prepared=True, timeout=INSTALL_SECONDS)
        except EnvironmentFailure as error:
            left = "\n".join(f"  {shlex.join(each)}" for each in commands[number:])
            raise EnvironmentFailure(
                f"{error}\nWhere the login node has no internet: `nox -s pack`. Left to do there:\n{left}"
            ) from error
    return 0


def _wanted(remote: Remote, release: str, base: str) -> list[WantedEnvironment]:
    profile = remote.profile
    driver = WantedEnvironment("driver", PurePosixPath(profile.driver), base, (LOCKS / "driver.txt",))
    folder = LOCKS / release
    if not folder.is_dir():
        known = ", ".join(sorted(path.name for path in LOCKS.iterdir() if path.is_dir()))
        raise UsageError(f"--release {release}: there is no lock for it. Known: {known}.")
    names = ["wheels", "sources", *([profile.accelerator] if profile.accelerator != "cpu" else [])]
    stack = tuple(path for name in names if (path := folder / f"{name}.txt").exists())
    # What lies in a container is installed when that is made.
    inside = bool(profile.launched)
    python = WantedEnvironment("python", PurePosixPath(profile.python), base, stack)
    wanted = [driver] if inside else [driver, python]
    for one in wanted:
        if one.python.parent.name != "bin":
            raise UsageError(f"`{one.name}`: {one.python} is not .../bin/python of an environment to be made")
    return wanted


def _foreign(console: Console, remote: Remote, wanted: WantedEnvironment) -> bool:
    """Whether there is an environment that somebody else made, which is left as it is."""
    probe = 'test ! -e "$1" || test -e "$2"'
    words = ["sh", "-c", probe, "sh", str(wanted.folder), str(wanted.folder / OURS)]
    theirs = remote.run(words, check=False).exit_code != 0
    if theirs:
        console.print(Text(f"left        {wanted.folder} is there already and was not made by this command"))
    return theirs
