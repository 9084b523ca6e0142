"""`nox -s systems`: the NNLS systems of a likelihood, of other lens models and settings too, as files."""

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from matrix.catalogue.pipelines import pipeline_named
from matrix.diagnose.sides.driver import (
    add_common_options,
    deliver,
    folder_of,
    for_each_pipeline,
    newest_plan,
    run_side,
)
from matrix.diagnose.systems.record import ExtractionRecord
from matrix.diagnose.systems.variation import Variation, variation_from
from matrix.ground.errors import UsageError
from matrix.ground.options import SessionParser
from matrix.records.cell import Cell

DESCRIPTION = (
    "Take the systems that a likelihood solves, of several lens models drawn from the priors and under other "
    "settings, as files for `--systems` of bench and survey. Uses the candidate's environment of the newest "
    "run; needs no network."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Extract; return the exit code (0 done, 2 wrong use, 3 machine)."""
    return for_each_pipeline(_parser().parse_args(arguments), _extract)


def _extract(console: Console, pipeline: str, options: argparse.Namespace) -> None:
    variations = _variations(pipeline, options)
    plan = newest_plan(options.root, options.run)
    folder = folder_of(options, pipeline, "systems", f"{pipeline}-{options.scale}")
    record = run_side(
        console,
        plan,
        "matrix.diagnose.systems.cell",
        Cell(pipeline, "fp64", "candidate", options.scale),
        folder,
        ExtractionRecord,
        details={"draws": options.draws, "variations": [dataclasses.asdict(each) for each in variations]},
        timeout=options.timeout,
    )
    deliver(console, folder, extraction_table(record))


def _variations(pipeline: str, options: argparse.Namespace) -> tuple[Variation, ...]:
    """What was asked for, refused here where it could not be done there."""
    if options.draws < 1:
        raise UsageError(f"--draws {options.draws}: at least one lens model is needed.")
    variations = tuple(dict.fromkeys(map(variation_from, options.vary or ("",))))
    for variation in variations:
        variation.applied(pipeline_named(pipeline).settings[options.scale])
    return variations


def extraction_table(record: ExtractionRecord) -> str:
    """The systems, one in a row."""
    lines = [
        f"{record.cell.name}, {record.cell.scale} scale, autolens {record.provenance.packages['autolens']}",
        f" {'file':60s} {'K':>5s} {'dense':>5s} {'zeros':>5s}",
    ]
    lines += [f" {each.file:60s} {each.K:5d} {each.dense:5d} {each.zeros:5d}" for each in record.systems]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = SessionParser("systems", DESCRIPTION, "imaging-delaunay")
    add = parser.add_argument
    add("pipeline", nargs="*", metavar="PIPELINE", help="e.g. imaging-delaunay, or all")
    add("--draws", type=int, default=3, help="lens models: the prior medians, then draws (default 3)")
    add(
        "--vary",
        action="append",
        metavar="mesh=N,gaussians=N,coefficient=X,radius=X",
        help="other settings than the pipeline's, any of these (repeatable)",
    )
    add("--output-dir", type=Path, help="default: a new folder under .matrix/systems")
    add_common_options(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
