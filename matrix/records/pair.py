"""The pair record: both sides of a pipeline timed in turn, as typed data with a versioned JSON form."""

import dataclasses
import math
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from matrix.records import typed_json
from matrix.records.cell import SIDES, Precision, Scale, Side
from matrix.records.ratio import LEAST_ROUNDS, Ratio, ratio_of, united
from matrix.records.typed_json import RecordError, closed

# What is timed: the likelihood alone, the batch, the solve alone, and what the change cannot touch.
SINGLE, BATCH, SOLVE, CONTROL = "single", "batch", "solve", "control"
TIMED = (SINGLE, BATCH, SOLVE, CONTROL)

# The candidate may take so many times as long as the baseline.
SLOWEST = 1.05
# In log ratio: how near to a limit one pair of processes is not enough; how far the control's interval may
# be from 1; and from which half width on an interval says nothing.
NEAR = 0.05
CONTROL_MARGIN = 0.02
TOO_WIDE = 0.05


@closed
class Round:
    """Seconds per call of both sides, one right after the other.

    Attributes
    ----------
    first
        Which side was timed first.
    calls
        How many calls each side made in a row; their median is kept.
    load
        The machine's load average over a minute, as the round ended.
    """

    first: Side
    calls: int
    baseline: float
    candidate: float
    load: float


@closed
class TimedProcess:
    """What one process says of itself.

    Attributes
    ----------
    found
        The programs that it found compiled, by the side's cell on the same machine; it compiled the others.
    temporary_bytes
        XLA's temporary memory by program; empty on backends that do not tell.
    peak_rss_bytes
        Of the whole process, when all was timed.
    solver
        The package or solver that answered.
    device, cpu, cores
        What it computed on; the cores are those it was bound to while it was timed.
    """

    found: tuple[str, ...]
    temporary_bytes: dict[str, int]
    peak_rss_bytes: int
    solver: str
    device: str
    cpu: str
    cores: tuple[int, ...]


@closed
class FreshPair:
    """One fresh process per side, and the rounds between them by what was timed."""

    baseline: TimedProcess
    candidate: TimedProcess
    rounds: dict[str, tuple[Round, ...]]
    seconds: float

    def ratio(self, timed: str) -> Ratio | None:
        """What these processes' rounds say; None where they are too few."""
        return ratio_of([(each.baseline, each.candidate) for each in self.rounds[timed]])


@dataclasses.dataclass(frozen=True)
class Finding:
    """A ratio and why it is not to be believed; at least one of them is there."""

    ratio: Ratio | None
    reason: str = ""

    def __str__(self) -> str:
        return f"inconclusive: {self.reason}" if self.reason else str(self.ratio)


