"""The run that a refresh starts from: complete, and green but for what a person is asked about.

Where there is none, the newest one that only lacks something is named, to be finished.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.pipelines import pipeline_named
from matrix.gates import CHANGE, TIME, Outcome, Verdict, change_gate_name, judging
from matrix.ground.errors import UsageError
from matrix.ground.hashing import tree_hash
from matrix.prepare.planning import program_code
from matrix.run.change import VENDORING, is_folder
from matrix.run.plan import NOTHING_VENDORED, Plan, PlanError, read_plan, run_folders


class NoRunError(UsageError):
    """No run will do as it is."""


@dataclass(frozen=True)
class RefreshedRun(judging.Run):
    """A complete run, judged anew; `passed_over` says which newer runs would not do, and why."""

    passed_over: tuple[str, ...] = ()


def newest_run(runs: Path, wanted: str | None) -> RefreshedRun:
    """Find the newest run that can be refreshed from.

    Every record must be there and every gate pass. Only the gate that holds the evidences against the
    recorded constants may fail: what becomes of these is ruled one by one.

    Parameters
    ----------
    runs
        Holds one folder per run.
    wanted
        Name of the one run to take; None for the newest that will do.

    Raises
    ------
    NoRunError
        No run will do; says of each why not.
    UsageError
        There is no run of the wanted name.
    """
    refused: list[str] = []
    plans = list(_plans(runs, refused))
    asked_for = [plan for plan in plans if wanted in (None, plan.run)]
    for plan in sorted(asked_for, key=lambda plan: (plan.created, plan.run), reverse=True):
        found = judging.judge_run(plan)
        reason = _unfit(found)
        if not reason:
            return _on_own_instruments(found, tuple(refused))
        refused.append(f"{plan.run}: {reason}")
    if wanted is not None and not asked_for:
        known = ", ".join(sorted(plan.run for plan in plans)) or "none"
        raise UsageError(f"--run {wanted}: there is no such run in {runs}. Runs: {known}.")
    listed = "".join(f"\n  {line}" for line in refused) or " there is none yet."
    raise NoRunError(f"no run to refresh from; `nox -s matrix-fp64` makes one.{listed}")


def _on_own_instruments(run: judging.Run, passed_over: tuple[str, ...]) -> RefreshedRun:
    """The run without pipelines on other instruments, of which neither constant nor result file is ours."""
    plan = run.plan
    cells = tuple(cell for cell in plan.cells if pipeline_named(cell.pipeline).is_on_its_own_instrument)
    left = {cell.pipeline for cell in cells}
    changed = {
        "cells": cells,
        "pairs": tuple(pair for pair in plan.pairs if pair.pipeline in left),
        "selected": tuple(name for name in plan.selected if name in left),
    }
    names = {cell.name for cell in cells}
    return RefreshedRun(
        plan.model_copy(update=changed),
        {name: record for name, record in run.records.items() if name in names},
        tuple(verdict for verdict in run.verdicts if verdict.pipeline in (*left, CHANGE)),
        {name: pair for name, pair in run.pairs.items() if name in left},
        passed_over,
    )


def unfinished_run(runs: Path, wanted: str | None, solver: Path) -> Plan | None:
    """The newest run that lacks records, is not red so far, and can still be finished as it was begun.

    Parameters
    ----------
    runs
        Holds one folder per run.
    wanted
        Name of the one run to look at; None for all.
    solver
        The folder of the solver, which must be the one that run was begun with.
    """
    plans = [plan for plan in _plans(runs, []) if wanted in (None, plan.run) and _can_go_on(plan, solver)]
    for plan in sorted(plans, key=lambda plan: (plan.created, plan.run), reverse=True):
        found = judging.judge_run(plan)
        if _missing(found) and not any(_is_red(plan, verdict) for verdict in found.verdicts):
            return plan
    return None


def _can_go_on(plan: Plan, solver: Path) -> bool:
    """Whether what the run was begun with is still there: kept and new records must belong together."""
    needed = [plan.workspace, *plan.libraries.values(), *(made.python for made in plan.environments.values())]
    vendored = plan.solver_tree in (NOTHING_VENDORED, tree_hash(solver))
    unchanged = vendored and plan.code == program_code()
    return _is_of_the_right_kind(plan) and unchanged and all(path.exists() for path in needed)


def _plans(runs: Path, unreadable: list[str]) -> Iterator[Plan]:
    """Yield the plan of every run; what an older or newer program wrote goes to `unreadable`."""
    for folder in run_folders(runs):
        try:
            yield read_plan(folder)
        except PlanError as error:
            unreadable.append(str(error))


def _unfit(run: judging.Run) -> str:
    """Why a run cannot be refreshed from; empty if it can."""
    plan = run.plan
    if plan.has_persons_data:
        return f"with {'; '.join(plan.own_data)}, where the workspace's data are needed"
    if not _is_of_the_right_kind(plan):
        return f"{plan.precision} at {plan.scale} scale, where fp64 at production scale is needed"
    if plan.algorithm is not None:
        return f"with --algorithm {plan.algorithm}, where the solver's own choice is needed"
    if plan.settings:
        return f"{'; '.join(plan.settings)}, where both sides need their own"
    if plan.change != VENDORING and not plan.change.has_refs_alone:
        return f"its change is neither vendoring nor refs alone, so no branch follows. {plan.difference}"
    folders = [ref for ref in plan.change.candidate.refs.values() if is_folder(ref)]
    if folders:
        return f"its candidate is the folder {folders[0]}: commit that, and run the matrix on the commit"
    missing = _missing(run)
    if missing:
        return f"not complete, no record of {', '.join(missing)}"
    bad = [verdict for verdict in run.verdicts if not _acceptable(plan, verdict)]
    if bad:
        names = dict.fromkeys(f"{verdict.pipeline} {verdict.gate} ({verdict.outcome})" for verdict in bad)
        return f"not green: {', '.join(names)}"
    return ""


def _is_of_the_right_kind(plan: Plan) -> bool:
    return (plan.scale, plan.precision) == ("production", "fp64") and not plan.has_persons_data


def _missing(run: judging.Run) -> list[str]:
    return [cell.name for cell in run.plan.cells if cell.name not in run.records]


def _is_red(plan: Plan, verdict: Verdict) -> bool:
    """Whether running again cannot mend it; a cell that broke off left no record, and is run again."""
    return verdict.outcome is Outcome.FAIL and verdict.gate != "finished" and not _acceptable(plan, verdict)


def _acceptable(plan: Plan, verdict: Verdict) -> bool:
    if verdict.pipeline == CHANGE:
        # Gate 1 repeats the constants. What was not run here is said in the pull requests, not refused.
        return verdict.outcome is not Outcome.FAIL or verdict.gate == change_gate_name("1")
    if verdict.gate == TIME:
        # What cannot be told, or was not asked for, moves no constant; a slower candidate is refused.
        return verdict.outcome is not Outcome.FAIL
    if verdict.gate == "candidate_vs_baseline" and verdict.pipeline in plan.expected:
        # The sides are not meant to agree, and the plan has a person's word on why.
        return verdict.outcome is not Outcome.FAIL
    if verdict.gate == "constant" and not pipeline_named(verdict.pipeline).is_on_its_own_instrument:
        # Mostly none is recorded there, and the sides are held against each other.
        return verdict.outcome is not Outcome.FAIL
    ruled_later = verdict.gate == "constant" and bool(verdict.numbers)
    return verdict.outcome is Outcome.PASS or (verdict.outcome is Outcome.FAIL and ruled_later)
