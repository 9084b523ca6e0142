"""Whatever escapes a command ends with 3, says whose error it is, and never looks like a gate's word."""

import errno
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.waiting import shown


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def endless() -> int:
    return endless()


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (UsageError("no such ref"), 2, "error: no such ref"),
        (EnvironmentFailure("no network"), 3, "error: no network"),
        (KeyboardInterrupt(), 3, "go on later"),
        (ValueError("odd"), 3, "an error of ours, which says nothing of what was run: ValueError: odd"),
        (MemoryError(), 3, "an error of ours"),
        (OSError(errno.ENOSPC, "No space left on device"), 3, "make room there; then start the same command"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 3, "see to its permissions"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "/x"), 3, "move away the folder that lies where"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), 3, "an error of ours"),
    ],
)
def test_an_error_becomes_its_exit_code_and_a_line(
    error: BaseException, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(error), "go on later") == code
    assert says in capsys.readouterr().err


@pytest.fixture
def details(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_no_secret_is_in_an_error_of_ours_nor_in_its_details(
    details: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(raising(ValueError("https://me:s3cret@host/x is odd"))) == 3
    (kept,) = details.glob("nnls-matrix-error-*")
    for text in (capsys.readouterr().err, kept.read_text()):
        assert "https://***@host/x is odd" in text
        assert "s3cret" not in text


def test_details_of_an_error_of_ours_are_kept_and_named(
    details: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code_of(endless) == 3
    said = capsys.readouterr().err
    (kept,) = details.iterdir()
    assert f"Its details are in {kept}: please report them" in said
    assert "in endless" in kept.read_text()
    assert "Traceback" not in said


def test_neither_the_line_nor_the_details_hold_a_secret(
    details: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    address = "https://user:pa55word@index.example.org/simple"
    assert exit_code_of(raising(ValueError(f"cannot read {address}"))) == 3
    (kept,) = details.iterdir()
    assert "index.example.org" in kept.read_text()
    assert "pa55word" not in kept.read_text() + capsys.readouterr().err


def test_details_are_printed_where_they_cannot_be_kept(
    details: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(details / "missing"))
    assert exit_code_of(endless) == 3
    assert "in endless" in capsys.readouterr().err


def run_program(text: str, **variables: str) -> "subprocess.CompletedProcess[bytes]":
    program = (
        "from matrix.ground.errors import exit_code_of\n"
        f"def command():\n    {text}\n"
        "raise SystemExit(exit_code_of(command))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_encoding_without_our_characters_costs_the_characters(encoding: str) -> None:
    done = run_program("print('8.6× → ✓'); return 0", PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert b"8.6" in done.stdout
    assert b" ? ?" in done.stdout


def test_a_full_disk_behind_standard_output_is_the_machines_failure() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    done = run_program("import sys; sys.stdout = open('/dev/full', 'w'); print('x'); return 0")
    assert done.returncode == 3
    assert b"No space left" in done.stderr


def test_a_package_that_is_missing_is_no_gate() -> None:
    hidden = (
        "import runpy, sys; sys.modules['pydantic'] = None; sys.argv[1:] = ['fp64']; "
        "runpy.run_module('matrix', run_name='__main__')"
    )
    words = [sys.executable, "-c", hidden]
    done = subprocess.run(words, cwd=REPOSITORY_ROOT, capture_output=True, check=False)
    assert done.returncode == 3
    assert b"an error of ours" in done.stderr


NOXFILE = (REPOSITORY_ROOT / "noxfile.py").read_text()
# A lock has the name of our tests, two programs need none of these packages, and one is our tests.
NO_PROGRAM = {"tests", "tests.docs.prose", "tests.coverage", "matrix.prepare.jax_build"}
# What a program asks for before all else.
WORDS = {"matrix.diagnose": ["audit"]}
PROGRAMS = sorted(set(re.findall(r'"((?:matrix|tests)(?:\.\w+)*)"', NOXFILE)) - NO_PROGRAM)


@pytest.mark.parametrize(
    "program", [*PROGRAMS, "matrix.commands.fetch", "matrix.pipelines.cell", "matrix.checks.inside.check"]
)
def test_a_package_that_is_missing_is_no_gate_to_any_program(program: str, tmp_path: Path) -> None:
    hidden = "dict.fromkeys(('numpy', 'psutil', 'pydantic', 'rich', 'filelock'))"
    (tmp_path / "sitecustomize.py").write_text(f"import sys; sys.modules.update({hidden})\n")
    words = [sys.executable, "-m", program, *WORDS.get(program, [])]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, cwd=REPOSITORY_ROOT, env=environment, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert b"ModuleNotFoundError" in done.stderr
    assert b"an error of ours" in done.stderr


def test_who_imports_us_keeps_their_own_end() -> None:
    code = "import matrix; raise ValueError"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY_ROOT, capture_output=True, check=False)
    assert done.returncode == 1


HOSTILE = "drift [/x] of [bold] :warning: \x1b[31m"


def test_text_is_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    open_console().print(HOSTILE)
    assert "drift [/x] of [bold] :warning:" in capsys.readouterr().out


def test_what_a_process_says_of_its_stage_is_no_markup() -> None:
    console = Console(file=io.StringIO(), force_terminal=True)
    with shown(console, HOSTILE, lambda: HOSTILE):
        pass
