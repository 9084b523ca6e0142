"""What the sessions do with nox's own options, by nox itself."""

import itertools
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from matrix.diagnose.declaration import declared, names
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.prepare.locks import LOCKS
from tests.docs.commands import handed_over, load_noxfile, main_of

SESSION = """
import runpy

import nox

handing_over = runpy.run_path({ours!r})


@nox.session(venv_backend="venv")
def zen(session):
    handing_over["_run"](session, {module!r}, failed={failed!r})


@nox.session(venv_backend="venv")
def put(session):
    handing_over["_put"](session, *session.posargs, index=())
"""
# A project that cannot be built, and writes down what its build was shown.
BUILDING = """
import os

def build_wheel(*_):
    open({seen!r}, "w").write("\\n".join(os.environ))
    raise SystemExit(1)
"""


def run_session(folder: Path, module: str, failed: str, *options: str) -> "subprocess.CompletedProcess[str]":
    """Let nox hand over to `module` as our sessions do."""
    noxfile = folder / "noxfile.py"
    ours = str(REPOSITORY_ROOT / "noxfile.py")
    noxfile.write_text(SESSION.format(ours=ours, module=module, failed=failed))
    words = [sys.executable, "-m", "nox", "--noxfile", str(noxfile), "--session", "zen", *options]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("options", "runs"), [([], True), (["--install-only"], False)])
def test_an_environment_can_be_made_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], runs: bool
) -> None:
    # As a cluster's modules set it, for another Python.
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "this.py").write_text("raise ImportError")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "others"))
    done = run_session(tmp_path, "this", "no", *options)
    assert done.returncode == 0
    assert ("Beautiful is better than ugly." in done.stdout) is runs


@pytest.mark.parametrize(
    ("failed", "ends", "code", "says"),
    [
        ("a gate failed", "sys.exit(1)", 1, "a gate failed"),
        ("a gate failed", "sys.exit(2)", 2, "wrong use"),
        ("a gate failed", "sys.exit(3)", 3, "the machine, the network or an error of ours"),
        ("a gate failed", "os.kill(os.getpid(), 9)", 3, "killed by signal 9"),
        ("", "raise ValueError", 3, "the machine, the network or an error of ours"),
    ],
)
def test_exit_codes_are_worded_and_only_a_gate_gives_1(
    tmp_path: Path, failed: str, ends: str, code: int, says: str
) -> None:
    (tmp_path / "ending.py").write_text(f"import os, sys\n{ends}\n")
    done = run_session(tmp_path, "ending", failed)
    assert done.returncode == code, done.stderr
    assert says in done.stderr


def test_what_cannot_be_installed_is_no_verdict_and_its_build_sees_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, project = tmp_path / "seen", tmp_path / "project"
    project.mkdir()
    (project / "backend.py").write_text(BUILDING.format(seen=str(seen)))
    lines = ("[build-system]", "requires = []", 'build-backend = "backend"', 'backend-path = ["."]')
    (project / "pyproject.toml").write_text("\n".join(lines))
    # With the last of these pip would not even begin.
    given = {"GH_TOKEN": "s3cret", "PIP_INDEX_URL": "https://ada:s3cret@h.invalid/x", "PIP_USER": "1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = run_session(tmp_path, "this", "no", "-s", "put", "--", "--no-index", str(project))
    assert done.returncode == 3, done.stderr
    assert "the machine, the network or an error of ours" in done.stderr
    assert "nothing was judged: a package could not be installed" in done.stderr
    names = seen.read_text().splitlines()
    assert "PATH" in names
    assert not given.keys() & set(names)


NOXFILE, SESSIONS = load_noxfile()


def installed_by(name: str, found: str) -> list[str]:
    """What a session hands to the installer, a call a line, where `matrix.prepare.jax_build` finds this."""
    install = mock.Mock()
    fake = SimpleNamespace(
        install=install,
        run_install=mock.Mock(return_value=found),
        run=mock.Mock(return_value=None),
        bin="bin",
        posargs=[],
    )
    SESSIONS[name].func(fake)
    return [" ".join(call.args) for call in install.call_args_list]


@pytest.mark.parametrize("found", ["", "cuda12\n"])
@pytest.mark.parametrize("name", sorted(SESSIONS))
def test_sessions_install_what_is_locked_and_canary_alone_what_is_newest(name: str, found: str) -> None:
    calls = installed_by(name, found)
    assert calls
    if name == "canary":
        assert calls == ["-e ."]
        return
    for call in calls:
        locked = re.fullmatch(r"--require-hashes --only-binary :all: (?:--no-deps )?-r locks/(\S+)", call)
        assert call == "--no-deps --no-build-isolation -e ." or (locked and (LOCKS / locked[1]).is_file()), (
            call
        )
    on_gpu = any("cuda12" in call for call in calls)
    computes = any(call.endswith(("/solver.txt", "/bench.txt")) for call in calls)
    assert on_gpu is (found != "" and computes)


# Both precisions are one command, whose check `scripts` is; `tests` and `lint` hand over to nothing of ours.
OF_THE_MATRIX = {"matrix-fp64", "matrix-mp", "scripts"}


@pytest.mark.parametrize("name", sorted(SESSIONS.keys() - OF_THE_MATRIX - {"tests", "lint", "docs"}))
def test_every_session_has_a_file_or_a_folder_of_its_name(name: str) -> None:
    (call,) = handed_over(NOXFILE, SESSIONS[name], [])
    module = name.replace("-", "_")
    assert call[:2] == ["matrix.diagnose", name] or call[0] in (
        f"matrix.commands.{module}",
        f"tests.{module}",
    )


def test_every_diagnosis_has_a_session_and_a_declaration_of_its_name() -> None:
    assert set(names()) <= SESSIONS.keys()
    assert [name for name in names() if declared(name).name != name] == []


def test_sessions_of_one_group_stand_together() -> None:
    groups = [session.tags[0] for session in SESSIONS.values()]
    assert len(list(itertools.groupby(groups))) == len(set(groups))


@pytest.mark.parametrize("name", sorted(SESSIONS.keys() - {"tests", "lint"}))
def test_help_begins_with_a_sentence_and_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    for module, *words in handed_over(NOXFILE, SESSIONS[name], ["-h"]):
        with pytest.raises(SystemExit, match="0"):
            main_of(module)(words)
        sentence, example, *_ = capsys.readouterr().out.split("\n\n")
        assert re.fullmatch(r"[A-Z][^.]+\.(.|\n)*", sentence), sentence
        assert re.match(r"    nox -s [a-z0-9-]+", example)
