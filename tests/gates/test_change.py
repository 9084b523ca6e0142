"""The gates of the change: each passes on what is right, fails on its own defect, and never softens."""

import dataclasses
from pathlib import Path

import pytest

from matrix.gates import (
    CHANGE_GATES,
    ChangeEvidence,
    Outcome,
    TimedElsewhere,
    Verdict,
    judge,
    judge_change,
    judge_change_gate,
)
from matrix.gates.change import OURS, SOLVED_WITHOUT
from matrix.records.cell import Record, Timing, Timings
from matrix.records.check import CheckRecord, Item
from matrix.run.plan import Target
from tests.factory import EVIDENCE, evaluation, make_plan, make_record

TARGETS = ("imaging-delaunay", "imaging-pixelization")
SYSTEM = {
    "scaled_condition": 1e3,
    "strictly_complementary": 1.0,
    "converged": 1.0,
    "finite": 1.0,
    "kkt_residual": 1e-14,
    "answer_error": 1e-14,
    "lane_apart": 0.0,
    "q_gradient_error": 1e-9,
    "Q_gradient_error": 1e-9,
    "q_gradient_lane_apart": 0.0,
    "Q_gradient_lane_apart": 0.0,
}
GRADIENT = {
    "condition": 1e7,
    "value": 12.5,
    "lane_value": 12.5,
    "exact_value": 12.5,
    "not_finite": 0.0,
    "largest_q_gradient": 11.0,
    "largest_Q_gradient": 100.0,
}
TEST = Item("test_autoarray.inversion.test_a::test_a", "passed")
OWN = Item(f"{OURS}.test_solver::test_b", "passed")
SOLVED = tuple(Item(way, "measured", "", {"error": 0.0}) for way in SOLVED_WITHOUT)
SCRIPT = Item("a.py", "passed", "", {"log_likelihood: # [1]": 100.0})


def measured(name: str, numbers: dict[str, float], **changes: float) -> Item:
    return Item(name, "measured", "", numbers | changes)


def record(check: str, side: str, *items: Item, **facts: str) -> CheckRecord:
    return CheckRecord(check, side, "key", items, facts, 1.0)  # type: ignore[arg-type]


def green_checks() -> tuple[CheckRecord, ...]:
    """A record of each check, on which every gate passes."""
    return (
        record("assertions", "candidate", measured("well", SYSTEM), measured("ill", SYSTEM)),
        *(record("assertion-script", side, SCRIPT) for side in ("baseline", "candidate")),
        record("library-tests", "baseline", TEST),
        record("library-tests", "candidate", TEST, OWN),
        record(
            "independence",
            "candidate",
            *SOLVED,
            Item("import jaxnnls", "passed"),
            Item("residual: autoconf 1", "failed", "jaxnnls==1.0.1"),
            **{"companion of autoconf": "companion/autoconf.patch"},
        ),
        record("gradients", "candidate", measured("solve_nnls_primal", GRADIENT)),
        *(record("scripts", side, SCRIPT) for side in ("baseline", "candidate")),
    )


def evidence(
    tmp_path: Path, *replaced: CheckRecord, gpu: str = "cpu", lane_ms: float = 20.0
) -> ChangeEvidence:
    """Evidence that every gate passes, but for the time targets unless `gpu` is one that counts."""
    checks = {f"{one.check}-{one.side}": one for one in (*green_checks(), *replaced)}
    plan = make_plan(tmp_path, TARGETS)
    records = cells(gpu, lane_ms)
    return ChangeEvidence(plan, checks, {}, records, judge(plan, records, {}))


def cells(gpu: str, lane_ms: float) -> dict[str, Record]:
    timing = Timing(1.0, 1.0, 1.0, (3e-3 * lane_ms,) * 3)
    found = {}
    for pipeline in TARGETS:
        for side in ("baseline", "candidate"):
            one = make_record(pipeline, side, timings=Timings(1.0, timing, timing, 3))
            provenance = dataclasses.replace(one.provenance, device_kind=gpu)
            found[one.cell.name] = dataclasses.replace(one, provenance=provenance)
    return found


def gate(name: str, given: ChangeEvidence) -> Verdict:
    return judge_change_gate(name, given)


