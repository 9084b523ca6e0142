"""How a solver gets to its answer: the KKT residual of one system after more and more iterations."""

import importlib
import sys
import traceback
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import jax
import numpy as np

from matrix.pipelines.kkt import kkt_residuals
from matrix.record import LaneSolve, Side

# The vendored solver is compiled anew for each limit, which costs seconds: more points are not worth it.
MOST_LIMITS = 3

Curve = tuple[tuple[int, float], ...]


def convergence(
    side: Side, solver: ModuleType, options: Mapping[str, Any], Q: np.ndarray, q: np.ndarray, lane: LaneSolve
) -> Curve:
    """Iterations and KKT residual, until the answer that the likelihood used.

    Parameters
    ----------
    side
        jaxnnls, at baseline, is stepped; the vendored solver is asked for its answer under lower limits.
    solver
        From `solver_module`.
    options
        What the call site passes to the solver.
    Q, q
        (K, K) and (K,), the system as handed to the solver.
    lane
        The judged solve of that system, which is the last point.

    Returns
    -------
    tuple
        (iteration, residual) pairs. Empty where the solver would not be looked at: the reason is then on
        standard error, since no curve is worth losing a measurement.
    """
    try:
        if side == "baseline":
            before = _stepped(Q, q, lane.iterations - 1)
        else:
            before = _limited(solver, options, Q, q, lane.iterations)
    except Exception:
        print("no convergence curve of this cell:", file=sys.stderr)
        traceback.print_exc()
        return ()
    return (*before, (lane.iterations, lane.kkt_residual))


def limits_below(iterations: int) -> list[int]:
    """At most `MOST_LIMITS` numbers from 1 up to below `iterations`, evenly spread."""
    count = min(MOST_LIMITS, iterations - 1)
    return [round(limit) for limit in np.linspace(1, iterations - 1, count)] if count > 0 else []


def _stepped(Q: np.ndarray, q: np.ndarray, steps: int) -> list[tuple[int, float]]:
    # The one step that its loop repeats, as jaxnnls 1.0.1 has it: Q, q, x, s, z, tolerance, converged, count.
    pdip = importlib.import_module("jaxnnls.pdip")
    step = jax.jit(pdip.pdip_pc_step)
    state = (Q, q, *pdip.initialize(Q, q), 0.0, 0, 0)
    curve = []
    for number in range(1, steps + 1):
        state = step(state)
        curve.append((number, _residual(Q, q, state[2])))
    return curve


def _limited(
    solver: ModuleType, options: Mapping[str, Any], Q: np.ndarray, q: np.ndarray, iterations: int
) -> list[tuple[int, float]]:
    # The backward pass's option means nothing to a solve that is not differentiated.
    kept = {name: value for name, value in options.items() if name not in ("target_kappa", "max_iter")}
    return [
        (limit, _residual(Q, q, solver.solve_nnls(Q, q, max_iter=limit, **kept)[0]))
        for limit in limits_below(iterations)
    ]


def _residual(Q: np.ndarray, q: np.ndarray, x: Any) -> float:
    *residuals, _ = kkt_residuals(Q, q, x)
    return float(np.max(residuals))