@closed
class PairRecord:
    """All a pair leaves behind.

    Attributes
    ----------
    key
        The driver's content key of everything the pair depends on, opaque here.
    lanes
        Of a batch.
    limit_s
        Seconds that the rounds of each fresh pair of processes were given.
    compile_s
        Seconds in which each side's cell traced, lowered and compiled the likelihood alone and in a batch,
        with nothing in JAX's cache; empty where a cell has no record.
    pairs
        Of fresh processes, in their order.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/pair-record"
    VERSION: ClassVar[int] = 2

    pipeline: str
    precision: Precision
    scale: Scale
    key: str
    lanes: int
    limit_s: float
    compile_s: dict[Side, float]
    pairs: tuple[FreshPair, ...]
    started: str
    finished: str

    def finding(self, timed: str) -> Finding:
        """What all pairs of processes say of `timed` together."""
        found = [pair.ratio(timed) for pair in self.pairs]
        known = [ratio for ratio in found if ratio is not None]
        ratio = united(known) if known else None
        return Finding(ratio, next(self._faults(timed, ratio, len(known)), ""))

    def _faults(self, timed: str, ratio: Ratio | None, known: int) -> Iterator[str]:
        if ratio is None or known < len(self.pairs):
            fewest = min(len(pair.rounds[timed]) for pair in self.pairs)
            yield f"{fewest} rounds in {self.limit_s:.0f} s, {LEAST_ROUNDS} are needed: --pair-seconds"
        for pair in self.pairs:
            if set(pair.baseline.found) != set(pair.candidate.found):
                yield "one side's programs were compiled before, and the other's were not"
            control = pair.ratio(CONTROL)
            if control is None or not _touches(control, 1.0, CONTROL_MARGIN):
                yield f"noisy, the control that no change can touch is at {control or 'no interval'}"
        if ratio is None:
            return
        alone = [united([each]) for pair in self.pairs if (each := pair.ratio(timed)) is not None]
        if max(each.low for each in alone) > min(each.high for each in alone):
            yield f"fresh processes disagree, {' and '.join(map(str, alone))}"
        if len(self.pairs) == 1 and near_a_limit(ratio):
            yield f"{ratio} of one pair of processes is too near to a limit"
        yield from _width(ratio)

    def seconds(self, timed: str, side: Side) -> float:
        """Median seconds of a side per call, per lane where a batch was timed; over all rounds."""
        times = [getattr(each, side) for pair in self.pairs for each in pair.rounds[timed]]
        return float(statistics.median(times)) / (self.lanes if timed == BATCH else 1)

    def peak_bytes(self, side: Side) -> float:
        """Mean peak resident memory of a side's processes, one or two."""
        of_side = [pair.baseline if side == "baseline" else pair.candidate for pair in self.pairs]
        return statistics.fmean(process.peak_rss_bytes for process in of_side)


def is_slower(ratio: Ratio) -> bool:
    """Whether the whole interval says that the candidate takes longer than it may."""
    return ratio.high < 1.0 / SLOWEST


def near_a_limit(ratio: Ratio) -> bool:
    """Whether one pair of processes cannot tell on which side of a limit this ratio is."""
    return any(_touches(ratio, limit, NEAR) for limit in (1.0, 1.0 / SLOWEST))


def needs_another(pair: FreshPair) -> bool:
    """Whether a second pair of fresh processes has to bear the first one out."""
    found = (pair.ratio(timed) for timed in (SINGLE, BATCH))
    return any(ratio is not None and near_a_limit(united([ratio])) for ratio in found)


def read_pair(path: Path) -> PairRecord:
    """Read the record at `path`.

    Raises
    ------
    RecordError
        The file is missing or not a valid record of this version.
    """
    record = typed_json.read(path, PairRecord)
    if not _is_whole(record):
        raise RecordError(
            f"{path} contradicts itself: a pair lacks rounds or has an impossible time. Make it again."
        )
    return record


def _is_whole(record: PairRecord) -> bool:
    """Whether the parts belong together, so that whatever it holds can be judged."""
    rounds = [each for pair in record.pairs for timed in pair.rounds.values() for each in timed]
    times = [time for each in rounds for time in (each.baseline, each.candidate)]
    return (
        bool(record.pairs)
        and record.lanes > 0
        and all(map(typed_json.is_moment, (record.started, record.finished)))
        and all(set(pair.rounds) == set(TIMED) and all(pair.rounds.values()) for pair in record.pairs)
        and all(0.0 < time < math.inf for time in (*times, *record.compile_s.values()))
        and set(record.compile_s) in (set(), set(SIDES))
        and all(
            process.peak_rss_bytes > 0 for pair in record.pairs for process in (pair.baseline, pair.candidate)
        )
    )


def _touches(ratio: Ratio, value: float, margin: float) -> bool:
    """Whether the interval comes as near to a value as the margin, in log ratio."""
    return ratio.low * math.exp(-margin) <= value <= ratio.high * math.exp(margin)


def _width(ratio: Ratio) -> Iterator[str]:
    # How much slower it is, is not known well then; that it is, is.
    if ratio.half_width > TOO_WIDE and not is_slower(ratio):
        yield f"{ratio.low:.2f}–{ratio.high:.2f} is wider than ±{TOO_WIDE:.0%}"
