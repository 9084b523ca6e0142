"""Memory bounds how many cells run at once, across processes, and the dead hold nothing."""

import json
import multiprocessing
import os
import stat
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from matrix.execute import local, reservations
from matrix.execute.local import CellFailure
from matrix.execute.reservations import Share, machine_folder, reserved, usable_cores, workers_that_fit
from tests.factory import make_plan

TOTAL = psutil.virtual_memory().total


def _hold(
    folder: Path,
    memory: int,
    started: "multiprocessing.synchronize.Event",
    stop: "multiprocessing.synchronize.Event",
) -> None:
    with reserved(folder, memory, 1):
        started.set()
        stop.wait(60)


def test_second_cell_waits_until_the_first_lets_go(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started, stop = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, int(TOTAL * 0.6), started, stop))
    other.start()
    assert started.wait(60)
    entered = threading.Event()

    def second() -> None:
        with reserved(tmp_path, int(TOTAL * 0.6), 1):
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.wait(1.5)
    stop.set()
    assert entered.wait(20)
    thread.join()
    other.join()


def test_killed_holder_no_longer_counts(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    started, stop = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path, int(TOTAL * 0.6), started, stop))
    other.start()
    assert started.wait(60)
    other.kill()
    other.join()
    with reserved(tmp_path, int(TOTAL * 0.6), 1) as cores:
        assert len(cores) == 1


def test_cell_larger_than_the_machine_runs_alone(tmp_path: Path) -> None:
    with reserved(tmp_path, TOTAL * 2, 1) as cores:
        assert set(cores) <= set(usable_cores())


def test_least_used_cores_are_given_out_first(tmp_path: Path) -> None:
    first, *_ = usable_cores()
    reservations._write(tmp_path / "reservations.json", {os.getppid(): Share(memory=1, cores=[first])})
    with reserved(tmp_path, 1, 1) as cores:
        assert cores != [first] or len(usable_cores()) == 1


def test_memory_bounds_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        available = 7 * reservations.GIB

    monkeypatch.setattr(reservations.psutil, "virtual_memory", lambda: Small)
    monkeypatch.setattr(reservations, "usable_cores", lambda: list(range(16)))
    assert workers_that_fit("production") == 1
    assert workers_that_fit("smoke") == 4


def test_cells_of_all_working_folders_stand_in_one_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ledger = machine_folder() / "reservations.json"
    assert stat.S_IMODE(ledger.parent.stat().st_mode) == 0o700
    holders = []
    failure = CellFailure(make_plan(tmp_path).cells[0], "made up", tmp_path)

    def look(*_: object) -> CellFailure:
        holders.append(list(json.loads(ledger.read_text())))
        return failure

    monkeypatch.setattr(local, "_run", look)
    for name in ("one", "two"):
        plan = make_plan(tmp_path / name)
        local.run_cell(plan, plan.cells[0])
    assert holders == [[str(os.getpid())]] * 2
