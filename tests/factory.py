"""Records and plans for tests: a green matrix of made-up numbers, to be spoilt one fact at a time."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matrix.catalogue.pipelines import pipeline_named
from matrix.records.cell import (
    SIDES,
    VENDORED,
    Cell,
    EagerEvaluation,
    Evaluation,
    Evaluations,
    LaneSolve,
    Memory,
    PrecisionFacts,
    Provenance,
    Record,
    Side,
    Solver,
    Timing,
    Timings,
    XlaMemory,
)
from matrix.records.pair import (
    BATCH,
    CONTROL,
    SINGLE,
    TIMED,
    FreshPair,
    PairRecord,
    Round,
    TimedProcess,
)
from matrix.run.plan import CheckedOut, Constant, Plan, PlannedCell, PlannedEnvironment, Target, Tolerances

EVIDENCE = 24746.105672366088
CHECKED_OUT = CheckedOut(
    name="PyAutoArray", role="library", purpose="baseline", ref="main", commit="0" * 40, dirty=False
)
LANES = (EVIDENCE, 24719.301877123456, 24688.772301987654)
NORMS = ((50.0, 7.0), (51.0, 7.1), (52.0, 7.2))
# Of the linear system's K unknowns as many as production has.
SIZE = 1285


def evaluation(*values: float, dtype: str = "float64", exact: bool = False) -> Evaluation:
    """An evaluation of `values`."""
    return Evaluation(values, dtype, (exact,) * len(values))


def solves(
    primal: float = 0.0,
    dual: float = 1e-15,
    complementarity: float = 1e-16,
    *,
    norms: tuple[tuple[float, float], ...] = NORMS,
    **changes: Any,
) -> tuple[LaneSolve, ...]:
    """One solve per lane with these residuals, each of a system of its own; `changes` spoil all of them."""
    found = (
        LaneSolve(SIZE, 2, True, primal, dual, complementarity, 362, matrix, vector)
        for matrix, vector in norms
    )
    return tuple(dataclasses.replace(lane, **changes) for lane in found)


def make_record(
    pipeline: str = "imaging-pixelization",
    side: str = "candidate",
    evaluations: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A record every gate passes; `evaluations` and `changes` spoil it."""
    # All apart: what is shown in another's place is then seen.
    jit, vmap = Timing(0.4, 8.8, 1.4, (1.2, 1.3, 1.25)), Timing(0.5, 9.9, 2.4, (2.2, 2.3, 2.25))
    recorded = Evaluations(
        quantity="figure_of_merit",
        eager=EagerEvaluation(evaluation(EVIDENCE + 3.0), evaluation(EVIDENCE)),
        jit=evaluation(EVIDENCE),
        vmap_equal=evaluation(*[EVIDENCE] * 3),
        vmap_lanes=evaluation(*LANES),
        lanes_eager=evaluation(*LANES),
        lanes_jit=evaluation(*LANES),
        audit=evaluation(*LANES),
    )
    record = Record(
        cell=Cell(pipeline, "fp64", side, "production"),  # type: ignore[arg-type]
        key=f"key of {pipeline} {side}",
        configuration={},
        evaluations=dataclasses.replace(recorded, **(evaluations or {})),
        timings=Timings(10.5, jit, vmap, 3),
        memory=Memory(3 * 1024**3, None, XlaMemory(1, 24, 3, 0)),
        solver=Solver(VENDORED if side == "candidate" else "jaxnnls", {}),
        nnls=solves(),
        precision=PrecisionFacts(True, "True", False, "float64"),
        provenance=Provenance(
            driver={},
            seed=1,
            lanes_unit=((0.5, 0.5), (0.52, 0.47), (0.46, 0.53)),
            datasets={"data.fits": "d" * 64, "noise_map.fits": "e" * 64},
            packages={
                "jax": "0.10.2",
                "numpy": "2.4.6",
                **({"jaxnnls": "1.0.1"} if side == "baseline" else {}),
            },
            python="3.11.9",
            platform="Linux",
            cpu="some CPU",
            cores=2,
            affinity=(0, 1),
            device_platform="cpu",
            device_kind="cpu",
            variables={"JAX_ENABLE_X64": "True", "OMP_NUM_THREADS": "2"},
            jaxnnls_importable=side == "baseline",
            autoarray_path="",
            started="2026-01-01T00:00:00+00:00",
            finished="2026-01-01T00:01:00+00:00",
        ),
        convergence=((1, 1e-3), (2, 1e-15)),
    )
    return dataclasses.replace(record, **changes)


def make_pair(
    pipeline: str = "imaging-pixelization",
    baseline: float = 6.0,
    candidate: float = 3.0,
    rounds: int = 8,
    pairs: int = 2,
    **changes: Any,
) -> PairRecord:
    """A pair whose sides take so many seconds for whatever is timed; the control takes both the same."""
    sides: tuple[Side, Side] = ("baseline", "candidate")
    process = TimedProcess((SINGLE, BATCH), {}, 2**31, "a solver", "cpu", "some CPU", (0,))
    timed = {
        name: tuple(Round(sides[n % 2], 1, baseline, candidate, 0.5) for n in range(rounds)) for name in TIMED
    }
    timed[CONTROL] = tuple(Round(sides[n % 2], 1, 0.1, 0.1, 0.5) for n in range(rounds))
    light = dataclasses.replace(process, peak_rss_bytes=2**30)
    record = PairRecord(
        pipeline=pipeline,
        precision="fp64",
        scale="production",
        key=f"key of the pair of {pipeline}",
        lanes=3,
        limit_s=60.0,
        compile_s={"baseline": 20.0, "candidate": 16.0},
        pairs=(FreshPair(process, light, timed, 50.0),) * pairs,
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
    )
    return dataclasses.replace(record, **changes)


def make_plan(folder: Path, pipelines: tuple[str, ...] = ("imaging-pixelization",), **changes: Any) -> Plan:
    """A plan of `pipelines` in `folder`, whose records `make_record` makes."""
    assert all(map(pipeline_named, pipelines))
    facts: dict[str, Any] = {
        "run": "run",
        "key": "key",
        "folder": folder,
        "created": "2026-01-01T00:00:00+00:00",
        "release": "2026.7.9.1",
        "source": "embedded",
        "source_meaning": "made up",
        "scale": "production",
        "precision": "fp64",
        "accelerator": "cpu",
        "checkouts": (CHECKED_OUT,),
        "solver_tree": "0",
        "code": "0",
        "environments": {
            side: PlannedEnvironment(python=Path("python"), pythonpath=(), key=side) for side in SIDES
        },
        "workspace": folder,
        "constants": {
            pipeline: Constant(name="EXPECTED_LOG_EVIDENCE_HST", value=EVIDENCE, script="s.py", required=True)
            for pipeline in pipelines
        },
        "tolerances": Tolerances(evidence=1e-4, parity=1e-6),
        "targets": {
            "A100": {
                "imaging-delaunay": Target(limit=200.0, headline=100.0),
                "imaging-pixelization": Target(limit=25.0),
            }
        },
        "residual_dependencies": (),
        "cells": tuple(
            PlannedCell(
                pipeline=pipeline,
                precision="fp64",
                side=side,
                scale="production",
                key=f"key of {pipeline} {side}",
            )
            for pipeline in pipelines
            for side in SIDES
        ),
        "float64_run": None,
        "selected": pipelines,
        "cell_timeout": 60.0,
        "threads": 1,
        "seed": 1,
        "locks": folder,
        "cache": folder,
    }
    return Plan(**{**facts, **changes})
