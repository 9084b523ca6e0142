"""The gate `comparable` sees whatever differs beside the change, and names it with both values."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from matrix.gates import Outcome, Verdict
from matrix.gates.comparable import differences_beside_the_change, faults_within
from matrix.gates.pipelines import SOLVER_SETTING, comparable, evidence_for
from matrix.records.cell import SIDES, VENDORED, Record, Solver, Timing, Timings
from matrix.run.plan import OwnDataset, PlannedEnvironment
from tests.factory import EVIDENCE, LANES, NORMS, evaluation, make_plan, make_record, solves


def spoilt(record: Record, part: str, **changes: Any) -> Record:
    """The record with other facts in one of its parts."""
    return dataclasses.replace(record, **{part: dataclasses.replace(getattr(record, part), **changes)})


def test_data_that_are_not_those_given_are_named() -> None:
    given = {"data.fits": "d" * 64, "noise_map.fits": "0" * 64}
    own = OwnDataset(given="~/lens", files=given)
    plan = make_plan(Path("run"), datasets={"hst": own})
    pair = [make_record(side=side) for side in ("baseline", "candidate")]
    evidence = evidence_for(plan, "imaging-pixelization", {one.cell.name: one for one in pair}, {}, {})
    found = comparable(evidence, *pair)
    assert found.outcome is Outcome.FAIL
    assert "candidate: it did not read the noise_map.fits that was planned" in found.message
    assert "data.fits that was planned: d" not in found.message
    assert not evidence_for(plan, "imaging-pixelization", {}, {}, {}).own_data.keys() - given.keys()


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("provenance", {"packages": {"jax": "0.11.2", "numpy": "2.4.6"}}, "package jax is 0.10.2"),
        ("provenance", {"packages": {"jax": "0.10.2"}}, "package numpy is 2.4.6 on the baseline, none"),
        ("provenance", {"python": "3.12.1"}, "Python is 3.11.9 on the baseline, 3.12.1"),
        (
            "provenance",
            {"datasets": {"data.fits": "f" * 64, "noise_map.fits": "e" * 64}},
            "dataset data.fits",
        ),
        ("provenance", {"seed": 2}, "seed is 1 on the baseline, 2 on the candidate"),
        ("provenance", {"lanes_unit": ((0.5, 0.5), (0.51, 0.5), (0.5, 0.51))}, "lanes is"),
        (
            "provenance",
            {"variables": {"JAX_ENABLE_X64": "True", "OMP_NUM_THREADS": "4"}},
            "OMP_NUM_THREADS is 2",
        ),
        (
            "provenance",
            {"variables": {"JAX_ENABLE_X64": "True"}},
            "OMP_NUM_THREADS is 2 on the baseline, none",
        ),
        ("provenance", {"cpu": "another CPU"}, "processor is some CPU on the baseline, another CPU"),
        ("provenance", {"cores": 64}, "cores of the machine is 2"),
        ("provenance", {"affinity": (0,)}, "cores of the cell is 2 on the baseline, 1"),
        ("provenance", {"platform": "Darwin"}, "system is Linux"),
        ("provenance", {"device_kind": "NVIDIA H200"}, "device is cpu cpu on the baseline, cpu NVIDIA H200"),
        ("provenance", {"accelerators": ({"name": "NVIDIA H200"},)}, "GPUs is"),
        ("timings", {"batch": 4}, "number of lanes is 3 on the baseline, 4"),
        ("cell", {"scale": "smoke"}, "scale is production on the baseline, smoke"),
        ("cell", {"precision": "mp"}, "precision is fp64 on the baseline, mp"),
    ],
)
def test_a_difference_is_named_with_both_values(part: str, changes: dict[str, Any], words: str) -> None:
    (found,) = differences_beside_the_change(
        make_record(side="baseline"), spoilt(make_record(), part, **changes)
    )
    assert words in found


def test_another_k_or_another_likelihood_is_a_difference() -> None:
    baseline = make_record(side="baseline", configuration={"mask_radius_arcsec": 3.5})
    candidate = make_record(nnls=solves(size=900), configuration={"mask_radius_arcsec": 3.0})
    first, second = differences_beside_the_change(baseline, candidate)
    assert "K is (1285, 1285, 1285) on the baseline, (900, 900, 900)" in first
    assert "likelihood mask_radius_arcsec is 3.5 on the baseline, 3.0" in second


def test_what_the_change_itself_moves_is_no_difference() -> None:
    """The library, jaxnnls, and folders and GPUs that every process has for itself."""
    own = {"NUMBA_CACHE_DIR": "/one", "CUDA_VISIBLE_DEVICES": "0", "JAX_COMPILATION_CACHE_DIR": "/one"}
    others = {"NUMBA_CACHE_DIR": "/other", "CUDA_VISIBLE_DEVICES": "1", "JAX_COMPILATION_CACHE_DIR": "/other"}
    baseline, candidate = make_record(side="baseline"), make_record()
    facts = [record.provenance for record in (baseline, candidate)]
    baseline = spoilt(
        baseline,
        "provenance",
        variables={**facts[0].variables, **own},
        packages={**facts[0].packages, "autoarray": "1"},
    )
    candidate = spoilt(
        candidate,
        "provenance",
        variables={**facts[1].variables, **others},
        packages={**facts[1].packages, "autoarray": "2"},
    )
    assert differences_beside_the_change(baseline, candidate) == []


def _timings(**changes: Any) -> Timings:
    return dataclasses.replace(make_record().timings, **changes)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (
            spoilt(make_record(), "provenance", lanes_unit=((0.5, 0.5), (0.5, 0.5), (0.46, 0.53))),
            "different lanes are drawn at the same point",
        ),
        (
            make_record(nnls=solves(norms=(NORMS[0], *NORMS[:2]))),
            "different lanes hand the solver the same system",
        ),
        (
            spoilt(make_record(), "evaluations", vmap_lanes=evaluation(EVIDENCE, LANES[1], EVIDENCE)),
            "different lanes have the same evidence",
        ),
        (
            spoilt(make_record(), "provenance", lanes_unit=((0.5, 0.5), (0.46, 0.53))),
            "the numbers of lanes are not equal: 2 drawn, 3 timed, 3 evaluated, 3 solved",
        ),
        (spoilt(make_record(), "timings", batch=1), "3 drawn, 1 timed"),
        (make_record(nnls=solves()[:2]), "3 evaluated, 2 solved"),
        (spoilt(make_record(), "provenance", datasets={}), "names no data file"),
        (make_record(timings=_timings(eager_s=0.0)), "a time of eager is 0.0 s"),
        (make_record(timings=_timings(jit=Timing(0.1, -1.0, 1.0, (1.0,)))), "a time of jit is -1.0 s"),
        (
            make_record(timings=_timings(vmap=Timing(0.1, 1.0, 1.0, (1.0, float("nan"))))),
            "a time of vmap is nan",
        ),
        (
            make_record(timings=_timings(vmap=Timing(0.5, 1.0, 1.0, (1.0,), lanes=1))),
            "the program timed as vmap gave 1 values a call, not 3",
        ),
        (
            make_record(timings=_timings(jit=Timing(0.5, 1.0, 1.0, (1.0,), lanes=3))),
            "the program timed as jit gave 3 values a call, not 1",
        ),
        (
            make_record(timings=_timings(vmap=make_record().timings.jit)),
            "are the single call's, to the last digit",
        ),
        (spoilt(make_record(), "provenance", jaxnnls_importable=True), "candidate: jaxnnls can be imported"),
        (
            spoilt(make_record(side="baseline"), "provenance", jaxnnls_importable=False),
            "baseline: jaxnnls is installed and cannot be imported",
        ),
        (
            spoilt(make_record(side="baseline"), "provenance", packages={"jax": "0.10.2"}),
            "baseline: jaxnnls is not installed and can be imported",
        ),
    ],
)
def test_a_record_that_is_not_what_it_claims_is_refused(record: Record, words: str) -> None:
    (found,) = faults_within(record)
    assert words in found
    assert found.startswith(record.cell.side)


def test_systems_that_differ_in_one_norm_alone_are_different() -> None:
    assert faults_within(make_record(nnls=solves(norms=((50.0, 7.0), (51.0, 7.0), (51.0, 7.1))))) == []


@pytest.mark.parametrize("side", ["baseline", "candidate"])
def test_green_records_have_no_fault(side: str) -> None:
    assert faults_within(make_record(side=side)) == []


def judged(baseline: str, candidate: str, settings: dict[str, str]) -> Verdict:
    """The verdict on records of these solvers where the sides' settings choose by these values."""
    environments = {
        side: PlannedEnvironment(
            python=Path("python"),
            pythonpath=(),
            key=side,
            settings={SOLVER_SETTING: settings[side]} if side in settings else {},
        )
        for side in SIDES
    }
    plan = make_plan(Path("run"), environments=environments)
    (pipeline,) = plan.pipelines
    pair = [
        make_record(side=side, solver=Solver(name, {}))
        for side, name in (("baseline", baseline), ("candidate", candidate))
    ]
    records = {f"{pipeline}-fp64-{record.cell.side}": record for record in pair}
    return comparable(evidence_for(plan, pipeline, records, {}, {}), *pair)


@pytest.mark.parametrize(
    ("baseline", "candidate", "settings", "words"),
    [
        ("jaxnnls", VENDORED, {}, ""),
        ("pdip", VENDORED, {}, ""),
        ("jaxnnls", "jaxnnls", {}, "candidate: it was solved by jaxnnls, not by autoarray.inversion.nnls"),
        ("jaxnnls", "pdip", {"candidate": "nnls"}, "candidate: it was solved by pdip"),
        ("pdip", "certified", {"candidate": "certified"}, ""),
        (VENDORED, VENDORED, {}, f"baseline: it was solved by {VENDORED}, which is the candidate's solver"),
        (VENDORED, VENDORED, {"baseline": "nnls"}, ""),
    ],
)
def test_the_solver_that_ran_is_the_side_s_own(
    baseline: str, candidate: str, settings: dict[str, str], words: str
) -> None:
    verdict = judged(baseline, candidate, settings)
    assert verdict.outcome is (Outcome.FAIL if words else Outcome.PASS)
    assert words in verdict.message
    if not words:
        assert verdict.message.endswith(f"solved by {baseline} and by {candidate}")
