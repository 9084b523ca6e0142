"""The ratio of two sides' times with its interval, from rounds in which both were timed in turn."""

import functools
import math
from collections.abc import Sequence

import numpy as np

from matrix.records.typed_json import closed

# Of one pair of processes. Rounds end when the interval is narrow, which flatters it: 96 % is more than the
# 95 % that are meant, and the least that six rounds can give.
CONFIDENCE = 0.96
LEAST_ROUNDS = 6

# Half the width in log ratio at which a pair of processes has been timed long enough.
NARROW = 0.01
# Where its memory lies slows a process throughout, which no number of rounds shows: ratios that are nearer to
# each other are not told apart.
RESOLUTION = 0.01


@closed
class Ratio:
    """Baseline's time over candidate's, above 1 where the candidate is faster, between two ends."""

    low: float
    value: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the interval's width in log ratio: 0.02 is as good as 2 %."""
        return math.log(self.high / self.low) / 2.0

    def holds(self, value: float) -> bool:
        """Whether a value lies within the interval."""
        return self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.value:.2f}× ({self.low:.2f}–{self.high:.2f})"


def ratio_of(rounds: Sequence[tuple[float, float]]) -> Ratio | None:
    """Estimate the ratio from the rounds of one pair of processes.

    The Hodges–Lehmann estimate of the rounds' log ratios, the median of the means of any two, and the
    interval that belongs to the Wilcoxon signed-rank test (M. Hollander, D. Wolfe, E. Chicken,
    "Nonparametric Statistical Methods", 3rd edition, sections 3.2 and 3.3).

    Parameters
    ----------
    rounds
        Seconds of the baseline and of the candidate, per round.

    Returns
    -------
    Ratio or None
        None where the rounds are too few for an interval.
    """
    if len(rounds) < LEAST_ROUNDS:
        return None
    times = np.log(np.asarray(rounds, dtype=np.float64))
    logs = times[:, 0] - times[:, 1]
    first, second = np.triu_indices(len(logs))
    means = np.sort((logs[first] + logs[second]) / 2.0)
    left_out = _left_out(len(logs))
    low, high = means[left_out], means[len(means) - 1 - left_out]
    return Ratio(*(math.exp(end) for end in (low, float(np.median(means)), high)))


def united(ratios: Sequence[Ratio]) -> Ratio:
    """What pairs of processes say together: from the lowest end to the highest, and the resolution beyond."""
    low = min(ratio.low for ratio in ratios) * math.exp(-RESOLUTION)
    high = max(ratio.high for ratio in ratios) * math.exp(RESOLUTION)
    return Ratio(low, math.exp(sum(math.log(ratio.value) for ratio in ratios) / len(ratios)), high)


@functools.cache
def _left_out(rounds: int) -> int:
    """How many of the sorted means lie beyond either end of the interval."""
    # How many of the 2^n signs give each sum of signed ranks, one rank after another.
    chances = np.zeros(rounds * (rounds + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, rounds + 1):
        shifted = np.concatenate((np.zeros(rank), chances[:-rank]))
        chances = (chances + shifted) / 2.0
    tail = np.cumsum(chances)
    return int(np.searchsorted(tail, (1.0 - CONFIDENCE) / 2.0, side="right")) - 1
