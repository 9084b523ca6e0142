"""The gates of each pipeline: pure functions from the records of its cells to verdicts."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from matrix.gates.batches import judged_batch
from matrix.gates.comparable import Moved, differences_beside_the_change, faults_within
from matrix.gates.distances import agree, differences, furthest, paths, relative, systems_apart
from matrix.gates.solves import (
    AUDIT_AGREES,
    how_it_went,
    not_optimal,
    residual_asked_of,
    what_is_said,
    worst_of,
)
from matrix.gates.verdict import Blame, Outcome, Verdict, listed
from matrix.records.cell import SIDES, VENDORED, Record, Side
from matrix.run.change import VENDORING, Change, Expected
from matrix.run.plan import Constant, Plan

# What separates agreement from coincidence; relative unless said otherwise.
LANES_AGREE = 1e-10
SAME_SYSTEM = 1e-6

# The library's choice of its solver, and the value that means the vendored one.
SOLVER_SETTING = "inversion.positive_only_solver"
VENDORED_VALUE = "nnls"

NOT_ATTEMPTED = "the cell was not run"


@dataclass(frozen=True)
class Evidence:
    """What the gates of one pipeline look at."""

    pipeline: str
    precision: str
    records: Mapping[Side, Record]
    missing: Mapping[Side, str | None]
    constant: Constant
    platform: str
    float64: Mapping[Side, Record]
    tolerance: float
    parity: float
    algorithm: str | None = None
    settings: Mapping[Side, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    scale: str = "production"
    change: Change = VENDORING
    moved: Moved = dataclasses.field(default_factory=dict)
    expected: Expected | None = None
    lanes: tuple[int, ...] = ()
    own_data: Mapping[str, str] = dataclasses.field(default_factory=dict)


SideGate = Callable[[Evidence, Side, Record], Verdict]
PairGate = Callable[[Evidence, Record, Record], Verdict]


def judge(
    plan: Plan,
    records: Mapping[str, Record],
    failures: Mapping[str, str],
    float64: Mapping[str, Record] | None = None,
) -> list[Verdict]:
    """Judge every gate of every planned pipeline.

    Parameters
    ----------
    plan
        What was to be run and what it is held against.
    records
        Finished records by cell name.
    failures
        Reasons of cells without a record, by cell name.
    float64
        In a mixed-precision run, the fp64 records of the same software, by cell name.
    """
    found = (evidence_for(plan, pipeline, records, failures, float64 or {}) for pipeline in plan.pipelines)
    return [verdict for evidence in found for verdict in _judge_pipeline(evidence)]


def _judge_pipeline(evidence: Evidence) -> list[Verdict]:
    """Judge every gate of one pipeline, and tell regressions from failures the baseline shares."""
    gates = judged_in(evidence.precision, evidence.lanes)
    verdicts = [apply(gate, side, evidence) for gate, side in gates]
    return [dataclasses.replace(verdict, blame=_blame(verdict, verdicts)) for verdict in verdicts]


def judged_in(precision: str, lanes: Sequence[int] = ()) -> list[tuple[str, Side | None]]:
    """The gates of a matrix in that precision, each with its side; None for both together.

    Parameters
    ----------
    precision
        "fp64" or "mp".
    lanes
        Sizes of more batches, which have a gate of their own.
    """
    left_out = {"mixed_precision" if precision == "fp64" else "parity", *(() if lanes else ("batches",))}
    each: list[tuple[str, Side | None]] = [
        (gate, side) for gate in SIDE_GATES if gate not in left_out for side in SIDES
    ]
    return [*each, *((gate, None) for gate in PAIR_GATES)]


def evidence_for(
    plan: Plan,
    pipeline: str,
    records: Mapping[str, Record],
    failures: Mapping[str, str],
    float64: Mapping[str, Record],
) -> Evidence:
    """Gather what the gates of `pipeline` look at."""
    found: dict[Side, Record] = {}
    missing: dict[Side, str | None] = {}
    for side in SIDES:
        cell = plan.cell(pipeline, side)
        record = records.get(cell.name)
        if record is not None and record.key == cell.key:
            found[side] = record
        else:
            missing[side] = failures.get(cell.name)
    return Evidence(
        pipeline,
        plan.precision,
        found,
        missing,
        plan.constants[pipeline],
        plan.platform,
        {side: float64[name] for side in SIDES if (name := f"{pipeline}-fp64-{side}") in float64},
        plan.tolerances.evidence,
        plan.tolerances.parity,
        plan.algorithm,
        {side: environment.settings for side, environment in plan.environments.items()},
        plan.cell(pipeline, "candidate").scale,
        plan.change,
        plan.moved,
        plan.expected.get(pipeline),
        plan.lanes,
        plan.own_files(pipeline),
    )


def apply(gate: str, side: Side | None, evidence: Evidence) -> Verdict:
    """One gate's verdict on one side, or with side None on the pair."""
    if side is None:
        return _apply_pair(gate, PAIR_GATES[gate], evidence)
    return _apply_side(gate, side, evidence)


