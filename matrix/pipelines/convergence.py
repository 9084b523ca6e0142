"""How a solver gets to its answer: the KKT residual of one system after more and more iterations."""

import importlib
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from matrix.pipelines.audit import Inner, Solve
from matrix.pipelines.kkt import kkt_residuals
from matrix.records.cell import REPLACED, VENDORED, LaneSolve

# A solver is compiled anew for each limit, which costs seconds: more points are not worth it.
MOST_LIMITS = 3

# How each solver is told its limit.
_LIMITED: dict[str, Callable[[int], dict[str, dict[str, Any]]]] = {
    VENDORED: lambda limit: {"options": {"max_iter": limit}},
    "pdip": lambda limit: {"settings": {"nnls_max_iter": limit}},
    "certified": lambda limit: {"settings": {"certified_pass_budget": limit, "certified_fallback": "none"}},
}
_POLISHED = "the library polishes each answer of the raw mode, at every limit"


@dataclass(frozen=True)
class Curve:
    """(iteration, KKT residual) pairs, and how they were had or why there are none."""

    points: tuple[tuple[int, float], ...]
    note: str = ""


def convergence(solve: Solve, Q: np.ndarray, q: np.ndarray, lane: LaneSolve) -> Curve:
    """Iterations and KKT residual, until the answer that the likelihood used.

    jaxnnls, where the call site calls it itself, is stepped. The others are asked for their answer under
    lower limits: the vendored solver by its option, the library's own through the library's settings.

    Parameters
    ----------
    solve
        How the call site was called.
    Q, q
        (K, K) and (K,), the system of the first lane.
    lane
        The judged solve of that system, which is the last point.

    Returns
    -------
    Curve
        Without points where the solver would not be looked at: no curve is worth losing a measurement. The
        reason is then on standard error as well.
    """
    if lane.iterations is None:
        return Curve((), "no curve: the library does not state how many iterations its solve took")
    try:
        return _curve(solve, Q, q, lane, lane.iterations)
    except Exception as error:
        print("no convergence curve of this cell:", file=sys.stderr)
        traceback.print_exc()
        return Curve((), f"no curve: {type(error).__name__} while the solver was looked at, see the log")


def _curve(solve: Solve, Q: np.ndarray, q: np.ndarray, lane: LaneSolve, iterations: int) -> Curve:
    last = (iterations, lane.kkt_residual)
    if solve.solver == REPLACED:
        return Curve((*_stepped(solve.handed(Q, q), iterations - 1), last))
    if solve.solver == "certified" and not lane.certified:
        return Curve((), "no curve: the passes did not certify, and what answered instead states no count")
    if solve.solver not in _LIMITED:
        return Curve((), f"no curve: it is not known how to limit {solve.solver}")
    limits = limits_below(iterations)
    answers = [solve.asked(Q, q, **_LIMITED[solve.solver](limit))[0] for limit in limits]
    before = ((limit, _residual(Q, q, x)) for limit, x in zip(limits, answers, strict=True))
    return Curve((*before, last), _POLISHED if solve.words.get("preconditioning") == "raw" else "")


def limits_below(iterations: int) -> list[int]:
    """At most `MOST_LIMITS` numbers from 1 up to below `iterations`, evenly spread."""
    count = min(MOST_LIMITS, iterations - 1)
    return [round(limit) for limit in np.linspace(1, iterations - 1, count)] if count > 0 else []


def _stepped(handed: Inner, steps: int) -> list[tuple[int, float]]:
    # The one step that its loop repeats, as jaxnnls 1.0.1 has it: Q, q, x, s, z, tolerance, converged, count.
    pdip = importlib.import_module("jaxnnls.pdip")
    step = jax.jit(pdip.pdip_pc_step)
    Q, q = handed.Q, handed.q
    state = (Q, q, *pdip.initialize(Q, q), 0.0, 0, 0)
    curve = []
    for number in range(1, steps + 1):
        state = step(state)
        curve.append((number, _residual(Q, q, state[2])))
    return curve


def _residual(Q: np.ndarray, q: np.ndarray, x: Any) -> float:
    *residuals, _ = kkt_residuals(Q, q, x)
    return float(np.max(residuals))
