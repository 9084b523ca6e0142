"""What pairs say, as text: a ratio with its interval or why there is none, never a bare ratio."""

from collections.abc import Mapping

from matrix.records.cell import SIDES, Record, Side
from matrix.records.pair import BATCH, CONTROL, SINGLE, SOLVE, PairRecord
from matrix.run.plan import Plan

HEADINGS = ("pipeline", "alone", "in a batch", "solve alone", "control", "compile", "peak memory")
CAPTION = (
    "baseline → candidate, and how many times as fast the candidate is with its 95 % interval, from both "
    "sides in turn on the same cores; per lane in a batch. What it took to compile, in the cells, and peak "
    "memory were measured once or twice: their ratio has no interval, and decides nothing"
)
NOT_TIMED = "inconclusive: not timed in turn"

Pairs = Mapping[str, PairRecord]


def ratio_words(pairs: Pairs, pipeline: str, timed: str) -> str:
    """The ratio of a pipeline with its interval, or why there is none."""
    return str(pairs[pipeline].finding(timed)) if pipeline in pairs else NOT_TIMED


def candidate_ratio(pairs: Pairs, record: Record | None) -> str:
    """The ratio in the batch beside a candidate's record; nothing beside that of a baseline."""
    if record is None or record.cell.side != "candidate":
        return "–"
    return ratio_words(pairs, record.cell.pipeline, BATCH)


def seconds_of(pairs: Pairs, pipeline: str, timed: str, side: Side) -> float | None:
    """Median seconds of a side, per lane in a batch; None where no pair was timed."""
    return pairs[pipeline].seconds(timed, side) if pipeline in pairs else None


def pair_rows(plan: Plan, pairs: Pairs) -> list[tuple[str, ...]]:
    """One row per pipeline that was timed, in the order of `HEADINGS`."""
    return [_row(pairs[pipeline]) for pipeline in plan.pipelines if pipeline in pairs]


def _row(record: PairRecord) -> tuple[str, ...]:
    peaks = {side: record.peak_bytes(side) for side in SIDES}
    return (
        record.pipeline,
        *(f"{_times(record, timed)}, {record.finding(timed)}" for timed in (SINGLE, BATCH, SOLVE)),
        " and ".join(str(pair.ratio(CONTROL) or "no interval") for pair in record.pairs),
        _both(record.compile_s, "s") + _bare(record.compile_s) if record.compile_s else "not measured",
        _both({side: bytes_ / 1024**3 for side, bytes_ in peaks.items()}, "GiB", 2) + _bare(peaks),
    )


def _times(record: PairRecord, timed: str) -> str:
    return _both({side: record.seconds(timed, side) * 1e3 for side in SIDES}, "ms")


def _bare(values: Mapping[Side, float]) -> str:
    return f", ratio {values['baseline'] / values['candidate']:.2f}, no interval"


def _both(values: Mapping[Side, float], unit: str, digits: int = 1) -> str:
    return f"{values['baseline']:.{digits}f} → {values['candidate']:.{digits}f} {unit}"
