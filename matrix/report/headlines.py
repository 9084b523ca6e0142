"""The run in a few lines: what was validated, on what, what moved, how much faster, and what is open."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.gates import CHANGE, TIME, Outcome, Verdict
from matrix.records.cell import SIDES, Record, Side
from matrix.records.pair import BATCH
from matrix.records.ratio import Ratio
from matrix.report.pairs import Pairs
from matrix.report.rows import OPEN, concerned, tried
from matrix.run.plan import Plan

_NO_RECORD = re.compile(r"^no record of [^:]+: ")
NOTHING_MOVED_IN = "no log evidence to compare with"
# Figures of these gates that are no differences.
_NO_DIFFERENCES = ("linear system", "tolerance")


@dataclass(frozen=True)
class OpenGate:
    """A gate that neither passed nor failed, for the same reason on one or several pipelines."""

    gate: str
    pipelines: tuple[str, ...]
    outcome: Outcome
    message: str

    @property
    def reason(self) -> str:
        """Why, in one sentence: the first of the message, without what it is no record of."""
        return _NO_RECORD.sub("", self.message.partition(". ")[0].rstrip("."))

    def __str__(self) -> str:
        of_pipelines = self.pipelines != (CHANGE,)
        return self.gate + (f" on {named_or_counted(self.pipelines)}" if of_pipelines else "")


def headlines(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs
) -> dict[str, str]:
    """The lines by their names; the last ones are missing where every gate passed or failed."""
    return {
        "Validated": validated(plan, records),
        "On": f"release {plan.release}, {plan.heading}{_machines(records)}",
        "Moved": moved(verdicts),
        "Speed": speed(verdicts, pairs),
        **left_open(plan, records, verdicts),
    }


def left_open(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> dict[str, str]:
    """What was inconclusive and what did not run, and why; nothing of either where there is none."""
    found = _open_by_outcome(plan, records, verdicts)
    return {outcome: reasons_of(gates) for outcome, gates in found.items()}


def named_open(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> dict[str, str]:
    """As `left_open`, without the reasons."""
    found = _open_by_outcome(plan, records, verdicts)
    return {outcome: ", ".join(dict.fromkeys(map(str, gates))) for outcome, gates in found.items()}


def _open_by_outcome(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]
) -> dict[str, list[OpenGate]]:
    gates = open_gates(plan, records, verdicts)
    of_outcome = {outcome: [gate for gate in gates if gate.outcome is outcome] for outcome in OPEN}
    return {outcome.value.capitalize(): found for outcome, found in of_outcome.items() if found}


def reasons_of(gates: Sequence[OpenGate]) -> str:
    """Open gates by their reasons."""
    by_reason: dict[str, list[str]] = {}
    for gate in gates:
        by_reason.setdefault(gate.reason, []).append(str(gate))
    return "; ".join(f"{', '.join(names)} ({reason})" for reason, names in by_reason.items())


def validated(plan: Plan, records: Mapping[str, Record]) -> str:
    """The candidate, and on how many pipelines both sides left a record."""
    shown = concerned(plan, records).pipelines
    both = sum(all(plan.cell(name, side).name in records for side in SIDES) for name in shown)
    return f"{_change(plan)}, both sides of {both} of {len(shown)} pipelines"


def _change(plan: Plan) -> str:
    if not plan.change.vendor:
        return plan.difference.rstrip(".")
    library = next((checkout for checkout in plan.checkouts if checkout.role == "library"), None)
    within = f" in {library.name} {library.commit[:12]}" if library else ""
    return f"solver {plan.solver_tree[:12]}{within}"


def moved(verdicts: Sequence[Verdict]) -> str:
    """How far the candidate's log evidences are at most from the baseline's, and from their constants."""
    found = {
        "the baseline's": _furthest(verdicts, "candidate_vs_baseline", None),
        "what is recorded or expected": _furthest(verdicts, "constant", "candidate"),
    }
    said = [f"by {most} from {what}{where}" for what, (most, where) in found.items() if most]
    return f"log evidence {'; '.join(said)}" if said else NOTHING_MOVED_IN


def _furthest(verdicts: Sequence[Verdict], gate: str, side: Side | None) -> tuple[str, str]:
    """The largest difference that a gate found, and on which pipeline it did; empty where it found none."""
    apart = [
        (value, verdict)
        for verdict in verdicts
        if (verdict.gate, verdict.side) == (gate, side)
        for name, value in verdict.numbers.items()
        if name.startswith("drift_") or (gate != "constant" and name not in _NO_DIFFERENCES)
    ]
    if not apart:
        return "", ""
    largest, verdict = max(apart, key=lambda difference: difference[0])
    tolerance = verdict.numbers.get("tolerance")
    within = "BEYOND" if tolerance is not None and not largest <= tolerance else "within"
    held = "" if tolerance is None else f", {within} the tolerance of {tolerance:.0e}"
    return f"{largest:.1e} at most", f" on {verdict.pipeline}{held}"


def speed(verdicts: Sequence[Verdict], pairs: Pairs) -> str:
    """The slowest and the fastest ratio in a batch with their intervals, or why there is none."""
    if not pairs:
        reasons = dict.fromkeys(verdict.message for verdict in verdicts if verdict.gate == TIME)
        return f"not measured: {next(iter(reasons), 'the sides were not timed in turn')}"
    ratios = {
        pipeline: found.ratio
        for pipeline, pair in pairs.items()
        if (found := pair.finding(BATCH)).ratio is not None and not found.reason
    }
    left = len(pairs) - len(ratios)
    parts = [_range(ratios)] if ratios else []
    return "; ".join([*parts, *([f"inconclusive on {left} of {len(pairs)} pipelines"] if left else [])])


def _range(ratios: Mapping[str, Ratio]) -> str:
    ordered = sorted(ratios, key=lambda pipeline: ratios[pipeline].value)
    ends = [f"{ratios[name]} on {name}" for name in dict.fromkeys((ordered[0], ordered[-1]))]
    return f"{' to '.join(ends)}, in a batch, above 1 the candidate is faster"


def open_gates(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> list[OpenGate]:
    """The gates that did not run or could not tell, equal ones of several pipelines as one."""
    groups: dict[tuple[str, Outcome, str], list[str]] = {}
    for verdict in tried(plan, records, verdicts):
        if verdict.outcome in OPEN:
            group = groups.setdefault((verdict.gate, verdict.outcome, verdict.message), [])
            group.append(verdict.pipeline)
    return [
        OpenGate(gate, tuple(dict.fromkeys(pipelines)), outcome, message)
        for (gate, outcome, message), pipelines in groups.items()
    ]


def named_or_counted(pipelines: Sequence[str]) -> str:
    """One or two pipelines by name, more by their number."""
    return " and ".join(pipelines) if len(pipelines) <= 2 else f"{len(pipelines)} pipelines"


def _machines(records: Mapping[str, Record]) -> str:
    facts = [record.provenance for record in records.values()]
    found = dict.fromkeys(f"{each.cpu}, {len(each.affinity)} of {each.cores} cores" for each in facts)
    return f"; {' and '.join(found)}" if found else ""
