"""`nox -s batch`: time and memory per likelihood against the batch size, baseline against candidate."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.diagnose.batch.plot import batch_curves
from matrix.diagnose.batch.record import BatchRecord
from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
    sides_of,
)
from matrix.ground.options import SessionParser
from matrix.records.cell import Cell

DESCRIPTION = (
    "Time per likelihood and memory at batch sizes 1, 3, 8 and 16, and where each side stops gaining."
)

_MIB = 1024**2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _curve)


def _curve(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    plan = newest_plan(options.root, options.run)
    folder = folder_of(options, pipeline, "batches", f"{pipeline}-{options.scale}")
    details = {"batches": options.lanes, "repeats": options.repeats, "memory_gib": options.memory_gib}
    records = [
        run_side(
            console,
            plan,
            "matrix.diagnose.batch.cell",
            Cell(pipeline, "fp64", side, options.scale),
            folder / side,
            BatchRecord,
            details=details,
            timeout=options.timeout,
        )
        for side in sides_of(options.side)
    ]
    table = "\n\n".join(batch_table(record) for record in records)
    if any(record.run for record in records):
        (folder / "batches.png").write_bytes(batch_curves(records))
    deliver(console, folder, table)


def batch_table(record: BatchRecord) -> str:
    """One side's curve as text; times in ms."""
    lines = [
        f"{record.cell.name}, {record.cell.scale} scale; {record.provenance.device_kind} "
        f"({record.provenance.cpu}, {len(record.provenance.affinity)} of {record.provenance.cores} cores)",
        f" {'lanes':>6s} {'per lane':>10s} {'per call':>10s} {'temp MiB':>9s} {'compile s':>9s}",
    ]
    for point in record.points:
        memory = "-" if point.temporary_bytes is None else f"{point.temporary_bytes / _MIB:.0f}"
        if point.not_run:
            lines.append(f" {point.lanes:6d} not run: {point.not_run}")
        else:
            per_lane = 1e3 * point.lane_s
            lines.append(
                f" {point.lanes:6d} {per_lane:10.2f} {per_lane * point.lanes:10.2f} {memory:>9s} "
                f"{point.compile_s:9.1f}"
            )
    lines.append(
        f" stops gaining at a batch of {record.stops_gaining} (within 5 % of the best time per lane)"
    )
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("batch", DESCRIPTION, "interferometer-delaunay")
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. interferometer-delaunay, or all")
    add("--side", choices=("baseline", "candidate", "both"), default="both")
    add("--lanes", type=int, nargs="+", default=[1, 3, 8, 16], help="batch sizes (default 1 3 8 16)")
    add("--repeats", type=int, default=3, help="timed calls per batch size, in turn (default 3)")
    add("--memory-gib", type=float, default=4.0, help="skip programs that need more (default 4)")
    add("--output-dir", type=Path, help="default: a new folder under .matrix/batches")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
