"""The stand-in's constants, recorded from the NumPy path, which is independent of every JAX solver.

`python -m matrix.prepare.embedded.record_constants --workspace DIR [--write]`, in an environment with the
autolens stack, JAX_ENABLE_X64=True and AUTOARRAY_NNLS_WARM_START=0. `DIR` is a copy of the stand-in; its
datasets are simulated where missing. With `--write` its data become the recorded ones, and the constants
those of the installed release's generation; without, they are only shown.
"""

import argparse
import importlib
import importlib.metadata
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matrix.catalogue.pipelines import Pipeline
from matrix.ground.errors import MatrixError
from matrix.prepare.embedded.datasets import ensure_datasets, record_statistics, simulate_missing
from matrix.prepare.embedded.generations import generation_of, record_constants, scripted, use_words
from matrix.records.cell import Scale


def exact_value(pipeline: Pipeline, scale: Scale, workspace: Path) -> float:
    """Evaluate the eager NumPy path in the quantity that the pipeline's constant records."""
    # Late: it imports autolens, which must come before jax.
    importlib.import_module("autolens")
    from matrix.pipelines.likelihood import likelihood_from

    likelihood = likelihood_from(pipeline, scale, workspace, mixed=False)
    return float(getattr(likelihood.eager(likelihood.medians()), pipeline.quantity))


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate all constants at both scales, print them, and with `--write` record them."""
    parser = argparse.ArgumentParser(
        prog="python -m matrix.prepare.embedded.record_constants", description=__doc__
    )
    parser.add_argument("--workspace", required=True, type=Path, help="a copy of the stand-in, with data")
    parser.add_argument("--write", action="store_true", help="record data and constants")
    options = parser.parse_args(arguments)
    workspace = options.workspace.resolve()
    generation = generation_of(importlib.metadata.version("autolens"))
    values: dict[str, dict[Scale, float]] = {}
    try:
        use_words(workspace, generation)
        if options.write:
            simulate_missing(workspace)
            record_statistics(workspace)
        ensure_datasets(workspace)
        for pipeline in scripted(workspace):
            for scale in get_args(Scale):
                value = exact_value(pipeline, scale, workspace)
                print(f"{pipeline.name} {scale}: {value!r}", flush=True)
                values.setdefault(pipeline.name, {})[scale] = value
        if options.write:
            record_constants(generation, values)
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
