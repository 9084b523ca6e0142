"""`nox -s probe`: where a likelihood's time goes, step by step, alone and under vmap."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.diagnose.probe.plot import stacked_bars
from matrix.diagnose.probe.record import ProbeRecord
from matrix.diagnose.probe.table import probe_table
from matrix.diagnose.sides.driver import traced_variables
from matrix.diagnose.sides.likelihood import LikelihoodDiagnosis, add_sides
from matrix.records.cell import Cell, Side
from matrix.run.plan import Plan


def _details(options: argparse.Namespace, _cell: Cell, _folder: Path) -> Mapping[str, Any]:
    return {"lanes": options.lanes, "repeats": options.repeats}


def _tables(_plan: Plan, records: Mapping[Side, ProbeRecord]) -> str:
    return "\n\n".join(map(probe_table, records.values()))


def _picture(_plan: Plan, records: Mapping[Side, ProbeRecord]) -> bytes:
    return stacked_bars(list(records.values()))


def _options(parser: argparse.ArgumentParser) -> None:
    add_sides(parser)
    add = parser.add_argument
    add("--precision", choices=("fp64", "mp"), default="fp64")
    add("--lanes", type=int, default=3, help="lanes of the batch (default 3)")
    add("--repeats", type=int, default=3, help="timed calls per program (default 3)")


DIAGNOSIS = LikelihoodDiagnosis(
    name="probe",
    sentence=(
        "Time every step of a likelihood, inside the whole program (by a profiler trace) and alone, single "
        "and under vmap. Uses the environments of the newest run; needs no network."
    ),
    example="imaging-delaunay",
    options=_options,
    record=ProbeRecord,
    details=_details,
    table=_tables,
    picture=_picture,
    variables=traced_variables,
)
