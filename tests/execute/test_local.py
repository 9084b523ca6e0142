"""Cells as processes: logs kept, failures told apart, nothing left running."""

import dataclasses
import os
import platform
import stat
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from matrix.execute.local import CellFailure, run_cell, stage_path
from matrix.execute.variables import cell_environment, cell_variables, compiled_folder, side_variables
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.files import LinkError
from matrix.records.cell import SIDES, Record, write_record
from matrix.run.kept import kept_failure, kept_record, read_failure, record_fault
from matrix.run.plan import Plan, PlannedEnvironment
from tests.factory import make_plan, make_record

pytestmark = pytest.mark.usefixtures("own_ledger")

PIPELINE = "imaging-pixelization"


def plan_with(tmp_path: Path, script: str, **changes: Any) -> Plan:
    """A plan whose interpreter is a shell script; `$8` … are the cell's options."""
    interpreter = tmp_path / "python"
    interpreter.write_text(f"#!/bin/sh\n{script}\n")
    interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
    environments = {side: PlannedEnvironment(python=interpreter, pythonpath=(), key="k") for side in SIDES}
    return make_plan(tmp_path, environments=environments, **changes)


def run(plan: Plan) -> Record | CellFailure:
    return run_cell(plan, plan.cell(PIPELINE, "candidate"))


def test_record_the_process_wrote_is_returned(tmp_path: Path) -> None:
    write_record(tmp_path / "ready.json", make_record())
    plan = plan_with(tmp_path, f"cp {tmp_path}/ready.json {tmp_path}/records/{PIPELINE}-fp64-candidate.json")
    assert isinstance(run(plan), Record)


def test_kept_record_is_not_made_again(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "exit 7")
    write_record(plan.record_path(plan.cell(PIPELINE, "candidate")), make_record())
    assert isinstance(run(plan), Record)


def test_record_of_other_content_is_made_again(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "exit 7")
    write_record(plan.record_path(plan.cell(PIPELINE, "candidate")), make_record(key="old"))
    assert isinstance(run(plan), CellFailure)


def test_half_a_record_is_made_again(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "exit 7")
    path = plan.record_path(plan.cell(PIPELINE, "candidate"))
    path.parent.mkdir()
    path.write_text('{"schema": "nnls-matrix/cell-re')
    assert kept_record(plan, plan.cell(PIPELINE, "candidate")) is None
    assert isinstance(run(plan), CellFailure)


@pytest.mark.parametrize(
    ("commit", "key", "fault"),
    [
        ("0" * 40, "key of imaging-pixelization candidate", None),
        ("1" * 40, "key of imaging-pixelization candidate", "other commits than planned"),
        ("0" * 40, "old", "other content than planned"),
    ],
)
def test_record_answers_for_the_planned_commits_and_content_alone(
    tmp_path: Path, commit: str, key: str, fault: str | None
) -> None:
    plan = make_plan(tmp_path)
    cell = plan.cell(PIPELINE, "candidate")
    assert record_fault(plan, cell) == "there is no record"
    record = make_record(key=key)
    checkouts = [{**checkout.model_dump(), "commit": commit} for checkout in plan.checkouts]
    provenance = dataclasses.replace(record.provenance, driver={"checkouts": checkouts})
    write_record(plan.record_path(cell), dataclasses.replace(record, provenance=provenance))
    found = record_fault(plan, cell)
    assert found is None if fault is None else fault in str(found)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo no such thing; exit 7", "exit code 7"),
        ("echo Traceback; echo 'a.Error: why'; echo after; exit 1", "exit code 1: a.Error: why"),
        ("echo 'error: the call site is wrong'; exit 2", "exit code 2: error: the call site is wrong"),
        ("kill -9 $$", "out of memory"),
        ("kill -11 $$", "signal 11"),
        ("exit 0", "left no valid record"),
    ],
)
def test_failures_are_told_apart_and_kept(tmp_path: Path, script: str, reason: str) -> None:
    plan = plan_with(tmp_path, script)
    failure = run(plan)
    assert isinstance(failure, CellFailure)
    assert reason in failure.reason
    assert reason in str(kept_failure(plan, failure.cell))
    if "no such thing" in script:
        assert failure.tail == "no such thing"


