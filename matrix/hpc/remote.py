"""Commands and files on the cluster, through the system's ssh and rsync, or here without a host."""

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.execute.reservations import machine_folder
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.ground.process import Completed, run
from matrix.ground.shell import inherited
from matrix.hpc.profile import Profile

# Says where the answer begins and ends, and the exit code: login shells greet, and say goodbye.
_BETWEEN_MARKERS = (
    'printf "<%s>" "$0"; printf "<%s>" "$0" >&2; "$@"; code=$?; '
    'printf "</%s %d>" "$0" "$code"; printf "</%s %d>" "$0" "$code" >&2; exit "$code"'
)

# Runs a command as a job would run it: after the profile's `setup`, a line of which may fail.
_PREPARED = """set -eEuo pipefail
trap 'printf "%s\\n" "\\`setup\\` failed with exit $? at: $BASH_COMMAND" >&2' ERR
{{
:
{setup}
}} >&2
trap - ERR
exec "$@"
"""
# The values of variables, one a line, each behind a mark of its own: one that is not set has none.
_VALUES = (
    'for name; do eval "test -z \\"\\${$name+x}\\" || printf \\"%s=%s\\n\\" $name \\"\\${$name}\\""; done'
)

CONNECT_SECONDS = 15
# For a person who has to look up a code, and for a working day.
LOGIN_SECONDS = 180.0
KEPT_HOURS = 8
# Names the program that asks; it holds no secret.
ASKED_BY = ("SSH_ASKPASS",)
COMMAND_SECONDS = 120.0
TRANSFER_SECONDS = 3600.0
SSH_FAILED = 255


