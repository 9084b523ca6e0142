"""Batches of other sizes than the timed one, and the points that all lanes are drawn from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import jax
import numpy as np

from matrix.catalogue.pipelines import LANES
from matrix.ground.machine import GIB, peak_rss_bytes, usable_bytes
from matrix.pipelines.programs import Program, compiled, evaluation_of
from matrix.records.cell import Batch

# It imports the library, which this module does not need.
if TYPE_CHECKING:
    from matrix.pipelines.likelihood import Likelihood

# Half the side of the box about the prior medians that the different lanes are drawn from, in the unit cube.
_HALF_WIDTH = 0.05


def batches_of(
    likelihood: "Likelihood",
    single: Program,
    seed: int,
    sizes: Sequence[int],
    stage: Callable[[str], None],
) -> tuple[Batch, ...]:
    """Evaluate batches of other sizes, each lane also alone and by NumPy.

    Parameters
    ----------
    likelihood
        Whose.
    single
        Its compiled program for one lane.
    seed
        Of the lanes.
    sizes
        How many lanes each batch has. One that does not fit into memory is noted, and not run.
    stage
        Told what is being done.
    """
    if not sizes:
        return ()
    units = lanes_from(seed, likelihood.model.prior_count, max(sizes))
    vectors = [likelihood.medians(), *(likelihood.vector_from_unit(unit) for unit in units[1:])]
    programs, found = {}, []
    for size in sizes:
        stage(f"compile the batch of {size}")
        batch = likelihood.batch(vectors[:size])
        program = compiled(jax.vmap(likelihood.traced), batch)
        needed, usable = _needed_bytes(program), _usable_bytes()
        found.append(Batch(size, needed, usable))
        if needed is not None and needed > usable:
            stage(f"a batch of {size} needs {needed / GIB:.1f} GiB of {usable / GIB:.1f}: it is not run")
        else:
            stage(f"evaluate the batch of {size}")
            programs[size] = np.asarray(program(batch))
    alone, exact = [], []
    for number, vector in enumerate(vectors[: max(programs, default=0)], 1):
        stage(f"lane {number} of {max(programs)} alone and by NumPy")
        alone.append(single(likelihood.parameters(vector)))
        exact.append(likelihood.eager(vector).figure_of_merit)
    return tuple(
        dataclasses.replace(
            batch,
            vmap=evaluation_of(programs[batch.lanes]),
            jit=evaluation_of(*alone[: batch.lanes]),
            eager=evaluation_of(*exact[: batch.lanes]),
        )
        if batch.lanes in programs
        else batch
        for batch in found
    )


def _needed_bytes(program: Program) -> int | None:
    """What this process would hold while a program runs; on a device what the device would."""
    analysis = program.memory()
    if analysis is None:
        return None
    own = analysis.argument_bytes + analysis.output_bytes + analysis.temporary_bytes
    return own + (peak_rss_bytes() if jax.devices()[0].platform == "cpu" else 0)


def _usable_bytes() -> int:
    device = jax.devices()[0]
    return usable_bytes() if device.platform == "cpu" else int(device.memory_stats()["bytes_limit"])


def lanes_from(seed: int, parameters: int, lanes: int = LANES) -> tuple[tuple[float, ...], ...]:
    """Draw the different lanes as points of the priors' unit cube.

    Parameters
    ----------
    seed
        Of NumPy's default generator.
    parameters
        Dimension of the cube.
    lanes
        How many; a smaller number gives the first of a larger one's.

    Returns
    -------
    tuple
        `lanes` points: the medians first, then uniform draws from a box of side 0.1 about them.
    """
    generator = np.random.default_rng(seed)
    draws = generator.uniform(0.5 - _HALF_WIDTH, 0.5 + _HALF_WIDTH, size=(lanes - 1, parameters))
    return ((0.5,) * parameters, *(tuple(map(float, draw)) for draw in draws))
