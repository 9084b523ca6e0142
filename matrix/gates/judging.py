"""All the verdicts on a run as it lies on disk: of its cells, and of the change as a whole."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from matrix.gates import Blame, ChangeEvidence, TimedElsewhere, Verdict, judge, judge_change, time
from matrix.records.cell import Record
from matrix.records.pair import PairRecord
from matrix.run.kept import (
    float64_records,
    kept_check,
    kept_check_failure,
    kept_failure,
    kept_pair,
    kept_pair_failure,
    kept_record,
)
from matrix.run.plan import Plan, PlanError, read_plan


@dataclass(frozen=True)
class Run:
    """A run, finished or not: its plan, the records it has, and the verdicts on all of it.

    `records` are by the cell's name, `pairs` by the pipeline's.
    """

    plan: Plan
    records: Mapping[str, Record]
    verdicts: tuple[Verdict, ...]
    pairs: Mapping[str, PairRecord] = field(default_factory=dict)


def judge_run(plan: Plan) -> Run:
    """Read what the run kept and judge every gate."""
    records = {cell.name: record for cell in plan.cells if (record := kept_record(plan, cell)) is not None}
    failures = {cell.name: reason for cell in plan.cells if (reason := kept_failure(plan, cell)) is not None}
    pairs = _kept_pairs(plan)
    verdicts = judge(plan, records, failures, float64_records(plan))
    verdicts += [_time(plan, pipeline, pairs) for pipeline in plan.pipelines]
    verdicts += judge_change(_change_evidence(plan, records, verdicts, pairs))
    return Run(plan, records, tuple(verdicts), pairs)


def _kept_pairs(plan: Plan) -> dict[str, PairRecord]:
    timed = {pair.pipeline: kept_pair(plan, pair) for pair in plan.pairs}
    return {pipeline: record for pipeline, record in timed.items() if record is not None}


def _time(plan: Plan, pipeline: str, pairs: Mapping[str, PairRecord]) -> Verdict:
    pair = plan.pair(pipeline)
    return time(plan, pipeline, pairs.get(pipeline), kept_pair_failure(plan, pair) if pair else None)


def _change_evidence(
    plan: Plan,
    records: Mapping[str, Record],
    verdicts: Sequence[Verdict],
    pairs: Mapping[str, PairRecord],
) -> ChangeEvidence:
    """What the run kept of its checks, with the records and verdicts of its cells."""
    checks = {check.name: record for check in plan.checks if (record := kept_check(plan, check)) is not None}
    failures = {
        check.name: reason
        for check in plan.checks
        if check.name not in checks and (reason := kept_check_failure(plan, check)) is not None
    }
    return ChangeEvidence(plan, checks, failures, records, verdicts, pairs, timed_elsewhere(plan))


def timed_elsewhere(plan: Plan) -> TimedElsewhere | None:
    """The run of another machine whose times stand for this one's, if there is one."""
    try:
        there = read_plan(plan.timed_elsewhere)
    except PlanError:
        return None
    records = {cell.name: record for cell in there.cells if (record := kept_record(there, cell)) is not None}
    faults = [
        f"{verdict.pipeline} {verdict.gate}: {verdict.message}"
        for verdict in judge(there, records, {})
        if verdict.blame is Blame.REGRESSED
    ]
    return TimedElsewhere(there.run, records, faults, _kept_pairs(there))
