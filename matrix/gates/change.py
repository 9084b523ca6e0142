"""The gates of the change as a whole: from records of checks and verdicts on pipelines to verdicts."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from matrix.catalogue.checks import ON_DEMAND, TARGET_KAPPA, checks_of, is_of_vendoring
from matrix.catalogue.pipelines import pipeline_named
from matrix.gates.distances import relative
from matrix.gates.scripts import scripts_apart
from matrix.gates.solves import KKT_CERTIFIED
from matrix.gates.verdict import CHANGE, Blame, Outcome, Verdict, listed
from matrix.records.cell import REPLACED, SIDES, Record, Side
from matrix.records.check import CheckRecord, Item
from matrix.records.pair import BATCH, PairRecord
from matrix.run.plan import Plan, Target

EPSILON = 2.0**-52
# Two right answers differ by about the condition number times the rounding of the system.
ANSWER_FLOOR = 1e-9
ANSWER_ROUNDINGS = 64.0
# The relaxation adds about kappa to the curvature of every unknown: the smallest eigenvalues feel it first.
GRADIENT_FLOOR = 1e-9
GRADIENT_RELAXATIONS = 16.0
# Beyond this the reference itself says nothing, and only optimality and finiteness are asked.
COMPARABLE = 1e-3
SAME_SOLUTION = 1e-6

VENDORS_NOTHING = "this change vendors nothing"

OURS = "test_autoarray.inversion.inversion.nnls"

# What the check of independence solves by hand, and how far the relaxed gradient of that system may be off.
SOLVED_WITHOUT = (
    "a solve",
    *(f"the call site, {way}" for way in ("run", "compiled", "in a batch", "differentiated")),
)
RELAXED_BY_HAND = 1e-6


@dataclass(frozen=True)
class TimedElsewhere:
    """A run of another machine, of the same software: its records and pairs, and what is red there."""

    run: str
    records: Mapping[str, Record]
    faults: Sequence[str]
    pairs: Mapping[str, PairRecord] = field(default_factory=dict)


@dataclass(frozen=True)
class ChangeEvidence:
    """What the gates of the change look at.

    Attributes
    ----------
    records
        Finished cells' records by cell name.
    verdicts
        On the pipelines.
    pairs
        Both sides timed in turn, by the pipeline's name.
    checks, failures
        Records of checks, and reasons of checks without one, by the check's name on its side.
    elsewhere
        The run of another machine that the times are taken from; None where they are this one's own.
    """

    plan: Plan
    checks: Mapping[str, CheckRecord]
    failures: Mapping[str, str]
    records: Mapping[str, Record] = field(default_factory=dict)
    verdicts: Sequence[Verdict] = ()
    pairs: Mapping[str, PairRecord] = field(default_factory=dict)
    elsewhere: TimedElsewhere | None = None

    def items(self, check: str, side: Side) -> dict[str, Item] | None:
        """The items of a check by name; None where there is no record."""
        record = self.checks.get(f"{check}-{side}")
        return None if record is None else {item.name: item for item in record.items}


Gate = Callable[[ChangeEvidence], Verdict]


def judge_change(evidence: ChangeEvidence) -> list[Verdict]:
    """Judge every gate of the change."""
    return [judge_change_gate(gate, evidence) for gate in CHANGE_GATES]


def judge_change_gate(gate: str, evidence: ChangeEvidence) -> Verdict:
    """One gate's verdict; `gate` is a key of `CHANGE_GATES`."""
    vendors = evidence.plan.change.vendor
    if is_of_vendoring(gate) and not vendors:
        return _verdict(gate, Outcome.NOT_RUN, VENDORS_NOTHING)
    for name, check in checks_of(vendors).items():
        for side in check.sides if check.gate == gate else ():
            if f"{name}-{side}" not in evidence.checks:
                return _without_record(gate, name, side, evidence)
    return CHANGE_GATES[gate][1](evidence)


def change_gate_name(gate: str) -> str:
    """As reports call it, for example ``gate 3: NNLS assertions``."""
    return f"gate {gate}: {CHANGE_GATES[gate][0]}" if gate.isdigit() else CHANGE_GATES[gate][0]