def test_all_gates_pass_by_name_on_an_a100(tmp_path: Path) -> None:
    verdicts = judge_change(evidence(tmp_path, gpu="NVIDIA A100-SXM4-80GB"))
    assert [verdict.outcome for verdict in verdicts] == [Outcome.PASS] * 7, verdicts
    assert [verdict.gate[:6] for verdict in verdicts[:6]] == [f"gate {number}" for number in range(1, 7)]


@pytest.mark.parametrize("name", CHANGE_GATES)
def test_without_records_nothing_passes(tmp_path: Path, name: str) -> None:
    assert gate(name, ChangeEvidence(make_plan(tmp_path), {}, {})).outcome is Outcome.NOT_RUN


def test_check_that_broke_fails_its_gate_with_the_reason(tmp_path: Path) -> None:
    verdict = gate("6", ChangeEvidence(make_plan(tmp_path), {}, {"gradients-candidate": "killed"}))
    assert verdict.outcome is Outcome.FAIL
    assert "killed" in verdict.message


def test_a_constant_not_reproduced_fails_gate_1(tmp_path: Path) -> None:
    given = evidence(tmp_path)
    records = dict(given.records)
    spoilt = make_record("imaging-delaunay", evaluations={"jit": evaluation(EVIDENCE * 1.01)})
    records[spoilt.cell.name] = spoilt
    found = dataclasses.replace(given, records=records, verdicts=judge(given.plan, records, {}))
    verdict = gate("1", found)
    assert verdict.outcome is Outcome.FAIL
    assert "imaging-delaunay" in verdict.message


@pytest.mark.parametrize(
    ("gpu", "lane_ms", "outcome"),
    [
        ("cpu", 20.0, Outcome.NOT_RUN),
        ("NVIDIA GeForce RTX 2060", 20.0, Outcome.NOT_RUN),
        ("NVIDIA A100", 20.0, Outcome.PASS),
        ("NVIDIA A100", 26.0, Outcome.FAIL),
        # Of a class of its own, that nobody has set a target for.
        ("NVIDIA H100 PCIe", 20.0, Outcome.NOT_RUN),
        ("NVIDIA A1000", 20.0, Outcome.NOT_RUN),
    ],
)
def test_time_targets_count_on_the_right_device_only(
    tmp_path: Path, gpu: str, lane_ms: float, outcome: Outcome
) -> None:
    verdict = gate("2", evidence(tmp_path, gpu=gpu, lane_ms=lane_ms))
    assert verdict.outcome is outcome
    assert verdict.numbers["imaging-pixelization candidate ms"] == pytest.approx(lane_ms)
    assert "ms, not timed in turn" in verdict.message


def test_an_h100_is_judged_by_its_own_targets(tmp_path: Path) -> None:
    given = evidence(tmp_path, gpu="NVIDIA H100 PCIe", lane_ms=20.0)
    own = {**given.plan.targets, "H100": {"imaging-delaunay": Target(limit=19.0)}}
    plan = given.plan.model_copy(update={"targets": own})
    verdict = gate("2", dataclasses.replace(given, plan=plan))
    assert verdict.outcome is Outcome.FAIL
    assert "slower than its target: imaging-delaunay. " in verdict.message
    assert verdict.numbers["imaging-delaunay target ms"] == 19.0


def test_no_ratio_is_of_two_machines(tmp_path: Path) -> None:
    given = evidence(tmp_path, gpu="NVIDIA A100")
    records = dict(given.records)
    name = "imaging-delaunay-fp64-baseline"
    elsewhere = dataclasses.replace(records[name].provenance, cpu="another CPU")
    records[name] = dataclasses.replace(records[name], provenance=elsewhere)
    verdict = gate("2", dataclasses.replace(given, records=records))
    assert verdict.outcome is Outcome.NOT_RUN
    assert "timed on different machines: imaging-delaunay" in verdict.message


