"""Every gate fails for its own reason, and for no other, on every pipeline alike."""

import dataclasses
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.pipelines import PIPELINES
from matrix.gates import (
    CHANGE_GATES,
    PAIR_GATES,
    SIDE_GATES,
    Blame,
    Outcome,
    Verdict,
    change_gate_name,
    judge,
    judged_in,
)
from matrix.gates.pipelines import SOLVER_SETTING
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.records.cell import SIDES, VENDORED, EagerEvaluation, PrecisionFacts, Record, Side, Solver
from matrix.run.plan import Constant, PlannedEnvironment, Tolerances
from tests.factory import EVIDENCE, LANES, NORMS, evaluation, make_plan, make_record, solves

FLOAT32 = 24746.37890625
Judge = Callable[..., list[Verdict]]


@pytest.fixture(params=PIPELINES)
def pipeline(request: pytest.FixtureRequest) -> str:
    """Each pipeline in turn: no gate may be left out for one."""
    return str(request.param)


@pytest.fixture
def verdicts(pipeline: str) -> Judge:
    """What the gates say of a pair of records among green ones of the other pipelines."""

    def judged(
        candidate: Record | None, baseline: Record | None = None, **plan_changes: Any
    ) -> list[Verdict]:
        plan = make_plan(Path("run"), tuple(PIPELINES), **plan_changes)
        green = {
            plan.cell(name, side).name: make_record(name, side) for name in plan.pipelines for side in SIDES
        }
        pair: dict[Side, Record | None] = {
            "candidate": candidate,
            "baseline": baseline or make_record(side="baseline"),
        }
        records = {
            **green,
            **{
                plan.cell(pipeline, side).name: _of(pipeline, record)
                for side, record in pair.items()
                if record
            },
        }
        name = plan.cell(pipeline, "candidate").name
        if candidate is None:
            del records[name]
        found = judge(plan, records, {name: "exit code 1"})
        rest = [verdict for verdict in found if verdict.pipeline != pipeline]
        assert rest == [verdict for verdict in judge(plan, green, {}) if verdict.pipeline != pipeline]
        return [verdict for verdict in found if verdict.pipeline == pipeline]

    return judged


def _of(pipeline: str, record: Record) -> Record:
    """The record as one of another pipeline."""
    cell = dataclasses.replace(record.cell, pipeline=pipeline)
    return dataclasses.replace(record, cell=cell, key=record.key.replace(record.cell.pipeline, pipeline))


def failed(found: list[Verdict]) -> set[tuple[str, str | None]]:
    """The gates that failed, with their side."""
    return {(verdict.gate, verdict.side) for verdict in found if verdict.outcome is Outcome.FAIL}


def test_green_records_pass_every_gate(verdicts: Judge) -> None:
    found = verdicts(make_record())
    assert [(verdict.gate, verdict.side) for verdict in found] == judged_in("fp64")
    assert {verdict.outcome for verdict in found} == {Outcome.PASS}


def _evaluated(**found: Any) -> Callable[[Record], Record]:
    return lambda record: dataclasses.replace(
        record, evaluations=dataclasses.replace(record.evaluations, **found)
    )


def _with(**changes: Any) -> Callable[[Record], Record]:
    return lambda record: dataclasses.replace(record, **changes)


def _from(**changes: Any) -> Callable[[Record], Record]:
    return lambda record: dataclasses.replace(
        record, provenance=dataclasses.replace(record.provenance, **changes)
    )


# A record spoilt by the defect that a gate exists for.
SPOILT: dict[str, Callable[[Record], Record]] = {
    "finished": _from(device_platform="gpu"),
    "precision": _evaluated(jit=evaluation(EVIDENCE, dtype="float32")),
    "finite": _evaluated(lanes_eager=evaluation(EVIDENCE, math.inf, LANES[2])),
    "constant": _evaluated(vmap_equal=evaluation(*[EVIDENCE * (1 + 2e-4)] * 3)),
    "jit_vs_eager": _evaluated(jit=evaluation(EVIDENCE * (1 - 2e-4))),
    "vmap_vs_jit": _evaluated(vmap_lanes=evaluation(*LANES[:2], LANES[2] * (1 + 2e-4))),
    "lanes_agree": _evaluated(vmap_equal=evaluation(EVIDENCE, EVIDENCE, EVIDENCE * (1 + 1e-9))),
    "parity": _evaluated(vmap_lanes=evaluation(*LANES[:2], LANES[2] * (1 + 2e-6))),
    "solver": _with(nnls=solves(0.0, 0.0, 2e-3)),
    "comparable": _from(python="3.12.1"),
    "candidate_vs_baseline": _evaluated(lanes_jit=evaluation(*LANES[:2], LANES[2] * (1 + 2e-4))),
}


