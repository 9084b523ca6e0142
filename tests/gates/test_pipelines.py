"""Every gate fails for its own reason, and for no other."""

import math
from pathlib import Path

import pytest

from matrix.gates import Blame, Outcome, Verdict, judge, judged_in
from matrix.records.cell import VENDORED, EagerEvaluation, LaneSolve, PrecisionFacts, Record, Solver
from matrix.run.plan import Constant, Tolerances
from tests.factory import EVIDENCE, LANES, evaluation, make_plan, make_record

PIPELINE = "imaging-pixelization"
FLOAT32 = 24746.37890625


def verdicts(
    candidate: Record | None, baseline: Record | None = None, **plan_changes: object
) -> list[Verdict]:
    """What the gates say of a pair of records; a green baseline unless given."""
    plan = make_plan(Path("run"), **plan_changes)
    pair = {"candidate": candidate, "baseline": baseline or make_record(side="baseline")}
    records = {plan.cell(PIPELINE, side).name: record for side, record in pair.items() if record}  # type: ignore[arg-type]
    return judge(plan, records, {f"{PIPELINE}-fp64-candidate": "exit code 1"})


def failed(found: list[Verdict]) -> set[tuple[str, str | None]]:
    """The gates that failed, with their side."""
    return {(verdict.gate, verdict.side) for verdict in found if verdict.outcome is Outcome.FAIL}


def test_green_records_pass_every_gate() -> None:
    found = verdicts(make_record())
    assert [(verdict.gate, verdict.side) for verdict in found] == judged_in("fp64")
    assert {verdict.outcome for verdict in found} == {Outcome.PASS}


def test_float32_run_passes_the_tolerance_but_not_the_precision_gate() -> None:
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


def test_mixed_precision_under_an_fp64_label_is_refused() -> None:
    record = make_record(precision=PrecisionFacts(True, "True", True, "float64"))
    found = verdicts(record)
    assert failed(found) == {("precision", "candidate")}
    message = next(v.message for v in found if (v.gate, v.side) == ("precision", "candidate"))
    assert "computed in mixed precision though fp64 was asked for" in message


def test_value_labelled_float64_that_is_a_float32_number_is_refused() -> None:
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
def test_each_path_is_watched(change: dict[str, object], expected: set[str]) -> None:
    gates = {gate for gate, side in failed(verdicts(make_record(evaluations=change))) if side == "candidate"}
    assert expected <= gates
    if "jit" in change and expected != {"parity"}:
        assert ("candidate_vs_baseline", None) in failed(verdicts(make_record(evaluations=change)))


def test_solver_that_says_converged_is_checked_against_the_kkt_conditions() -> None:
    loose = make_record(nnls=(LaneSolve(1285, 2, True, 0.0, 1e-5, 0.0, 362, 50.0, 7.0),) * 3)
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
    residuals: tuple[float, float, float], words: str
) -> None:
    lanes = (LaneSolve(9, 2, True, *residuals, 1, 50.0, 7.0), LaneSolve(9, 2, True, 0, 0, 0, 1, 50.0, 7.0))
    found = verdicts(make_record(nnls=lanes))
    assert words in next(v.message for v in found if (v.gate, v.side) == ("solver", "candidate"))


@pytest.mark.parametrize(("residual", "red"), [(4e-5, set()), (4e-2, {("solver", "baseline")})])
def test_answer_of_the_library_s_own_solver_is_judged_too(residual: float, red: set[tuple[str, str]]) -> None:
    lanes = (LaneSolve(1285, 20, True, 0.0, 0.0, residual, 362, 50.0, 7.0),) * 3
    found = verdicts(make_record(), make_record(side="baseline", nnls=lanes))
    assert failed(found) == red