def test_time_limit_kills_the_whole_group_and_names_the_stage(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, f"sleep 300 & echo $! > {tmp_path}/child; wait", cell_timeout=1.0)
    stage = stage_path(plan, plan.cell(PIPELINE, "candidate"))
    stage.parent.mkdir()
    stage.write_text("vmap, first call")
    failure = run(plan)
    assert isinstance(failure, CellFailure)
    assert "vmap, first call" in failure.reason
    assert "FFT" in failure.reason
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_that_steers_jax_leaks_in_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_ENABLE_X64", "0")
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setenv("PYAUTO_SMALL_DATASETS", "1")
    plan = plan_with(tmp_path, "exit 7", threads=3)
    environment = cell_environment(plan, plan.cell(PIPELINE, "candidate"))
    assert environment["JAX_ENABLE_X64"] == "True"
    assert environment["JAX_PLATFORM_NAME"] == "cpu"
    assert "JAX_PLATFORMS" not in environment
    assert "PYAUTO_SMALL_DATASETS" not in environment
    assert "constant_folding" in environment["XLA_FLAGS"]
    assert environment["OPENBLAS_NUM_THREADS"] == "3"
    assert environment["PATH"] == os.environ["PATH"]


def test_a_cell_keeps_what_it_compiles_and_starts_with_nothing(tmp_path: Path) -> None:
    """In a folder of its content and this machine, which an earlier attempt has left something in."""
    plan = plan_with(tmp_path, 'ls "$JAX_COMPILATION_CACHE_DIR"; echo $JAX_ENABLE_COMPILATION_CACHE; exit 7')
    folders = {compiled_folder(plan, cell) for cell in plan.cells}
    assert len(folders) == len(plan.cells)
    cell = plan.cell(PIPELINE, "candidate")
    assert cell_environment(plan, cell)["JAX_COMPILATION_CACHE_DIR"] == str(compiled_folder(plan, cell))
    compiled_folder(plan, cell).mkdir(parents=True)
    (compiled_folder(plan, cell) / "jit_traced-cache").touch()
    failure = run(plan)
    assert isinstance(failure, CellFailure)
    assert "jit_traced" not in failure.tail
    assert failure.tail.endswith("True")


def test_what_another_machine_compiled_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor what a processor of other features compiled; and a key never leads out of the folder."""
    plan = make_plan(tmp_path)
    cell = plan.cell(PIPELINE, "candidate")
    here = compiled_folder(plan, cell)
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert compiled_folder(plan, cell) != here
    with pytest.raises(LinkError):
        compiled_folder(plan, cell.model_copy(update={"key": "../../elsewhere"}))


def test_no_other_process_asks_for_what_is_compiled(tmp_path: Path) -> None:
    """Checks and diagnoses look at programs that were compiled now, whatever lies in a person's home."""
    plan = make_plan(tmp_path)
    assert side_variables(plan, "candidate", tmp_path, ())["JAX_ENABLE_COMPILATION_CACHE"] == "False"


@pytest.mark.parametrize(("scale", "optimised"), [("production", True), ("smoke", False)])
def test_only_a_smoke_run_is_compiled_without_optimisation(
    tmp_path: Path, scale: str, optimised: bool
) -> None:
    plan = plan_with(tmp_path, "exit 7")
    cell = plan.cell(PIPELINE, "candidate").model_copy(update={"scale": scale})
    for variables in (cell_environment(plan, cell), cell_variables(plan, cell)):
        assert "constant_folding" in variables["XLA_FLAGS"]
        assert ("optimization_level=0" not in variables["XLA_FLAGS"]) == optimised


def test_a_record_does_not_count_once_its_process_broke(tmp_path: Path) -> None:
    write_record(tmp_path / "ready.json", make_record())
    plan = plan_with(
        tmp_path, f"cp {tmp_path}/ready.json {tmp_path}/records/{PIPELINE}-fp64-candidate.json; kill -9 $$"
    )
    cell = plan.cell(PIPELINE, "candidate")
    assert isinstance(run(plan), CellFailure)
    assert plan.record_path(cell).exists()
    assert kept_record(plan, cell) is None
    assert "left a record and then broke: killed (signal 9)" in str(record_fault(plan, cell))
    plan_with(tmp_path, f"cp {tmp_path}/ready.json {tmp_path}/records/{PIPELINE}-fp64-candidate.json")
    assert isinstance(run(plan), Record)
    assert kept_failure(plan, cell) is None


@pytest.mark.parametrize("note", [b"", b"\xff", b"[]", b"{}", b"[" * 100000])
def test_a_note_of_a_failure_that_cannot_be_read_is_still_one(tmp_path: Path, note: bytes) -> None:
    (tmp_path / "failure.json").write_bytes(note)
    assert "cannot be read" in str(read_failure(tmp_path))


def test_a_disk_that_is_full_is_not_the_cells_failure(tmp_path: Path) -> None:
    plan = plan_with(tmp_path, "echo 'OSError: [Errno 28] No space left on device'; exit 1")
    with pytest.raises(EnvironmentFailure, match="no space is left"):
        run(plan)
    assert kept_failure(plan, plan.cell(PIPELINE, "candidate")) is None