@pytest.mark.parametrize(("gate", "side"), [(gate, side) for gate in SPOILT for side in SIDES])
def test_every_gate_sees_its_defect_on_every_pipeline_and_either_side(
    verdicts: Judge, gate: str, side: Side
) -> None:
    pair = {name: make_record(side=name) for name in SIDES}
    pair[side] = SPOILT[gate](pair[side])
    assert (gate, None if gate in PAIR_GATES else side) in failed(
        verdicts(pair["candidate"], pair["baseline"])
    )


@pytest.mark.parametrize("side", SIDES)
def test_a_record_that_is_not_what_it_claims_is_comparable_to_none(verdicts: Judge, side: Side) -> None:
    pair = {name: make_record(side=name) for name in SIDES}
    pair[side] = dataclasses.replace(
        pair[side], timings=dataclasses.replace(pair[side].timings, vmap=pair[side].timings.jit)
    )
    found = verdicts(pair["candidate"], pair["baseline"])
    assert failed(found) == {("comparable", None)}
    message = next(verdict.message for verdict in found if verdict.outcome is Outcome.FAIL)
    assert message.startswith(f"{side}: the batch's times are the single call's")


def test_every_gate_has_its_defect_here() -> None:
    # What mixed precision moves is told from an fp64 run: below. Batches are measured in their own tests.
    assert {*SPOILT, "mixed_precision", "batches"} == {*SIDE_GATES, *PAIR_GATES}


def test_float32_run_passes_the_tolerance_but_not_the_precision_gate(verdicts: Judge) -> None:
    shifted = tuple(lane * (FLOAT32 / EVIDENCE) for lane in LANES)
    record = make_record(
        evaluations={
            "jit": evaluation(FLOAT32, dtype="float32", exact=True),
            "vmap_equal": evaluation(*[FLOAT32] * 3, dtype="float32", exact=True),
            "vmap_lanes": evaluation(*shifted, dtype="float32", exact=True),
            "lanes_jit": evaluation(*shifted, dtype="float32", exact=True),
            "audit": evaluation(*shifted, dtype="float32", exact=True),
        },
        precision=PrecisionFacts(False, "True", False, "float32"),
    )
    found = verdicts(record)
    assert failed(found) == {("precision", "candidate"), ("parity", "candidate")}
    message = next(v.message for v in found if (v.gate, v.side) == ("precision", "candidate"))
    assert "jax_enable_x64 was off" in message
    assert "reads 'True'" in message


def test_mixed_precision_under_an_fp64_label_is_refused(verdicts: Judge) -> None:
    record = make_record(precision=PrecisionFacts(True, "True", True, "float64"))
    found = verdicts(record)
    assert failed(found) == {("precision", "candidate")}
    message = next(v.message for v in found if (v.gate, v.side) == ("precision", "candidate"))
    assert "computed in mixed precision though fp64 was asked for" in message


def test_value_labelled_float64_that_is_a_float32_number_is_refused(verdicts: Judge) -> None:
    record = make_record(evaluations={"jit": evaluation(EVIDENCE, exact=True)})
    assert failed(verdicts(record)) == {("precision", "candidate")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"jit": evaluation(EVIDENCE * (1 + 2e-4))}, {"constant", "jit_vs_eager", "vmap_vs_jit", "parity"}),
        ({"jit": evaluation(EVIDENCE * (1 + 5e-6))}, {"parity"}),
        ({"vmap_equal": evaluation(EVIDENCE, EVIDENCE, EVIDENCE * (1 + 1e-8))}, {"lanes_agree"}),
        (
            {"vmap_lanes": evaluation(LANES[0], LANES[1], LANES[2] * 1.001)},
            {"vmap_vs_jit", "parity", "solver"},
        ),
        ({"audit": evaluation(LANES[0], LANES[1], LANES[2] * 1.001)}, {"solver"}),
        ({"vmap_equal": evaluation(math.nan, EVIDENCE, EVIDENCE)}, {"finite"}),
    ],
)
def test_each_path_is_watched(verdicts: Judge, change: dict[str, object], expected: set[str]) -> None:
    gates = {gate for gate, side in failed(verdicts(make_record(evaluations=change))) if side == "candidate"}
    assert expected <= gates
    if "jit" in change and expected != {"parity"}:
        assert ("candidate_vs_baseline", None) in failed(verdicts(make_record(evaluations=change)))