def _without_record(gate: str, check: str, side: Side, evidence: ChangeEvidence) -> Verdict:
    reason = evidence.failures.get(f"{check}-{side}")
    if reason is not None:
        return _verdict(gate, Outcome.FAIL, f"{check} on the {side}: {reason}")
    wanted = (
        "it takes as long as the matrix: --with-scripts" if check in ON_DEMAND else "it was not asked for"
    )
    return _verdict(gate, Outcome.NOT_RUN, f"no record of {check} on the {side}: {wanted}")


def constants(evidence: ChangeEvidence) -> Verdict:
    """Gate 1: the candidate reproduces every recorded evidence in this run's precision.

    Exists for a change that moves one of the six published evidences.
    """
    plan = evidence.plan
    tolerance = plan.tolerances.evidence
    found = {
        verdict.pipeline: verdict
        for verdict in evidence.verdicts
        if verdict.gate == "constant" and verdict.side == "candidate"
    }
    numbers = {"tolerance": tolerance}
    for name, verdict in found.items():
        drifts = [value for key, value in verdict.numbers.items() if key.startswith("drift_")]
        if drifts:
            numbers[name] = max(drifts)
    failed = [name for name, verdict in found.items() if verdict.outcome is Outcome.FAIL]
    published = [name for name in plan.pipelines if pipeline_named(name).is_on_its_own_instrument]
    missing = [name for name in published if name not in found or found[name].outcome is Outcome.NOT_RUN]
    if failed:
        return _verdict("1", Outcome.FAIL, f"not reproduced: {listed(failed)}", numbers)
    if missing:
        held = len(published) - len(missing)
        message = f"{held} of {len(published)} held against a constant. Not held: {', '.join(missing)}"
        return _verdict("1", Outcome.NOT_RUN, message, numbers)
    worst = max((name for name in numbers if name != "tolerance"), key=numbers.__getitem__)
    other = "mp is judged by matrix-mp" if plan.precision == "fp64" else "fp64 is judged by matrix-fp64"
    message = (
        f"{plan.precision}: {len(published)} of {len(published)} reproduced, largest drift "
        f"{numbers[worst]:.1e} in {worst} (tolerance {tolerance:.0e}); {other}"
    )
    return _verdict("1", Outcome.PASS, message, numbers)


def vmap_targets(evidence: ChangeEvidence) -> Verdict:
    """Gate 2: time per call of the batched likelihood, on a device that has targets, at production scale.

    Exists for a change that is right and too slow to be of use.
    """
    plan, elsewhere = evidence.plan, evidence.elsewhere
    records = evidence.records if elsewhere is None else elsewhere.records
    wanted = dict.fromkeys(pipeline for targets in plan.targets.values() for pipeline in targets)
    timed = evidence.pairs if elsewhere is None else elsewhere.pairs
    pairs = {name: found for name in wanted if (found := _pair(records, plan, name)) is not None}
    devices = {record.provenance.device_kind for pair in pairs.values() for record in pair}
    known = {device: name for device in devices if (name := _class_of(device, plan)) is not None}
    targets = {name: target for each in known.values() for name, target in plan.targets[each].items()}
    numbers: dict[str, float] = {}
    said = []
    for name, (baseline, candidate) in pairs.items():
        before, after = (record.timings.vmap_lane_s * 1e3 for record in (baseline, candidate))
        numbers |= {f"{name} {what} ms": ms for what, ms in _limits(targets.get(name)).items()}
        numbers |= {f"{name} baseline ms": before, f"{name} candidate ms": after}
        limits = ", ".join(f"{what} {ms:.0f}" for what, ms in _limits(targets.get(name)).items())
        ratio = timed[name].finding(BATCH) if name in timed else "not timed in turn"
        said.append(
            f"{name} {after:.1f} ms{f' ({limits})' if limits else ''}, baseline {before:.1f} ms, {ratio}, "
            f"on {candidate.provenance.device_kind}"
        )
    where = [] if elsewhere is None else [f"timed by run {elsewhere.run}"]
    measured = "; ".join(said + where)

    def ruled(outcome: Outcome, words: str) -> Verdict:
        return _verdict("2", outcome, f"{words}{'. ' if words and measured else ''}{measured}", numbers)

    if elsewhere is not None and elsewhere.faults:
        return ruled(Outcome.FAIL, f"where it was timed, {listed(elsewhere.faults)}")
    apart = [name for name, pair in pairs.items() if len(set(map(_machine, pair))) > 1]
    if apart:
        return ruled(Outcome.NOT_RUN, f"the two sides were timed on different machines: {listed(apart)}")
    missing = [name for name in (targets or wanted) if name not in pairs]
    if missing or not pairs:
        return ruled(
            Outcome.NOT_RUN, f"no records of {' and '.join(missing)}" if missing else "no target is set"
        )
    if plan.scale != "production":
        return ruled(Outcome.NOT_RUN, f"{plan.scale} scale")
    if len(known) != len(devices):
        unknown = ", ".join(sorted(devices - known.keys()))
        return ruled(Outcome.NOT_RUN, f"no target for {unknown} in the manifest")
    slow = [name for name in targets if numbers[f"{name} candidate ms"] > targets[name].limit]
    if slow:
        return ruled(Outcome.FAIL, f"slower than its target: {listed(slow)}")
    return ruled(Outcome.PASS, "")


