"""Cells through a real Slurm: what passes has its record, and every way to fail is told apart."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_states import ASK_SECONDS
from matrix.execute.slurm_status import STATUSES, Status
from tests.cluster import Slurm, running_slurm, wait_until
from tests.hpc.made_up import GOOD, GOOD_AT_SECOND_START, RESOURCES, Run, make_run

# The controller writes its jobs down every five seconds; what it did not write is gone when it restarts.
CONTROLLER_SAVES_SECONDS = 8


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    with running_slurm(tmp_path_factory.mktemp("slurm") / "daemons") as started:
        yield started


@pytest.fixture(scope="module")
def overlong(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Submitted first: Slurm enforces a limit of a minute only after more than one."""
    run = make_run(
        slurm, tmp_path_factory.mktemp("overlong"), {"imaging-mge-fp64-baseline": "time.sleep(600)"}
    )
    run.submit(time=1)
    return run


@pytest.fixture(scope="module")
def mixed(slurm: Slurm, overlong: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Status]:
    """One array in which cells pass, fail and are cancelled, while the long one goes on."""
    assert overlong.states()
    run = make_run(
        slurm,
        tmp_path_factory.mktemp("mixed"),
        {
            "imaging-delaunay-fp64-baseline": GOOD,
            "imaging-delaunay-fp64-candidate": "sys.exit(7)",
            "imaging-pixelization-fp64-baseline": "os.kill(os.getpid(), signal.SIGKILL)",
            "imaging-pixelization-fp64-candidate": "pass",
            "imaging-mge-fp64-baseline": "time.sleep(600)",
            "imaging-mge-fp64-candidate": "shutil.copy(str(ready).replace('candidate', 'baseline'), record)",
        },
    )
    run.submit()
    slurm.ask("scancel", run.job("imaging-mge-fp64-baseline"))
    return run.ended()


def test_cell_that_leaves_its_record_passes(mixed: dict[str, Status]) -> None:
    status = mixed["imaging-delaunay-fp64-baseline"]
    assert status.outcome is JobOutcome.PASSED, status
    assert status.job is not None
    assert "_" in status.job


@pytest.mark.parametrize(
    ("cell", "outcome", "reason"),
    [
        ("imaging-delaunay-fp64-candidate", JobOutcome.FAILED, "exit code 7"),
        ("imaging-pixelization-fp64-baseline", JobOutcome.FAILED, "killed (signal 9)"),
        ("imaging-pixelization-fp64-candidate", JobOutcome.FAILED, "left no valid record"),
        ("imaging-mge-fp64-baseline", JobOutcome.CANCELLED, "cancelled"),
        ("imaging-mge-fp64-candidate", JobOutcome.FAILED, "left no valid record"),
    ],
)
def test_failure_is_told_with_its_reason_and_log(
    mixed: dict[str, Status], cell: str, outcome: JobOutcome, reason: str
) -> None:
    assert mixed[cell].outcome is outcome, mixed[cell]
    assert reason in mixed[cell].reason
    assert f"the last line of {cell}" in mixed[cell].tail


def test_crash_behind_a_pipe_fails_the_job(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path, {"imaging-mge-fp64-baseline": GOOD})
    run.submit(
        setup=(f"{sys.executable} -c 'print(\"no such module\"); raise SystemExit(5)' | tee /dev/null",)
    )
    assert {status.outcome for status in run.ended().values()} == {JobOutcome.FAILED}
    assert {status.reason for status in run.ended().values()} == {"exit code 5"}
    assert all("no such module" in status.tail for status in run.ended().values())
    assert run.starts("imaging-mge-fp64-baseline") == []


def test_only_what_has_not_passed_is_submitted_again(slurm: Slurm, tmp_path: Path) -> None:
    good, bad = "imaging-mge-fp64-baseline", "imaging-mge-fp64-candidate"
    run = make_run(slurm, tmp_path, {bad: "sys.exit(3)"})
    run.submit()
    first = run.ended()
    run.behave({good: "sys.exit(9)", bad: GOOD})
    run.submit()
    second = run.ended()
    assert {status.outcome for status in second.values()} == {JobOutcome.PASSED}
    assert second[good].job == first[good].job
    assert (len(run.starts(good)), len(run.starts(bad))) == (1, 2)
    # Explicitly set: the submitting shell's own settings do not reach the job.
    assert run.starts(bad) == ["True", "True"]


def test_requeued_job_does_not_run_a_finished_cell_again(slurm: Slurm, tmp_path: Path) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: GOOD + "; time.sleep(8)"})
    run.submit(requeue=True)
    wait_until(lambda: run.plan.record_path(run.plan.cell("imaging-mge", "baseline")).exists(), "the record")
    slurm.ask("scontrol", "requeue", run.job(cell))
    run.hurry(cell)
    status = run.ended(300)[cell]
    assert status.outcome is JobOutcome.PASSED, status
    assert len(run.starts(cell)) == 1


def test_active_jobs_are_not_submitted_twice(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path, {"imaging-mge-fp64-baseline": "time.sleep(600)"})
    run.submit()
    done = run.call("submit", str(run.plan.folder), "--resources", json.dumps({**RESOURCES, "setup": []}))
    assert done.returncode == 2
    assert "still waiting or running" in done.stderr
    for status in run.states().values():
        slurm.ask("scancel", str(status.job))


def test_job_the_controller_forgot_is_no_pass_without_accounting(slurm: Slurm, tmp_path: Path) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: GOOD})
    forgotten = [Status(cell=cell, job="999999", outcome=JobOutcome.RUNNING)]
    (run.plan.folder / "jobs.json").write_bytes(STATUSES.dump_json(forgotten))
    status = run.states()[cell]
    assert status.outcome is JobOutcome.ACCOUNTING_OFF
    assert "MinJobAge" in status.reason


