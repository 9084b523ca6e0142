"""The final table's rows, shared by the terminal and the summary: text, nothing computed but ratios."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from matrix.gates import Blame, Outcome, Verdict
from matrix.prepare.manifest import SourceKind
from matrix.records.cell import Record
from matrix.records.pair import BATCH
from matrix.report.pairs import Pairs, ratio_words, seconds_of
from matrix.run.kept import kept_check, kept_pair
from matrix.run.plan import Plan

MISSING = "–"
# Neither good news nor bad.
OPEN = (Outcome.INCONCLUSIVE, Outcome.NOT_RUN)
NO_PAIRS: Pairs = MappingProxyType({})
# More open gates than this are counted, not named.
NAMED = 3
HEADINGS = (
    "pipeline",
    "log evidence",
    "drift",
    "baseline ms",
    "candidate ms",
    "ratio",
    "verdict",
)
CAPTION = (
    "ms: median per lane of the batched likelihood (vmap 3, different lanes), whole likelihood; ratio: above "
    "1 the candidate is faster, with its 95 % interval, from both sides in turn"
)


@dataclass(frozen=True)
class Row:
    """One pipeline's line: cells of text, and whether it is good news."""

    cells: tuple[str, ...]
    outcome: Outcome


def table_rows(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs = NO_PAIRS
) -> list[Row]:
    """One row per pipeline that was asked for or left something; `pairs` are by the pipeline's name."""
    return [_row(plan, pipeline, records, verdicts, pairs) for pipeline in concerned(plan, records).pipelines]


def concerned(plan: Plan, records: Mapping[str, Record]) -> Plan:
    """The plan without the pipelines that nobody asked for and that left nothing."""
    asked = {*plan.selected, *(record.cell.pipeline for record in records.values())}
    cells = tuple(cell for cell in plan.cells if cell.pipeline in asked)
    return plan.model_copy(update={"cells": cells})


def caption(plan: Plan, records: Mapping[str, Record]) -> str:
    """What the table's numbers are, and which pipelines are left out of it."""
    shown = concerned(plan, records).pipelines
    left_out = [pipeline for pipeline in plan.pipelines if pipeline not in shown]
    return CAPTION + (f"; not asked for: {', '.join(left_out)}" if left_out else "")