def _pair(records: Mapping[str, Record], plan: Plan, pipeline: str) -> tuple[Record, Record] | None:
    """Both sides of a pipeline, if both are there."""
    baseline, candidate = (records.get(f"{pipeline}-{plan.precision}-{side}") for side in SIDES)
    return None if baseline is None or candidate is None else (baseline, candidate)


def _class_of(device: str, plan: Plan) -> str | None:
    """Which of the classes with targets a device belongs to: one that is a word of its name."""
    return next((name for name in plan.targets if re.search(rf"\b{re.escape(name)}\b", device)), None)


def _limits(target: Target | None) -> dict[str, float]:
    if target is None:
        return {}
    return {"target": target.limit, **({} if target.headline is None else {"headline": target.headline})}


def _machine(record: Record) -> tuple[str, str, int]:
    facts = record.provenance
    return facts.device_kind, facts.cpu, facts.cores


def assertions(evidence: ChangeEvidence) -> Verdict:
    """Gate 3: the assertion matrix, and the test workspace's own script as it stands.

    Exists for a wrong answer or gradient where no likelihood leads.
    """
    items = evidence.items("assertions", "candidate") or {}
    wrong = {name: fault for name, item in items.items() if (fault := assertion_fault(item))}
    script = scripts_apart(
        evidence.items("assertion-script", "baseline") or {},
        evidence.items("assertion-script", "candidate") or {},
    )
    compared = sum(answer_bound(item) <= COMPARABLE for item in items.values())
    numbers = {
        "systems": float(len(items)),
        "compared": float(compared),
        "wrong": float(len(wrong)),
        "worst KKT residual": max(
            (item.numbers["kkt_residual"] for item in items.values()), default=math.nan
        ),
    }
    faults = [f"{name}: {fault}" for name, fault in wrong.items()] + script.regressions
    if faults or not items:
        return _verdict("3", Outcome.FAIL, listed(faults) if faults else "the matrix is empty", numbers)
    if script.nothing_ran:
        return _verdict(
            "3", Outcome.NOT_RUN, f"the workspace's script did not run: {script.summary}", numbers
        )
    message = (
        f"{len(items)} systems: {compared} match the known optimum, all are optimal with finite gradients, "
        f"alone and in a batch; the workspace's script: {script.summary}"
    )
    return _verdict("3", Outcome.PASS, message, numbers)


def answer_bound(item: Item) -> float:
    """How far an answer to this system may be from the known one."""
    return max(ANSWER_FLOOR, ANSWER_ROUNDINGS * EPSILON * item.numbers["scaled_condition"])


def gradient_bound(item: Item) -> float:
    """How far a gradient of this system may be from the known one."""
    return max(GRADIENT_FLOOR, GRADIENT_RELAXATIONS * TARGET_KAPPA * item.numbers["scaled_condition"])