def test_solver_that_says_converged_is_checked_against_the_kkt_conditions(verdicts: Judge) -> None:
    loose = make_record(nnls=solves(0.0, 1e-5, 0.0))
    assert failed(verdicts(loose)) == {("solver", "candidate")}


@pytest.mark.parametrize(
    ("residuals", "words"),
    [
        ((0.3, 1e-15, 1e-16), "unknowns are negative (far more than rounding"),
        ((0.0, 1e-7, 1e-8), "unknowns are too small, raising them would fit better (float32"),
        ((0.0, 1e-8, 0.1), "positive where the gradient is not zero (far more than rounding"),
        ((0.0, 1e-8, math.nan), "the answer or its gradient is nan"),
    ],
)
def test_words_say_which_condition_is_violated_and_what_leaves_as_much(
    verdicts: Judge, residuals: tuple[float, float, float], words: str
) -> None:
    lanes = (*solves(*residuals)[:1], *solves()[1:])
    found = verdicts(make_record(nnls=lanes))
    assert words in next(v.message for v in found if (v.gate, v.side) == ("solver", "candidate"))


@pytest.mark.parametrize(("residual", "red"), [(4e-5, set()), (4e-2, {("solver", "baseline")})])
def test_answer_of_the_library_s_own_solver_is_judged_too(
    verdicts: Judge, residual: float, red: set[tuple[str, str]]
) -> None:
    lanes = solves(0.0, 0.0, residual)
    found = verdicts(make_record(), make_record(side="baseline", nnls=lanes))
    assert failed(found) == red


def test_each_side_s_row_says_what_is_asked_of_its_own_solver(verdicts: Judge) -> None:
    baseline = make_record(side="baseline", nnls=solves(0.0, 0.0, 1.2e-5), solver=Solver("pdip", {}))
    rows = {v.side: v for v in verdicts(make_record(), baseline) if v.gate == "solver"}
    assert {row.outcome for row in rows.values()} == {Outcome.PASS}
    own = "K=1285, KKT residual 1.2e-05 (of the library's own solver at most 1e-03 is asked), by pdip"
    assert (rows["baseline"].message, rows["baseline"].numbers["tolerance"]) == (own, 1e-3)
    assert "KKT residual 1.0e-15 (of the vendored solver at most 1e-09 is asked)" in rows["candidate"].message
    assert rows["candidate"].numbers["tolerance"] == 1e-9


@pytest.mark.parametrize(("asked", "said"), [("pdip", False), ("certified", True)])
def test_a_solver_asked_for_and_not_used_is_said(verdicts: Judge, asked: str, said: bool) -> None:
    environments = {
        side: PlannedEnvironment(
            python=Path("python"), pythonpath=(), key=side, settings={SOLVER_SETTING: asked}
        )
        for side in SIDES
    }
    used = Solver("pdip", {"solver": "pdip"}, ("solver",))
    pair = [make_record(side=side, solver=used) for side in ("candidate", "baseline")]
    rows = [v for v in verdicts(*pair, environments=environments) if v.gate == "solver"]
    words = "certified was asked for, which the library does not use here"
    assert [words in row.message for row in rows] == [said, said]
    assert all(("asked for" in row.message) is said for row in rows)


@pytest.mark.parametrize(
    ("stated", "lane", "words"),
    [
        (("converged", "iterations"), (2, True, None), "stats do not name the solver"),
        (("solver", "converged"), (None, True, None), "how many iterations were made is not stated"),
        (("solver", "iterations"), (2, None, None), "whether the solves converged is not stated"),
    ],
)
def test_what_the_library_does_not_state_of_its_solve_is_a_failure(
    verdicts: Judge, stated: tuple[str, ...], lane: tuple[int | None, bool | None, bool | None], words: str
) -> None:
    iterations, converged, certified = lane
    lanes = solves(iterations=iterations, converged=converged, certified=certified)
    record = make_record(nnls=lanes, solver=Solver(VENDORED, {"solver": "nnls"}, stated))
    found = verdicts(record)
    assert ("solver", "candidate") in failed(found)
    assert words in next(v.message for v in found if (v.gate, v.side) == ("solver", "candidate"))


def test_answer_of_a_fallback_is_judged_by_its_residual_and_said(verdicts: Judge) -> None:
    first, second, third = solves(0.0, 0.0, 1e-8, certified=True)
    lanes = (first, dataclasses.replace(second, converged=None, certified=False), third)
    used = Solver("certified", {"solver": "certified"}, ("certified", "passes", "solver"))
    found = verdicts(make_record(), make_record(side="baseline", nnls=lanes, solver=used))
    assert not failed(found)
    message = next(v.message for v in found if (v.gate, v.side) == ("solver", "baseline"))
    assert "lanes [1] were not certified, their answers are the fallback's" in message


