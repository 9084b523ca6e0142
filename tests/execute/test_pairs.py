"""Timing in turn, on made-up noise: false alarms, and slowdowns that must be seen."""

import math
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from matrix.execute.pairs import timed_in_turn
from matrix.gates import Outcome, time
from matrix.records.pair import (
    BATCH,
    CONTROL,
    SINGLE,
    SOLVE,
    FreshPair,
    PairRecord,
    TimedProcess,
    needs_another,
)
from matrix.records.ratio import LEAST_ROUNDS
from matrix.run.plan import PlannedPair
from tests.factory import make_plan

SEEDS = 40
LIMIT = 60.0
BASE = {SINGLE: 0.15, BATCH: 0.4, SOLVE: 0.12, CONTROL: 0.11}
# How far apart in log time two processes of the same program lie, as a standard deviation of each.
LAYOUT = 0.01

Slowdown = Callable[[float], float]


@dataclass
class Machine:
    """A clock that goes on by what is computed, slower or faster as the noise will have it."""

    noise: Slowdown
    now: float = 0.0

    def clock(self) -> float:
        return self.now


@dataclass
class Side:
    """A process that takes its time; `slower` is its own log slowdown, of all but the control."""

    machine: Machine
    slower: float = 0.0
    asked: list[tuple[str, int]] = field(default_factory=list)

    def seconds(self, timed: str, calls: int) -> list[float]:
        self.asked.append((timed, calls))
        return [self._one(timed) for _ in range(calls)]

    def _one(self, timed: str) -> float:
        own = 0.0 if timed == CONTROL else self.slower
        took = BASE[timed] * math.exp(own + self.machine.noise(self.machine.now))
        self.machine.now += took
        return took


def quiet(lot: np.random.Generator) -> Slowdown:
    return lambda _: float(lot.normal(0.0, 0.003))


def drift(lot: np.random.Generator) -> Slowdown:
    rate = float(lot.uniform(-0.01, 0.01))
    return lambda now: rate * now + float(lot.normal(0.0, 0.005))


def waves(lot: np.random.Generator) -> Slowdown:
    period, phase = lot.uniform(0.5, 30.0), lot.uniform(0.0, 6.0)
    return lambda now: 0.15 * math.sin(now * 6.28 / period + phase) + float(lot.normal(0.0, 0.005))


def bursts(lot: np.random.Generator) -> Slowdown:
    """A neighbour comes and goes, and takes up to half of what there is."""
    ends = np.cumsum(lot.exponential([[3.0, 1.0]], (600, 2)).ravel())
    heights = lot.uniform(0.2, 0.7, len(ends))

    def slowdown(now: float) -> float:
        place = int(np.searchsorted(ends, now))
        busy = heights[place] if place % 2 else 0.0
        return float(busy + lot.normal(0.0, 0.01))

    return slowdown


def heavy_tails(lot: np.random.Generator) -> Slowdown:
    return lambda _: float(min(0.01 * abs(lot.standard_t(1.5)), 3.0))


FAMILIES = [quiet, drift, waves, bursts, heavy_tails]


def pair_of(
    make: Callable[[np.random.Generator], Slowdown], seed: int, slower: float, layout: float
) -> PairRecord:
    """Time a pair as the runner does: once more with fresh processes where the first is near a limit."""
    lot = np.random.default_rng(seed)
    found: list[FreshPair] = []
    while not found or (len(found) == 1 and needs_another(found[0])):
        machine = Machine(make(lot))
        baseline, candidate = (
            Side(machine, float(lot.normal(0.0, layout)) if layout else 0.0) for _ in range(2)
        )
        candidate.slower += slower
        order = random.Random(int(lot.integers(2**31)))
        rounds = timed_in_turn(baseline, candidate, LIMIT, order, machine.clock)
        process = TimedProcess((), {}, 2**30, "a solver", "cpu", "some CPU", (0,))
        found.append(FreshPair(process, process, rounds, machine.now))
    return PairRecord("imaging-mge", "fp64", "production", "key", 3, LIMIT, {}, tuple(found), "", "")


