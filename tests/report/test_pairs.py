"""Ratios in words: with their interval, or inconclusive with the reason; never bare, never turned round."""

import dataclasses
import io
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.console import Console

from matrix.gates import judge
from matrix.records import typed_json
from matrix.records.cell import RecordError
from matrix.records.pair import BATCH, CONTROL, SINGLE, PairRecord, Round, read_pair
from matrix.report import write_report
from matrix.report.pairs import pair_rows, ratio_words
from tests.factory import make_pair, make_plan, make_record

PIPELINE = "imaging-pixelization"
SLOWER = make_pair(candidate=3.3, pairs=1)
_PAIR = make_pair().pairs[0]
COMPILED_ITSELF = dataclasses.replace(_PAIR, candidate=dataclasses.replace(_PAIR.candidate, found=()))
# A number with a cross behind it and no interval, where one belongs.
BARE = re.compile(r"\d×(?! ?\()")


def with_rounds(record: PairRecord, timed: str, *rounds: Round) -> PairRecord:
    """The record with other rounds of `timed` in every pair of processes."""
    pairs = tuple(
        dataclasses.replace(pair, rounds={**pair.rounds, timed: tuple(rounds)}) for pair in record.pairs
    )
    return dataclasses.replace(record, pairs=pairs)


def test_row_says_both_sides_and_their_ratio() -> None:
    """Baseline first; above 1 the candidate needs less, in time, to compile and in memory."""
    ((pipeline, single, batch, solve, control, compiling, memory),) = pair_rows(
        make_plan(Path("/run")), {PIPELINE: make_pair()}
    )
    assert pipeline == PIPELINE
    assert single == solve == "6000.0 → 3000.0 ms, 2.00× (1.98–2.02)"
    assert batch == "2000.0 → 1000.0 ms, 2.00× (1.98–2.02)"
    assert control == "1.00× (1.00–1.00) and 1.00× (1.00–1.00)"
    assert compiling == "20.0 → 16.0 s, ratio 1.25, no interval"
    assert memory == "2.00 → 1.00 GiB, ratio 2.00, no interval"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (make_pair(rounds=5), "5 rounds in 60 s, 6 are needed: --pair-seconds"),
        (
            make_pair(pairs=1, baseline=3.0),
            "1.00× (0.99–1.01) of one pair of processes is too near to a limit",
        ),
        (
            with_rounds(make_pair(), CONTROL, *(Round("baseline", 1, 0.1, 0.13, 9.0),) * 8),
            "noisy, the control that no change can touch is at 0.77× (0.77–0.77)",
        ),
        (
            with_rounds(make_pair(), BATCH, *(Round("baseline", 1, 6.0, 3.0 + n % 3, 9.0) for n in range(9))),
            "1.19–2.02 is wider than ±5%",
        ),
        (
            dataclasses.replace(
                make_pair(), pairs=make_pair().pairs[:1] + make_pair(candidate=3.3).pairs[:1]
            ),
            "fresh processes disagree, 2.00× (1.98–2.02) and 1.82× (1.80–1.84)",
        ),
        (
            dataclasses.replace(make_pair(), pairs=(COMPILED_ITSELF,)),
            "one side's programs were compiled before, and the other's were not",
        ),
    ],
    ids=["few rounds", "one pair", "noisy", "wide", "disagree", "one side compiled"],
)
def test_what_cannot_be_told_says_why(record: PairRecord, reason: str) -> None:
    """Each reason in its words, in place of the ratio."""
    assert ratio_words({PIPELINE: record}, PIPELINE, BATCH) == f"inconclusive: {reason}"


def test_without_a_cell_there_is_no_time_to_compile() -> None:
    """A pair's processes may have found everything compiled, so their times are none."""
    ((*_, compiling, _memory),) = pair_rows(make_plan(Path("/run")), {PIPELINE: make_pair(compile_s={})})
    assert compiling == "not measured"


def test_what_was_not_timed_has_no_ratio() -> None:
    """Two times of two processes, minutes apart, are no ratio."""
    assert ratio_words({}, PIPELINE, BATCH) == "inconclusive: not timed in turn"


@pytest.mark.parametrize("pairs", [{}, {PIPELINE: make_pair()}, {PIPELINE: make_pair(rounds=5)}])
def test_no_ratio_stands_bare(tmp_path: Path, pairs: Mapping[str, PairRecord]) -> None:
    """Not in the terminal, not in the summary, not on the page."""
    plan = make_plan(tmp_path)
    sides = ("baseline", "candidate")
    records = {f"{PIPELINE}-fp64-{side}": make_record(side=side) for side in sides}
    stream = io.StringIO()
    console = Console(file=stream, width=300)
    write_report(console, plan, records, judge(plan, records, {}), pairs)
    page, summary = ((tmp_path / name).read_text() for name in ("report.html", "summary.md"))
    for text in (page, summary):
        assert not BARE.search(text), BARE.search(text)
    said = ratio_words(pairs, PIPELINE, BATCH)
    assert said in page
    # The summary has no column of ratios where nothing was timed, and the reasons below the table.
    assert (said in summary) is bool(pairs)
    assert ("| ratio |" in summary) is bool(pairs)


def test_record_comes_back_as_it_was(tmp_path: Path) -> None:
    """Every round, through the file."""
    path = tmp_path / "pair.json"
    typed_json.write(path, make_pair())
    assert read_pair(path) == make_pair()


@pytest.mark.parametrize(
    "spoilt",
    [
        make_pair(baseline=-1.0),
        make_pair(candidate=float("inf")),
        make_pair(rounds=0),
        make_pair(pairs=0),
        make_pair(lanes=0),
        make_pair(compile_s={"baseline": 20.0}),
        make_pair(compile_s={"baseline": 20.0, "candidate": 0.0}),
    ],
)
def test_record_that_contradicts_itself_is_refused(tmp_path: Path, spoilt: PairRecord) -> None:
    """An impossible time, no round, no process, no lane."""
    path = tmp_path / "pair.json"
    typed_json.write(path, spoilt)
    with pytest.raises(RecordError):
        read_pair(path)


def test_time_alone_and_in_a_batch_are_told_apart() -> None:
    """The batch's seconds are per lane, those of the likelihood alone are not."""
    record = with_rounds(make_pair(), SINGLE, *(Round("baseline", 1, 0.7, 0.5, 0.0),) * 8)
    assert record.seconds(SINGLE, "baseline") == 0.7
    assert record.seconds(SINGLE, "candidate") == 0.5
    assert record.seconds(BATCH, "baseline") == 2.0
