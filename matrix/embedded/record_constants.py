"""The stand-in's constants, recorded from the NumPy path, which is independent of every JAX solver.

`python -m matrix.embedded.record_constants --workspace DIR [--write]`, in an environment with the autolens
stack and JAX_ENABLE_X64=True. `DIR` is a copy of the stand-in; its datasets are simulated where missing. With
`--write` its data become the recorded ones and the constants go into the stand-in's scripts; without, they
are only shown.
"""

import argparse
import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matrix.embedded.datasets import ensure_datasets, record_statistics, simulate_missing
from matrix.errors import MatrixError, UsageError
from matrix.files import write_text
from matrix.pipelines.catalogue import PIPELINES, Pipeline
from matrix.record import Scale

STAND_IN = Path(__file__).with_name("autolens_workspace_developer")


def exact_value(pipeline: Pipeline, scale: Scale, workspace: Path) -> float:
    """Evaluate the eager NumPy path in the quantity that the pipeline's constant records."""
    # Late: it imports autolens, which must come before jax.
    importlib.import_module("autolens")
    from matrix.pipelines.likelihood import likelihood_from

    likelihood = likelihood_from(pipeline, scale, workspace, mixed=False)
    return float(getattr(likelihood.eager(likelihood.medians()), pipeline.quantity))


def with_constant(text: str, pipeline: Pipeline, scale: Scale, value: float) -> str:
    """Put a constant into the text of a script, in whichever of the two forms it is written there.

    Raises
    ------
    UsageError
        The script has no such constant.
    """
    instrument = pipeline.instrument + ("_smoke" if scale == "smoke" else "")
    kind = "LIKELIHOOD" if pipeline.quantity == "log_likelihood" else "EVIDENCE"
    names = (rf"^EXPECTED_LOG_{kind}_{instrument.upper()} = ", rf'^    "{instrument}": ')
    for name in names:
        changed, count = re.subn(rf"({name})[-+.\deE]+", rf"\g<1>{value!r}", text, flags=re.MULTILINE)
        if count == 1:
            return changed
    raise UsageError(f"{pipeline.script} holds no constant for {instrument}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate all constants at both scales, print them, and with `--write` record them."""
    parser = argparse.ArgumentParser(prog="python -m matrix.embedded.record_constants", description=__doc__)
    parser.add_argument("--workspace", required=True, type=Path, help="a copy of the stand-in, with data")
    parser.add_argument("--write", action="store_true", help="record data and constants in the stand-in")
    options = parser.parse_args(arguments)
    workspace = options.workspace.resolve()
    try:
        if options.write:
            simulate_missing(workspace)
            record_statistics(workspace)
        ensure_datasets(workspace)
        for pipeline in PIPELINES.values():
            for scale in get_args(Scale):
                value = exact_value(pipeline, scale, workspace)
                print(f"{pipeline.name} {scale}: {value!r}", flush=True)
                if options.write:
                    script = STAND_IN / pipeline.script
                    write_text(script, with_constant(script.read_text("utf-8"), pipeline, scale, value))
    except MatrixError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
