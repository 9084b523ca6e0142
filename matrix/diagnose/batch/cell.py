"""Time a likelihood at several batch sizes, in a side's Python."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from matrix.diagnose.clock import interleaved
from matrix.diagnose.sides.process import (
    Request,
    now,
    precision_facts,
    provenance_of,
)

GIB = 1024**3


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Compile and time each batch size, lanes all different; write the record."""
    import jax

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.batch.record import BatchPoint, BatchRecord
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.ground.machine import peak_rss_bytes
    from matrix.pipelines.batches import lanes_from
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.programs import compiled

    started = now()
    cell = request.cell
    sizes = [int(size) for size in request.details["batches"]]
    limit = float(request.details["memory_gib"]) * GIB
    stage("load the data and build the model")
    likelihood = likelihood_from(
        pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=cell.precision == "mp"
    )
    units = lanes_from(request.seed, likelihood.model.prior_count, max(sizes))
    vectors = [likelihood.medians(), *(likelihood.vector_from_unit(unit) for unit in units[1:])]
    points: list[BatchPoint] = []
    calls: dict[int, Callable[[], Any]] = {}
    for lanes in sizes:
        stage(f"compile a batch of {lanes}")
        parameters = likelihood.batch(vectors[:lanes])
        program = compiled(jax.vmap(likelihood.traced), parameters)
        memory = program.memory()
        needed = memory.temporary_bytes if memory else None
        if needed is not None and needed > limit:
            reason = f"needs {needed / GIB:.1f} GiB of temporary memory"
            points.append(BatchPoint(lanes, program.compile_s, (), needed, reason))
            continue
        stage(f"a batch of {lanes}")
        program(parameters)
        calls[lanes] = functools.partial(program, parameters)
        points.append(BatchPoint(lanes, program.compile_s, (), needed, ""))
    stage("time all sizes in turn")
    times = interleaved(calls, int(request.details["repeats"]), warm=True)
    points = [dataclasses.replace(point, steady_s=times.get(point.lanes, ())) for point in points]
    write_diagnosis(
        request.folder / "record.json",
        BatchRecord(
            cell=cell,
            points=tuple(points),
            peak_rss_bytes=peak_rss_bytes(),
            precision=precision_facts(cell),
            provenance=provenance_of(request, units, started, now()),
        ),
    )