def tried(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts without those on pipelines that nobody ran."""
    left = {record.cell.pipeline for record in records.values()}
    return [
        verdict
        for verdict in verdicts
        if verdict.outcome is not Outcome.NOT_RUN
        or verdict.pipeline not in plan.pipelines
        or verdict.pipeline in left
    ]


def failures(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts that are failures."""
    return [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL]


class Ending(enum.Enum):
    """How a run ended: its word, and the exit code of who reports it."""

    PASS = "PASS", 0
    AS_FAR = "PASS as far as it ran", 0
    FAIL = "FAIL", 1
    UNFINISHED = "UNFINISHED", 3
    NOTHING = "NOT RUN", 3
    # What was asked for is there, and no gate can say anything of it.
    OPEN = "NOT RUN", 0

    def __init__(self, word: str, exit_code: int) -> None:
        self.word = word
        self.exit_code = exit_code


def ending(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> Ending:
    """How a run ended, by what it was asked for; what has no record is no pass of any kind."""
    outcomes = {verdict.outcome for verdict in verdicts}
    if Outcome.FAIL in outcomes:
        return Ending.FAIL
    if missing(plan, records):
        return Ending.UNFINISHED if Outcome.PASS in outcomes else Ending.NOTHING
    if Outcome.PASS not in outcomes:
        return Ending.OPEN if plan.selected or plan.selected_checks else Ending.NOTHING
    return Ending.AS_FAR if outcomes.intersection(OPEN) else Ending.PASS


def missing(plan: Plan, records: Mapping[str, Record]) -> list[str]:
    """The cells, pairs and checks that were asked for and have no record."""
    cells = [cell.name for cell in plan.cells if cell.pipeline in plan.selected and cell.name not in records]
    times = (pair for pair in plan.pairs if pair.pipeline in plan.selected)
    pairs = [f"times of {pair.name}" for pair in times if kept_pair(plan, pair) is None]
    asked = (check for check in plan.checks if check.check in plan.selected_checks)
    return cells + pairs + [check.name for check in asked if kept_check(plan, check) is None]


def word_of(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> str:
    """The word of how a run ended; a pass says so where the repositories were stand-ins."""
    word = ending(plan, records, verdicts).word
    return word.replace("PASS", "PASS on stand-ins") if plan.source == SourceKind.EMBEDDED else word


def overall(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> str:
    """The run in one line."""
    return f"{word_of(plan, records, verdicts)}: {counted(verdicts)}"


def counted(verdicts: Sequence[Verdict]) -> str:
    """How many gates ended in which way."""
    counts = {outcome: sum(verdict.outcome is outcome for verdict in verdicts) for outcome in Outcome}
    return ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)


def iterations_of(record: Record) -> list[str]:
    """The solver's iterations in each lane, as far as they are known."""
    return [MISSING if lane.iterations is None else str(lane.iterations) for lane in record.nnls]


def convergence_of(record: Record) -> str:
    """In how many lanes the solver says that it converged."""
    said = {lane.converged for lane in record.nnls}
    if said == {True}:
        return "all lanes"
    if False in said:
        return "NOT all lanes"
    if all(lane.certified is None for lane in record.nnls):
        return "not stated"
    certified = sum(bool(lane.certified) for lane in record.nnls)
    return f"{certified} of {len(record.nnls)} lanes certified, the others are the fallback's"


def _row(
    plan: Plan, pipeline: str, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs
) -> Row:
    candidate = records.get(plan.cell(pipeline, "candidate").name)
    mine = [verdict for verdict in verdicts if verdict.pipeline == pipeline]
    outcome, word = _verdict(mine)
    return Row(
        (
            pipeline,
            f"{candidate.evaluations.jit.values[0]:.6f}" if candidate else MISSING,
            _drift(mine),
            _milliseconds(seconds_of(pairs, pipeline, BATCH, "baseline")),
            _milliseconds(seconds_of(pairs, pipeline, BATCH, "candidate")),
            ratio_words(pairs, pipeline, BATCH),
            word,
        ),
        outcome,
    )


def _open(verdicts: Sequence[Verdict], outcome: Outcome) -> str:
    """The gates that ended so, if any did: a few by name, more by their number."""
    found = [verdict for verdict in verdicts if verdict.outcome is outcome]
    gates = list(dict.fromkeys(verdict.gate for verdict in found))
    names = ", ".join(gates) if len(gates) <= NAMED else f"{len(found)} gates"
    return f"{outcome}: {names}" if found else ""


def _drift(verdicts: Sequence[Verdict]) -> str:
    for verdict in verdicts:
        if verdict.gate == "constant" and verdict.side == "candidate" and "drift_jit" in verdict.numbers:
            return f"{verdict.numbers['drift_jit']:.1e}"
    return MISSING


def _milliseconds(seconds: float | None) -> str:
    return MISSING if seconds is None else f"{seconds * 1e3:.1f}"


def _verdict(verdicts: Sequence[Verdict]) -> tuple[Outcome, str]:
    failed = failures(verdicts)
    if failed:
        names = ", ".join(dict.fromkeys(f"{v.gate}{f' ({v.side})' if v.side else ''}" for v in failed))
        shared = all(v.blame is Blame.BASELINE_TOO or v.side == "baseline" for v in failed)
        return Outcome.FAIL, f"FAIL{' at baseline too' if shared else ''}: {names}"
    said = [words for outcome in OPEN if (words := _open(verdicts, outcome))]
    if said:
        passed = ["pass"] if any(verdict.outcome is Outcome.PASS for verdict in verdicts) else []
        worst = next(outcome for outcome in OPEN if _open(verdicts, outcome))
        return worst, "; ".join((*passed, *said)) if passed else str(worst)
    return Outcome.PASS, f"pass ({len(verdicts)} gates)"