def assertion_fault(item: Item) -> str:
    """What is wrong with one system of the assertion matrix; empty if nothing is."""
    n = item.numbers
    if not n["finite"]:
        return "an answer or gradient is not finite"
    if not n["converged"]:
        return "the solver says it did not converge"
    if not n["kkt_residual"] <= KKT_CERTIFIED:
        return f"KKT residual {n['kkt_residual']:.1e} > {KKT_CERTIFIED:.0e}"
    bounds = {"answer_error": answer_bound(item), "lane_apart": answer_bound(item)}
    if n["strictly_complementary"]:
        names = ("q_gradient_error", "Q_gradient_error", "q_gradient_lane_apart", "Q_gradient_lane_apart")
        bounds |= dict.fromkeys(names, gradient_bound(item))
    for name, bound in bounds.items():
        if bound <= COMPARABLE and not n[name] <= bound:
            return f"{name.replace('_', ' ')} {n[name]:.1e} > {bound:.1e}"
    return ""


def library_tests(evidence: ChangeEvidence) -> Verdict:
    """Gate 4: no library test fails on the candidate but not at baseline; a vendored solver's own pass.

    Exists for a call site that breaks what the library promises elsewhere.
    """
    before = evidence.items("library-tests", "baseline") or {}
    after = evidence.items("library-tests", "candidate") or {}
    ours = [name for name, item in after.items() if name.startswith(OURS) and item.outcome == "passed"]
    new = [name for name in after if after[name].outcome == "failed" and not _failed(before.get(name))]
    needing = [name for name, item in after.items() if _skips_without_jaxnnls(item)]
    gone = [
        name
        for name, item in before.items()
        if item.outcome == "passed" and _absent(after.get(name)) and name not in needing
    ]
    # Ours are of a library that needs it no more, but for those that compare with it.
    gone += [name for name in needing if name.startswith(OURS) and REPLACED not in name]
    shared = [name for name in after if after[name].outcome == "failed" and _failed(before.get(name))]
    passed = sum(item.outcome == "passed" for item in after.values())
    numbers = {
        "baseline tests": float(len(before)),
        "candidate tests": float(len(after)),
        "passed": float(passed),
        "new failures": float(len(new)),
        "no longer run": float(len(gone)),
        "skipped without jaxnnls": float(len(needing)),
        "failures shared with the baseline": float(len(shared)),
    }
    if new or gone:
        words = [f"new failures: {listed(_with_reason(after, new))}"] if new else []
        words += [f"should pass and do not run any more: {listed(gone)}"] if gone else []
        return _verdict("4", Outcome.FAIL, "; ".join(words), numbers, Blame.REGRESSED)
    vendors = evidence.plan.change.vendor
    if vendors and not ours:
        return _verdict("4", Outcome.FAIL, "none of the vendored solver's own tests passed", numbers)
    if not before:
        own = f"; the solver's own {len(ours)} pass" if vendors else ""
        message = f"the checkout has no tests (a release from the package index){own}"
        return _verdict("4", Outcome.NOT_RUN, message, numbers)
    both = f"; {len(shared)} fail at baseline too: {listed(shared)}" if shared else ""
    skipped = f"; {len(needing)} need {REPLACED} and skip without it" if needing else ""
    message = f"{passed} of {len(after)} pass, {len(before)} ran at baseline, no new failure{skipped}{both}"
    return _verdict("4", Outcome.PASS, message, numbers)


def independence(evidence: ChangeEvidence) -> Verdict:
    """Gate 5: without jaxnnls the library runs, compiles and differentiates, under the setting it has.

    Exists for a library that falls back to jaxnnls in silence.
    """
    record = evidence.checks["independence-candidate"]
    residual = [item for item in record.items if item.name.startswith("residual: ")]
    complaints = [
        f"{item.name}: {item.message}"
        for item in record.items
        if item.outcome == "failed" and item not in residual
    ]
    errors = {item.name: item.numbers["error"] for item in record.items if "error" in item.numbers}
    complaints += [
        f"{name}: {error:.1e} away from the answer by hand"
        for name, error in errors.items()
        if not error <= (RELAXED_BY_HAND if "differentiated" in name else KKT_CERTIFIED)
    ]
    complaints += [f"{name}: not done" for name in SOLVED_WITHOUT if not _tried(record, name)]
    numbers = {
        "residual declarations": float(len(residual)),
        "error of a solve": max(errors.values(), default=math.nan),
    }
    if complaints:
        return _verdict("5", Outcome.FAIL, listed(complaints), numbers)
    message = (
        "without jaxnnls the library runs, compiles and differentiates, asks for it nowhere on the way and "
        "does not declare it"
    )
    if residual:
        # The checkout under test cannot mend another package: named, with the edit that does.
        named = listed([f"{item.name.removeprefix('residual: ')} ({item.message})" for item in residual])
        edits = "; ".join(
            f"{name}: {text}" for name, text in record.facts.items() if name.startswith("companion")
        )
        message += f". STILL OPEN: installing the stack brings it back, declared by {named}; {edits}"
    return _verdict("5", Outcome.PASS, message, numbers)