def test_solver_that_was_not_vendored_is_none_of_the_candidate_s(verdicts: Judge) -> None:
    used = Solver("pdip", {"solver": "pdip", "preconditioning": "raw"}, ("solver",))
    found = verdicts(make_record(solver=used))
    assert failed(found) == {("comparable", None)}
    message = next(v.message for v in found if v.outcome is Outcome.FAIL)
    assert "it was solved by pdip, not by autoarray.inversion.nnls" in message


@pytest.mark.parametrize("norms", [(50.0, 7.07), (50.5, 7.0), (math.nan, 7.0), (50.0, 7.0 * (1 + 1e-5))])
def test_another_linear_system_is_seen_where_the_evidence_hides_it(
    verdicts: Judge, norms: tuple[float, float]
) -> None:
    other = make_record(nnls=solves(norms=(norms, *NORMS[1:])))
    found = verdicts(other)
    assert failed(found) == {("candidate_vs_baseline", None)}
    assert "another system" in next(v.message for v in found if v.outcome is Outcome.FAIL)


@pytest.mark.parametrize(("used", "red"), [("pdip", set()), ("auto", {("comparable", None)})])
def test_an_algorithm_asked_for_is_the_one_that_solved(
    verdicts: Judge, used: str, red: set[tuple[str, str]]
) -> None:
    record = make_record(solver=Solver(VENDORED, {"algorithm": used}))
    assert failed(verdicts(record, algorithm="pdip")) == red
    assert not failed(verdicts(record))


def test_kkt_residual_that_is_nan_is_no_certificate(verdicts: Judge) -> None:
    broken = make_record(nnls=solves(0.0, math.nan, 0.0))
    assert failed(verdicts(broken)) == {("solver", "candidate")}


def test_one_lane_that_did_not_converge_is_named(verdicts: Judge) -> None:
    first, second, third = solves()
    lanes = (first, dataclasses.replace(second, converged=False), third)
    found = verdicts(make_record(nnls=lanes))
    assert failed(found) == {("solver", "candidate")}
    assert "lanes [1]" in next(v.message for v in found if v.outcome is Outcome.FAIL)


def test_failure_shared_with_the_baseline_is_told_from_a_regression(verdicts: Judge) -> None:
    drifted = {"eager": EagerEvaluation(evaluation(EVIDENCE), evaluation(EVIDENCE * 1.001))}
    both = verdicts(make_record(evaluations=drifted), make_record(side="baseline", evaluations=drifted))
    blames = {v.blame for v in both if v.gate == "constant" and v.side == "candidate"}
    assert blames == {Blame.BASELINE_TOO}
    alone = verdicts(make_record(evaluations=drifted))
    assert {v.blame for v in alone if v.gate == "constant" and v.side == "candidate"} == {Blame.REGRESSED}


def test_cell_without_a_record_fails_and_its_gates_are_not_run(verdicts: Judge) -> None:
    found = verdicts(None)
    assert failed(found) == {("finished", "candidate")}
    rest = [v for v in found if v.side in ("candidate", None) and v.gate != "finished"]
    assert {v.outcome for v in rest} == {Outcome.NOT_RUN}
    assert all("exit code 1" in v.message for v in rest)


def test_gpu_run_that_fell_back_to_the_cpu_is_noticed(verdicts: Judge) -> None:
    found = verdicts(make_record(), accelerator="cuda12")
    assert failed(found) == {("finished", "baseline"), ("finished", "candidate")}
    assert "ran on cpu though gpu was asked for" in next(
        v.message for v in found if v.outcome is Outcome.FAIL
    )


def test_smaller_likelihood_than_was_planned_is_noticed_on_both_sides(verdicts: Judge) -> None:
    small = [dataclasses.replace(make_record().cell, scale="smoke", side=side) for side in SIDES]
    baseline, candidate = (make_record(side=cell.side, cell=cell) for cell in small)
    found = verdicts(candidate, baseline)
    assert failed(found) == {("finished", "baseline"), ("finished", "candidate")}
    assert "of smoke scale though production was asked for" in next(
        v.message for v in found if v.outcome is Outcome.FAIL
    )


def test_cell_nobody_ran_is_not_run_and_not_a_failure() -> None:
    found = judge(make_plan(Path("run")), {}, {})
    assert {verdict.outcome for verdict in found} == {Outcome.NOT_RUN}