@pytest.mark.parametrize(
    ("stated", "lane", "words"),
    [
        (("converged", "iterations"), (2, True, None), "stats do not name the solver"),
        (("solver", "converged"), (None, True, None), "how many iterations were made is not stated"),
        (("solver", "iterations"), (2, None, None), "whether the solves converged is not stated"),
    ],
)
def test_what_the_library_does_not_state_of_its_solve_is_a_failure(
    stated: tuple[str, ...], lane: tuple[int | None, bool | None, bool | None], words: str
) -> None:
    iterations, converged, certified = lane
    solve = LaneSolve(9, iterations, converged, 0.0, 0.0, 0.0, 1, 50.0, 7.0, certified)
    record = make_record(nnls=(solve,) * 3, solver=Solver(VENDORED, {"solver": "nnls"}, stated))
    found = verdicts(record)
    assert ("solver", "candidate") in failed(found)
    assert words in next(v.message for v in found if (v.gate, v.side) == ("solver", "candidate"))


def test_answer_of_a_fallback_is_judged_by_its_residual_and_said() -> None:
    lanes = tuple(
        LaneSolve(1285, 16, converged, 0.0, 0.0, 1e-8, 362, 50.0, 7.0, certified)
        for converged, certified in ((True, True), (None, False), (True, True))
    )
    used = Solver("certified", {"solver": "certified"}, ("certified", "passes", "solver"))
    found = verdicts(make_record(), make_record(side="baseline", nnls=lanes, solver=used))
    assert not failed(found)
    message = next(v.message for v in found if (v.gate, v.side) == ("solver", "baseline"))
    assert "lanes [1] were not certified, their answers are the fallback's" in message


def test_solver_that_was_not_vendored_is_none_of_the_candidate_s() -> None:
    used = Solver("pdip", {"solver": "pdip", "preconditioning": "raw"}, ("solver",))
    found = verdicts(make_record(solver=used))
    assert failed(found) == {("solver", "candidate")}
    message = next(v.message for v in found if v.outcome is Outcome.FAIL)
    assert "it was solved by pdip, not by autoarray.inversion.nnls" in message


@pytest.mark.parametrize("norms", [(50.0, 7.07), (50.5, 7.0), (math.nan, 7.0), (50.0, 7.0 * (1 + 1e-5))])
def test_another_linear_system_is_seen_where_the_evidence_hides_it(norms: tuple[float, float]) -> None:
    other = make_record(nnls=(LaneSolve(1285, 2, True, 0.0, 1e-15, 1e-16, 362, *norms),) * 3)
    found = verdicts(other)
    assert failed(found) == {("candidate_vs_baseline", None)}
    assert "another system" in next(v.message for v in found if v.outcome is Outcome.FAIL)


@pytest.mark.parametrize(("used", "red"), [("pdip", set()), ("auto", {("solver", "candidate")})])
def test_an_algorithm_asked_for_is_the_one_that_solved(used: str, red: set[tuple[str, str]]) -> None:
    record = make_record(solver=Solver(VENDORED, {"algorithm": used}))
    assert failed(verdicts(record, algorithm="pdip")) == red
    assert not failed(verdicts(record))


def test_kkt_residual_that_is_nan_is_no_certificate() -> None:
    broken = make_record(nnls=(LaneSolve(1285, 2, True, 0.0, math.nan, 0.0, 362, 50.0, 7.0),))
    assert failed(verdicts(broken)) == {("solver", "candidate")}


def test_one_lane_that_did_not_converge_is_named() -> None:
    good, bad = (
        LaneSolve(9, 2, True, 0.0, 0.0, 0.0, 1, 50.0, 7.0),
        LaneSolve(9, 50, False, 0.0, 0.0, 0.0, 1, 50.0, 7.0),
    )
    found = verdicts(make_record(nnls=(good, bad, good)))
    assert failed(found) == {("solver", "candidate")}
    assert "lanes [1]" in next(v.message for v in found if v.outcome is Outcome.FAIL)


