"""Gates know the change: what is of the vendored solver alone is left out of others, and all else holds."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from matrix.catalogue.checks import CHECKS, is_of_vendoring
from matrix.gates import (
    CHANGE_GATES,
    ChangeEvidence,
    Outcome,
    Verdict,
    judge,
    judge_change,
    judge_change_gate,
)
from matrix.ground.errors import UsageError
from matrix.prepare.planning import planned_checks, selected_checks
from matrix.records.cell import REPLACED, SIDES, Record, Solver
from matrix.run.change import Change, Expected, Given
from matrix.run.plan import Plan
from tests.factory import EVIDENCE, LANES, evaluation, make_plan, make_record, solves
from tests.gates.test_change import green_checks

REF = Change(vendor=False, candidate=Given(refs={"PyAutoArray": "feature/x"}))
PACKAGES = Change(vendor=False, candidate=Given(packages=("jax==0.11.2",)))
MOVED = {"jax": {"baseline": "0.10.2", "candidate": "0.11.2"}}
BECAUSE = "row weights were mirrored"
NAME = "imaging-pixelization"


def unvendored(side: str, **changes: Any) -> Record:
    """A green record of a run that vendors nothing: both sides have and use jaxnnls."""
    record = make_record(side=side, solver=Solver(REPLACED, {}), **changes)
    packages = {**record.provenance.packages, "jaxnnls": "1.0.1"}
    provenance = dataclasses.replace(record.provenance, packages=packages, jaxnnls_importable=True)
    return dataclasses.replace(record, provenance=provenance)


def with_packages(record: Record, **versions: str) -> Record:
    packages = {**record.provenance.packages, **versions}
    return dataclasses.replace(record, provenance=dataclasses.replace(record.provenance, packages=packages))


def judged(plan: Plan, baseline: Record, candidate: Record) -> dict[str, Verdict]:
    """Verdicts by gate, those of the candidate where a gate has sides."""
    records = {record.cell.name: record for record in (baseline, candidate)}
    return {one.gate: one for one in judge(plan, records, {}) if one.side != "baseline"}


def of_change(plan: Plan) -> ChangeEvidence:
    checks = {f"{one.check}-{one.side}": one for one in green_checks() if one.check in ("scripts",)}
    return ChangeEvidence(plan, checks, {})


# Which gates there are


def test_gates_of_the_vendored_solver_are_those_whose_every_check_is() -> None:
    assert [gate for gate in CHANGE_GATES if is_of_vendoring(gate)] == ["3", "5"]


def test_other_changes_leave_them_out_and_say_so(tmp_path: Path) -> None:
    found = {one.gate: one for one in judge_change(of_change(make_plan(tmp_path, change=REF)))}
    said = [name for name, one in found.items() if one.message == "this change vendors nothing"]
    assert said == ["gate 3: NNLS assertions", "gate 5: independence of jaxnnls"]
    assert {found[name].outcome for name in said} == {Outcome.NOT_RUN}


def test_their_checks_are_not_planned_and_cannot_be_asked_for(tmp_path: Path) -> None:
    environments = make_plan(tmp_path).environments
    libraries = dict.fromkeys(SIDES, tmp_path)
    whole, other = (
        {check.check for check in planned_checks(environments, libraries, (), "smoke", vendors=vendors)}
        for vendors in (True, False)
    )
    assert whole == set(CHECKS)
    assert other == {"library-tests", "gradients", "scripts"}
    assert selected_checks((), (), False, vendors=False) == ("library-tests", "gradients")
    assert selected_checks((), ("all",), True, vendors=False) == ("library-tests", "gradients", "scripts")
    with pytest.raises(UsageError, match=r"--check independence is of the vendored solver"):
        selected_checks((), ("independence",), False, vendors=False)


def test_library_tests_need_no_tests_of_a_solver_that_is_not_there(tmp_path: Path) -> None:
    (one, _) = (one for one in green_checks() if one.check == "library-tests")
    tests = {f"library-tests-{side}": dataclasses.replace(one, side=side) for side in SIDES}
    for change, outcome in ((REF, Outcome.PASS), (Change(), Outcome.FAIL)):
        given = ChangeEvidence(make_plan(tmp_path, change=change), tests, {})
        assert judge_change_gate("4", given).outcome is outcome


def test_gradients_of_the_call_site_alone_do_where_nothing_is_vendored(tmp_path: Path) -> None:
    (green,) = (one for one in green_checks() if one.check == "gradients")
    alone = tuple(dataclasses.replace(item, name="reconstruction_positive_only_from") for item in green.items)
    checks = {"gradients-candidate": dataclasses.replace(green, items=alone)}
    assert judge_change_gate("6", ChangeEvidence(make_plan(tmp_path, change=REF), checks, {})).outcome is (
        Outcome.PASS
    )
    refused = judge_change_gate("6", ChangeEvidence(make_plan(tmp_path), checks, {}))
    assert refused.outcome is Outcome.FAIL
    assert "the vendored solver was not differentiated" in refused.message


# What the pipelines' gates ask


def test_sides_without_vendoring_pass_and_are_refused_where_it_was_planned(tmp_path: Path) -> None:
    sides = [unvendored(side) for side in SIDES]
    found = judged(make_plan(tmp_path, change=REF), *sides)
    assert {one.outcome for one in found.values()} == {Outcome.PASS}, found
    assert judged(make_plan(tmp_path), *sides)["comparable"].outcome is Outcome.FAIL


@pytest.mark.parametrize(
    ("gate", "spoilt"),
    [
        ("parity", {"evaluations": {"vmap_lanes": evaluation(*LANES[:2], LANES[2] * (1 + 2e-6))}}),
        ("lanes_agree", {"evaluations": {"vmap_equal": evaluation(EVIDENCE, EVIDENCE, EVIDENCE * 1.1)}}),
        ("constant", {"evaluations": {"jit": evaluation(EVIDENCE * 1.01)}}),
        ("candidate_vs_baseline", {"evaluations": {"jit": evaluation(EVIDENCE * 1.01)}}),
        ("solver", {"nnls": solves(0.0, 0.0, 2e-3)}),
    ],
)
def test_all_else_holds_for_every_change(tmp_path: Path, gate: str, spoilt: dict[str, Any]) -> None:
    candidate = unvendored("candidate", **spoilt)
    found = judged(make_plan(tmp_path, change=REF), unvendored("baseline"), candidate)
    assert found[gate].outcome is Outcome.FAIL


def test_packages_of_the_change_may_differ_as_planned_and_no_others(tmp_path: Path) -> None:
    plan = make_plan(tmp_path, change=PACKAGES, moved=MOVED)

    def comparable(**versions: str) -> Verdict:
        candidate = with_packages(unvendored("candidate"), **versions)
        return judged(plan, unvendored("baseline"), candidate)["comparable"]

    assert comparable(jax="0.11.2").outcome is Outcome.PASS
    also = comparable(jax="0.11.2", numpy="9.9")
    assert also.outcome is Outcome.FAIL
    assert "package numpy is 2.4.6 on the baseline, 9.9 on the candidate" in also.message
    # A bump that did not arrive compares a side with itself.
    same = comparable()
    assert same.outcome is Outcome.FAIL
    assert "package jax is 0.10.2 on the candidate, 0.11.2 was planned" in same.message


def test_repository_of_the_change_may_have_another_version(tmp_path: Path) -> None:
    change = Change(vendor=False, candidate=Given(refs={"PyAutoFit": "main"}))
    baseline = with_packages(unvendored("baseline"), autofit="1", autolens="1")
    for versions, outcome in (
        ({"autofit": "2", "autolens": "1"}, Outcome.PASS),
        ({"autofit": "1", "autolens": "2"}, Outcome.FAIL),
    ):
        candidate = with_packages(unvendored("candidate"), **versions)
        found = judged(make_plan(tmp_path, change=change), baseline, candidate)
        assert found["comparable"].outcome is outcome


# A change that means to move an evidence


def moved_to(value: float) -> dict[str, Any]:
    """Every path at the medians gives `value`."""
    lanes = evaluation(value, *LANES[1:])
    return {
        "eager": dataclasses.replace(make_record().evaluations.eager, figure_of_merit=evaluation(value)),
        "jit": evaluation(value),
        "vmap_equal": evaluation(*[value] * 3),
        **dict.fromkeys(("vmap_lanes", "lanes_eager", "lanes_jit", "audit"), lanes),
    }


@pytest.mark.parametrize(
    ("factor", "outcome"), [(1.0881, Outcome.PASS), (1.0, Outcome.FAIL), (1.1, Outcome.FAIL)]
)
def test_expected_evidence_stands_for_the_recorded_one(
    tmp_path: Path, factor: float, outcome: Outcome
) -> None:
    expected = {NAME: Expected(value=EVIDENCE * 1.0881, because=BECAUSE)}
    plan = make_plan(tmp_path, change=REF, expected=expected)
    candidate = unvendored("candidate", evaluations=moved_to(EVIDENCE * factor))
    found = judged(plan, unvendored("baseline"), candidate)
    constant = found["constant"]
    assert constant.outcome is outcome
    assert BECAUSE in constant.message
    assert f"recorded is EXPECTED_LOG_EVIDENCE_HST = {EVIDENCE}" in constant.message
    apart = found["candidate_vs_baseline"]
    assert apart.outcome is Outcome.NOT_RUN
    assert f"this change means to move the evidence ({BECAUSE})" in apart.message
    assert found["comparable"].outcome is Outcome.PASS


def test_baseline_of_an_expected_move_is_held_against_the_recorded_constant(tmp_path: Path) -> None:
    expected = {NAME: Expected(value=EVIDENCE * 1.0881, because=BECAUSE)}
    plan = make_plan(tmp_path, change=REF, expected=expected)
    records = {one.cell.name: one for one in map(unvendored, SIDES)}
    verdicts = {(one.gate, one.side): one.outcome for one in judge(plan, records, {})}
    assert verdicts["constant", "baseline"] is Outcome.PASS
    assert verdicts["constant", "candidate"] is Outcome.FAIL


def test_expected_move_may_come_with_another_number_of_unknowns(tmp_path: Path) -> None:
    expected = {NAME: Expected(value=EVIDENCE, because=BECAUSE)}
    candidate = unvendored("candidate", nnls=solves(size=1200))
    for given, outcome in ((expected, Outcome.PASS), ({}, Outcome.FAIL)):
        plan = make_plan(tmp_path, change=REF, expected=given)
        assert judged(plan, unvendored("baseline"), candidate)["comparable"].outcome is outcome
