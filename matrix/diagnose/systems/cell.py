"""Take a likelihood's systems, in the candidate's Python."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from matrix.diagnose.sides.process import Request, now, precision_facts, provenance_of

# Half the side of the box about the prior medians that lens models are drawn from, in the unit cube: nearly
# all of it, since a sampler begins there.
_HALF_WIDTH = 0.48


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Solve every draw under every variation; leave each system in a file, and the record."""
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.diagnose.systems.record import Extracted, ExtractionRecord
    from matrix.diagnose.systems.stored import write_system
    from matrix.diagnose.systems.variation import Variation

    started = now()
    draws = int(request.details["draws"])
    found: list[Extracted] = []
    for facts in request.details["variations"]:
        variation = Variation(**facts)
        for number, (unit, system, zeros) in enumerate(_systems(request, variation, draws, stage)):
            name = "-".join(filter(None, (request.cell.pipeline, variation.label, str(number))))
            write_system(request.folder / f"{name}.npz", system)
            found.append(Extracted(f"{name}.npz", variation, unit, system.K, len(system.dense), zeros))
    record = ExtractionRecord(
        cell=request.cell,
        systems=tuple(found),
        precision=precision_facts(request.cell),
        provenance=provenance_of(request, (), started, now()),
    )
    write_diagnosis(request.folder / "record.json", record)


def _systems(
    request: Request, variation: Any, draws: int, stage: Callable[[str], None]
) -> Iterator[tuple[tuple[float, ...], Any, int]]:
    """Each draw as a point of the unit cube, its system, and the zeros in its answer."""
    import numpy as np
    from autoarray.inversion.inversion import inversion_util

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.systems.stored import System
    from matrix.pipelines.audit import need_vendored, tapped
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.programs import compiled

    cell, label = request.cell, variation.label or "as the pipeline is"
    stage(f"{label}: load the data and build the model")
    pipeline = pipeline_named(cell.pipeline)
    settings = {cell.scale: variation.applied(pipeline.settings[cell.scale])}
    varied = dataclasses.replace(pipeline, settings=settings)
    likelihood = likelihood_from(varied, cell.scale, request.workspace, mixed=False)
    need_vendored(cell.side)
    function, seen = tapped(likelihood.traced, inversion_util)
    stage(f"{label}: compile")
    program = compiled(function, likelihood.parameters(likelihood.medians()))
    dense = _dense_columns(seen[0].options, likelihood)
    for number, unit in enumerate(_units(request.seed, likelihood.model.prior_count, draws), 1):
        stage(f"{label}: draw {number} of {draws}")
        _, Q, q, x, _ = program(likelihood.parameters(likelihood.vector_from_unit(unit)))
        yield unit, System("", np.asarray(Q), np.asarray(q), dense), int(np.sum(np.asarray(x) == 0))


def _dense_columns(options: Mapping[str, Any], likelihood: Any) -> tuple[int, ...]:
    """The columns without regularization: as the call site names them, or where it does not, as the fit does.

    They are the light profiles', which come before the mappers' pixels and are never left out of a system.
    """
    if "dense_columns" in options:
        return tuple(options["dense_columns"] or ())
    inversion = likelihood.eager_fit(likelihood.medians()).inversion
    return tuple(int(column) for column in inversion.no_regularization_index_list)


def _units(seed: int, parameters: int, draws: int) -> Sequence[tuple[float, ...]]:
    import numpy as np

    generator = np.random.default_rng(seed)
    drawn = generator.uniform(0.5 - _HALF_WIDTH, 0.5 + _HALF_WIDTH, size=(draws - 1, parameters))
    return ((0.5,) * parameters, *(tuple(map(float, unit)) for unit in drawn))
