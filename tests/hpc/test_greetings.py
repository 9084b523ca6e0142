"""A real sshd whose login shell greets and says goodbye: answers are read, and `check` names the shell."""

import io
import os
import pwd
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from matrix.ground.errors import EnvironmentFailure
from matrix.hpc.check import check
from matrix.hpc.profile import Profile
from matrix.hpc.remote import Remote
from matrix.hpc.ship import Shipped, describe_stack, read_pushed
from tests.cluster import running_sshd

BANNER = "Unauthorised use is prohibited. <0123> {\n"
GREETING = 'echo "Welcome. Scratch is emptied on Mondays. <"\necho "{\\"run\\": \\"x\\"}" >&2\n'
FAREWELL = "trap 'echo \"logout </0123 0>\"; echo bye >&2' EXIT\n"


@pytest.fixture(params=["quiet", "greeting", "farewell", "both"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Remote]:
    if Path(pwd.getpwuid(os.getuid()).pw_shell).name != "bash":
        pytest.skip("this user's login shell is not bash, which alone reads the start-up file of this test")
    if shutil.which("rsync") is None:
        pytest.skip("rsync is not installed")
    home = tmp_path / "home"
    home.mkdir()
    how = request.param
    text = GREETING * (how in ("greeting", "both")) + FAREWELL * (how in ("farewell", "both"))
    (home / ".bashrc").write_text(text)
    with running_sshd(tmp_path / "ssh", {"HOME": str(home)}, BANNER) as ssh_config:
        python = str(Path(sys.executable))
        yield Remote(
            Profile(
                host="cluster",
                ssh_config=ssh_config,
                root=str(tmp_path / "root"),
                driver=python,
                python=python,
            )
        )


def test_answers_are_read_whatever_the_login_says(remote: Remote, tmp_path: Path) -> None:
    chatty = (tmp_path / "home" / ".bashrc").read_text() != ""
    # The start-up file was really read.
    assert bool(remote.chatter()) is chatty
    assert read_pushed(remote) is None
    text = '{"run": "the-run", "code": "c"}'
    remote.write(f"{remote.profile.root}/pushed.json", text)
    assert (tmp_path / "root" / "pushed.json").read_text() == text
    assert read_pushed(remote) == Shipped(run="the-run", code="c")
    assert "numpy" in describe_stack(remote).packages
    failing = remote.run(["sh", "-c", "printf out; printf why >&2; exit 7"], check=False)
    assert (failing.stdout, failing.stderr, failing.exit_code) == ("out", "why", 7)


def test_check_names_a_shell_that_rsync_stumbles_over(remote: Remote, tmp_path: Path) -> None:
    said = io.StringIO()
    check(Console(file=said, width=200, markup=False), remote)
    lines = said.getvalue().splitlines()
    assert next(line for line in lines if "reached" in line).startswith("✓ reached: Linux")
    shell = next(line for line in lines if "login shell" in line)
    chatter = remote.chatter()
    assert shell.startswith("✗" if chatter else "✓")
    source = tmp_path / "source"
    source.mkdir()
    (source / "x.txt").write_text("x")
    if chatter.startswith("Welcome"):
        with pytest.raises(EnvironmentFailure, match=r"exit .* from: rsync"):
            remote.send(source, f"{remote.profile.root}/there")
    elif not chatter:
        remote.send(source, f"{remote.profile.root}/there")
        assert (tmp_path / "root" / "there" / "x.txt").read_text() == "x"
