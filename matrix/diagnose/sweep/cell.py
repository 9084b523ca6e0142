"""Run a likelihood under solver settings: `python -m matrix.diagnose.sweep.cell`, in a side's Python.

However many settings there are, the likelihood is compiled twice: as it is, and with the answer given
from outside. Per setting only the solver runs anew, on the system that the likelihood made.
"""

import functools
import importlib
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

from matrix.diagnose.sides.process import (
    Request,
    interleaved,
    now,
    precision_facts,
    provenance_of,
    side_main,
)
from matrix.diagnose.sweep.record import Setting, SweepPoint, SweepRecord

REFERENCE = "reference.npz"

# Answer, converged, iterations of one solve.
_Solved = tuple[Any, Any, Any]


def sweep(request: Request, stage: Callable[[str], None]) -> None:
    """Compile, time and judge the likelihood under each setting; write the record.

    On the baseline the first setting's reconstruction is kept: the others are held against it.
    """
    import numpy as np
    from autoarray.inversion.inversion import inversion_util

    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.audit import solver_module, tapped
    from matrix.pipelines.catalogue import pipeline_named
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.programs import compiled, timed

    started = now()
    cell = request.cell
    repeats = int(request.details["repeats"])
    solver = solver_module(cell.side)
    stage("load the data and build the model")
    likelihood = likelihood_from(
        pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=cell.precision == "mp"
    )
    parameters = likelihood.parameters(likelihood.medians())
    function, seen = tapped(likelihood.traced, solver, inversion_util)
    stage("the likelihood as it is")
    (value, Q, q, x), whole = timed(compiled(function, parameters), parameters, repeats)

    def answered(given: tuple[Any, Any]) -> Any:
        with _answer(given[1], solver, inversion_util):
            return function(given[0])[:3]

    stage("the likelihood with the answer given")
    rest = compiled(answered, (parameters, x))
    _, rest_timing = timed(rest, (parameters, x), repeats)
    prepared = (_candidate if cell.side == "candidate" else _jaxnnls)(solver, seen[0].options, (Q, q))
    scale = np.sqrt(np.diagonal(Q))
    kept = request.details.get("reference")
    reference = None if kept is None else np.load(kept)["y"]
    settings = [Setting(**facts) for facts in request.details["settings"]]
    stage("compile the solver under each setting")
    calls = [prepared(setting) for setting in settings]
    stage("solve under each setting")
    solved = [call() for call in calls]
    times = interleaved(calls, repeats)
    points = []
    for setting, (answer, converged, iterations), solve_s in zip(settings, solved, times, strict=True):
        stage(setting.label)
        y = np.asarray(answer) * scale
        if reference is None:
            reference = y
            np.savez(request.folder / REFERENCE, y=y)
        points.append(
            SweepPoint(
                setting=setting,
                solve_s=solve_s,
                evidence=_finite(float(rest((parameters, answer))[0])),
                l2=_finite(float(np.linalg.norm(y - reference) / np.linalg.norm(reference))),
                iterations=int(iterations),
                converged=bool(converged),
            )
        )
    write_diagnosis(
        request.folder / "record.json",
        SweepRecord(
            cell=cell,
            points=tuple(points),
            rest_s=rest_timing.steady_s,
            whole_s=whole.steady_s,
            whole_evidence=_finite(float(value)),
            precision=precision_facts(cell),
            provenance=provenance_of(request, (), started, now()),
        ),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@contextmanager
def _answer(x: Any, *holders: ModuleType) -> Iterator[None]:
    """Have the solver's entry points hand out `x` while the context lasts."""
    from matrix.pipelines.audit import ENTRY_POINTS

    with ExitStack() as stack:
        for holder in holders:
            for name in ENTRY_POINTS:
                if name in vars(holder):
                    stack.enter_context(patch.object(holder, name, lambda *_, **__: x))
        yield


def _candidate(
    solver: ModuleType, options: dict[str, Any], system: Any
) -> Callable[[Setting], Callable[[], _Solved]]:
    """The vendored solver under the options of the call site; a program per setting, which are static."""
    from matrix.pipelines.programs import compiled

    def prepared(setting: Setting) -> Callable[[], _Solved]:
        choices = {
            **{name: value for name, value in options.items() if name != "target_kappa"},
            "algorithm": setting.algorithm,
            "max_iter": setting.max_iter,
            "solver_tol": setting.solver_tol,
        }

        def once(given: Any) -> Any:
            x, *_, converged, iterations = solver.solve_nnls(*given, **choices)
            return x, converged, iterations

        return functools.partial(compiled(once, system), system)

    return prepared


def _jaxnnls(
    solver: ModuleType, _options: dict[str, Any], system: Any
) -> Callable[[Setting], Callable[[], _Solved]]:
    """One program for all settings: jaxnnls' constants are arguments while it is traced."""
    import jax

    from matrix.pipelines.programs import compiled

    pdip: Any = importlib.import_module("jaxnnls.pdip")
    size = system[1].shape[0]
    # As JAX would otherwise take the loop's condition from what it traced before, with the constants in it.
    jax.clear_caches()

    def once(given: Any) -> Any:
        Q, q, limit, epsilon = given
        with patch.object(pdip, "MAX_ITER", limit), patch.object(pdip, "EPSILON", epsilon):
            x, *_, converged, iterations = solver.solve_nnls(Q, q)
        return x, converged, iterations

    def arguments(setting: Setting) -> Any:
        limit = pdip.MAX_ITER if setting.max_iter is None else setting.max_iter
        # jaxnnls multiplies it with the number of unknowns.
        epsilon = float(pdip.EPSILON) if setting.solver_tol is None else setting.solver_tol / size
        return *system, limit, epsilon

    program = compiled(once, arguments(Setting("jaxnnls")))
    jax.clear_caches()

    def prepared(setting: Setting) -> Callable[[], _Solved]:
        return functools.partial(program, arguments(setting))

    return prepared


def main() -> int:
    """Sweep; returns the exit code."""
    return side_main(__doc__, sweep)


if __name__ == "__main__":
    sys.exit(main())
