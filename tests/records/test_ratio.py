"""The estimate of a ratio and its interval, against SciPy and published tables."""

import itertools
import math

import numpy as np
import pytest

from matrix.records.ratio import CONFIDENCE, LEAST_ROUNDS, RESOLUTION, Ratio, ratio_of, united


def rounds_of(logs: list[float]) -> list[tuple[float, float]]:
    """Rounds whose log ratios are `logs`."""
    return [(0.3 * math.exp(log), 0.3) for log in logs]


def test_too_few_rounds_have_no_interval() -> None:
    """One round less than the least gives none."""
    assert ratio_of(rounds_of([0.1] * (LEAST_ROUNDS - 1))) is None
    assert ratio_of(rounds_of([0.1] * LEAST_ROUNDS)) is not None


def test_equal_rounds_give_their_ratio_exactly() -> None:
    """Without any spread the interval is a point, above 1 where the candidate is faster."""
    found = ratio_of([(0.12, 0.10)] * 8)
    assert found is not None
    assert found.low == pytest.approx(1.2)
    assert found.high == pytest.approx(1.2)
    assert found.value == pytest.approx(1.2)


@pytest.mark.parametrize("count", [6, 7, 9, 12])
def test_interval_is_that_of_the_signed_rank_test(count: int) -> None:
    """A value lies inside exactly if the exact test, by all signs, does not reject it."""
    logs = np.random.default_rng(count).normal(0.1, 0.03, count)
    found = ratio_of(rounds_of(list(logs)))
    assert found is not None
    for end, step in ((found.low, 1e-6), (found.high, -1e-6)):
        assert _chance(logs - math.log(end) - step) > 1 - CONFIDENCE
        assert _chance(logs - math.log(end) + step) <= 1 - CONFIDENCE


def _chance(differences: np.ndarray) -> float:
    """Two-sided chance of the signed-rank sum, by counting all signs."""
    ranks = np.argsort(np.argsort(abs(differences))) + 1
    seen = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    sums = [ranks @ signs for signs in itertools.product((0, 1), repeat=len(ranks))]
    return 2.0 * sum(total <= seen for total in sums) / len(sums)


def test_an_outlier_moves_nothing_far() -> None:
    """One call that took a hundred times as long changes the estimate within the spread of the others."""
    logs = list(np.random.default_rng(0).normal(0.0, 0.01, 15))
    clean, spoilt = ratio_of(rounds_of(logs)), ratio_of(rounds_of([*logs, math.log(100)]))
    assert clean is not None
    assert spoilt is not None
    assert clean.low < spoilt.value < clean.high


def test_together_they_reach_from_end_to_end() -> None:
    """Several pairs of processes claim no less than any of them, and nothing within the resolution."""
    both = united([Ratio(1.0, 1.01, 1.02), Ratio(1.05, 1.06, 1.08)])
    assert both.low == pytest.approx(1.0 * math.exp(-RESOLUTION))
    assert both.high == pytest.approx(1.08 * math.exp(RESOLUTION))
    assert str(both) == "1.03× (0.99–1.09)"
