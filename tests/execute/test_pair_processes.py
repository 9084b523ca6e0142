"""A pair of real processes that stand for the sides': what they are asked, what is kept, how they fail."""

import io
import itertools
import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from matrix.commands import null
from matrix.execute.pairs import PairFailure, run_pair
from matrix.gates import Outcome
from matrix.pipelines.serve import serve, slower
from matrix.records import typed_json
from matrix.records.cell import SIDES, write_record
from matrix.records.null import NullRecord
from matrix.records.pair import BATCH, SINGLE, SOLVE, TIMED, PairRecord
from matrix.run.kept import kept_pair, kept_pair_failure
from matrix.run.plan import Plan, PlannedEnvironment, PlannedPair
from tests.factory import make_plan, make_record

pytestmark = pytest.mark.usefixtures("own_ledger")

PIPELINE = "interferometer-mge"

# Says the facts, then takes as long as `speed` says for each call, and notes when it was asked.
SERVER = """
import json, os, sys, time
facts = {{"found": ["single"], "temporary_bytes": {{}}, "lanes": 3}}
facts |= {{"solver": "one", "device": "cpu", "cpu": "some"}}
def say(what):
    print(json.dumps(what), flush=True)
say(facts)
for line in sys.stdin:
    begin = time.monotonic()
    name, calls = line.split()
    {behaviour}
    # Before the answer, after which the other side may be asked.
    with open({log!r}, "a") as log:
        print("{side}", begin, time.monotonic(), file=log)
    say([0.1 if name == "control" else {speed}] * int(calls))
say({{"peak_rss_bytes": 5, "cores": sorted(os.sched_getaffinity(0))}})
"""


def planned(folder: Path, behaviour: str = "time.sleep(0.002)", candidate: float = 0.2) -> Plan:
    """A plan whose sides' Python is a program of ours."""
    pair = PlannedPair(
        pipeline=PIPELINE, precision="fp64", scale="smoke", key="key of the pair", seconds=20.0
    )
    environments = {}
    for side, speed in zip(SIDES, (0.3, candidate), strict=True):
        server = folder / f"{side}.py"
        server.write_text(
            SERVER.format(behaviour=behaviour, speed=speed, side=side, log=str(folder / "asked.txt"))
        )
        python = folder / f"{side}-python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "{server}"\n')
        python.chmod(0o755)
        environments[side] = PlannedEnvironment(python=python, pythonpath=(), key=side)
    return make_plan(folder, (PIPELINE,), environments=environments, pairs=(pair,))


def test_sides_are_asked_in_turn_and_the_record_is_kept(tmp_path: Path) -> None:
    """No call of one side lies within a call of the other; what is kept is not timed again."""
    plan = planned(tmp_path)
    record = run_pair(plan, plan.pairs[0])
    assert isinstance(record, PairRecord), record
    assert str(record.finding(BATCH)) == str(record.finding(SINGLE)) == "1.50× (1.49–1.52)"
    assert len(record.pairs) == 1
    asked = [line.split() for line in (tmp_path / "asked.txt").read_text().splitlines()]
    spans = sorted((float(begin), float(end), side) for side, begin, end in asked)
    assert len(spans) == 2 * len(TIMED) + sum(2 * len(found) for found in record.pairs[0].rounds.values())
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    assert record.compile_s == {}
    assert record.pairs[0].baseline.found == (SINGLE,)
    before = plan.pair_path(plan.pairs[0]).read_bytes()
    assert run_pair(plan, plan.pairs[0]) == record
    assert plan.pair_path(plan.pairs[0]).read_bytes() == before


def test_what_compiling_took_is_the_cells_word(tmp_path: Path) -> None:
    """The processes of a pair may find everything compiled; a cell never does."""
    plan = planned(tmp_path)
    for side in SIDES:
        write_record(plan.record_path(plan.cell(PIPELINE, side)), make_record(PIPELINE, side))
    record = run_pair(plan, plan.pairs[0])
    assert isinstance(record, PairRecord), record
    timings = make_record(PIPELINE, "baseline").timings
    seconds = sum(each.lower_s + each.compile_s for each in (timings.jit, timings.vmap))
    assert record.compile_s == {"baseline": seconds, "candidate": seconds}


