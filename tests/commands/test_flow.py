"""One run, one word: the suite, the report and the next run agree, and 1 is a gate's word alone."""

import dataclasses
import getpass
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from matrix.commands import refresh_artifacts as refresh
from matrix.commands.report import main as report
from matrix.commands.report import report_in_place
from matrix.ground.errors import MatrixError
from matrix.ground.files import write_json
from matrix.ground.layout import REPOSITORY_ROOT, open_layout
from matrix.records.cell import SIDES, write_record
from matrix.report.runs import load_run, verdict_of
from matrix.run.plan import Plan, PlannedEnvironment, read_plan
from tests.factory import make_plan, make_record

BOTH = ("imaging-pixelization", "imaging-mge")
GOOD = "good"
CANDIDATE = "imaging-pixelization-fp64-candidate"

# Stands for a cell's interpreter: it copies the record that is ready, and then does as it is told.
INTERPRETER = """#!/bin/sh
while [ "$1" != --record ]; do shift; done
record="$2"
name=$(basename "$record" .json)
[ -f "{folder}/$name.before" ] && . "{folder}/$name.before"
cp "{folder}/ready/$name.json" "$record"
[ -f "{folder}/$name.after" ] && . "{folder}/$name.after"
exit 0
"""
DRIVER = """
import sys
from pathlib import Path
from matrix.ground.console import open_console
from matrix.ground.errors import exit_code_of
from matrix.commands.flow import carry_out
from matrix.run.plan import read_plan
plan = read_plan(Path(sys.argv[1]))
raise SystemExit(exit_code_of(lambda: carry_out(open_console(), plan, tuple(sys.argv[2:]))))
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """Two pipelines whose cells are good unless a test tells one otherwise."""
    interpreter = tmp_path / "python"
    interpreter.write_text(INTERPRETER.format(folder=tmp_path))
    interpreter.chmod(0o755)
    environments = {side: PlannedEnvironment(python=interpreter, pythonpath=(), key="k") for side in SIDES}
    plan = make_plan(tmp_path / "run", BOTH, environments=environments)
    plan.write()
    for cell in plan.cells:
        record = make_record(cell.pipeline, cell.side, key=cell.key)
        driver = {"checkouts": [checkout.model_dump() for checkout in plan.checkouts]}
        provenance = dataclasses.replace(record.provenance, driver=driver)
        write_record(
            tmp_path / "ready" / f"{cell.name}.json", dataclasses.replace(record, provenance=provenance)
        )
    return plan


def tell(plan: Plan, when: str, shell: str) -> None:
    (plan.folder.parent / f"{CANDIDATE}.{when}").write_text(f"{shell}\n")


def run(plan: Plan, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    own = dict.fromkeys(("TMPDIR", "XDG_RUNTIME_DIR"), str(plan.folder.parent))
    return subprocess.run(
        # In one process, which is quicker, unless a test says otherwise.
        [sys.executable, "-c", DRIVER, str(plan.folder), "-n0", *words],
        cwd=plan.folder.parent,
        # With a ledger of its own: other runs on this machine are no matter of these.
        env={**os.environ, "PYTHONPATH": str(REPOSITORY_ROOT), **own, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def reported(plan: Plan) -> tuple[int, str]:
    """What the report says of the run: where it lies, and in a copy."""
    codes = {
        report_in_place(Console(), plan.folder),
        report([str(plan.folder), "--root", str(plan.folder.parent / "root")]),
    }
    assert len(codes) == 1
    return codes.pop(), verdict_of(load_run(plan.folder)).partition(":")[0]


def test_a_persons_options_for_pytest_are_not_for_the_matrix(plan: Plan) -> None:
    done = run(plan, PYTEST_ADDOPTS="--collect-only", PYTEST_PLUGINS="no_such_plugin")
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(load_run(plan.folder).records) == 4
    assert reported(plan) == (0, "PASS on stand-ins as far as it ran")


def test_the_temporary_folder_of_a_persons_own_tests_is_not_asked_for(plan: Plan) -> None:
    theirs = plan.folder.parent / f"pytest-of-{getpass.getuser()}"
    theirs.write_text("not a folder that pytest could use")
    done = run(plan, "-n1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert theirs.is_file()


@pytest.mark.parametrize("words", [("-k", "nothing"), ("-n1", "-k", "nothing"), ("--collect-only",)])
def test_a_call_that_runs_nothing_is_wrong_use(plan: Plan, words: Sequence[str]) -> None:
    done = run(plan, *words)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "nothing was run" in done.stderr


def test_a_cell_killed_after_its_record_has_failed_for_everybody(plan: Plan) -> None:
    tell(plan, "after", "kill -9 $$")
    done = run(plan)
    assert done.returncode == 1
    assert "killed (signal 9)" in done.stdout
    assert plan.record_path(plan.cell("imaging-pixelization", "candidate")).exists()
    assert reported(plan) == (1, "FAIL")
    assert run(plan).returncode == 1
    tell(plan, "after", "exit 0")
    assert run(plan).returncode == 0
    assert reported(plan) == (0, "PASS on stand-ins as far as it ran")


def test_a_selection_is_judged_on_what_was_selected(plan: Plan) -> None:
    done = run(plan, "-k", "imaging-mge")
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_plan(plan.folder).selected == ("imaging-mge",)
    assert reported(plan) == (0, "PASS on stand-ins as far as it ran")
    # Asked for as a whole, the same run is not finished.
    plan.write()
    assert reported(plan) == (3, "UNFINISHED")
    assert run(plan, "-k", "imaging-mge", "-n1").returncode == 0


def test_a_shard_is_judged_as_a_part_of_its_session(plan: Plan) -> None:
    plan.model_copy(update={"selected": ("imaging-mge",), "whole": BOTH}).write()
    assert run(plan).returncode == 0
    assert report([str(plan.folder), "--root", str(plan.folder.parent / "root")]) == 3


def test_a_failure_in_a_shard_is_annotated_once_by_the_report(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(plan, "after", "kill -9 $$")
    plan.model_copy(update={"selected": BOTH[:1], "whole": BOTH[:1]}).write()
    shard = run(plan, CI="true")
    assert shard.returncode == 1
    assert "::error" not in shard.stdout
    monkeypatch.setenv("CI", "true")
    assert report([str(plan.folder), "--root", str(plan.folder.parent / "root")]) == 1
    assert "::error title=finished on imaging-pixelization%2C candidate::" in capsys.readouterr().out


def test_a_full_disk_is_no_verdict(plan: Plan) -> None:
    tell(plan, "before", "echo 'OSError: [Errno 28] No space left on device'; exit 1")
    done = run(plan)
    assert done.returncode == 3, done.stdout
    assert "no space is left in" in done.stdout
    assert "the machine or an error of ours broke the suite in test_cell[imaging-pixelization" in done.stderr
    assert reported(plan) == (3, "UNFINISHED")


def test_a_driver_that_breaks_is_no_verdict(plan: Plan) -> None:
    write_json(plan.folder / "cells", "a file where a folder should be")
    done = run(plan, "-k", "imaging-pixelization-fp64-candidate and test_cell")
    assert done.returncode == 3, done.stdout
    assert "an error of ours" in done.stderr


def test_a_worker_that_is_killed_is_no_verdict(plan: Plan) -> None:
    tell(plan, "before", "kill -9 $PPID; sleep 10")
    done = run(plan, "-n1", "-k", f"{CANDIDATE} and test_cell")
    assert done.returncode == 3, done.stdout
    assert "an error of ours" in done.stderr


def test_what_the_machine_noted_for_its_guesses_may_be_damaged(plan: Plan) -> None:
    (plan.cache / "durations.json").write_bytes(b"\xff{")
    assert run(plan, "-k", "imaging-mge").returncode == 0


@pytest.mark.parametrize("code", [1, 3])
def test_refresh_says_of_a_run_it_started_what_the_run_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(refresh, "run_matrix", lambda _: code)
    with pytest.raises(MatrixError, match="no run to refresh from") as caught:
        refresh._run(open_layout(tmp_path), refresh._options([f"--root={tmp_path}"]))
    assert caught.value.exit_code == code
