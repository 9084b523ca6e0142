"""`nox -s null -- RUN PIPELINE`: a side against itself, again and again: 1 should be inside the interval."""

import argparse
import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.execute.pairs import PairFailure, Player, run_pair
from matrix.gates import time
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.hashing import digest
from matrix.ground.machine import usable_cores
from matrix.ground.options import SessionParser
from matrix.ground.suggestions import known_names
from matrix.prepare.planning import planned_pairs
from matrix.records import typed_json
from matrix.records.cell import SIDES, Side
from matrix.records.null import NullRecord, Trial
from matrix.records.pair import BATCH, SINGLE, SOLVE, PairRecord
from matrix.run.plan import Plan, PlannedPair, Word, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Time it so many times; 0, or 1 where the truth is outside more often than once in twenty, or untold."""
    parser = SessionParser(
        "null",
        "Time a side against itself, again and again: 1 should be inside the interval.",
        ".matrix/runs/RUN imaging-mge",
    )
    add = parser.add_argument
    add("run", type=Path, metavar="RUN", help="folder of a run, whose environments are used")
    add("pipeline")
    add("--side", choices=SIDES, default="baseline")
    add("--times", type=int, default=20)
    add("--pair-seconds", type=float, default=30.0, help="for the rounds of a pair of processes")
    add(
        "--slower",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="let the candidate's likelihoods compute so many times as much, as 1.1",
    )
    add("--record", type=Path, help="default: null-SIDE-FACTOR.json in the run's folder")
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _null(options))


class _Trial(PlannedPair):
    """A pair beside those of the run, by another name."""

    suffix: Word

    @property
    def name(self) -> str:
        return f"{super().name}-{self.suffix}"


def _null(options: argparse.Namespace) -> int:
    plan = read_plan(options.run.resolve())
    if options.pipeline not in plan.pipelines:
        raise UsageError(
            f"{options.pipeline} is no pipeline of this run.{known_names(options.pipeline, plan.pipelines)}"
        )
    if not 1.0 <= options.slower < 100.0 or options.times < 1:
        raise UsageError("--slower takes a factor from 1 on, as 1.1, and --times a number from 1 on")
    console = open_console()
    trials: list[Trial] = []
    players: dict[Side, Player] = {
        "baseline": Player(options.side),
        "candidate": Player(options.side, options.slower),
    }
    path = options.record or plan.folder / f"null-{options.side}-{options.slower:g}.json"
    planned = planned_pairs(plan.cells, options.pair_seconds)
    (same,) = (pair for pair in planned if pair.pipeline == options.pipeline)
    for number in range(1, options.times + 1):
        pair = _Trial(
            **same.model_dump(exclude={"key"}),
            key=digest((same.key, options.side, str(options.slower), str(number))),
            suffix=f"{options.side}-{options.slower:g}-null-{number}".replace(".", "_"),
        )
        timed = run_pair(plan, pair, players)
        if isinstance(timed, PairFailure):
            raise EnvironmentFailure(f"{pair.name}: {timed.reason}")
        trials.append(_trial(plan, pair, timed))
        console.print(f"{number}: {_said(trials[-1])}", markup=False)
        # After each: a trial takes minutes, and whoever stops it keeps what there is.
        record = _record(plan, options, timed, trials)
        typed_json.write(path, record)
    inconclusive = sum(any(trial.reasons.values()) for trial in trials)
    console.print(
        f"{record.truth(SINGLE):.3g} was outside an interval in {record.wrong()} of {len(record.told)} runs; "
        f"{len(trials) - len(record.told)} more had too few rounds for one; {inconclusive} had an "
        f"inconclusive one\nwritten     {path}"
    )
    return 0 if record.told and record.wrong() * 20 <= len(record.told) else 1


def _trial(plan: Plan, pair: PlannedPair, record: PairRecord) -> Trial:
    findings = {timed: record.finding(timed) for timed in (SINGLE, BATCH, SOLVE)}
    loads = [each.load for fresh in record.pairs for rounds in fresh.rounds.values() for each in rounds]
    return Trial(
        ratios={timed: found.ratio for timed, found in findings.items()},
        reasons={timed: found.reason for timed, found in findings.items()},
        rounds=tuple(max(map(len, fresh.rounds.values())) for fresh in record.pairs),
        load=(min(loads), max(loads)),
        outcome=time(plan.model_copy(update={"pairs": (pair,)}), pair.pipeline, record).outcome,
    )


def _said(trial: Trial) -> str:
    findings = "; ".join(
        f"{timed} {ratio or 'no interval'} ({trial.reasons[timed] or 'conclusive'})"
        for timed, ratio in trial.ratios.items()
    )
    return f"{findings}; gate: {trial.outcome}"


def _record(
    plan: Plan, options: argparse.Namespace, record: PairRecord, trials: Sequence[Trial]
) -> NullRecord:
    process = record.pairs[0].baseline
    return NullRecord(
        pipeline=record.pipeline,
        precision=record.precision,
        scale=record.scale,
        release=plan.release,
        side=options.side,
        slower=options.slower,
        seconds=options.pair_seconds,
        cpu=process.cpu,
        device=process.device,
        cores=len(usable_cores()),
        taken=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        trials=tuple(trials),
    )


if __name__ == "__main__":
    sys.exit(main())