def test_failure_shared_with_the_baseline_is_told_from_a_regression() -> None:
    drifted = {"eager": EagerEvaluation(evaluation(EVIDENCE), evaluation(EVIDENCE * 1.001))}
    both = verdicts(make_record(evaluations=drifted), make_record(side="baseline", evaluations=drifted))
    blames = {v.blame for v in both if v.gate == "constant" and v.side == "candidate"}
    assert blames == {Blame.BASELINE_TOO}
    alone = verdicts(make_record(evaluations=drifted))
    assert {v.blame for v in alone if v.gate == "constant" and v.side == "candidate"} == {Blame.REGRESSED}


def test_cell_without_a_record_fails_and_its_gates_are_not_run() -> None:
    found = verdicts(None)
    assert failed(found) == {("finished", "candidate")}
    rest = [v for v in found if v.side in ("candidate", None) and v.gate != "finished"]
    assert {v.outcome for v in rest} == {Outcome.NOT_RUN}
    assert all("exit code 1" in v.message for v in rest)


def test_gpu_run_that_fell_back_to_the_cpu_is_noticed() -> None:
    found = verdicts(make_record(), accelerator="cuda12")
    assert failed(found) == {("finished", "baseline"), ("finished", "candidate")}
    assert "ran on cpu though gpu was asked for" in next(
        v.message for v in found if v.outcome is Outcome.FAIL
    )


def test_cell_nobody_ran_is_not_run_and_not_a_failure() -> None:
    found = judge(make_plan(Path("run")), {}, {})
    assert {verdict.outcome for verdict in found} == {Outcome.NOT_RUN}


def test_record_of_other_content_counts_as_missing() -> None:
    assert ("finished", "candidate") in failed(verdicts(make_record(key="of yesterday")))


@pytest.mark.parametrize(("required", "outcome"), [(True, Outcome.FAIL), (False, Outcome.NOT_RUN)])
def test_vanished_constant_is_never_a_pass(required: bool, outcome: Outcome) -> None:
    constant = Constant(name="EXPECTED_LOG_EVIDENCE_HST", value=None, script="s.py", required=required)
    found = verdicts(make_record(), constants={PIPELINE: constant})
    assert {v.outcome for v in found if v.gate == "constant"} == {outcome}


def test_tolerance_is_the_plans() -> None:
    drifted = {"vmap_equal": evaluation(*[EVIDENCE * (1 + 2e-4)] * 3)}
    found = verdicts(make_record(evaluations=drifted), tolerances=Tolerances(evidence=1e-2, parity=1e-2))
    assert failed(found) == set()


def mixed(float64: Record | None, value: float = EVIDENCE) -> list[Verdict]:
    """The mixed_precision gate of a candidate whose JIT path gave `value`."""
    plan = make_plan(Path("run"), precision="mp", tolerances=Tolerances(evidence=1e-2, parity=1e-6))
    record = make_record(evaluations={"jit": evaluation(value)})
    name = plan.cell(PIPELINE, "candidate").name
    kept = {f"{PIPELINE}-fp64-candidate": float64} if float64 else {}
    return [
        verdict
        for verdict in judge(plan, {name: record}, {}, kept)
        if (verdict.gate, verdict.side) == ("mixed_precision", "candidate")
    ]


def test_mixed_precision_is_held_against_float64() -> None:
    (nothing,) = mixed(make_record())
    assert nothing.outcome is Outcome.PASS
    assert "changes nothing" in nothing.message
    (little,) = mixed(make_record(), EVIDENCE * (1 + 1e-7))
    assert little.outcome is Outcome.PASS
    assert "1.0e-07, in jit" in little.message
    (much,) = mixed(make_record(), EVIDENCE * 1.02)
    assert much.outcome is Outcome.FAIL


def test_mixed_precision_without_a_float64_run_is_not_run() -> None:
    (verdict,) = mixed(None)
    assert verdict.outcome is Outcome.NOT_RUN
    assert "run the fp64 matrix first" in verdict.message


def test_each_precision_has_its_own_gates() -> None:
    assert "parity" in dict(judged_in("fp64"))
    assert "parity" not in dict(judged_in("mp"))
    assert "mixed_precision" not in dict(judged_in("fp64"))
