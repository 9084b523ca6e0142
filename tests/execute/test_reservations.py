"""Memory bounds how many cells run at once, across processes, and the dead hold nothing."""

import json
import multiprocessing
import os
import re
import stat
import tempfile
import threading
from pathlib import Path

import psutil
import pytest

from matrix.execute import local, reservations
from matrix.execute.local import CellFailure, run_on_share
from matrix.execute.reservations import NoShareError, Share, machine_folder, reserved, workers_that_fit
from matrix.ground.errors import EnvironmentFailure
from matrix.ground.files import LinkError
from matrix.ground.machine import usable_cores
from matrix.run.kept import kept_failure
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
        assert run_on_share(command, cwd=tmp_path, env=environment, log=log, timeout=30, share=share) == 0
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


def test_another_process_of_the_same_number_holds_nothing(tmp_path: Path) -> None:
    began = psutil.Process(os.getppid()).create_time()
    for started, counts in ((began, True), (began - 60, False), (None, True)):
        share = Share(memory=TOTAL, cores=[0], started=started)
        reservations._write(tmp_path / "reservations.json", {os.getppid(): share})
        assert bool(reservations.shares(tmp_path)) == counts


def test_what_is_held_is_noted_with_the_start_of_its_process(tmp_path: Path) -> None:
    with reserved(tmp_path, 1, 1):
        (entry,) = json.loads((tmp_path / "reservations.json").read_text()).values()
    assert entry["started"] == pytest.approx(psutil.Process().create_time(), abs=1)


@pytest.mark.parametrize(
    "ledger",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"1": 2}',
        b'{"-1": {"memory": 1, "cores": []}}',
        b'{"99999999999999": {"memory": 1, "cores": []}}',
        b'{"1": {"memory": -1, "cores": []}}',
        b"[" * 9999,
        b'{"1": {"memory": 1%s, "cores": []}}' % (b"0" * 400),
    ],
)
def test_an_empty_or_foreign_ledger_counts_as_empty_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ledger: bytes
) -> None:
    path = tmp_path / "reservations.json"
    path.write_bytes(ledger)
    with reserved(tmp_path, TOTAL * 2, 1):
        assert list(json.loads(path.read_text())) == [str(os.getpid())]
    assert str(path) in capsys.readouterr().err


def test_a_link_is_no_ledger(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("{}")
    (tmp_path / "reservations.json").symlink_to(target)
    with pytest.raises(LinkError), reserved(tmp_path, 1, 1):
        pass
    assert target.read_text() == "{}"


@pytest.mark.parametrize("kind", ["link", "file", "open to all", "another's"])
def test_a_folder_that_is_not_ours_alone_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    folder = tmp_path / f"nnls-matrix-{os.getuid()}"
    match kind:
        case "link":
            (tmp_path / "other").mkdir(mode=0o700)
            folder.symlink_to(tmp_path / "other")
        case "file":
            folder.write_text("")
        case "open to all":
            folder.mkdir()
            folder.chmod(0o777)
        case "another's":
            folder.mkdir(mode=0o700)
            monkeypatch.setattr(os, "getuid", lambda: 4711)
            folder.rename(tmp_path / "nnls-matrix-4711")
    with pytest.raises(EnvironmentFailure, match=r"nobody else can write to or read.*TMPDIR"):
        machine_folder()


def test_who_waits_says_for_what_and_gives_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reservations, "POLL_SECONDS", 0.05)
    share = Share(memory=6 * reservations.GIB, cores=[0], gpu="GPU-a")
    reservations._write(tmp_path / "reservations.json", {os.getppid(): share})
    said: list[str] = []
    expected = rf"waiting for 2\.0 GiB.*GPU.*process {os.getppid()} \(6\.0 GiB and GPU GPU-a\).*kill"
    with (
        pytest.raises(EnvironmentFailure, match=f"not started within 0 s: {expected}"),
        reserved(tmp_path, 2 * reservations.GIB, 1, ("GPU-a",), 0.2, said.append),
    ):
        pass
    assert len(said) == 1 and re.search(expected, said[0])


def test_waiting_counts_against_the_time_of_a_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(reservations, "POLL_SECONDS", 0.05)
    ledger = machine_folder() / "reservations.json"
    reservations._write(ledger, {os.getppid(): Share(memory=TOTAL, cores=[0])})
    plan = make_plan(tmp_path / "run", cell_timeout=0.3)
    cell = plan.cells[0]
    # The machine's failure and no verdict: the cell has not failed, and the next run tries again.
    with pytest.raises(NoShareError, match=f"process {os.getppid()}"):
        local.run_cell(plan, cell)
    assert "waiting for" in local.stage_path(plan, cell).read_text()
    assert kept_failure(plan, cell) is None
    left: list[float] = []
    monkeypatch.setattr(local, "cell_command", lambda *_: ["true"])
    monkeypatch.setattr(local, "run_on_share", lambda *_, timeout, **__: left.append(timeout))
    threading.Timer(1.0, lambda: reservations._write(ledger, {})).start()
    plan = make_plan(tmp_path / "other", cell_timeout=60.0)
    local.run_cell(plan, plan.cells[0])
    assert 50 < left[0] < 59.5
