"""What the sessions do with nox's own options, by nox itself."""

import subprocess
import sys
from pathlib import Path

import pytest

from matrix.layout import REPOSITORY_ROOT

SESSION = """
import runpy

import nox

handing_over = runpy.run_path({ours!r})


@nox.session(venv_backend="venv")
def zen(session):
    handing_over["_run"](session, "this", failed="no")
"""


@pytest.mark.parametrize(("options", "runs"), [([], True), (["--install-only"], False)])
def test_an_environment_can_be_made_without_a_run(tmp_path: Path, options: list[str], runs: bool) -> None:
    noxfile = tmp_path / "noxfile.py"
    noxfile.write_text(SESSION.format(ours=str(REPOSITORY_ROOT / "noxfile.py")))
    words = [sys.executable, "-m", "nox", "--noxfile", str(noxfile), "--session", "zen", *options]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert ("Beautiful is better than ugly." in done.stdout) is runs
