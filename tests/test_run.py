"""The README's commands on a machine that has Python and Git alone, and the environment made for them."""

import ast
import os
import re
import resource
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import run
from matrix.ground.layout import REPOSITORY_ROOT
from tests.copies import copy_project

README = (REPOSITORY_ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^python3 run\.py \S+", README.partition("```sh\n")[2].partition("```")[0], re.MULTILINE)
# What each line is given here, since a whole run takes long: its own program starts all the same.
IN_SHORT = {
    "python3 run.py matrix-fp64": ("-- --list-shards 1", '"include"'),
    "python3 run.py tests": ("-- --collect-only -q tests/ground/test_files.py", "test_files.py"),
}


def nothing_set(home: Path) -> dict[str, str]:
    """An empty environment, but for where packages come from."""
    kept = {
        name: text for name, text in os.environ.items() if name.startswith(("PIP_", "UV_", "HTTPS_PROXY"))
    }
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    path = f"{Path(sys.base_prefix) / 'bin'}:/usr/bin:/bin"
    return {**kept, "HOME": str(home), "PATH": path, "XDG_CACHE_HOME": str(caches)}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_project(tmp_path_factory.mktemp("fresh") / "clone")


def given(line: str, folder: Path, variables: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """What a shell makes of a line, in a folder, with these variables alone."""
    return subprocess.run(
        ["bash", "--norc", "-c", line], cwd=folder, env=variables, capture_output=True, text=True, check=False
    )


def test_readme_has_one_line_for_the_main_job_and_one_for_the_tests() -> None:
    assert set(LINES) == set(IN_SHORT)


@pytest.mark.parametrize("line", LINES)
def test_line_of_the_readme_needs_python_and_git_alone(line: str, clone: Path, tmp_path: Path) -> None:
    words, expected = IN_SHORT[line]
    done = given(f"{line} {words}", clone, nothing_set(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert expected in done.stdout


def test_exit_code_is_that_of_nox(clone: Path, tmp_path: Path) -> None:
    wrong = given("python3 run.py matrix-fp64 -- --only no-such-pipeline", clone, nothing_set(tmp_path))
    assert wrong.returncode == 2


def test_session_that_is_not_there_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["lint", "matrix-fp46", "--", "no-session"]) == 2
    said = capsys.readouterr().err
    assert "there is no session 'matrix-fp46'. Did you mean 'matrix-fp64'?" in said


def test_sessions_are_those_of_nox() -> None:
    listed = [sys.executable, "-m", "nox", "--list", "--noxfile", str(run.NOXFILE)]
    said = subprocess.run(listed, capture_output=True, text=True, check=True).stdout
    assert list(run.sessions()) == re.findall(r"^[*-] (\S+)", said, re.MULTILINE)


def test_continuous_integration_gives_the_readme_s_line() -> None:
    assert "python3 run.py tests" in (REPOSITORY_ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize(
    ("words", "handed_on"),
    [
        (["tests"], ["--session", "tests"]),
        (["lint", "tests", "--", "-x"], ["--session", "lint", "tests", "--", "-x"]),
        (["--list"], ["--list"]),
        ([], []),
    ],
)
def test_words_are_nox_s_own(words: list[str], handed_on: list[str]) -> None:
    assert run.nox_words(words) == handed_on


def test_old_python_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    run.require_python((3, 11))
    monkeypatch.setattr(run.shutil, "which", lambda name: f"/bin/{name}" if name == "python3.12" else None)
    with pytest.raises(run.RefusedError, match=r"Python 3\.9 is too old.*give the command with python3\.12"):
        run.require_python((3, 9))
    monkeypatch.setattr(run.shutil, "which", lambda _: None)
    with pytest.raises(run.RefusedError, match=r"install Python 3\.11, 3\.12 or 3\.13"):
        run.require_python((3, 9))


def test_old_python_can_read_what_refuses_it() -> None:
    ast.parse((REPOSITORY_ROOT / "run.py").read_text(encoding="utf-8"), feature_version=(3, 7))


# The environment, here with an empty module in place of what is installed.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a lock that asks for nothing."""
    for name in ("VENV", "LOCK", "STAMP", "SESSIONS"):
        monkeypatch.setattr(run, name, tmp_path / getattr(run, name).relative_to(REPOSITORY_ROOT))
    run.LOCK.parent.mkdir()
    run.LOCK.write_text("")

    def create(folder: Path, **_: bool) -> None:
        builder = venv.EnvBuilder(system_site_packages=True, symlinks=True)
        builder.create(folder)
        packages_of(folder).joinpath("nox.py").write_text("")

    monkeypatch.setattr(run.venv, "create", create)
    return tmp_path


def packages_of(environment: Path) -> Path:
    (packages,) = environment.glob("lib/python*/site-packages")
    return packages


def planted(here: Path) -> Path:
    """A file in the environment that is gone once the environment is made anew."""
    mark = here / ".venv" / "mark"
    mark.write_text("")
    return mark


def test_environment_is_made_once(here: Path) -> None:
    python = run.environment()
    mark = planted(here)
    assert run.environment() == python == here / ".venv" / "bin" / "python"
    assert mark.exists()


def lose_interpreter(here: Path) -> None:
    (here / ".venv" / "bin" / "python").unlink()


def lose_package(here: Path) -> None:
    packages_of(here / ".venv").joinpath("nox.py").unlink()


def change_lock(here: Path) -> None:
    (here / "locks" / "nox.txt").write_text("# another\n")


def break_off(here: Path) -> None:
    (here / ".venv" / "made-by-run.txt").write_text("unfinished")


@pytest.mark.parametrize("spoil", [lose_interpreter, lose_package, change_lock, break_off])
def test_environment_that_is_broken_unfinished_or_outdated_is_made_anew(
    spoil: Callable[[Path], None], here: Path
) -> None:
    run.environment()
    mark = planted(here)
    spoil(here)
    python = run.environment()
    assert not mark.exists()
    assert run.starts(python, "nox")


def test_half_an_environment_that_somebody_else_left_is_made_anew(here: Path) -> None:
    (here / ".venv").mkdir()
    mark = planted(here)
    assert run.starts(run.environment(), "nox")
    assert not mark.exists()


def test_environment_that_works_and_is_a_person_s_own_is_left_alone(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.venv.create(here / ".venv")
    mark = planted(here)
    assert run.main(["--list"]) == 2
    assert "left alone: move it away" in capsys.readouterr().err
    assert mark.exists()


def is_a_file(here: Path) -> None:
    (here / ".nox").write_text("")


def leads_nowhere(here: Path) -> None:
    (here / ".nox").symlink_to(here / "nowhere")


def has_no_room(here: Path) -> None:
    (here / ".nox").mkdir()
    # As a full disk would, no file takes more than this.
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@pytest.fixture
def unlimited() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("unlimited")
@pytest.mark.parametrize("spoil", [is_a_file, leads_nowhere, has_no_room])
def test_no_place_for_sessions_is_no_verdict(
    spoil: Callable[[Path], None],
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[list[str]] = []
    monkeypatch.setattr(run.os, "execv", lambda _, words: started.append(words))
    monkeypatch.setattr(run.os, "chdir", lambda _: None)
    run.environment()
    spoil(here)
    assert run.main(["matrix-fp64"]) == 3
    assert not started
    said = capsys.readouterr().err
    assert f"nox cannot write in {here / '.nox'}" in said
    assert "move what is there away" in said


def test_missing_lock_is_named_with_the_remedy(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run.LOCK.unlink()
    assert run.main(["--list"]) == 3
    assert f"{here / 'locks' / 'nox.txt'} is missing: `git checkout locks`" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_the_shell_does_not_steer_pip_which_sees_no_secret_but_an_index_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"GH_TOKEN": "s3cret", "PIP_USER": "1", "PIP_INDEX_URL": "https://ada:s3cret@h.invalid/x"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    run.LOCK.write_text(f"packaging==24.2 --hash=sha256:{'0' * 64}\n")
    seen: list[set[str]] = []

    def noted(words: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        seen.append(given.keys() & os.environ.keys())
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(run.subprocess, "run", noted)
    run.environment()
    assert seen == [{"PIP_INDEX_URL"}]


@pytest.mark.usefixtures("here")
def test_package_that_is_not_as_locked_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run.LOCK.write_text(f"packaging==24.2 --hash=sha256:{'0' * 64}\n")
    assert run.main(["--list"]) == 3
    assert "give the same command again" in capsys.readouterr().err
    assert run.STAMP.read_text() == "unfinished"