@pytest.mark.parametrize("layout", [0.0, LAYOUT], ids=["same layout", "layout effect"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_side_against_itself_is_no_news(
    family: Callable[[np.random.Generator], Slowdown], layout: float
) -> None:
    """1 is inside the interval in at least 19 of 20 runs, of the likelihood alone and of the batch."""
    outside = {SINGLE: 0, BATCH: 0}
    for seed in range(SEEDS):
        record = pair_of(family, seed, 0.0, layout)
        for timed in outside:
            ratio = record.finding(timed).ratio
            assert ratio is not None
            outside[timed] += not ratio.low <= 1.0 <= ratio.high
    assert max(outside.values()) <= SEEDS // 20, outside


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slowdown_of_a_tenth_is_never_a_pass(
    family: Callable[[np.random.Generator], Slowdown], tmp_path: Path
) -> None:
    """It fails in nearly every run; where the noise is too much, it is inconclusive."""
    outcomes = Counter(_judged(family, seed, 1.10, tmp_path) for seed in range(SEEDS))
    assert outcomes[Outcome.PASS] == 0, outcomes
    assert outcomes[Outcome.FAIL] >= SEEDS * 0.9, outcomes


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slowdown_within_the_limit_is_no_failure(
    family: Callable[[np.random.Generator], Slowdown], tmp_path: Path
) -> None:
    """3 % are less than the gate's 5 %: a pass, or too near to it to tell."""
    outcomes = Counter(_judged(family, seed, 1.03, tmp_path) for seed in range(SEEDS))
    assert outcomes[Outcome.FAIL] <= SEEDS // 20, outcomes


def _judged(
    family: Callable[[np.random.Generator], Slowdown], seed: int, slower: float, folder: Path
) -> Outcome:
    record = pair_of(family, seed, math.log(slower), LAYOUT)
    pair = PlannedPair(pipeline="imaging-mge", precision="fp64", scale="production", key="key", seconds=LIMIT)
    plan = make_plan(folder, ("imaging-mge",), pairs=(pair,))
    return time(plan, "imaging-mge", record).outcome


def test_a_neighbour_that_knows_one_side_is_noise() -> None:
    """What slows the control of one side alone is not the change: no ratio is shown."""
    machine = Machine(quiet(np.random.default_rng(1)))
    baseline, candidate = Side(machine), Disturbed(machine)
    rounds = timed_in_turn(baseline, candidate, LIMIT, random.Random(1), machine.clock)
    process = TimedProcess((), {}, 2**30, "a solver", "cpu", "some CPU", (0,))
    pairs = (FreshPair(process, process, rounds, machine.now),)
    record = PairRecord("imaging-mge", "fp64", "production", "key", 3, LIMIT, {}, pairs, "", "")
    assert str(record.finding(BATCH)).startswith("inconclusive: noisy, the control")


class Disturbed(Side):
    """A process that something else slows down by a third whatever it computes."""

    def _one(self, timed: str) -> float:
        took = super()._one(timed) * 1.3
        self.machine.now += took
        return took


def test_only_one_side_computes_and_the_order_is_a_b_b_a() -> None:
    """Sides are asked one after the other; within two rounds each is first once, drawn by lot."""
    machine = Machine(heavy_tails(np.random.default_rng(3)))
    rounds = timed_in_turn(Side(machine), Side(machine), LIMIT, random.Random(3), machine.clock)
    firsts = [each.first for each in rounds[CONTROL]]
    assert len(firsts) >= 8
    assert all(a != b for a, b in zip(firsts[0::2], firsts[1::2], strict=False))
    assert len(set(firsts[0::2])) == 2


def test_rounds_end_when_the_ratio_is_known_or_the_time_is_spent() -> None:
    """A quiet machine needs the least rounds; a short limit gives too few, and the finding says so."""
    machine = Machine(lambda _: 0.0)
    rounds = timed_in_turn(Side(machine), Side(machine), LIMIT, random.Random(0), machine.clock)
    assert {len(found) for found in rounds.values()} == {LEAST_ROUNDS}
    machine = Machine(lambda _: 0.0)
    rounds = timed_in_turn(Side(machine), Side(machine), 0.0, random.Random(0), machine.clock)
    assert {len(found) for found in rounds.values()} == {1}


def test_rounds_go_on_to_the_least_number_where_few_are_missing() -> None:
    """A limit of five rounds is stretched to six, and one of two rounds is not."""
    one = seconds_of_a_round()
    for limit, rounds in ((4.5 * one, LEAST_ROUNDS), (1.5 * one, 3)):
        machine = Machine(lambda _: 0.0)
        found = timed_in_turn(Side(machine), Side(machine), limit, random.Random(0), machine.clock)
        assert {len(each) for each in found.values()} == {rounds}


def seconds_of_a_round() -> float:
    """By the clock of a quiet machine, without what comes before the first."""
    taken = []
    for limit in (0.0, 1e9):
        machine = Machine(lambda _: 0.0)
        timed_in_turn(Side(machine), Side(machine), limit, random.Random(0), machine.clock)
        taken.append(machine.clock())
    first, least = taken
    return (least - first) / (LEAST_ROUNDS - 1)