def test_times_of_another_machine_are_judged_and_named(tmp_path: Path) -> None:
    given = evidence(tmp_path, gpu="cpu", lane_ms=500.0)
    there = TimedElsewhere("there", cells("NVIDIA A100", 20.0), ())
    verdict = gate("2", dataclasses.replace(given, elsewhere=there))
    assert verdict.outcome is Outcome.PASS
    assert verdict.numbers["imaging-delaunay candidate ms"] == pytest.approx(20.0)
    assert verdict.message.endswith("on NVIDIA A100; timed by run there")
    red = dataclasses.replace(there, faults=["imaging-delaunay constant: drifted"])
    verdict = gate("2", dataclasses.replace(given, elsewhere=red))
    assert verdict.outcome is Outcome.FAIL
    assert "imaging-delaunay constant: drifted" in verdict.message


@pytest.mark.parametrize(
    "spoilt",
    [
        {"finite": 0.0},
        {"converged": 0.0},
        {"kkt_residual": float("nan")},
        {"kkt_residual": 1e-8},
        {"answer_error": 1e-8},
        {"lane_apart": 1e-8},
        {"q_gradient_error": 1e-5},
        {"Q_gradient_error": float("nan")},
        {"Q_gradient_lane_apart": 1e-5},
    ],
)
def test_one_wrong_system_fails_gate_3(tmp_path: Path, spoilt: dict[str, float]) -> None:
    wrong = record("assertions", "candidate", measured("well", SYSTEM), measured("ill", SYSTEM, **spoilt))
    verdict = gate("3", evidence(tmp_path, wrong))
    assert verdict.outcome is Outcome.FAIL
    assert "ill: " in verdict.message


def test_where_the_reference_says_nothing_optimality_and_finiteness_are_asked(tmp_path: Path) -> None:
    beyond = {"scaled_condition": 1e15, "answer_error": 1.0, "q_gradient_error": 1.0, "Q_gradient_error": 1.0}
    item = measured("ill", SYSTEM, **beyond)
    assert gate("3", evidence(tmp_path, record("assertions", "candidate", item))).outcome is Outcome.PASS
    not_optimal = measured("ill", SYSTEM, **beyond, kkt_residual=1e-6)
    assert (
        gate("3", evidence(tmp_path, record("assertions", "candidate", not_optimal))).outcome is Outcome.FAIL
    )


def test_workspace_assertion_script_that_fails_on_the_candidate_only_fails_gate_3(tmp_path: Path) -> None:
    failed = Item("a.py", "failed", "AssertionError: solutions differ")
    verdict = gate("3", evidence(tmp_path, record("assertion-script", "candidate", failed)))
    assert verdict.outcome is Outcome.FAIL
    assert "solutions differ" in verdict.message


def test_only_new_failures_count_and_vanished_tests_are_noticed(tmp_path: Path) -> None:
    failing = dataclasses.replace(TEST, outcome="failed", message="AssertionError")
    new = gate("4", evidence(tmp_path, record("library-tests", "candidate", failing, OWN)))
    assert new.outcome is Outcome.FAIL
    assert TEST.name in new.message
    shared = evidence(
        tmp_path,
        record("library-tests", "baseline", failing),
        record("library-tests", "candidate", failing, OWN),
    )
    assert gate("4", shared).outcome is Outcome.PASS
    assert "fail at baseline too" in gate("4", shared).message
    gone = gate("4", evidence(tmp_path, record("library-tests", "candidate", OWN)))
    assert gone.outcome is Outcome.FAIL
    assert "do not run any more" in gone.message


def test_a_test_of_the_solver_that_stays_a_choice_may_skip_without_jaxnnls(tmp_path: Path) -> None:
    reason = "it needs jaxnnls, which is not installed"
    skipped = Item(TEST.name, "skipped", reason)
    passed = gate("4", evidence(tmp_path, record("library-tests", "candidate", skipped, OWN)))
    assert passed.outcome is Outcome.PASS
    assert "1 need jaxnnls" in passed.message
    other = Item(TEST.name, "skipped", "no network")
    assert (
        gate("4", evidence(tmp_path, record("library-tests", "candidate", other, OWN))).outcome
        is Outcome.FAIL
    )


def test_a_test_of_ours_that_skips_without_jaxnnls_fails_gate_4(tmp_path: Path) -> None:
    reason = "it needs jaxnnls, which is not installed"
    ours = Item(f"{OURS}.test_choice::test_stats", "skipped", reason)
    verdict = gate("4", evidence(tmp_path, record("library-tests", "candidate", TEST, OWN, ours)))
    assert verdict.outcome is Outcome.FAIL
    assert "test_stats" in verdict.message
    bits = Item(f"{OURS}.test_choice::test_pdip_is_that_of_jaxnnls", "skipped", reason)
    assert (
        gate("4", evidence(tmp_path, record("library-tests", "candidate", TEST, OWN, bits))).outcome
        is Outcome.PASS
    )


