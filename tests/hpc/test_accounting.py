"""What a Slurm with accounting says of jobs that its controller has forgotten."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix.execute.slurm_outcomes import JobOutcome
from matrix.execute.slurm_status import STATUSES, Status
from tests.cluster import Accounting, Slurm, running_accounting, running_slurm, wait_until
from tests.hpc.made_up import GOOD, Run, make_run

GOOD_CELL, BAD_CELL = "imaging-mge-fp64-baseline", "imaging-mge-fp64-candidate"


@pytest.fixture(scope="module")
def accounting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accounting]:
    with running_accounting(tmp_path_factory.mktemp("accounting") / "daemons") as started:
        yield started


@pytest.fixture(scope="module")
def slurm(accounting: Accounting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    # The shortest memory there is.
    settings = {**accounting.settings, "MinJobAge": 2}
    with running_slurm(tmp_path_factory.mktemp("slurm") / "daemons", settings) as started:
        yield started


@pytest.fixture(scope="module")
def forgotten(slurm: Slurm, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose jobs ended so long ago that only the accounting has them."""
    run = make_run(slurm, tmp_path_factory.mktemp("forgotten"), {BAD_CELL: "sys.exit(3)"})
    run.submit()
    # Not asked through the run, which would write the ends down while the controller has them.
    wait_until(lambda: not slurm.ask("squeue", "--noheader"), "the end of the jobs")
    shown = ("scontrol", "show", "job", run.main_job)
    wait_until(lambda: "Invalid job id" in slurm.ask(*shown), "the controller to forget", 300)
    return run


def test_ends_come_from_the_accounting(forgotten: Run) -> None:
    found = forgotten.states()
    assert found[GOOD_CELL].outcome is JobOutcome.PASSED
    assert found[BAD_CELL].outcome is JobOutcome.FAILED
    assert found[BAD_CELL].reason == "exit code 3"


def test_id_nobody_knows_is_an_unknown_job(slurm: Slurm, tmp_path: Path) -> None:
    run = make_run(slurm, tmp_path, {GOOD_CELL: GOOD})
    invented = [Status(cell=GOOD_CELL, job="999999", outcome=JobOutcome.RUNNING)]
    (run.plan.folder / "jobs.json").write_bytes(STATUSES.dump_json(invented))
    status = run.states()[GOOD_CELL]
    assert status.outcome is JobOutcome.UNKNOWN_JOB
    assert "neither the controller nor the accounting" in status.reason


def test_dead_accounting_is_unreachable_and_bounded(
    accounting: Accounting, slurm: Slurm, tmp_path: Path
) -> None:
    run = make_run(slurm, tmp_path, {GOOD_CELL: GOOD})
    invented = [Status(cell=GOOD_CELL, job="999999", outcome=JobOutcome.RUNNING)]
    (run.plan.folder / "jobs.json").write_bytes(STATUSES.dump_json(invented))
    accounting.kill()
    began = time.monotonic()
    assert run.states()[GOOD_CELL].outcome is JobOutcome.UNREACHABLE
    assert time.monotonic() - began < 60
