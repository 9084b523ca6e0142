"""One cell's measurement: every path of one pipeline evaluated, timed, and its solves audited."""

import datetime
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np
from autoarray.inversion.inversion import inversion_util

from matrix.pipelines.audit import lane_solves, solver_facts, solver_module, tapped
from matrix.pipelines.catalogue import pipeline_named
from matrix.pipelines.likelihood import Likelihood, likelihood_from
from matrix.pipelines.programs import compiled, evaluation_of, timed
from matrix.pipelines.provenance import peak_rss_bytes, provenance_from
from matrix.record import (
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

LANES = 3
# Half the side of the box about the prior medians that the different lanes are drawn from, in the unit cube.
_HALF_WIDTH = 0.05


def measure(
    cell: Cell,
    workspace: Path,
    driver: Mapping[str, Any],
    *,
    seed: int,
    repeats: int,
    stage: Callable[[str], None],
) -> Record:
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

    Raises
    ------
    UsageError
        The environment or the workspace does not fit the cell.
    """
    started = _now()
    solver = solver_module(cell.side)
    stage("load the data and build the model")
    pipeline = pipeline_named(cell.pipeline)
    likelihood = likelihood_from(pipeline, cell.scale, workspace, mixed=cell.precision == "mp")
    lanes_unit = lanes_from(seed, likelihood.model.prior_count)
    medians = likelihood.medians()
    lanes = [medians, *(likelihood.vector_from_unit(unit) for unit in lanes_unit[1:])]

    stage("eager NumPy")
    clock = time.perf_counter()
    eager = likelihood.eager(medians)
    eager_s = time.perf_counter() - clock
    stage("eager NumPy of the other lanes")
    lanes_eager = [eager, *(likelihood.eager(vector) for vector in lanes[1:])]

    stage("compile the likelihood")
    single = compiled(likelihood.traced, likelihood.parameters(medians))
    stage("time the likelihood")
    jit, jit_timing = timed(single, likelihood.parameters(medians), repeats)
    lanes_jit = [jit, *(single(likelihood.parameters(vector)) for vector in lanes[1:])]

    stage(f"compile the batch of {LANES}")
    batch = likelihood.batch(lanes)
    batched = compiled(jax.vmap(likelihood.traced), batch)
    stage(f"time the batch of {LANES}")
    vmap_lanes, vmap_timing = timed(batched, batch, repeats)
    vmap_equal = batched(likelihood.batch([medians] * LANES))

    stage("audit the solver")
    audit, facts, nnls, solver_dtype = _audit(likelihood, solver, batch)

    stage("write the record")
    return Record(
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
            audit=evaluation_of(audit),
        ),
        timings=Timings(eager_s, jit_timing, vmap_timing, LANES),
        memory=Memory(peak_rss_bytes(), single.memory(), batched.memory()),
        solver=facts,
        nnls=nnls,
        precision=PrecisionFacts(
            x64_enabled=bool(jax.config.read("jax_enable_x64")),
            x64_variable=os.environ.get("JAX_ENABLE_X64"),
            mixed=cell.precision == "mp",
            solver_dtype=solver_dtype,
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
    )


def lanes_from(seed: int, parameters: int) -> tuple[tuple[float, ...], ...]:
    """Draw the different lanes as points of the priors' unit cube.

    Parameters
    ----------
    seed
        Of NumPy's default generator.
    parameters
        Dimension of the cube.

    Returns
    -------
    tuple
        `LANES` points: the medians first, then uniform draws from a box of side 0.1 about them.
    """
    generator = np.random.default_rng(seed)
    draws = generator.uniform(0.5 - _HALF_WIDTH, 0.5 + _HALF_WIDTH, size=(LANES - 1, parameters))
    return ((0.5,) * parameters, *(tuple(map(float, draw)) for draw in draws))


def _audit(
    likelihood: Likelihood, solver: ModuleType, batch: Any
) -> tuple[np.ndarray, Solver, tuple[LaneSolve, ...], str]:
    function, seen = tapped(likelihood.traced, solver, inversion_util)
    values, systems, vectors, answers = compiled(jax.vmap(function), batch)(batch)
    facts = solver_facts(solver, seen[0])
    return (
        values,
        facts,
        lane_solves(solver, seen[0], systems, vectors, answers),
        np.asarray(systems).dtype.name,
    )


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