def test_record_of_other_content_counts_as_missing(verdicts: Judge) -> None:
    assert ("finished", "candidate") in failed(verdicts(make_record(key="of yesterday")))


@pytest.mark.parametrize(("required", "outcome"), [(True, Outcome.FAIL), (False, Outcome.NOT_RUN)])
def test_vanished_constant_is_never_a_pass(verdicts: Judge, required: bool, outcome: Outcome) -> None:
    constant = Constant(name="EXPECTED_LOG_EVIDENCE_HST", value=None, script="s.py", required=required)
    found = verdicts(make_record(), constants=dict.fromkeys(PIPELINES, constant))
    assert {v.outcome for v in found if v.gate == "constant"} == {outcome}


def test_without_a_constant_the_baseline_is_what_an_evidence_is_held_against(verdicts: Judge) -> None:
    unheld = Constant(name="E", value=None, script="s", required=False, unheld="none is recorded for euclid")
    moved = {path: evaluation(EVIDENCE * 1.01) for path in ("jit",)}
    found = verdicts(make_record(evaluations=moved), constants=dict.fromkeys(PIPELINES, unheld))
    said = {verdict.message for verdict in found if verdict.gate == "constant"}
    assert said == {"held against the baseline: none is recorded for euclid"}
    assert ("candidate_vs_baseline", None) in failed(found)


def test_tolerance_is_the_plans(verdicts: Judge) -> None:
    drifted = {"vmap_equal": evaluation(*[EVIDENCE * (1 + 2e-4)] * 3)}
    found = verdicts(make_record(evaluations=drifted), tolerances=Tolerances(evidence=1e-2, parity=1e-2))
    assert failed(found) == set()


def mixed(pipeline: str, float64: Record | None, value: float = EVIDENCE) -> list[Verdict]:
    """The mixed_precision gate of a candidate whose JIT path gave `value`."""
    tolerances = Tolerances(evidence=1e-2, parity=1e-6)
    plan = make_plan(Path("run"), (pipeline,), precision="mp", tolerances=tolerances)
    record = _of(pipeline, make_record(evaluations={"jit": evaluation(value)}))
    name = plan.cell(pipeline, "candidate").name
    kept = {f"{pipeline}-fp64-candidate": float64} if float64 else {}
    return [
        verdict
        for verdict in judge(plan, {name: record}, {}, kept)
        if (verdict.gate, verdict.side) == ("mixed_precision", "candidate")
    ]


def test_mixed_precision_is_held_against_float64(pipeline: str) -> None:
    (nothing,) = mixed(pipeline, make_record())
    assert nothing.outcome is Outcome.PASS
    assert "changes nothing" in nothing.message
    (little,) = mixed(pipeline, make_record(), EVIDENCE * (1 + 1e-7))
    assert little.outcome is Outcome.PASS
    assert "1.0e-07, in jit" in little.message
    (much,) = mixed(pipeline, make_record(), EVIDENCE * 1.02)
    assert much.outcome is Outcome.FAIL


def test_mixed_precision_without_a_float64_run_is_not_run(pipeline: str) -> None:
    (verdict,) = mixed(pipeline, None)
    assert verdict.outcome is Outcome.NOT_RUN
    assert "run the fp64 matrix first" in verdict.message


def test_each_precision_has_its_own_gates() -> None:
    assert "parity" in dict(judged_in("fp64"))
    assert "parity" not in dict(judged_in("mp"))
    assert "mixed_precision" not in dict(judged_in("fp64"))


def _purposes() -> dict[str, str]:
    """What each gate exists for, by the name that its row in the docs begins with."""
    gates: dict[str, Any] = {f"`{name}`": gate for name, gate in {**SIDE_GATES, **PAIR_GATES}.items()}
    gates |= {change_gate_name(key): gate for key, (_, gate) in CHANGE_GATES.items()}
    found = {}
    for name, gate in gates.items():
        *_, last = (inspect.getdoc(gate) or "").split("\n\n")
        found[name] = " ".join(last.split())
    return found


def test_every_gate_states_the_defect_it_exists_for_and_the_docs_show_it() -> None:
    rows = (REPOSITORY_ROOT / "docs" / "gates.md").read_text(encoding="utf-8").splitlines()
    for name, purpose in _purposes().items():
        assert purpose.startswith("Exists for "), name
        start = name.partition(":")[0] if name.startswith("definition") else name
        (row,) = [line for line in rows if line.startswith(f"| {start}")]
        assert f" | {purpose.removeprefix('Exists for ').removesuffix('.')} | " in row, name