def gradients(evidence: ChangeEvidence) -> Verdict:
    """Gate 6: gradients are finite, and not trivially so, on the ill-conditioned case.

    Exists for a gradient of nan, or of zero, where a system is nearly singular.
    """
    items = evidence.items("gradients", "candidate") or {}
    faults = []
    for name, item in items.items():
        n = item.numbers
        if n["not_finite"]:
            faults.append(f"{name}: {n['not_finite']:.0f} entries are not finite")
        elif n["largest_q_gradient"] == 0.0 or n["largest_Q_gradient"] == 0.0:
            faults.append(f"{name}: the gradient is zero")
        elif (
            not max(relative(n[value], n["exact_value"]) for value in ("value", "lane_value"))
            <= SAME_SOLUTION
        ):
            faults.append(
                f"{name}: the value {n['value']:.9f} is not the NumPy path's {n['exact_value']:.9f}"
            )
    numbers = {f"{name}, largest": item.numbers["largest_q_gradient"] for name, item in items.items()}
    if evidence.plan.change.vendor and "solve_nnls_primal" not in items:
        faults.append("the vendored solver was not differentiated")
    if faults or not items:
        return _verdict(
            "6", Outcome.FAIL, listed(faults) if faults else "nothing was differentiated", numbers
        )
    condition = max(item.numbers["condition"] for item in items.values())
    message = f"finite for q and Q, alone and in a batch, at condition {condition:.0e}: {', '.join(items)}"
    return _verdict("6", Outcome.PASS, message, numbers)


def done(evidence: ChangeEvidence) -> Verdict:
    """Definition of done: no JAX script of the workspaces regresses against the baseline.

    Exists for a user's script that breaks, or prints another number.
    """
    scripts = scripts_apart(
        evidence.items("scripts", "baseline") or {}, evidence.items("scripts", "candidate") or {}
    )
    numbers = scripts.numbers
    if scripts.regressions:
        return _verdict("done", Outcome.FAIL, listed(scripts.regressions), numbers, Blame.REGRESSED)
    outcome = Outcome.NOT_RUN if scripts.nothing_ran else Outcome.PASS
    return _verdict("done", outcome, scripts.summary, numbers)


def _tried(record: CheckRecord, name: str) -> bool:
    return any(item.name == name and item.outcome in ("measured", "failed") for item in record.items)


def _failed(item: Item | None) -> bool:
    return item is not None and item.outcome == "failed"


def _skips_without_jaxnnls(item: Item) -> bool:
    return item.outcome == "skipped" and re.search(rf"\b{REPLACED}\b", item.message) is not None


def _absent(item: Item | None) -> bool:
    return item is None or item.outcome == "skipped"


def _with_reason(items: Mapping[str, Item], names: Sequence[str]) -> list[str]:
    return [f"{name} ({items[name].message})" for name in names]


def _verdict(
    gate: str,
    outcome: Outcome,
    message: str,
    numbers: Mapping[str, float] | None = None,
    blame: Blame = Blame.NONE,
) -> Verdict:
    return Verdict(change_gate_name(gate), CHANGE, None, outcome, message, numbers or {}, blame)


CHANGE_GATES: dict[str, tuple[str, Gate]] = {
    "1": ("evidence constants", constants),
    "2": ("vmap time targets", vmap_targets),
    "3": ("NNLS assertions", assertions),
    "4": ("library tests", library_tests),
    "5": ("independence of jaxnnls", independence),
    "6": ("finite gradients", gradients),
    "done": ("definition of done: likelihood scripts", done),
}
