"""`nox -s systems`: the NNLS systems of a likelihood, of other lens models and settings too, as files."""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import pipeline_named
from matrix.diagnose.sides.likelihood import LikelihoodDiagnosis
from matrix.diagnose.systems.record import ExtractionRecord
from matrix.diagnose.systems.variation import variation_from
from matrix.ground.errors import UsageError
from matrix.records.cell import Cell, Side
from matrix.run.plan import Plan


def _details(options: argparse.Namespace, cell: Cell, _folder: Path) -> Mapping[str, Any]:
    """What was asked for, refused here where it could not be done there."""
    if options.draws < 1:
        raise UsageError(f"--draws {options.draws}: at least one lens model is needed.")
    variations = tuple(dict.fromkeys(map(variation_from, options.vary or ("",))))
    for variation in variations:
        variation.applied(pipeline_named(cell.pipeline).settings[cell.scale])
    return {"draws": options.draws, "variations": [dataclasses.asdict(each) for each in variations]}


def extraction_table(_plan: Plan, records: Mapping[Side, ExtractionRecord]) -> str:
    """The systems, one in a row."""
    record = records["candidate"]
    lines = [
        f"{record.cell.name}, {record.cell.scale} scale, autolens {record.provenance.packages['autolens']}",
        f" {'file':60s} {'K':>5s} {'dense':>5s} {'zeros':>5s}",
    ]
    lines += [f" {each.file:60s} {each.K:5d} {each.dense:5d} {each.zeros:5d}" for each in record.systems]
    return "\n".join(lines)


def _options(parser: argparse.ArgumentParser) -> None:
    # Its solver is the one whose systems they become.
    parser.set_defaults(side="candidate")
    add = parser.add_argument
    add("--draws", type=int, default=3, help="lens models: the prior medians, then draws (default 3)")
    add(
        "--vary",
        action="append",
        metavar="mesh=N,gaussians=N,coefficient=X,radius=X",
        help="other settings than the pipeline's, any of these (repeatable)",
    )


DIAGNOSIS = LikelihoodDiagnosis(
    name="systems",
    sentence=(
        "Take the systems that a likelihood solves, of several lens models drawn from the priors and under "
        "other settings, as files for `--systems` of bench and survey. Uses the candidate's environment of "
        "the newest run; needs no network."
    ),
    example="imaging-delaunay",
    options=_options,
    record=ExtractionRecord,
    details=_details,
    table=extraction_table,
)
