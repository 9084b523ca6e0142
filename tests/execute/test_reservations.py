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
from matrix.execute.local import CellFailure, supervise
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
    with reserved(tmp_path, int(TOTAL * 0.6), 1) as share:
        assert len(share.cores) == 1


def test_cell_larger_than_the_machine_runs_alone(tmp_path: Path) -> None:
    with reserved(tmp_path, TOTAL * 2, 1) as share:
        assert set(share.cores) <= set(usable_cores())


def test_least_used_cores_are_given_out_first(tmp_path: Path) -> None:
    first, *_ = usable_cores()
    reservations._write(tmp_path / "reservations.json", {os.getppid(): Share(memory=1, cores=[first])})
    with reserved(tmp_path, 1, 1) as share:
        assert share.cores != [first] or len(usable_cores()) == 1


def test_memory_bounds_the_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    class Small:
        available = 7 * reservations.GIB

    monkeypatch.setattr(reservations.psutil, "virtual_memory", lambda: Small)
    monkeypatch.setattr(reservations, "usable_cores", lambda: list(range(16)))
    assert workers_that_fit("production", "cpu") == 1
    assert workers_that_fit("smoke", "cpu") == 4


@pytest.mark.parametrize(("listed", "workers"), [((), 1), (("a",), 1), (("a", "b", "c"), 3)])
def test_there_are_no_more_workers_than_gpus(
    monkeypatch: pytest.MonkeyPatch, listed: tuple[str, ...], workers: int
) -> None:
    class Large:
        available = 1000 * reservations.GIB

    monkeypatch.setattr(reservations.psutil, "virtual_memory", lambda: Large)
    monkeypatch.setattr(reservations, "usable_cores", lambda: list(range(16)))
    monkeypatch.setattr(reservations, "gpus", lambda: listed)
    assert workers_that_fit("production", "gpu") == workers
    assert workers_that_fit("production", "cpu") == 16


def test_each_cell_has_a_gpu_of_its_own(tmp_path: Path) -> None:
    ledger = tmp_path / "reservations.json"
    reservations._write(ledger, {os.getppid(): Share(memory=1, cores=[0], gpu="GPU-a")})
    with reserved(tmp_path, 1, 1, ("GPU-a", "GPU-b")) as share:
        assert share.gpu == "GPU-b"
    with reserved(tmp_path, 1, 1) as share:
        assert share.gpu is None


def test_a_cell_waits_for_the_only_gpu(tmp_path: Path) -> None:
    ledger = tmp_path / "reservations.json"
    reservations._write(ledger, {os.getppid(): Share(memory=1, cores=[0], gpu="GPU-a")})
    entered = threading.Event()

    def second() -> None:
        with reserved(tmp_path, 1, 1, ("GPU-a",)):
            entered.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not entered.wait(1.5)
    reservations._write(ledger, {})
    assert entered.wait(20)
    thread.join()


def test_a_process_sees_the_gpu_of_its_share(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    for gpu, seen in (("GPU-b", "GPU-b"), (None, "as it was")):
        share = Share(memory=1, cores=usable_cores(), gpu=gpu)
        environment = {"PATH": os.environ["PATH"], "CUDA_VISIBLE_DEVICES": "as it was"}
        command = ["sh", "-c", "echo $CUDA_VISIBLE_DEVICES"]
        assert supervise(command, cwd=tmp_path, env=environment, log=log, timeout=30, share=share) == 0
        assert log.read_text().strip() == seen


def test_a_slurm_job_keeps_a_ledger_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    without = machine_folder()
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert machine_folder() != without
    assert machine_folder() == machine_folder()


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