def test_a_release_without_tests_is_not_run_and_our_own_still_count(tmp_path: Path) -> None:
    none = record("library-tests", "baseline")
    own = gate("4", evidence(tmp_path, none, record("library-tests", "candidate", OWN)))
    assert own.outcome is Outcome.NOT_RUN
    assert "the solver's own 1 pass" in own.message
    broken = dataclasses.replace(OWN, outcome="failed")
    assert (
        gate("4", evidence(tmp_path, none, record("library-tests", "candidate", broken))).outcome
        is Outcome.FAIL
    )
    assert gate("4", evidence(tmp_path, none, record("library-tests", "candidate"))).outcome is Outcome.FAIL
    skipped = record("library-tests", "candidate", dataclasses.replace(OWN, outcome="skipped"))
    assert gate("4", evidence(tmp_path, none, skipped)).outcome is Outcome.FAIL


def test_library_that_still_needs_jaxnnls_fails_and_a_residual_elsewhere_is_named(tmp_path: Path) -> None:
    clean = gate("5", evidence(tmp_path))
    assert clean.outcome is Outcome.PASS
    assert "STILL OPEN" in clean.message
    assert "companion/autoconf.patch" in clean.message
    for item in (
        Item("jaxnnls is asked for", "failed", "from autoarray/x.py:3"),
        Item("autoarray declares: autoarray 1", "failed", "jaxnnls==1.0.1"),
    ):
        verdict = gate("5", evidence(tmp_path, record("independence", "candidate", *SOLVED, item)))
        assert verdict.outcome is Outcome.FAIL
        assert item.message in verdict.message


@pytest.mark.parametrize("way", SOLVED_WITHOUT)
@pytest.mark.parametrize("error", [0.5, float("nan"), None])
def test_one_way_to_solve_without_jaxnnls_that_is_wrong_or_was_not_gone_fails_gate_5(
    tmp_path: Path, way: str, error: float | None
) -> None:
    others = [item for item in SOLVED if item.name != way]
    found = [] if error is None else [measured(way, {"error": error})]
    verdict = gate("5", evidence(tmp_path, record("independence", "candidate", *others, *found)))
    assert verdict.outcome is Outcome.FAIL
    assert way in verdict.message


@pytest.mark.parametrize(
    "spoilt",
    [{"not_finite": 1.0}, {"largest_q_gradient": 0.0}, {"value": 12.6}, {"lane_value": float("nan")}],
)
def test_gradient_that_is_not_finite_zero_or_of_another_solution_fails_gate_6(
    tmp_path: Path, spoilt: dict[str, float]
) -> None:
    wrong = record("gradients", "candidate", measured("solve_nnls_primal", GRADIENT, **spoilt))
    assert gate("6", evidence(tmp_path, wrong)).outcome is Outcome.FAIL


def test_script_worse_than_at_baseline_is_a_regression_and_one_that_always_failed_is_not(
    tmp_path: Path,
) -> None:
    def done(before: Item, after: Item) -> Verdict:
        return gate(
            "done",
            evidence(tmp_path, record("scripts", "baseline", before), record("scripts", "candidate", after)),
        )

    failed = Item("a.py", "failed", "ValueError: shapes")
    moved = dataclasses.replace(SCRIPT, numbers={"log_likelihood: # [1]": 100.02})
    silent = dataclasses.replace(SCRIPT, numbers={})
    assert done(SCRIPT, failed).outcome is Outcome.FAIL
    assert done(SCRIPT, moved).outcome is Outcome.FAIL
    assert "no longer prints" in done(SCRIPT, silent).message
    assert done(silent, SCRIPT).outcome is Outcome.PASS
    always = done(failed, failed)
    assert always.outcome is Outcome.NOT_RUN
    assert "fail on both sides: a.py (ValueError: shapes)" in always.message
    assert done(failed, SCRIPT).outcome is Outcome.PASS
