"""Run a likelihood under solver settings, in a side's Python.

However many settings there are, the likelihood is compiled twice: as it is, and with the answer given
from outside. Per setting only the solver runs anew, on the system that the likelihood made.
"""

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from matrix.diagnose.clock import interleaved
from matrix.diagnose.sides.process import (
    Request,
    now,
    precision_facts,
    provenance_of,
)
from matrix.diagnose.sweep.record import Setting, SweepPoint, SweepRecord
from matrix.ground.errors import UsageError
from matrix.records.cell import VENDORED

REFERENCE = "reference.npz"

# Answer, converged, iterations of one solve.
_Solved = tuple[Any, Any, Any]


def look(request: Request, stage: Callable[[str], None]) -> None:
    """Compile, time and judge the likelihood under each setting; write the record.

    On the baseline the first setting's reconstruction is kept: the others are held against it.
    """
    import numpy as np
    from autoarray.inversion.inversion import inversion_util

    from matrix.catalogue.pipelines import pipeline_named
    from matrix.diagnose.sides.record import write_diagnosis
    from matrix.pipelines.audit import CALL_SITE, need_vendored, tapped
    from matrix.pipelines.likelihood import likelihood_from
    from matrix.pipelines.programs import compiled, timed

    started = now()
    cell = request.cell
    repeats = int(request.details["repeats"])
    need_vendored(cell.side)
    stage("load the data and build the model")
    likelihood = likelihood_from(
        pipeline_named(cell.pipeline), cell.scale, request.workspace, mixed=cell.precision == "mp"
    )
    parameters = likelihood.parameters(likelihood.medians())
    function, seen = tapped(likelihood.traced, inversion_util)
    stage("the likelihood as it is")
    (value, Q, q, x, _), whole = timed(compiled(function, parameters), parameters, repeats)
    (solve,) = seen

    def answered(given: tuple[Any, Any]) -> Any:
        with patch.object(inversion_util, CALL_SITE, _giving(given[1], solve.function)):
            return function(given[0])[:3]

    stage("the likelihood with the answer given")
    rest = compiled(answered, (parameters, x))
    _, rest_timing = timed(rest, (parameters, x), repeats)
    prepared = _prepared(solve, (Q, q))
    scale = np.sqrt(np.diagonal(Q))
    kept = request.details.get("reference")
    reference = None if kept is None else np.load(kept)["y"]
    settings = [Setting(**facts) for facts in request.details["settings"]]
    stage("compile the solver under each setting")
    calls = {setting: prepared(setting) for setting in settings}
    stage("solve under each setting")
    solved = {setting: call() for setting, call in calls.items()}
    times = interleaved(calls, repeats, warm=True)
    points = []
    for setting, (answer, converged, iterations) in solved.items():
        stage(setting.label)
        y = np.asarray(answer) * scale
        if reference is None:
            reference = y
            np.savez(request.folder / REFERENCE, y=y)
        points.append(
            SweepPoint(
                setting=setting,
                solve_s=times[setting],
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


def _giving(x: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """In place of the library's positive-only solve `function`: its answer is `x`."""

    @functools.wraps(function)
    def given(*_: Any, **__: Any) -> Any:
        return x

    return given


def _prepared(solve: Any, system: Any) -> Callable[[Setting], Callable[[], _Solved]]:
    """What makes of a setting a compiled call of the library's call site on `system`."""
    from matrix.records.cell import REPLACED

    if solve.solver == REPLACED:
        return _jaxnnls(solve, system)
    if solve.solver == VENDORED:
        return _each_compiled(solve, system, _vendored_options)
    if solve.solver == "pdip":
        return _each_compiled(solve, system, _library_settings)
    raise UsageError(
        f"the sweep turns iteration limits and tolerances of an interior-point method; the library solved by "
        f"{solve.solver!r}, which has others. Sweep a run whose baseline has its default setting."
    )


def _vendored_options(setting: Setting) -> dict[str, dict[str, Any]]:
    chosen = {
        "algorithm": setting.algorithm,
        "max_iter": setting.max_iter,
        "solver_tol": setting.solver_tol,
    }
    return {"options": chosen}


def _library_settings(setting: Setting) -> dict[str, dict[str, Any]]:
    return {"settings": {"nnls_max_iter": setting.max_iter, "nnls_solver_tol": setting.solver_tol}}


def _each_compiled(
    solve: Any, system: Any, changes: Callable[[Setting], dict[str, dict[str, Any]]]
) -> Callable[[Setting], Callable[[], _Solved]]:
    """A program per setting, which is static in it."""
    from matrix.pipelines.programs import compiled

    def prepared(setting: Setting) -> Callable[[], _Solved]:
        def once(given: Any) -> Any:
            return _solved(solve.asked(*given, **changes(setting)))

        return functools.partial(compiled(once, system), system)

    return prepared


def _jaxnnls(solve: Any, system: Any) -> Callable[[Setting], Callable[[], _Solved]]:
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
            return _solved(solve.asked(Q, q))

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


def _solved(asked: tuple[Any, dict[str, Any]]) -> _Solved:
    x, numbers = asked
    return x, numbers["converged"], numbers["iterations"]
