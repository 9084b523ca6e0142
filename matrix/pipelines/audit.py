"""The positive-only solve that a likelihood really makes: tapped inside the trace, judged outside it."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import jax
import numpy as np

from matrix.errors import MatrixError, UsageError
from matrix.pipelines.kkt import kkt_residuals, scaled_norms
from matrix.record import LaneSolve, Side, Solver

_SOLVER_MODULES: dict[Side, str] = {"baseline": "jaxnnls", "candidate": "autoarray.inversion.nnls"}
ENTRY_POINTS = ("solve_nnls_primal", "solve_nnls_forward")


@dataclass(frozen=True)
class Solve:
    """One call of the solver: the system it was given, (K, K) and (K,), and its answer, (K,)."""

    Q: Any
    q: Any
    x: Any
    entry_point: str
    options: dict[str, Any]


def solver_module(side: Side) -> ModuleType:
    """Import the module whose functions the library's call site uses on that side.

    Raises
    ------
    UsageError
        The environment has no such module: it belongs to the other side, or was not prepared.
    """
    name = _SOLVER_MODULES[side]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"the {side} side needs {name}, which this environment lacks ({error}). "
            f"Run the cell with the {side}'s own environment, or rebuild that."
        ) from error


@contextmanager
def solver_tap(*holders: ModuleType) -> Iterator[list[Solve]]:
    """Record every call that goes through the solver's entry points while the context lasts.

    Parameters
    ----------
    holders
        The modules in which the entry points may be looked up: the solver, which a call site may hold as a
        module, and the call site's own, which may have imported the functions by name.
    """
    solves: list[Solve] = []
    originals = [
        (owner, name, vars(owner)[name]) for owner in holders for name in ENTRY_POINTS if name in vars(owner)
    ]
    try:
        for owner, name, original in originals:
            setattr(owner, name, _recording(name, original, solves))
        yield solves
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


def _recording(name: str, solve: Callable[..., Any], solves: list[Solve]) -> Callable[..., Any]:
    def recorded(Q: Any, q: Any, *positional: Any, **options: Any) -> Any:
        x = solve(Q, q, *positional, **options)
        solves.append(Solve(Q, q, x, name, options))
        return x

    return recorded


def tapped(
    function: Callable[[Any], Any], solver: ModuleType, call_site: ModuleType
) -> tuple[Callable[[Any], Any], list[Solve]]:
    """Make of a traceable likelihood one that also returns the linear system it solved.

    Parameters
    ----------
    function
        Parameters to a scalar.
    solver
        From `solver_module`.
    call_site
        The library's module that calls the solver.

    Returns
    -------
    tuple
        A function of the same parameters that returns (value, Q, q, x), and a list that holds the one `Solve`
        (with tracers, but concrete options) as soon as the function was traced.
    """
    seen: list[Solve] = []

    def audited(parameters: Any) -> Any:
        with solver_tap(solver, call_site) as solves:
            value = function(parameters)
        if len(solves) != 1:
            raise MatrixError(
                f"expected the likelihood to make one positive-only solve through {solver.__name__}, "
                f"saw {len(solves)}: the call site does not use the solver it should."
            )
        seen[:] = solves
        return value, solves[0].Q, solves[0].q, solves[0].x

    return audited, seen


def solver_facts(solver: ModuleType, solve: Solve) -> Solver:
    """Name the solver and the options that were in force at the call site."""
    options = {
        "entry_point": solve.entry_point,
        **{name: str(value) for name, value in solve.options.items()},
    }
    return Solver(solver.__name__, options)


def lane_solves(
    solver: ModuleType,
    solve: Solve,
    systems: Sequence[np.ndarray],
    vectors: Sequence[np.ndarray],
    answers: np.ndarray,
) -> tuple[LaneSolve, ...]:
    """Judge each lane's answer, and ask the solver itself about the very same system.

    Parameters
    ----------
    solver, solve
        The solver and the options it was called with.
    systems, vectors, answers
        Per lane Q (K, K), q (K,) and the x (K,) that came out of the compiled likelihood.
    """
    options = {name: value for name, value in solve.options.items() if name != "target_kappa"}

    @jax.jit
    def diagnose(Q: Any, q: Any) -> tuple[Any, Any]:
        *_, converged, iterations = solver.solve_nnls(Q, q, **options)
        return converged, iterations

    lanes = []
    for Q, q, x in zip(systems, vectors, answers, strict=True):
        converged, iterations = diagnose(Q, q)
        primal, dual, complementarity, zeros = kkt_residuals(Q, q, x)
        matrix_norm, vector_norm = scaled_norms(Q, q)
        lanes.append(
            LaneSolve(
                size=len(q),
                iterations=int(iterations),
                converged=bool(converged),
                primal_infeasibility=primal,
                dual_infeasibility=dual,
                complementarity=complementarity,
                zeros=zeros,
                matrix_norm=matrix_norm,
                vector_norm=vector_norm,
            )
        )
    return tuple(lanes)
