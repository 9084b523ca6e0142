"""Gate `time`: a slower candidate fails, and what is so alone and in a batch is said once."""

import dataclasses
from pathlib import Path

import pytest

from matrix.gates import Outcome
from matrix.gates.times import time
from matrix.records.pair import CONTROL
from matrix.run.plan import PlannedPair
from tests.factory import make_pair, make_plan

PIPELINE = "imaging-pixelization"


@pytest.mark.parametrize(
    ("rounds", "candidate", "outcome", "said"),
    [
        (8, 3.0, Outcome.PASS, "alone and in a batch 2.00× (1.98–2.02)"),
        (8, 12.0, Outcome.FAIL, "alone and in a batch 0.50× (0.50–0.51): the candidate is slower, it takes"),
        (5, 3.0, Outcome.INCONCLUSIVE, "alone and in a batch inconclusive: 5 rounds in"),
    ],
)
def test_what_is_so_alone_and_in_a_batch_is_said_once(
    rounds: int, candidate: float, outcome: Outcome, said: str, tmp_path: Path
) -> None:
    pair = make_pair(PIPELINE, 6.0, candidate, rounds=rounds)
    planned = PlannedPair(pipeline=PIPELINE, precision="fp64", scale="production", key=pair.key, seconds=60.0)
    plan = make_plan(tmp_path, pairs=(planned,))
    verdict = time(plan, PIPELINE, pair)
    assert verdict.outcome is outcome
    assert verdict.message.startswith(said)


def test_a_time_that_was_measured_too_badly_says_nothing_of_the_limit(tmp_path: Path) -> None:
    pair = make_pair(PIPELINE, 6.0, 3.0, rounds=5)
    planned = PlannedPair(pipeline=PIPELINE, precision="fp64", scale="production", key=pair.key, seconds=60.0)
    message = time(make_plan(tmp_path, pairs=(planned,)), PIPELINE, pair).message
    assert "inconclusive: 5 rounds in" in message
    assert "times as long" not in message


@pytest.mark.parametrize(
    ("candidate", "outcome", "said"),
    [
        # Of the candidate's times every second one is half as long again.
        (9.0, Outcome.FAIL, "0.54× (0.44–0.67): the candidate is slower"),
        (5.5, Outcome.INCONCLUSIVE, "is wider than ±5%"),
        (3.0, Outcome.INCONCLUSIVE, "is wider than ±5%"),
    ],
)
def test_wide_interval_tells_that_the_candidate_is_slower_where_all_of_it_says_so(
    candidate: float, outcome: Outcome, said: str, tmp_path: Path
) -> None:
    pair = make_pair(PIPELINE, 6.0, candidate)
    (one, *_) = pair.pairs
    rounds = {
        name: tuple(
            dataclasses.replace(each, candidate=each.candidate * (1.0 + 0.5 * (n % 2)))
            for n, each in enumerate(found)
        )
        for name, found in one.rounds.items()
        if name != CONTROL
    }
    wide = dataclasses.replace(one, rounds={**one.rounds, **rounds})
    pair = dataclasses.replace(pair, pairs=(wide, wide))
    planned = PlannedPair(pipeline=PIPELINE, precision="fp64", scale="production", key=pair.key, seconds=60.0)
    verdict = time(make_plan(tmp_path, pairs=(planned,)), PIPELINE, pair)
    assert verdict.outcome is outcome
    assert said in verdict.message