def finished(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """The cell left a record of exactly what was planned, from the kind of device that was planned.

    Exists for a process that ends with 0 and leaves nothing, and a GPU run that fell back to the CPU.
    """
    planned = (evidence.pipeline, evidence.precision, side)
    device = record.provenance.device_platform
    complaints = []
    if planned != (record.cell.pipeline, record.cell.precision, record.cell.side):
        complaints.append(f"its record is of {record.cell.name}")
    if record.cell.scale != evidence.scale:
        complaints.append(f"its record is of {record.cell.scale} scale though {evidence.scale} was asked for")
    if device != evidence.platform:
        complaints.append(
            f"it ran on {device} though {evidence.platform} was asked for: "
            "`nox -s doctor` looks at the GPU and at the JAX for it"
        )
    return _verdict(
        "finished", evidence, side, not complaints, "; ".join(complaints) or "its record is there"
    )


def precision(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """JAX really computed in float64: flag, dtypes that came back, values that are no float32 numbers.

    And the library's mixed precision was on if and only if it was asked for.

    Exists for a run in float32, whose evidences are within the constants' tolerance.
    """
    complaints = []
    if not record.precision.x64_enabled:
        complaints.append(
            "jax.config.jax_enable_x64 was off while the variable JAX_ENABLE_X64 reads "
            f"{record.precision.x64_variable!r}: export it before Python starts"
        )
    for path, evaluation in paths(record).items():
        if evaluation.dtype != "float64":
            complaints.append(f"{path} came back as {evaluation.dtype}")
        elif any(evaluation.float32_exact):
            complaints.append(f"{path} is exactly a float32 number")
    if record.precision.mixed != (evidence.precision == "mp"):
        word = "mixed" if record.precision.mixed else "full"
        complaints.append(
            f"the library computed in {word} precision though {evidence.precision} was asked for"
        )
    if record.precision.solver_dtype != "float64":
        complaints.append(f"the solver was given {record.precision.solver_dtype}")
    message = "; ".join(complaints) or "flag on, every path float64, no value is a float32 number"
    return _verdict("precision", evidence, side, not complaints, message)


def finite(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """No path returned nan or an infinity.

    Exists for a nan of one lane that a comparison with nan lets through.
    """
    bad = [
        path for path, evaluation in paths(record).items() if not all(map(math.isfinite, evaluation.values))
    ]
    message = f"not finite: {', '.join(bad)}" if bad else "every path is finite"
    return _verdict("finite", evidence, side, not bad, message)


def constant(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """Every path reproduces the recorded constant, or the evidence that the change is meant to give.

    Exists for a solve that moves every path alike, as a wrong sign of q.
    """
    recorded = evidence.constant
    expected = evidence.expected if side == "candidate" else None
    reference = expected.value if expected else recorded.value
    if reference is None:
        outcome = Outcome.FAIL if recorded.required else Outcome.NOT_RUN
        reason = (
            f"{recorded.script} records no {recorded.name}: there is nothing to hold the evidence against"
        )
        if recorded.unheld:
            reason = f"held against the baseline: {recorded.unheld}"
        return Verdict("constant", evidence.pipeline, side, outcome, reason)
    at_medians = {
        "eager": record.evaluations.eager_recorded.values[0],
        "jit": record.evaluations.jit.values[0],
        "vmap": furthest(record.evaluations.vmap_equal.values, reference),
    }
    drifts = {path: relative(value, reference) for path, value in at_medians.items()}
    worst = max(drifts, key=lambda path: drifts[path])
    numbers = {
        "constant": reference,
        **at_medians,
        **{f"drift_{path}": drift for path, drift in drifts.items()},
        "tolerance": evidence.tolerance,
    }
    ok = drifts[worst] <= evidence.tolerance
    held = f"{recorded.name} = {recorded.value}"
    if expected:
        held = f"the expected {expected.value} ({expected.because}; recorded is {held})"
    message = (
        f"{worst} {at_medians[worst]:.9f} against {held}: "
        f"drift {drifts[worst]:.1e} (tolerance {evidence.tolerance:.0e})"
    )
    return _verdict("constant", evidence, side, ok, message, numbers)


def jit_vs_eager(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """The compiled likelihood agrees with the NumPy one at the prior medians.

    Exists for a compiled likelihood that computes something else than the library's own NumPy path.
    """
    eager = record.evaluations.eager.figure_of_merit.values
    return _agreement(
        "jit_vs_eager", evidence, side, record.evaluations.jit.values, eager, evidence.tolerance
    )


def vmap_vs_jit(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """Each lane of a batch gives what the compiled likelihood gives for it alone.

    Exists for a batch whose lanes leak into each other, or that a loop's early end cuts short.
    """
    evaluations = record.evaluations
    jit = (*evaluations.jit.values * len(evaluations.vmap_equal.values), *evaluations.lanes_jit.values)
    vmap = (*evaluations.vmap_equal.values, *evaluations.vmap_lanes.values)
    return _agreement("vmap_vs_jit", evidence, side, vmap, jit, evidence.tolerance)


def lanes_agree(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """Lanes with equal parameters give equal answers.

    Exists for an answer that depends on the place in the batch.
    """
    lanes = record.evaluations.vmap_equal.values
    return _agreement("lanes_agree", evidence, side, lanes, lanes[:1] * len(lanes), LANES_AGREE)


def batches(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """Each lane of a batch of another size gives what it gives alone and by NumPy, from an optimal solve.

    Exists for a fault that only larger batches have, which a gate on a small one cannot see.
    """
    tolerance = evidence.parity if evidence.precision == "fp64" else evidence.tolerance
    found = {batch.lanes: batch for batch in record.evaluations.batches}
    judged = [judged_batch(record, found.get(size), size, tolerance) for size in evidence.lanes]
    order = (Outcome.FAIL, Outcome.NOT_RUN, Outcome.PASS)
    judged.sort(key=lambda one: order.index(one[0]))
    numbers = {"tolerance": tolerance}
    for _, _, of_batch in judged:
        numbers |= of_batch
    message = listed([words for _, words, _ in judged])
    return Verdict("batches", evidence.pipeline, side, judged[0][0], message, numbers)


def parity(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """JIT and vmap reproduce the exact active set of the NumPy path, far below the constants' tolerance.

    Exists for a clipped or loosely converged solution, which the constants' tolerance lets through.
    """
    evaluations = record.evaluations
    exact = evaluations.eager.figure_of_merit.values
    answers = (*evaluations.jit.values, *evaluations.vmap_equal.values, *evaluations.vmap_lanes.values)
    references = (*exact * (1 + len(evaluations.vmap_equal.values)), *evaluations.lanes_eager.values)
    return _agreement("parity", evidence, side, answers, references, evidence.parity)


def mixed_precision(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """Mixed precision moves no path further from float64 than its tolerance; says where it moves nothing.

    Exists for a mixed-precision run that moves the science, or that changes nothing unnoticed.
    """
    reference = evidence.float64.get(side)
    if reference is None:
        reason = "no fp64 record of the same software is kept: run the fp64 matrix first"
        return Verdict("mixed_precision", evidence.pipeline, side, Outcome.NOT_RUN, reason)
    moved = differences(record, reference)
    worst = max(moved, key=lambda path: moved[path])
    if moved[worst] == 0.0:
        message = "mixed precision changes nothing here: every path gives the fp64 numbers to the last digit"
    else:
        message = f"largest relative difference from fp64 {moved[worst]:.1e}, in {worst}"
    numbers = {**moved, "tolerance": evidence.tolerance}
    return _verdict("mixed_precision", evidence, side, moved[worst] <= evidence.tolerance, message, numbers)


def solver(evidence: Evidence, side: Side, record: Record) -> Verdict:
    """The solves really made are optimal by the KKT conditions, checked by us, whatever solver made them.

    Exists for a solver that says it converged and did not, be it by float32, an early stop or a wrong sign.
    """
    furthest_lane = worst_of(record.nnls)
    worst, tolerance = furthest_lane.kkt_residual, residual_asked_of(record)
    audited = max(map(relative, record.evaluations.audit.values, record.evaluations.vmap_lanes.values))
    iterations = [float(lane.iterations) for lane in record.nnls if lane.iterations is not None]
    numbers = {
        "size": float(record.nnls[0].size),
        **({"iterations": max(iterations)} if iterations else {}),
        "kkt_residual": worst,
        "tolerance": tolerance,
    }
    complaints = list(what_is_said(record))
    if not worst <= tolerance:
        complaints.append(f"KKT residual {worst:.1e} > {tolerance:.0e}: {not_optimal(furthest_lane)}")
    if audited > AUDIT_AGREES:
        complaints.append(f"the audited program's evidence is {audited:.1e} away from the timed one's")
    message = "; ".join(complaints) or how_it_went(record, worst, tolerance, _asked_for(evidence, side))
    return _verdict("solver", evidence, side, not complaints, message, numbers)


def _who_solved(evidence: Evidence, record: Record) -> Iterator[str]:
    """What is wrong about who solved: with another side's solver a run proves nothing of the vendored one."""
    if not evidence.change.vendor:
        return
    side, used = record.cell.side, record.solver.name
    asked = _asked_for(evidence, side)
    if side == "candidate" and used != VENDORED and asked in (None, VENDORED_VALUE):
        yield f"{side}: it was solved by {used}, not by {VENDORED}"
    if side == "baseline" and used == VENDORED and asked != VENDORED_VALUE:
        yield f"{side}: it was solved by {VENDORED}, which is the candidate's solver"
    # Another configuration can hide the one that was vendored.
    algorithm = record.solver.options.get("algorithm")
    if side == "candidate" and evidence.algorithm not in (None, algorithm):
        yield f"{side}: it was solved by {algorithm}, not by {evidence.algorithm} as asked for"


def _asked_for(evidence: Evidence, side: Side) -> str | None:
    """The solver that a side's settings name, where they name one."""
    return evidence.settings.get(side, {}).get(SOLVER_SETTING)


def comparable(evidence: Evidence, baseline: Record, candidate: Record) -> Verdict:
    """Both sides are alike but for the change, and each is what it claims to be.

    Exists for a ratio that something else than the change made, as another JAX or machine.
    """
    change, moved = evidence.change, evidence.moved
    meant = evidence.expected is not None
    complaints = differences_beside_the_change(baseline, candidate, change, moved, meant)
    for record in (baseline, candidate):
        complaints += [*_who_solved(evidence, record), *faults_within(record, change, evidence.own_data)]
    message = listed(complaints) or (
        f"software, data, lanes, settings and machine are alike but for the change; solved by "
        f"{baseline.solver.said} and by {candidate.solver.said}"
    )
    numbers = {"differences": float(len(complaints))}
    return _verdict("comparable", evidence, None, not complaints, message, numbers)


def candidate_vs_baseline(evidence: Evidence, baseline: Record, candidate: Record) -> Verdict:
    """Path by path, the candidate gives the baseline's evidence, from the same linear systems.

    Exists for another linear system handed to the solver, whose right answer hides in the evidence.
    """
    apart = differences(candidate, baseline)
    alike, message = agree(candidate, baseline, evidence.tolerance)
    if evidence.expected is not None:
        message = f"this change means to move the evidence ({evidence.expected.because}): {message}"
        return Verdict("candidate_vs_baseline", evidence.pipeline, None, Outcome.NOT_RUN, message, apart)
    system = systems_apart(candidate, baseline)
    numbers = {**apart, "linear system": system, "tolerance": evidence.tolerance}
    # A faint source hides an error of per cents in the system from the evidence.
    if not system <= SAME_SYSTEM:
        message = f"the solver is handed another system: norms differ by {system:.1e} > {SAME_SYSTEM:.0e}"
    ok = alike and system <= SAME_SYSTEM
    return _verdict("candidate_vs_baseline", evidence, None, ok, message, numbers)


SIDE_GATES: dict[str, SideGate] = {
    "finished": finished,
    "precision": precision,
    "finite": finite,
    "constant": constant,
    "jit_vs_eager": jit_vs_eager,
    "vmap_vs_jit": vmap_vs_jit,
    "lanes_agree": lanes_agree,
    "batches": batches,
    "parity": parity,
    "mixed_precision": mixed_precision,
    "solver": solver,
}
PAIR_GATES: dict[str, PairGate] = {
    "comparable": comparable,
    "candidate_vs_baseline": candidate_vs_baseline,
}


def _apply_side(gate: str, side: Side, evidence: Evidence) -> Verdict:
    record = evidence.records.get(side)
    if record is not None:
        return SIDE_GATES[gate](evidence, side, record)
    reason = evidence.missing[side]
    outcome = Outcome.FAIL if gate == "finished" and reason else Outcome.NOT_RUN
    return Verdict(gate, evidence.pipeline, side, outcome, f"no record: {reason or NOT_ATTEMPTED}")


def _apply_pair(gate: str, function: PairGate, evidence: Evidence) -> Verdict:
    if evidence.missing:
        side, reason = next(iter(evidence.missing.items()))
        message = f"no {side} record: {reason or NOT_ATTEMPTED}"
        return Verdict(gate, evidence.pipeline, None, Outcome.NOT_RUN, message)
    return function(evidence, evidence.records["baseline"], evidence.records["candidate"])


def _agreement(
    gate: str,
    evidence: Evidence,
    side: Side,
    values: tuple[float, ...],
    references: tuple[float, ...],
    tolerance: float,
) -> Verdict:
    differences = [relative(value, reference) for value, reference in zip(values, references, strict=True)]
    worst = max(range(len(values)), key=differences.__getitem__)
    numbers = {
        "value": values[worst],
        "reference": references[worst],
        "difference": differences[worst],
        "tolerance": tolerance,
    }
    message = (
        f"{values[worst]:.9f} against {references[worst]:.9f}: relative difference {differences[worst]:.1e} "
        f"(tolerance {tolerance:.0e})"
    )
    return _verdict(gate, evidence, side, differences[worst] <= tolerance, message, numbers)


def _verdict(
    gate: str,
    evidence: Evidence,
    side: Side | None,
    ok: bool,
    message: str,
    numbers: Mapping[str, float] | None = None,
) -> Verdict:
    outcome = Outcome.PASS if ok else Outcome.FAIL
    return Verdict(gate, evidence.pipeline, side, outcome, message, numbers or {})


def _blame(verdict: Verdict, all_verdicts: list[Verdict]) -> Blame:
    if verdict.outcome is not Outcome.FAIL or verdict.side == "baseline":
        return Blame.NONE
    shared = any(
        other.gate == verdict.gate and other.side == "baseline" and other.outcome is Outcome.FAIL
        for other in all_verdicts
    )
    return Blame.BASELINE_TOO if shared else Blame.REGRESSED
