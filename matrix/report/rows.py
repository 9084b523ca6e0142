"""The final table's rows, shared by the terminal and the summary: text, nothing computed but ratios."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.gates import Blame, Outcome, Verdict
from matrix.plan import Plan
from matrix.record import Record

MISSING = "–"
HEADINGS = (
    "pipeline",
    "log evidence",
    "drift",
    "baseline ms",
    "candidate ms",
    "ratio",
    "verdict",
)
CAPTION = "ms: median per lane of the batched likelihood (vmap 3, different lanes), whole likelihood"


@dataclass(frozen=True)
class Row:
    """One pipeline's line: cells of text, and whether it is good news."""

    cells: tuple[str, ...]
    outcome: Outcome


def table_rows(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> list[Row]:
    """One row per pipeline of the plan."""
    return [_row(plan, pipeline, records, verdicts) for pipeline in plan.pipelines]


def failures(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that are failures."""
    return [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]


def overall(verdicts: Sequence[Verdict]) -> str:
    """The run in one line."""
    counts = {outcome: sum(verdict.outcome is outcome for verdict in verdicts) for outcome in Outcome}
    word = "FAIL" if counts[Outcome.FAIL] else "PASS"
    if not counts[Outcome.FAIL] and counts[Outcome.NOT_RUN]:
        word = "PASS as far as it ran"
    return word + ": " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)


def _row(plan: Plan, pipeline: str, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> Row:
    baseline = records.get(plan.cell(pipeline, "baseline").name)
    candidate = records.get(plan.cell(pipeline, "candidate").name)
    mine = [verdict for verdict in verdicts if verdict.pipeline == pipeline]
    outcome, word = _verdict(mine)
    return Row(
        (
            pipeline,
            f"{candidate.evaluations.jit.values[0]:.6f}" if candidate else MISSING,
            _drift(mine),
            _milliseconds(baseline),
            _milliseconds(candidate),
            _ratio(baseline, candidate),
            word,
        ),
        outcome,
    )


def _drift(verdicts: Sequence[Verdict]) -> str:
    for verdict in verdicts:
        if verdict.gate == "constant" and verdict.side == "candidate" and "drift_jit" in verdict.numbers:
            return f"{verdict.numbers['drift_jit']:.1e}"
    return MISSING


def _milliseconds(record: Record | None) -> str:
    return f"{record.timings.vmap_lane_s * 1e3:.1f}" if record else MISSING


def _ratio(baseline: Record | None, candidate: Record | None) -> str:
    if baseline is None or candidate is None:
        return MISSING
    return f"{baseline.timings.vmap_lane_s / candidate.timings.vmap_lane_s:.2f}×"


def _verdict(verdicts: Sequence[Verdict]) -> tuple[Outcome, str]:
    failed = failures(verdicts)
    if failed:
        names = ", ".join(dict.fromkeys(f"{v.gate}{f' ({v.side})' if v.side else ''}" for v in failed))
        shared = all(v.blame is Blame.BASELINE_TOO or v.side == "baseline" for v in failed)
        return Outcome.FAIL, f"FAIL{' at baseline too' if shared else ''}: {names}"
    open_gates = [verdict for verdict in verdicts if verdict.outcome is Outcome.NOT_RUN]
    if open_gates:
        names = ", ".join(dict.fromkeys(verdict.gate for verdict in open_gates))
        return Outcome.NOT_RUN, f"pass; not run: {names}" if len(open_gates) < len(verdicts) else "not run"
    return Outcome.PASS, f"pass ({len(verdicts)} gates)"
