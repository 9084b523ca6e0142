"""The cell's command line: it fails with a reason and without a record."""

import json
import os
import sys
import warnings
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure
from matrix.pipelines import cell


def arguments(folder: Path) -> list[str]:
    return [
        *(
            "--pipeline",
            "interferometer-mge",
            "--precision",
            "fp64",
            "--side",
            "baseline",
            "--scale",
            "smoke",
        ),
        *("--workspace", str(folder / "workspace"), "--record", str(folder / "record.json")),
        *("--provenance", str(folder / "provenance.json")),
    ]


@pytest.mark.parametrize("notes", [None, "{", "[]", '{"commit": "f9efa14"}'])
def test_unusable_notes_are_refused(
    tmp_path: Path, notes: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if notes is not None:
        (tmp_path / "provenance.json").write_text(notes)
    (tmp_path / "record.json").write_text("an older run's")
    assert cell.main(arguments(tmp_path)) == 2
    assert "--provenance" in capsys.readouterr().err
    assert not (tmp_path / "record.json").exists()


def test_failure_in_the_middle_leaves_its_stage_and_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise EnvironmentFailure("no memory left")

    monkeypatch.setattr(cell, "prepare_library", fail)
    (tmp_path / "provenance.json").write_text(json.dumps({"key": "k"}))
    assert cell.main(arguments(tmp_path)) == 3
    assert (tmp_path / "record.json.stage").read_text() == "import autolens\n"
    printed = capsys.readouterr()
    assert "import autolens" in printed.out
    assert "no memory left" in printed.err
    assert not (tmp_path / "record.json").exists()


def test_xla_flags_outlive_a_library_that_replaces_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = "import os\nos.environ['XLA_FLAGS'] = '--theirs'\n"
    (tmp_path / "autolens.py").write_text(library)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "autolens", raising=False)
    monkeypatch.setenv("XLA_FLAGS", "--ours")
    monkeypatch.setenv("PYAUTO_SKIP_WORKSPACE_VERSION_CHECK", "0")
    cell.prepare_library()
    assert os.environ["XLA_FLAGS"] == "--ours"
    monkeypatch.delitem(sys.modules, "autolens")


FRAME = "+------+\\n|  PyAuto: Python 3.11 detected  |\\n+------+"


def test_warning_of_an_older_python_is_left_out_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "autolens.py").write_text(
        "import logging, sys, warnings\n"
        f"print('{FRAME}', file=sys.stderr)\n"
        "print('+-- a table of its own', file=sys.stderr)\n"
        "log = logging.StreamHandler()\n"
        "warnings.warn('PyAuto: running on unsupported Python 3.11; current releases')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "autolens", raising=False)
    stream = sys.stderr
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        cell.prepare_library()
    assert warned == []
    assert sys.stderr is stream
    # What the library logs to from now on.
    sys.modules["autolens"].log.stream.write("logged later\n")
    assert capsys.readouterr().err == "+-- a table of its own\nlogged later\n"
    monkeypatch.delitem(sys.modules, "autolens")
