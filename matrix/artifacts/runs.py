"""The run that a refresh starts from: complete, and green but for what a person is asked about."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from matrix.errors import UsageError
from matrix.execute.local import kept_failure, kept_record
from matrix.gates import Outcome, Verdict, judge
from matrix.plan import Plan, plan_path, read_plan
from matrix.record import Record


@dataclass(frozen=True)
class Run:
    """A complete run, judged anew; `passed_over` says which newer runs would not do, and why."""

    plan: Plan
    records: Mapping[str, Record]
    verdicts: tuple[Verdict, ...]
    passed_over: tuple[str, ...] = ()


def newest_run(runs: Path, wanted: str | None) -> Run:
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
    UsageError
        No run will do; says of each why not.
    """
    refused: list[str] = []
    plans = list(_plans(runs, refused))
    asked_for = [plan for plan in plans if wanted in (None, plan.run)]
    for plan in sorted(asked_for, key=lambda plan: (plan.created, plan.run), reverse=True):
        found = _judged(plan)
        reason = _unfit(found)
        if not reason:
            return Run(plan, found.records, found.verdicts, tuple(refused))
        refused.append(f"{plan.run}: {reason}")
    if wanted is not None and not asked_for:
        known = ", ".join(sorted(plan.run for plan in plans)) or "none"
        raise UsageError(f"--run {wanted}: there is no such run in {runs}. Runs: {known}.")
    listed = "".join(f"\n  {line}" for line in refused) or " there is none yet."
    raise UsageError(f"no run to refresh from; `nox -s matrix-fp64` makes one.{listed}")


def _plans(runs: Path, unreadable: list[str]) -> Iterator[Plan]:
    """Yield the plan of every run; what an older or newer program wrote goes to `unreadable`."""
    for folder in runs.iterdir():
        if plan_path(folder).is_file():
            try:
                yield read_plan(folder)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"]))
                unreadable.append(f"{folder.name}: its plan is of another version ({where}: {first['msg']})")


def _judged(plan: Plan) -> Run:
    records = {cell.name: record for cell in plan.cells if (record := kept_record(plan, cell)) is not None}
    failures = {cell.name: reason for cell in plan.cells if (reason := kept_failure(plan, cell)) is not None}
    return Run(plan, records, tuple(judge(plan, records, failures)))


def _unfit(run: Run) -> str:
    """Why a run cannot be refreshed from; empty if it can."""
    plan = run.plan
    if plan.scale != "production" or plan.precision != "fp64":
        return f"{plan.precision} at {plan.scale} scale, where fp64 at production scale is needed"
    missing = [cell.name for cell in plan.cells if cell.name not in run.records]
    if missing:
        return f"not complete, no record of {', '.join(missing)}"
    bad = [verdict for verdict in run.verdicts if not _acceptable(verdict)]
    if bad:
        names = dict.fromkeys(f"{verdict.pipeline} {verdict.gate} ({verdict.outcome})" for verdict in bad)
        return f"not green: {', '.join(names)}"
    return ""


def _acceptable(verdict: Verdict) -> bool:
    ruled_later = verdict.gate == "constant" and bool(verdict.numbers)
    return verdict.outcome is Outcome.PASS or (verdict.outcome is Outcome.FAIL and ruled_later)
