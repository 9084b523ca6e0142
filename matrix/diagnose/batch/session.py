"""`nox -s batch`: time and memory per likelihood against the batch size, baseline against candidate."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.diagnose.batch.plot import batch_curves
from matrix.diagnose.batch.record import BatchRecord
from matrix.diagnose.sides.likelihood import LikelihoodDiagnosis, add_sides
from matrix.records.cell import Cell, Side
from matrix.run.plan import Plan

_MIB = 1024**2


def _details(options: argparse.Namespace, _cell: Cell, _folder: Path) -> Mapping[str, Any]:
    return {"batches": options.lanes, "repeats": options.repeats, "memory_gib": options.memory_gib}


def _tables(_plan: Plan, records: Mapping[Side, BatchRecord]) -> str:
    return "\n\n".join(map(batch_table, records.values()))


def _picture(_plan: Plan, records: Mapping[Side, BatchRecord]) -> bytes | None:
    curves = list(records.values())
    return batch_curves(curves) if any(record.run for record in curves) else None


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


def _options(parser: argparse.ArgumentParser) -> None:
    add_sides(parser)
    add = parser.add_argument
    add("--lanes", type=int, nargs="+", default=[1, 3, 8, 16], help="batch sizes (default 1 3 8 16)")
    add("--repeats", type=int, default=3, help="timed calls per batch size, in turn (default 3)")
    add("--memory-gib", type=float, default=4.0, help="skip programs that need more (default 4)")


DIAGNOSIS = LikelihoodDiagnosis(
    name="batch",
    sentence=(
        "Time per likelihood and memory at batch sizes 1, 3, 8 and 16, and where each side stops gaining."
    ),
    example="interferometer-delaunay",
    options=_options,
    record=BatchRecord,
    details=_details,
    table=_tables,
    picture=_picture,
)
