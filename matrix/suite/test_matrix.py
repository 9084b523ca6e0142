"""Run every cell, then hold its records against every gate."""

import pytest

from matrix.execute.local import CellFailure, cell_command, float64_records
from matrix.gates import Outcome, apply, evidence_for
from matrix.plan import SIDES, Plan, PlannedCell, Side
from matrix.record import Record
from matrix.suite.conftest import outcome


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
    if verdict.outcome is Outcome.PASS:
        return
    if verdict.outcome is Outcome.FAIL or failures:
        pytest.fail(f"gate {gate} ({verdict.outcome}): {verdict.message}", pytrace=False)
    pytest.skip(f"not run: {verdict.message}")
