"""What every diagnosis in a side's environment shares: its command line, its stages, its software."""

import argparse
import datetime
import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from matrix.catalogue.arguments import pipeline_argument
from matrix.catalogue.pipelines import pipeline_named
from matrix.ground.errors import MatrixError, UsageError
from matrix.pipelines.cell import StageLog, prepare_library
from matrix.records.cell import Cell, Precision, PrecisionFacts, Provenance, Scale, Side


@dataclass(frozen=True)
class Request:
    """What a process in a side's environment is to look at.

    Attributes
    ----------
    driver
        The driver's notes, which go into the provenance as they are.
    details
        What this kind of diagnosis is told besides, as JSON.
    folder
        Where everything it makes goes.
    """

    cell: Cell
    workspace: Path
    folder: Path
    seed: int
    driver: Mapping[str, Any]
    details: Mapping[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    """Let a diagnosis look, once autolens is imported and JAX is at 64 bit; return the exit code."""
    options = _parser().parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    stage = StageLog(options.folder / "stage")
    try:
        stage("import autolens")
        prepare_library()
        cell = Cell(options.pipeline, options.precision, options.side, options.scale)
        cell_of = importlib.import_module(f"matrix.diagnose.{options.diagnosis.replace('-', '_')}.cell")
        cell_of.look(
            Request(
                cell=cell,
                workspace=options.workspace.resolve(),
                folder=options.folder.resolve(),
                seed=options.seed,
                driver=_json_object("--provenance", options.provenance),
                details=_json_object("--details", options.details),
            ),
            stage,
        )
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    stage("done")
    return 0


def precision_facts(cell: Cell) -> PrecisionFacts:
    """What precision this process really has; the solver's dtype is the one JAX makes arrays in."""
    import jax
    import jax.numpy as jnp

    return PrecisionFacts(
        x64_enabled=bool(jax.config.read("jax_enable_x64")),
        x64_variable=os.environ.get("JAX_ENABLE_X64"),
        mixed=cell.precision == "mp",
        solver_dtype=jnp.zeros(()).dtype.name,
    )


def provenance_of(
    request: Request, lanes_unit: Sequence[Sequence[float]], started: str, finished: str
) -> Provenance:
    """Machine, packages, data and environment of this process."""
    from matrix.pipelines.provenance import provenance_from

    return provenance_from(
        request.driver,
        pipeline=pipeline_named(request.cell.pipeline),
        workspace=request.workspace,
        seed=request.seed,
        lanes_unit=lanes_unit,
        started=started,
        finished=finished,
    )


def now() -> str:
    """The time as records write it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _json_object(option: str, path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        notes = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{option}: cannot read {path}: {error}.") from error
    if not isinstance(notes, dict):
        raise UsageError(f"{option}: {path} must hold a JSON object.")
    return notes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("diagnosis", help="whose `cell` looks")
    add("--pipeline", required=True, type=pipeline_argument)
    add("--precision", default="fp64", choices=get_args(Precision))
    add("--side", required=True, choices=get_args(Side))
    add("--scale", default="production", choices=get_args(Scale))
    add("--workspace", required=True, type=Path, help="root of autolens_workspace_developer")
    add("--folder", required=True, type=Path, help="where everything it makes goes")
    add("--seed", type=int, default=1, help="of the different lanes")
    add("--provenance", type=Path, help="JSON notes of the driver")
    add("--details", type=Path, help="JSON: what this diagnosis is told besides")
    return parser


if __name__ == "__main__":
    sys.exit(main())