@dataclass(frozen=True)
class Remote:
    """Where a profile's cluster is reached."""

    profile: Profile

    def run(
        self,
        words: Sequence[str | Path],
        *,
        variables: Mapping[str, str] | None = None,
        timeout: float = COMMAND_SECONDS,
        check: bool = True,
        prepared: bool = False,
    ) -> Completed:
        """Run a command there, with `variables` added to its environment.

        With `prepared` it runs after the profile's `setup`, as a job does.

        Raises
        ------
        NetworkError
            The host cannot be reached.
        EnvironmentFailure
            The command took longer than `timeout` seconds or (with `check`) failed.
        """
        assignments = [f"{name}={value}" for name, value in (variables or {}).items()]
        command = ["env", *assignments, *map(str, words)]
        if prepared and self.profile.setup:
            script = _PREPARED.format(setup="\n".join(self.profile.setup))
            command = ["bash", "-c", script, "bash", *command]
        if self.profile.host is None:
            done = run(command, env=inherited(), timeout=timeout, check=False)
        else:
            mark = secrets.token_hex(8)
            told = shlex.join(["sh", "-c", _BETWEEN_MARKERS, mark, *command])
            done = self._answer(self._told(told, timeout), mark)
        if check and done.exit_code != 0:
            where = f"{_in_short(words)} on {self.profile.host or 'this machine'}"
            raise EnvironmentFailure(f"exit {done.exit_code} from: {where}\n{_tail(done)}")
        return done

    def connect(self) -> None:
        """Open the connection all others go through, where the profile asks for one; it may ask a person.

        Raises
        ------
        NetworkError
            It could not be opened.
        """
        if not self.profile.multiplex or self.profile.host is None:
            return
        host = ("--", self.profile.host)
        if run([*self._ssh, "-O", "check", *host], check=False).exit_code == 0:
            return
        master = ("-o", "ControlMaster=yes", "-o", f"ControlPersist={KEPT_HOURS}h", "-fN")
        asking = [word.replace("BatchMode=yes", "BatchMode=no") for word in self._ssh]
        self._check_reached(run([*asking, *master, *host], timeout=LOGIN_SECONDS, check=False, keep=ASKED_BY))

    def expanded(self) -> "Remote":
        """This, with the folders as they are called there.

        Raises
        ------
        UsageError
            A variable of theirs is not set there, or holds no folder.
        """
        names = self.profile.variables
        if not names:
            return self
        said = self.run(["sh", "-c", _VALUES, "sh", *names], prepared=True).stdout
        values = dict(line.partition("=")[::2] for line in said.splitlines() if "=" in line)
        where = self.profile.host or "this machine"
        for name in names:
            if name not in values:
                raise UsageError(
                    f"${name} is not set on {where}, where no person logs in: export it in `setup`, or write "
                    "the folder out."
                )
        profile = self.profile.expanded(values)
        for key in ("root", "driver", "python"):
            path = getattr(profile, key)
            if not path.startswith("/") or re.search(r"\s", path) or not path.strip("/"):
                raise UsageError(
                    f"{key}: {getattr(self.profile, key)} is {path!r} on {where}: no such folder"
                )
        return Remote(profile)

    def chatter(self) -> str:
        """What the login shell there prints where it is told to do nothing; rsync takes it for an answer."""
        if self.profile.host is None:
            return ""
        done = self._told("true", COMMAND_SECONDS)
        self._check_reached(done)
        return done.stdout.strip()

    def _told(self, command: str, timeout: float) -> Completed:
        return run([*self._ssh, "--", str(self.profile.host), command], timeout=timeout, check=False)

    def _answer(self, done: Completed, mark: str) -> Completed:
        """What stands between the markers, with the exit code that the command had there."""
        answer = re.compile(rf"<{mark}>(.*)</{mark} (\d+)>", re.DOTALL)
        out, err = (answer.search(stream) for stream in (done.stdout, done.stderr))
        if out is None or err is None:
            self._check_reached(done)
            raise EnvironmentFailure(
                f"the login shell on {self.profile.host} did not carry out what it was asked: it ended with "
                f"{done.exit_code} and said\n{_tail(done)}\n"
                "Let its start-up files (.profile, .bashrc) neither ask nor leave where there is no terminal."
            )
        return Completed(done.command, int(out[2]), out[1], err[1])

    def write(self, path: str, text: str) -> None:
        """Write a file there, whole or not at all."""
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1.new" && mv "$1.new" "$1"'
        self.run(["sh", "-c", script, "sh", path, text])

    def read(self, path: str) -> str | None:
        """The text of a file there; None where there is none."""
        done = self.run(["cat", path], check=False)
        return done.stdout if done.exit_code == 0 else None

    def send(self, source: Path, target: str, exclude: Sequence[str] = ()) -> list[str]:
        """Make the folder `target` there exactly `source`; return the files that were there and differed."""
        self.run(["mkdir", "-p", target])
        done = self._rsync(["--delete", *_left_out(exclude)], f"{source}/", self._address(f"{target}/"))
        return _changed(done.stdout)

    def fetch(self, source: str, target: Path, exclude: Sequence[str] = ()) -> None:
        """Bring the files of the folder `source` there into `target`."""
        target.mkdir(parents=True, exist_ok=True)
        # Files and folders alone: a link from there would lead somewhere else here.
        plain = ["--no-links", "--no-devices", "--no-specials", *_left_out(exclude)]
        self._rsync(plain, self._address(f"{source}/"), f"{target}/")

    @property
    def _ssh(self) -> list[str]:
        config = [] if self.profile.ssh_config is None else ["-F", str(self.profile.ssh_config.expanduser())]
        # A connection that dies later is noticed too, after three silent intervals.
        options = (
            "BatchMode=yes",
            f"ConnectTimeout={CONNECT_SECONDS}",
            f"ServerAliveInterval={CONNECT_SECONDS}",
        )
        shared = (f"ControlPath={machine_folder()}/%C",) if self.profile.multiplex else ()
        return ["ssh", *(word for option in (*options, *shared) for word in ("-o", option)), *config]

    def _address(self, path: str) -> str:
        return path if self.profile.host is None else f"{self.profile.host}:{path}"

    def _rsync(self, options: Sequence[str], source: str, target: str) -> Completed:
        # By content: a file that was touched is not news, one that was edited to the same size is.
        command = ["rsync", "--archive", "--checksum", "--itemize-changes"]
        shell = [] if self.profile.host is None else [f"--rsh={shlex.join(self._ssh)}"]
        words = [*command, *shell, *options, "--", source, target]
        done = run(words, env=inherited(), timeout=TRANSFER_SECONDS, check=False)
        self._check_reached(done)
        if done.exit_code != 0:
            raise EnvironmentFailure(f"exit {done.exit_code} from: {done.quoted}\n{_tail(done)}")
        return done

    def _check_reached(self, done: Completed) -> None:
        if self.profile.host is not None and done.exit_code == SSH_FAILED:
            raise NetworkError(
                f"cannot reach {self.profile.host}: {_tail(done)}. `ssh {self.profile.host} true` must work "
                "without asking for anything (a key and its agent)."
            )


def _left_out(patterns: Sequence[str]) -> list[str]:
    return [f"--exclude={pattern}" for pattern in patterns]


def _changed(itemized: str) -> list[str]:
    """Files rsync replaced or deleted; new ones are left out."""
    found = []
    for line in itemized.splitlines():
        flags, _, name = line.partition(" ")
        replaced = flags[1:2] == "f" and flags[0] in "<>" and "+" not in flags
        if replaced or flags == "*deleting":
            found.append(f"{name.strip()} ({'replaced' if replaced else 'removed'})")
    return found


def _in_short(words: Sequence[str | Path]) -> str:
    """A command as a person would want to see it: of a program that is a word of it, the first line."""
    lines = [str(word).strip().splitlines() or [""] for word in words]
    return " ".join(shlex.quote(first) if not rest else f"{shlex.quote(first)}..." for first, *rest in lines)


def _tail(done: Completed) -> str:
    return "\n".join((done.stderr or done.stdout).strip().splitlines()[-15:])
