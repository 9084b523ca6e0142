"""Batches of other sizes than the timed one, and the points that all lanes are drawn from."""

import dataclasses
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING

import jax
import numpy as np

from matrix.catalogue.pipelines import LANES
from matrix.ground.machine import GIB, peak_rss_bytes, usable_bytes
from matrix.pipelines.audit import lane_solves, tapped
from matrix.pipelines.programs import Program, compiled, evaluation_of
from matrix.records.cell import Batch

# It imports the library, which this module does not need.
if TYPE_CHECKING:
    from matrix.pipelines.likelihood import Likelihood

# Half the side of the box about the prior medians that the different lanes are drawn from, in the unit cube.
_HALF_WIDTH = 0.05


def batches_of(
    likelihood: "Likelihood",
    call_site: ModuleType,
    single: Program,
    seed: int,
    sizes: Sequence[int],
    stage: Callable[[str], None],
) -> tuple[Batch, ...]:
    """Evaluate batches of other sizes, each lane also alone and by NumPy, and judge every solve in them.

    Parameters
    ----------
    likelihood
        Whose.
    call_site
        The library's module that holds the positive-only solve.
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
    found = [_evaluated(likelihood, call_site, vectors[:size], stage) for size in sizes]
    largest = max((batch.lanes for batch in found if batch.vmap is not None), default=0)
    alone, exact = [], []
    for number, vector in enumerate(vectors[:largest], 1):
        stage(f"lane {number} of {largest} alone and by NumPy")
        alone.append(single(likelihood.parameters(vector)))
        exact.append(likelihood.eager(vector).figure_of_merit)
    return tuple(
        dataclasses.replace(
            batch, jit=evaluation_of(*alone[: batch.lanes]), eager=evaluation_of(*exact[: batch.lanes])
        )
        if batch.vmap is not None
        else batch
        for batch in found
    )


def _evaluated(
    likelihood: "Likelihood",
    call_site: ModuleType,
    vectors: Sequence[Sequence[float]],
    stage: Callable[[str], None],
) -> Batch:
    """One batch, with the solves that were made in it; without either where it does not fit."""
    size, batch = len(vectors), likelihood.batch(vectors)
    audited, solves = tapped(likelihood.traced, call_site)
    stage(f"compile the batch of {size}, as it is and audited")
    plain, audit = (compiled(jax.vmap(one), batch) for one in (likelihood.traced, audited))
    needed, usable = _needed_bytes(plain, audit), _usable_bytes()
    if needed is not None and needed > usable:
        stage(f"a batch of {size} needs {needed / GIB:.1f} GiB of {usable / GIB:.1f}: it is not run")
        return Batch(size, needed, usable)
    stage(f"evaluate the batch of {size}")
    values = plain(batch)
    stage(f"audit the solver in the batch of {size}")
    again, systems, right_hand_sides, answers, numbers = audit(batch)
    return Batch(
        size,
        needed,
        usable,
        vmap=evaluation_of(values),
        audit=evaluation_of(again),
        nnls=lane_solves(solves[0], systems, right_hand_sides, answers, numbers),
    )


def _needed_bytes(*programs: Program) -> int | None:
    """What this process would hold while the largest of them runs; on a device what the device would."""
    analyses = [analysis for program in programs if (analysis := program.memory()) is not None]
    if not analyses:
        return None
    own = max(one.argument_bytes + one.output_bytes + one.temporary_bytes for one in analyses)
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
