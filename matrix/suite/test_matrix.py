"""Run every cell and every check, then hold their records against every gate."""

import pytest

from matrix.catalogue.checks import CHECKS
from matrix.checks.run import CheckFailure
from matrix.execute.local import CellFailure, cell_command
from matrix.execute.pairs import PairFailure
from matrix.gates import ChangeEvidence, Outcome, Verdict, apply, evidence_for, judge_change_gate, time
from matrix.records.cell import SIDES, Record, Side
from matrix.records.check import CheckRecord
from matrix.run.kept import float64_records
from matrix.run.plan import Plan, PlannedCell, PlannedCheck, PlannedPair
from matrix.suite.conftest import check_outcome, outcome, pair_outcome


def test_cell(plan: Plan, cell: PlannedCell) -> None:
    """The cell leaves a whole record within its time."""
    result = outcome(plan.folder, cell.name)
    if isinstance(result, CellFailure):
        pytest.fail(
            f"{cell.name}: {result.reason}\n--- the last lines of {result.log}\n{result.tail}\n"
            f"--- run just this cell again: nox -s matrix-{plan.precision} -- --only {cell.pipeline}\n"
            f"--- its process alone: {' '.join(cell_command(plan, cell))}",
            pytrace=False,
        )


def test_gate(plan: Plan, pipeline: str, gate: str, side: Side | None) -> None:
    """The gate's verdict on this pipeline."""
    cells = [plan.cell(pipeline, wanted) for wanted in SIDES]
    results = {cell.name: outcome(plan.folder, cell.name) for cell in cells}
    records = {name: result for name, result in results.items() if isinstance(result, Record)}
    failures = {name: result.reason for name, result in results.items() if isinstance(result, CellFailure)}
    verdict = apply(gate, side, evidence_for(plan, pipeline, records, failures, float64_records(plan)))
    _settle(verdict, must_run=bool(failures))


def test_pair(plan: Plan, pair: PlannedPair) -> None:
    """Both sides of the pipeline are timed in turn, and leave a whole record."""
    result = pair_outcome(plan.folder, pair.pipeline)
    if isinstance(result, PairFailure):
        pytest.fail(
            f"{pair.name}: {result.reason}\n--- its logs: {result.log}\n"
            f"--- time just this pair again: nox -s matrix-{plan.precision} -- --only {pair.pipeline}",
            pytrace=False,
        )


def test_time(plan: Plan, pair: PlannedPair) -> None:
    """The verdict on the pipeline's times."""
    result = pair_outcome(plan.folder, pair.pipeline)
    if isinstance(result, PairFailure):
        _settle(time(plan, pair.pipeline, None, result.reason), must_run=True)
    else:
        _settle(time(plan, pair.pipeline, result), must_run=False)


def test_check(plan: Plan, check: PlannedCheck) -> None:
    """The check leaves a whole record within its time."""
    result = check_outcome(plan.folder, check.name)
    if isinstance(result, CheckFailure):
        pytest.fail(
            f"{check.name}: {result.reason}\n--- its log: {result.log}\n"
            f"--- make just this check again: nox -s matrix-{plan.precision} -- --check {check.check}",
            pytrace=False,
        )


def test_gate_of_the_change(plan: Plan, gate: str) -> None:
    """The gate's verdict on the change, from the checks that are its evidence."""
    # Of a gate's checks only those are made here that were asked for; a kept record of another will not do.
    wanted = [c for c in plan.checks if CHECKS[c.check].gate == gate and c.check in plan.selected_checks]
    results = {check.name: check_outcome(plan.folder, check.name) for check in wanted}
    records = {name: result for name, result in results.items() if isinstance(result, CheckRecord)}
    failures = {name: result.reason for name, result in results.items() if isinstance(result, CheckFailure)}
    _settle(judge_change_gate(gate, ChangeEvidence(plan, records, failures)), must_run=bool(failures))


def _settle(verdict: Verdict, must_run: bool) -> None:
    if verdict.outcome is Outcome.PASS:
        return
    if verdict.outcome is Outcome.FAIL or must_run:
        pytest.fail(f"{verdict.gate} ({verdict.outcome}): {verdict.message}", pytrace=False)
    pytest.skip(f"{verdict.outcome}: {verdict.message}")
