"""The gate of times: from the record of a pair to a verdict."""

from collections.abc import Mapping

from matrix.gates.verdict import Outcome, Verdict
from matrix.records.pair import BATCH, SINGLE, SLOWEST, PairRecord, is_slower
from matrix.records.ratio import Ratio
from matrix.run.plan import Plan

TIME = "time"
_SAID = {SINGLE: "alone", BATCH: "in a batch"}


def time(plan: Plan, pipeline: str, record: PairRecord | None, reason: str | None = None) -> Verdict:
    """The candidate takes at most `SLOWEST` times as long as the baseline, alone and in a batch.

    Parameters
    ----------
    plan, pipeline
        What was to be timed.
    record
        The pair's; None where there is none.
    reason
        Why there is none, if it was tried.
    """
    if plan.scale != "production":
        return _verdict(pipeline, Outcome.NOT_RUN, f"{plan.scale} scale: its times mean nothing")
    if plan.pair(pipeline) is None:
        return _verdict(pipeline, Outcome.NOT_RUN, "no times were asked for: --pair-seconds")
    if record is None:
        return _verdict(pipeline, Outcome.NOT_RUN, f"no record of the pair: {reason or 'it was not timed'}")
    findings = {timed: record.finding(timed) for timed in _SAID}
    judged = [
        _outcome(found.ratio) for found in findings.values() if found.ratio is not None and not found.reason
    ]
    said = _said({_SAID[timed]: str(found) for timed, found in findings.items()})
    numbers = {
        f"{timed} {end}": getattr(found.ratio, end)
        for timed, found in findings.items()
        if found.ratio is not None
        for end in ("low", "value", "high")
    }
    numbers["lowest"] = 1.0 / SLOWEST
    for outcome, meaning in (
        (Outcome.FAIL, f"the candidate is slower, it takes more than {SLOWEST:.2f} times as long"),
        (Outcome.INCONCLUSIVE, f"it cannot be told whether it takes more than {SLOWEST:.2f} times as long"),
    ):
        if outcome in judged:
            return _verdict(pipeline, outcome, f"{said}: {meaning}", numbers)
    # What was measured too badly has its reason said, and nothing said of the limit.
    complete = len(judged) == len(findings)
    return _verdict(pipeline, Outcome.PASS if complete else Outcome.INCONCLUSIVE, said, numbers)


def _said(found: Mapping[str, str]) -> str:
    """What was found alone and in a batch; once where it is the same."""
    alike: dict[str, list[str]] = {}
    for name, words in found.items():
        alike.setdefault(words, []).append(name)
    return "; ".join(f"{' and '.join(names)} {words}" for words, names in alike.items())


def _outcome(ratio: Ratio) -> Outcome:
    if is_slower(ratio):
        return Outcome.FAIL
    return Outcome.PASS if ratio.low >= 1.0 / SLOWEST else Outcome.INCONCLUSIVE


def _verdict(
    pipeline: str, outcome: Outcome, message: str, numbers: dict[str, float] | None = None
) -> Verdict:
    return Verdict(TIME, pipeline, None, outcome, message, numbers or {})
