"""One cell's measurement: every path of one pipeline evaluated, timed, and its solves audited."""

import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from autoarray.inversion.inversion import inversion_util

from matrix.catalogue.pipelines import LANES, pipeline_named
from matrix.ground.machine import peak_rss_bytes
from matrix.pipelines.audit import lane_solves, need_vendored, solver_facts, tapped
from matrix.pipelines.batches import batches_of, lanes_from
from matrix.pipelines.convergence import Curve, convergence
from matrix.pipelines.likelihood import Likelihood, likelihood_from, values_of
from matrix.pipelines.programs import STEADY_SECONDS, compiled, compiled_anew, evaluation_of, timed
from matrix.pipelines.provenance import provenance_from
from matrix.pipelines.reconstruction import Frame, frame_of
from matrix.records.cell import (
    Cell,
    EagerEvaluation,
    Evaluations,
    LaneSolve,
    Memory,
    PrecisionFacts,
    Record,
    Solver,
    Timings,
)


@dataclass(frozen=True)
class Measurement:
    """A cell's record, and what its pictures are made of: the first lane's system (K, K) and answer (K,)."""

    record: Record
    frame: Frame
    Q: np.ndarray
    x: np.ndarray


@dataclass(frozen=True)
class _Audit:
    """The audited program's evidences, the solves judged, and the first lane's curve, system and answer."""

    values: np.ndarray
    facts: Solver
    nnls: tuple[LaneSolve, ...]
    curve: Curve
    dtype: str
    Q: np.ndarray
    x: np.ndarray


def measure_pipeline(
    cell: Cell,
    workspace: Path,
    driver: Mapping[str, Any],
    *,
    seed: int,
    repeats: int,
    stage: Callable[[str], None],
    more_lanes: Sequence[int] = (),
) -> Measurement:
    """Evaluate one pipeline along every path.

    Parameters
    ----------
    cell
        What to measure; must be run in the environment of its side.
    workspace
        Root of the developer workspace.
    driver
        The driver's notes: its content key under "key", the rest goes into the provenance as it is.
    seed
        Of the different lanes; the same on both sides, so that they are comparable.
    repeats
        Timed calls per program, at least.
    stage
        Told what is being done.
    more_lanes
        Sizes of more batches, which are evaluated and audited, and not timed.

    Raises
    ------
    UsageError
        The environment or the workspace does not fit the cell.
    """
    started = _now()
    # Nobody reads times at smoke scale.
    steady_s = STEADY_SECONDS if cell.scale == "production" else 0.0
    need_vendored(cell.side)
    stage("load the data and build the model")
    pipeline = pipeline_named(cell.pipeline)
    likelihood = likelihood_from(pipeline, cell.scale, workspace, mixed=cell.precision == "mp")
    lanes_unit = lanes_from(seed, likelihood.model.prior_count)
    medians = likelihood.medians()
    lanes = [medians, *(likelihood.vector_from_unit(unit) for unit in lanes_unit[1:])]

    stage("eager NumPy")
    clock = time.perf_counter()
    fit = likelihood.eager_fit(medians)
    eager = values_of(fit)
    eager_s = time.perf_counter() - clock
    # Held to the end for the pictures: a (data points, unknowns) matrix, in both sides' peak memory.
    frame = frame_of(fit)
    del fit
    stage("eager NumPy of the other lanes")
    lanes_eager = [eager, *(likelihood.eager(vector) for vector in lanes[1:])]

    stage("compile the likelihood")
    single = compiled_anew(likelihood.traced, likelihood.parameters(medians))
    stage("time the likelihood")
    jit, jit_timing = timed(single, likelihood.parameters(medians), repeats, steady_s)
    lanes_jit = [jit, *(single(likelihood.parameters(vector)) for vector in lanes[1:])]

    stage(f"compile the batch of {LANES}")
    batch = likelihood.batch(lanes)
    batched = compiled_anew(jax.vmap(likelihood.traced), batch)
    stage(f"time the batch of {LANES}")
    vmap_lanes, vmap_timing = timed(batched, batch, repeats, steady_s)
    vmap_equal = batched(likelihood.batch([medians] * LANES))

    stage("audit the solver")
    audit = _audit(likelihood, batch)

    batches = batches_of(likelihood, inversion_util, single, seed, more_lanes, stage)

    stage("write the record")
    record = Record(
        cell=cell,
        key=str(driver["key"]),
        configuration=dict(likelihood.configuration),
        evaluations=Evaluations(
            quantity=pipeline.quantity,
            eager=EagerEvaluation(evaluation_of(eager.log_likelihood), evaluation_of(eager.figure_of_merit)),
            jit=evaluation_of(jit),
            vmap_equal=evaluation_of(vmap_equal),
            vmap_lanes=evaluation_of(vmap_lanes),
            lanes_eager=evaluation_of(*(values.figure_of_merit for values in lanes_eager)),
            lanes_jit=evaluation_of(*lanes_jit),
            audit=evaluation_of(audit.values),
            batches=batches,
        ),
        timings=Timings(eager_s, jit_timing, vmap_timing, LANES),
        memory=Memory(peak_rss_bytes(), single.memory(), batched.memory()),
        solver=audit.facts,
        nnls=audit.nnls,
        precision=PrecisionFacts(
            x64_enabled=bool(jax.config.read("jax_enable_x64")),
            x64_variable=os.environ.get("JAX_ENABLE_X64"),
            mixed=bool(likelihood.settings.use_mixed_precision),
            solver_dtype=audit.dtype,
        ),
        provenance=provenance_from(
            {name: note for name, note in driver.items() if name != "key"},
            pipeline=pipeline,
            workspace=workspace,
            seed=seed,
            lanes_unit=lanes_unit,
            started=started,
            finished=_now(),
        ),
        convergence=audit.curve.points,
        convergence_note=audit.curve.note,
    )
    return Measurement(record, frame, audit.Q, audit.x)


def _audit(likelihood: Likelihood, batch: Any) -> _Audit:
    function, seen = tapped(likelihood.traced, inversion_util)
    # The same program as in `matrix.pipelines.serve`, which finds it compiled.
    values, systems, vectors, answers, numbers = compiled(jax.vmap(function), batch)(batch)
    lanes = lane_solves(seen[0], systems, vectors, answers, numbers)
    return _Audit(
        values,
        solver_facts(seen[0]),
        lanes,
        convergence(seen[0], systems[0], vectors[0], lanes[0]),
        np.asarray(systems).dtype.name,
        np.asarray(systems[0], dtype=np.float64),
        np.asarray(answers[0], dtype=np.float64),
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