def test_lost_record_takes_the_pass_back(slurm: Slurm, tmp_path: Path) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: GOOD})
    run.submit()
    assert run.ended()[cell].outcome is JobOutcome.PASSED
    run.plan.record_path(run.plan.cell("imaging-mge", "baseline")).unlink()
    assert run.states()[cell].outcome is JobOutcome.NO_RECORD


def test_overlong_cell_is_a_timeout(overlong: Run) -> None:
    found = overlong.ended(180)
    assert found["imaging-mge-fp64-baseline"].outcome is JobOutcome.TIMEOUT
    assert found["imaging-mge-fp64-candidate"].outcome is JobOutcome.PASSED


def preempt(slurm: Slurm) -> None:
    """Take the node for a moment, with a job that goes before."""
    cores = slurm.ask("sinfo", "--noheader", "--partition=urgent", "--format=%c")
    done = slurm.ask(
        "sbatch",
        "--partition=urgent",
        f"--ntasks={cores}",
        "--mem=10",
        "--output=/dev/null",
        "--wrap=sleep 3",
    )
    assert "Submitted" in done, done


@pytest.fixture
def scavenger(slurm: Slurm, tmp_path: Path) -> Run:
    """A cell that would not end by itself at its first start."""
    return make_run(slurm, tmp_path, {"imaging-mge-fp64-baseline": GOOD_AT_SECOND_START})


def test_preempted_cell_is_told(slurm: Slurm, overlong: Run, scavenger: Run) -> None:
    assert overlong.ended(180)
    cell = "imaging-mge-fp64-baseline"
    scavenger.submit(partition="scavenge", requeue=False)
    assert scavenger.job(cell)
    preempt(slurm)
    status = scavenger.ended(180)[cell]
    assert status.outcome is JobOutcome.PREEMPTED
    assert "submit again" in status.reason
    assert f"the last line of {cell}" in status.tail


def test_preempted_and_requeued_cell_starts_again_and_passes(slurm: Slurm, scavenger: Run) -> None:
    cell = "imaging-mge-fp64-baseline"
    scavenger.submit(partition="scavenge", requeue=True)
    assert scavenger.job(cell)
    preempt(slurm)
    scavenger.hurry(cell)
    assert scavenger.ended(180)[cell].outcome is JobOutcome.PASSED
    assert len(scavenger.starts(cell)) == 2


def test_cell_over_its_memory_is_told(slurm: Slurm, tmp_path: Path) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: "hog = b'1' * 2**30; time.sleep(600)"})
    run.submit()
    status = run.ended()[cell]
    assert status.outcome is JobOutcome.OUT_OF_MEMORY
    assert "raise `memory`" in status.reason


def test_dead_controller_is_told_from_a_dead_job(slurm: Slurm, tmp_path: Path) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: GOOD + "; time.sleep(40)"})
    run.submit()
    assert run.job(cell)
    time.sleep(CONTROLLER_SAVES_SECONDS)
    slurm.kill("slurmctld")
    began = time.monotonic()
    assert run.states()[cell].outcome is JobOutcome.UNREACHABLE
    assert time.monotonic() - began < 2 * ASK_SECONDS
    slurm.start_controller()
    assert run.ended()[cell].outcome is JobOutcome.PASSED


@pytest.mark.parametrize("requeue", [False, True])
def test_killed_node(slurm: Slurm, tmp_path: Path, requeue: bool) -> None:
    cell = "imaging-mge-fp64-baseline"
    run = make_run(slurm, tmp_path, {cell: GOOD_AT_SECOND_START})
    run.submit(requeue=requeue)
    # Both sides: a job that still waits when the node goes would wait for ever.
    assert all(run.job(planned.name) for planned in run.plan.cells)
    slurm.lose_node()
    if not requeue:
        assert run.ended(180)[cell].outcome is JobOutcome.NODE_FAILURE
        slurm.start_node()
        return
    wait_until(lambda: "requeued, start 2" in run.states()[cell].reason, "the requeue")
    slurm.start_node()
    run.hurry(cell)
    assert run.ended(180)[cell].outcome is JobOutcome.PASSED
    assert len(run.starts(cell)) == 2


def test_no_slurm_is_a_failing_machine(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path, {"imaging-mge-fp64-baseline": GOOD})
    words = ("submit", str(run.plan.folder), "--resources", json.dumps({**RESOURCES, "setup": []}))
    done = run.call(*words, environment={"PATH": "/nonexistent"})
    assert done.returncode == 3
    assert "Slurm took no job" in done.stderr


def test_what_a_shell_exports_does_not_beat_the_profile(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path / "exported", {"imaging-mge-fp64-baseline": "time.sleep(600)"})
    exported = {
        "SBATCH_PARTITION": "urgent",
        "SBATCH_TIMELIMIT": "1",
        "SBATCH_ACCOUNT": "x",
        "SLURM_NTASKS": "7",
    }
    asked = json.dumps(RESOURCES)
    done = run.call(
        *("submit", str(run.plan.folder), "--resources", asked),
        environment={**slurm.environment, **exported},
    )
    assert done.returncode == 0, done.stderr
    said = slurm.ask("scontrol", "--oneliner", "show", "job", run.main_job)
    slurm.ask("scancel", run.main_job)
    assert "TimeLimit=00:05:00" in said
    assert "Partition=urgent" not in said
    assert "NumTasks=7" not in said
