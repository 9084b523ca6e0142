"""`nox -s probe`: where a likelihood's time goes, step by step, alone and under vmap."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.diagnose.probe.plot import stacked_bars
from matrix.diagnose.probe.record import ProbeRecord
from matrix.diagnose.probe.table import probe_table
from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
    sides_of,
    traced_variables,
)
from matrix.ground.options import SessionParser
from matrix.records.cell import Cell

DESCRIPTION = (
    "Time every step of a likelihood, inside the whole program (by a profiler trace) and alone, single and "
    "under vmap. Uses the environments of the newest run; needs no network."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Probe; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _probe)


def _probe(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    plan = newest_plan(options.root, options.run)
    name = f"{pipeline}-{options.precision}-{options.scale}"
    folder = folder_of(options, pipeline, "probes", name)
    records = [
        run_side(
            console,
            plan,
            "matrix.diagnose.probe.cell",
            Cell(pipeline, options.precision, side, options.scale),
            folder / side,
            ProbeRecord,
            details={"lanes": options.lanes, "repeats": options.repeats},
            timeout=options.timeout,
            variables=traced_variables(plan),
        )
        for side in sides_of(options.side)
    ]
    table = "\n\n".join(probe_table(record) for record in records)
    (folder / "steps.png").write_bytes(stacked_bars(records))
    deliver(console, folder, table, " (records, table, picture; traces for ui.perfetto.dev)")


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("probe", DESCRIPTION, "imaging-delaunay")
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. imaging-delaunay, or all")
    add("--side", choices=("baseline", "candidate", "both"), default="both")
    add("--precision", choices=("fp64", "mp"), default="fp64")
    add("--lanes", type=int, default=3, help="lanes of the batch (default 3)")
    add("--repeats", type=int, default=3, help="timed calls per program (default 3)")
    add("--output-dir", type=Path, help="default: a new folder under .matrix/probes")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
