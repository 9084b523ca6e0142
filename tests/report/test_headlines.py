"""Five lines say what was validated, on what, what moved, how much faster, and what did not run."""

import math
from pathlib import Path

import pytest

from matrix.gates import CHANGE, TIME, Outcome, Verdict, judge
from matrix.report.headlines import (
    NOTHING_MOVED_IN,
    headlines,
    left_open,
    moved,
    open_gates,
    reasons_of,
    speed,
)
from matrix.run.plan import Constant
from tests.factory import EVIDENCE, evaluation, make_pair, make_plan, make_record

BOTH = ("imaging-pixelization", "imaging-delaunay")


def left_out(gate: str, pipeline: str, message: str) -> Verdict:
    return Verdict(gate, pipeline, None, Outcome.NOT_RUN, message)


def test_lines_of_a_half_run_matrix(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, BOTH, solver_tree="abcdef0123456789")
    records = {one.cell.name: one for one in (make_record(side="baseline"), make_record())}
    lines = headlines(plan, records, judge(plan, records, {}), {"imaging-pixelization": make_pair()})
    assert (
        lines["Validated"]
        == "solver abcdef012345 in PyAutoArray 000000000000, both sides of 1 of 2 pipelines"
    )
    assert lines["On"] == "release 2026.7.9.1, fp64, production scale; some CPU, 2 of 2 cores"
    held = "on imaging-pixelization, within the tolerance of 1e-04"
    assert lines["Moved"] == (
        f"log evidence by 0.0e+00 at most from the baseline's {held}; "
        f"by 0.0e+00 at most from what is recorded or expected {held}"
    )
    assert lines["Speed"].startswith("2.00× (1.98–2.02) on imaging-pixelization, in a batch")
    assert "Not run" not in lines


def test_where_no_constant_is_recorded_the_sides_are_held_against_each_other(tmp_path: Path) -> None:
    unheld = Constant(name="E", value=None, script="s", required=False, unheld="none is recorded for euclid")
    plan = make_plan(tmp_path, constants={"imaging-pixelization": unheld})
    moved_by = make_record(evaluations={"jit": evaluation(EVIDENCE * (1 + 1e-5))})
    records = {one.cell.name: one for one in (make_record(side="baseline"), moved_by)}
    said = moved(judge(plan, records, {}))
    assert said.startswith("log evidence by 1.0e-05 at most from the baseline's on imaging-pixelization")
    assert "recorded" not in said
    assert moved(judge(plan, {}, {})) == NOTHING_MOVED_IN


@pytest.mark.parametrize(("value", "says"), [(EVIDENCE * 1.01, "1.0e-02"), (math.nan, "inf")])
def test_drift_beyond_its_tolerance_is_said_so_and_nan_is_furthest(
    tmp_path: Path, value: float, says: str
) -> None:
    plan = make_plan(tmp_path)
    wrong = make_record(evaluations={"jit": evaluation(value)})
    records = {one.cell.name: one for one in (make_record(side="baseline"), wrong)}
    said = moved(judge(plan, records, {}))
    assert said.count(f"by {says} at most from ") == said.count("BEYOND the tolerance of 1e-04") == 2


def test_what_the_change_moved_is_not_what_both_sides_are_from_a_constant(tmp_path: Path) -> None:
    off = {"jit": evaluation(EVIDENCE * (1 + 1e-6))}
    records = {
        one.cell.name: one
        for one in (make_record(side="baseline", evaluations=off), make_record(evaluations=off))
    }
    said = moved(judge(make_plan(tmp_path), records, {}))
    assert "by 0.0e+00 at most from the baseline's" in said
    assert "by 1.0e-06 at most from what is recorded or expected" in said


def test_speed_names_slowest_and_fastest_and_counts_what_cannot_be_told() -> None:
    pairs = {
        "imaging-mge": make_pair("imaging-mge", 6.0, 6.0),
        "imaging-delaunay": make_pair("imaging-delaunay", 6.0, 2.0),
        "imaging-pixelization": make_pair(rounds=3),
    }
    said = speed([], pairs)
    assert said.startswith("1.00× (0.99–1.01) on imaging-mge to 3.00× (2.97–3.03) on imaging-delaunay")
    assert said.endswith("inconclusive on 1 of 3 pipelines")
    assert speed([], {"imaging-pixelization": make_pair(rounds=3)}) == "inconclusive on 1 of 1 pipelines"
    assert speed([left_out(TIME, "imaging-mge", "smoke scale")], {}) == "not measured: smoke scale"


def test_what_did_not_run_is_grouped_by_gate_and_then_by_reason(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, BOTH)
    records = {one.cell.name: one for one in (make_record(name) for name in BOTH)}
    verdicts = [
        *(left_out(TIME, name, "smoke scale: nothing") for name in BOTH),
        left_out("gate 3", CHANGE, "no record of a on the b: it was not asked for"),
        left_out("gate 4", CHANGE, "no record of c on the d: it was not asked for"),
        left_out("gate 2", CHANGE, "no target. And more of it"),
        Verdict("parity", BOTH[0], None, Outcome.PASS, "fine"),
    ]
    found = open_gates(plan, records, verdicts)
    assert [gate.pipelines for gate in found] == [BOTH, (CHANGE,), (CHANGE,), (CHANGE,)]
    assert reasons_of(found) == (
        "time on imaging-pixelization and imaging-delaunay (smoke scale: nothing); "
        "gate 3, gate 4 (it was not asked for); gate 2 (no target)"
    )


def test_what_cannot_be_told_is_not_called_not_run(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, BOTH)
    records = {one.cell.name: one for one in (make_record(name) for name in BOTH)}
    noisy = Verdict(TIME, BOTH[0], None, Outcome.INCONCLUSIVE, "noisy")
    verdicts = [noisy, left_out("gate 4", CHANGE, "no tests")]
    assert left_open(plan, records, verdicts) == {
        "Inconclusive": "time on imaging-pixelization (noisy)",
        "Not run": "gate 4 (no tests)",
    }
    assert left_open(plan, records, []) == {}
