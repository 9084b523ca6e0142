"""`nox -s null -- RUN PIPELINE`: a side against itself, again and again: 1 should be inside the interval."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from matrix.execute.pairs import PairFailure, run_pair
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, UsageError, exit_code_of
from matrix.ground.files import inside
from matrix.ground.options import SessionParser
from matrix.ground.suggestions import known_names
from matrix.records.cell import SIDES
from matrix.records.pair import BATCH, SINGLE, SOLVE
from matrix.run.plan import PlannedPair, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Time it so many times; 0, or 1 where 1 was outside more often than once in twenty times."""
    parser = SessionParser(
        "null",
        "Time a side against itself, again and again: 1 should be inside the interval.",
        ".matrix/runs/RUN imaging-mge",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a run, whose environments are used")
    parser.add_argument("pipeline")
    parser.add_argument("--side", choices=SIDES, default="baseline")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument(
        "--pair-seconds", type=float, default=30.0, help="for the rounds of a pair of processes"
    )
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _null(options))


def _null(options: argparse.Namespace) -> int:
    plan = read_plan(options.run.resolve())
    if options.pipeline not in plan.pipelines:
        raise UsageError(
            f"{options.pipeline} is no pipeline of this run.{known_names(options.pipeline, plan.pipelines)}"
        )
    console = open_console()
    outside = inconclusive = 0
    for number in range(1, options.times + 1):
        own = plan.model_copy(update={"folder": inside(plan.folder, "null", f"{options.side}-{number}")})
        pair = PlannedPair(
            pipeline=options.pipeline,
            precision=plan.precision,
            scale=plan.scale,
            key=f"{plan.key} {options.side} against itself {number}",
            seconds=options.pair_seconds,
        )
        record = run_pair(own, pair, dict.fromkeys(SIDES, options.side))
        if isinstance(record, PairFailure):
            raise EnvironmentFailure(f"{pair.name}: {record.reason}")
        findings = {timed: record.finding(timed) for timed in (SINGLE, BATCH, SOLVE)}
        # An interval counts also where it is called inconclusive: that word must not hide a wrong one.
        outside += any(found.ratio is None or not found.ratio.holds(1.0) for found in findings.values())
        inconclusive += any(found.reason for found in findings.values())
        said = "; ".join(
            f"{timed} {found.ratio or 'no interval'} ({found.reason or 'conclusive'})"
            for timed, found in findings.items()
        )
        console.print(f"{number}: {said}")
    console.print(
        f"1 was outside an interval, or there was none, in {outside} of {options.times} runs; "
        f"{inconclusive} had an inconclusive one"
    )
    return 0 if outside * 20 <= options.times else 1


if __name__ == "__main__":
    sys.exit(main())
