"""What a cluster answers is found between our markers, whatever its login shell says around it."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError
from matrix.hpc.check import check
from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote
from matrix.hpc.ship import Shipped, _ship_blocker, describe_stack, read_pushed

# Stands for a login node whose .bashrc greets and whose .bash_logout says goodbye.
SSH = """#!/bin/sh
echo "$*" >> "$0.log"
while [ "$1" != -- ]; do shift; done
shift 2
[ -n "$GREET" ] && echo "$GREET" && echo "$GREET" >&2
[ -n "$LEAVE" ] && exit "$LEAVE"
sh -c "$*"; code=$?
[ -n "$BYE" ] && echo "$BYE" && echo "$BYE" >&2
exit $code
"""
PYTHON = """#!/bin/sh
echo "a start-up file of Python says {}"
echo '{"python": "3.11.9", "packages": {"autolens": "2026.7.9.1"}}'
"""


@pytest.fixture
def remote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remote:
    for name, text in (("ssh", SSH), ("python", PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    root, python = str(tmp_path / "root"), str(tmp_path / "python")
    return Remote(Profile(host="login", root=root, driver=python, python=python))


AROUND = [
    {},
    {"GREET": "Welcome. Scratch is emptied on Mondays."},
    {"BYE": "logout"},
    {"GREET": '{"run": "another", "code": "0"}', "BYE": "</0123 0>"},
]


@pytest.mark.parametrize("around", AROUND)
def test_an_answer_is_read_whatever_stands_around_it(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, around: dict[str, str]
) -> None:
    for name, text in around.items():
        monkeypatch.setenv(name, text)
    assert read_pushed(remote) is None
    remote.write(f"{remote.profile.root}/pushed.json", '{"run": "the-run", "code": "c"}')
    assert read_pushed(remote) == Shipped(run="the-run", code="c")
    assert describe_stack(remote).packages == {"autolens": "2026.7.9.1"}
    failing = remote.run(["sh", "-c", "printf out; printf why >&2; exit 7"], check=False)
    assert (failing.stdout, failing.stderr, failing.exit_code) == ("out", "why", 7)
    with pytest.raises(EnvironmentFailure, match=r"exit 7 from: .* on login\nwhy$"):
        remote.run(["sh", "-c", "echo out; echo why >&2; exit 7"])


def test_the_host_is_never_an_option(remote: Remote, tmp_path: Path) -> None:
    remote.run(["true"])
    assert " -- login " in (tmp_path / "ssh.log").read_text()


def test_a_shell_that_leaves_is_named_with_the_remedy(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREET", "Your password expires today.")
    monkeypatch.setenv("LEAVE", "1")
    with pytest.raises(EnvironmentFailure, match=r"login shell on login.*\n.*expires(.|\n)*start-up files"):
        remote.read("/anything")
    monkeypatch.setenv("LEAVE", "255")
    with pytest.raises(NetworkError, match="cannot reach login"):
        remote.read("/anything")


@pytest.mark.parametrize(("greeting", "mark"), [("", "✓"), ("Welcome [/x]", "✗")])
def test_a_greeting_is_found_since_rsync_stumbles_over_it(
    remote: Remote, monkeypatch: pytest.MonkeyPatch, greeting: str, mark: str
) -> None:
    monkeypatch.setenv("GREET", greeting)
    said = io.StringIO()
    # Slurm is not there, so something fails in any case.
    assert check(Console(file=said, width=200), remote) == 3
    lines = said.getvalue().splitlines()
    assert next(line for line in lines if "reached" in line).startswith("✓ reached: Linux")
    shell = next(line for line in lines if "login shell" in line)
    assert shell.startswith(mark)
    assert greeting in shell


def test_a_note_of_the_last_push_that_is_damaged_is_named(remote: Remote) -> None:
    for text in ("{", '{"run": "../elsewhere", "code": "c"}'):
        remote.write(f"{remote.profile.root}/pushed.json", text)
        with pytest.raises(UsageError, match=r"pushed.json on login is damaged"):
            read_pushed(remote)


def test_change_that_vendors_nothing_finds_jaxnnls_again(remote: Remote, tmp_path: Path) -> None:
    hidden = tmp_path / "root" / "libraries" / "candidate" / "jaxnnls"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ModuleNotFoundError\n")
    for _ in range(2):
        _ship_blocker(remote, str(hidden), vendored=False)
        assert not hidden.exists()