def test_a_side_that_plays_both_is_timed_beside_the_run(tmp_path: Path) -> None:
    """`null` leaves the run's own record alone, and uses what the run compiled."""
    plan = planned(tmp_path)
    plan.write()
    words = [str(tmp_path), PIPELINE, "--times", "2", "--side", "candidate", "--pair-seconds", "5"]
    assert null.main(words) == 0
    names = {path.name for path in (tmp_path / "pairs").glob("*.json")}
    assert names == {f"{PIPELINE}-fp64-candidate-1-null-{number}.json" for number in (1, 2)}
    assert kept_pair(plan, plan.pairs[0]) is None
    record = typed_json.read(tmp_path / "null-candidate-1.json", NullRecord)
    assert [trial.outcome for trial in record.trials] == [Outcome.PASS, Outcome.PASS]
    assert record.wrong() == 0


def test_a_trial_whose_interval_lacks_the_truth_is_wrong(tmp_path: Path) -> None:
    """The program that stands for the side takes no longer for being told to, so 1 / 1.1 is not inside."""
    plan = planned(tmp_path)
    plan.write()
    path = tmp_path / "kept.json"
    words = ["--times", "1", "--pair-seconds", "5", "--slower", "1.1", "--record", str(path)]
    assert null.main([str(tmp_path), PIPELINE, *words]) == 1
    record = typed_json.read(path, NullRecord)
    assert record.truth(BATCH) == pytest.approx(1 / 1.1)
    assert record.truth(SOLVE) == 1.0
    assert record.wrong() == 1
    assert null.main([str(tmp_path), PIPELINE, "--slower", "0.9"]) == 2


def test_a_slowed_call_computes_as_many_times_as_much() -> None:
    """By what the processor did for it, whatever else the machine does."""

    def plain() -> None:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass

    begin = time.process_time()
    slower(plain, 2.0)()
    assert 0.2 <= time.process_time() - begin < 0.25


def test_near_a_limit_fresh_processes_are_timed_too(tmp_path: Path) -> None:
    """3 % are too near to 1 for one pair of processes."""
    plan = planned(tmp_path, candidate=0.291)
    record = run_pair(plan, plan.pairs[0])
    assert isinstance(record, PairRecord), record
    assert len(record.pairs) == 2
    logs = sorted(path.name for path in plan.pair_folder(plan.pairs[0]).glob("*.txt"))
    assert logs == ["baseline-1.txt", "baseline-2.txt", "candidate-1.txt", "candidate-2.txt"]


def test_a_process_that_breaks_leaves_no_record_but_its_reason(tmp_path: Path) -> None:
    """And nothing that it started outlives it."""
    plan = planned(tmp_path, behaviour='sys.exit("it broke") if name == "solve" else None')
    found = run_pair(plan, plan.pairs[0])
    assert isinstance(found, PairFailure)
    assert found.reason == "baseline: exit code 1"
    assert kept_pair(plan, plan.pairs[0]) is None
    assert kept_pair_failure(plan, plan.pairs[0]) == found.reason
    words = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not any(str(tmp_path) in word for line in words for word in line)


def test_a_record_of_other_content_is_made_anew(tmp_path: Path) -> None:
    """Its key is of all that the times depend on."""
    plan = planned(tmp_path)
    record = run_pair(plan, plan.pairs[0])
    assert isinstance(record, PairRecord), record
    other = plan.pairs[0].model_copy(update={"key": "another"})
    assert kept_pair(plan, plan.pairs[0]) == record
    assert kept_pair(plan, other) is None


def test_the_server_computes_only_what_it_is_asked_for() -> None:
    """One line, one answer, so many calls; at last what it used."""
    made: list[str] = []
    calls = {name: (lambda name=name: made.append(name)) for name in TIMED}
    answers = io.StringIO()
    serve(calls, {"solver": "one"}, io.StringIO("batch 2\nsingle 1\n"), answers)
    facts, batch, single, last = map(json.loads, answers.getvalue().splitlines())
    assert facts == {"solver": "one"}
    assert made == [BATCH, BATCH, SINGLE]
    assert (len(batch), len(single)) == (2, 1)
    assert last["peak_rss_bytes"] > 0
