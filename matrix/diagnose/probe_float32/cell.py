"""Run a likelihood in another arithmetic: `python -m matrix.diagnose.probe_float32.cell`, at the baseline."""

import functools
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

# Before the library, as upstream's scripts do: only so does JAX_ENABLE_X64 decide, and not the library.
import jax

from matrix.diagnose.probe_float32.record import Float32Record
from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of, side_main

TF32 = ("tf32-assembly", "tf32-solver")
TF32_MANTISSA_BITS = 10
_PRODUCT = jax.lax.dot_general_p.bind


def compare(request: Request, stage: Callable[[str], None]) -> None:
    """Evaluate the likelihood alone and in batches, with the systems it solves; write the record."""
    import numpy as np
    from autoarray.inversion.inversion import inversion_util

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.audit import CALL_SITE, lane_solves, tapped
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.measure import lanes_from
    from matrix.pipelines.programs import compiled, timed

    started = now()
    cell, arithmetic = request.cell, request.details["arithmetic"]
    lanes, repeats = int(request.details["lanes"]), int(request.details["repeats"])
    stage("load the data and build the model")
    likelihood = likelihood_from(
        pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=cell.precision == "mp"
    )
    units = lanes_from(request.seed, likelihood.model.prior_count, lanes)
    vectors = [likelihood.medians(), *(likelihood.vector_from_unit(unit) for unit in units[1:])]
    function, seen = tapped(likelihood.traced, inversion_util)
    call_site = vars(inversion_util)[CALL_SITE]
    with ExitStack() as stack:
        if arithmetic in TF32:
            # One of the two products, the solver's or the others', is rounded.
            in_solver = arithmetic == "tf32-solver"
            stack.enter_context(products(rounded=not in_solver))
            stack.enter_context(patch.object(inversion_util, CALL_SITE, _within(in_solver, call_site)))
        stage("alone")
        parameters = [likelihood.parameters(vector) for vector in vectors]
        single = compiled(function, parameters[0])
        first, single_timing = timed(single, parameters[0], repeats)
        alone = [first, *(single(other) for other in parameters[1:])]
        stage("in a batch")
        batch = likelihood.batch(vectors)
        program = compiled(jax.vmap(function), batch)
        batched, batch_timing = timed(program, batch, repeats)
        equal = program(likelihood.batch(vectors[:1] * lanes))
        stage("the solver itself")
        apart = jax.tree_util.tree_map(lambda *lanes: np.stack(lanes), *alone)
        solves_alone = lane_solves(seen[0], *apart[1:])
        solves_batched = lane_solves(seen[0], *batched[1:])
    pdip = sys.modules["jaxnnls.pdip"]
    raw = seen[0].words.get("preconditioning") == "raw"
    write_diagnosis(
        request.folder / "record.json",
        Float32Record(
            cell=cell,
            arithmetic=arithmetic,
            tolerance=None if raw else min(batched.q.shape[1] * float(pdip.EPSILON), 1e-2),
            alone=_finite([lane[0] for lane in alone]),
            batched=_finite(np.asarray(batched[0])),
            equal=_finite(np.asarray(equal[0])),
            solves_alone=solves_alone,
            solves_batched=solves_batched,
            single_s=single_timing.steady_s,
            batch_s=batch_timing.steady_s,
            precision=precision_facts(cell),
            provenance=provenance_of(request, units, started, now()),
        ),
    )


@contextmanager
def products(rounded: bool) -> Iterator[None]:
    """Round the operands of float32 products to TF32, eight bits of exponent and ten of mantissa, or do not.

    NVIDIA GPUs from the A100 on round so at JAX's default precision (`jax.lax.Precision`); sums are float32.
    """
    # What was traced before would be taken as it is.
    jax.clear_caches()
    with patch.object(jax.lax.dot_general_p, "bind", _rounded if rounded else _PRODUCT):
        yield
    jax.clear_caches()


def _rounded(*operands: Any, **parameters: Any) -> Any:
    return _PRODUCT(*map(_tf32, operands), **parameters)


def _tf32(operand: Any) -> Any:
    if operand.dtype != jax.numpy.float32:
        return operand
    return jax.lax.reduce_precision(operand, exponent_bits=8, mantissa_bits=TF32_MANTISSA_BITS)


def _within(rounded: bool, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def within(*arguments: Any, **options: Any) -> Any:
        with products(rounded):
            return function(*arguments, **options)

    return within


def _finite(values: Any) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in map(float, values))


def main() -> int:
    """Compare; returns the exit code."""
    return side_main(__doc__, compare)


if __name__ == "__main__":
    sys.exit(main())
