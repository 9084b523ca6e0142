"""A long check that is interrupted goes on where it was; one of other content starts over."""

import sys
from pathlib import Path

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.checks import scripts
from matrix.checks.run import run_check
from matrix.checks.workplace import Workplace
from matrix.execute.reservations import Share
from matrix.records.cell import SIDES
from matrix.records.check import CheckRecord
from matrix.run.kept import kept_check
from matrix.run.plan import Plan, PlannedCheck, PlannedEnvironment
from tests.factory import make_plan

pytestmark = pytest.mark.usefixtures("own_ledger")

FOLDER = "scripts/jax_likelihood_functions"
RUN_SCRIPT = scripts.run_script


def plan_with_scripts(tmp_path: Path) -> Plan:
    """Two likelihood scripts, each noting in a file that it was run."""
    workspace = tmp_path / "workspace"
    for name in ("a", "b"):
        script = workspace / FOLDER / f"{name}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f"print('x: 1.5', file=open({str(tmp_path / name)!r}, 'a')); print('x: 1.5')\n")
    environments = {
        side: PlannedEnvironment(python=Path(sys.executable), pythonpath=(), key="k") for side in SIDES
    }
    return make_plan(
        tmp_path / "run",
        environments=environments,
        workspace=workspace,
        test_workspace=workspace,
        locks=tmp_path,
    )


def interrupt_at_b(place: Workplace, workspace: Path, script: Path, *rest: object) -> object:
    if script.stem == "b":
        raise KeyboardInterrupt
    return RUN_SCRIPT(place, workspace, script, *rest)  # type: ignore[arg-type]


@pytest.mark.parametrize(("key", "runs_of_a"), [("same", 1), ("other", 2)])
def test_scripts_that_ended_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, runs_of_a: int
) -> None:
    plan = plan_with_scripts(tmp_path)
    check = PlannedCheck(check="scripts", side="candidate", scale="production", key="same")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(scripts, "run_script", interrupt_at_b)
        run_check(plan, check)
    assert kept_check(plan, check) is None
    again = check.model_copy(update={"key": key})
    record = run_check(plan, again)
    assert isinstance(record, CheckRecord)
    assert [item.outcome for item in record.items] == ["passed"] * 2 + ["skipped"] * len(PIPELINES)
    assert len((tmp_path / "a").read_text().splitlines()) == runs_of_a
    assert len((tmp_path / "b").read_text().splitlines()) == 1
    assert kept_check(plan, again) == record
    assert not list(plan.check_path(check).parent.glob("*.unfinished"))


def test_script_that_was_killed_is_run_again_and_its_failure_names_the_error(tmp_path: Path) -> None:
    plan = plan_with_scripts(tmp_path)
    check = PlannedCheck(check="scripts", side="candidate", scale="production", key="same")
    assert plan.test_workspace is not None
    folder = plan.test_workspace / FOLDER
    (folder / "a.py").write_text("import os; os.kill(os.getpid(), 9)")
    (folder / "b.py").write_text("raise AssertionError('\\nNot equal to tolerance\\n x: 1.0\\n y: 2.0')")
    place = Workplace(plan, check, Share(memory=0, cores=[0]))
    place.folder.mkdir(parents=True)
    killed, failed, *_ = scripts.run_scripts(place)
    assert (killed.outcome, failed.outcome) == ("failed", "failed")
    assert failed.message == "exit code 1: AssertionError: Not equal to tolerance x: 1.0 y: 2.0"
    assert [item.name for item in place.kept_items()][:1] == [failed.name]
