"""The solvers that the installed release of the library has, each called as its call site calls it."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any

from matrix.catalogue.checks import TARGET_KAPPA
from matrix.diagnose.bench.contenders import Contender, Solved, contender
from matrix.diagnose.systems.stored import System

JACOBI, RAW, FALLBACK, OURS = "Jacobi PDIP", "raw PDIP", "certified, then PDIP", "ours"
NAMED = "ours, columns named"
PASSES = (16, 40)
# Where 16 passes do not come to a certificate, 40 hardly ever do.
ONLY_TIMED = ("certified, 40 passes",)
# What the call site makes of settings that nobody changed.
_LIMIT, _CERTIFICATE = 50, 1e-9


ReleaseSolve = Callable[[Any, Any], Solved]


@cache
def solvers_of_release() -> Mapping[str, ReleaseSolve]:
    """By name, differentiable functions of Q (K, K) and q (K,); none where the release has no such module."""
    pdip, passes = _module("jax_nnls"), _module("jax_active_set")
    found: dict[str, ReleaseSolve] = {}
    if hasattr(pdip, "solve_nnls_primal_with_status"):
        found[JACOBI] = partial(_jacobi, pdip)
    if hasattr(pdip, "solve_nnls_primal_raw_forward"):
        found[RAW] = partial(_raw, pdip)
    if found and hasattr(passes, "solve_certified_with_fallback"):
        for budget in PASSES:
            found[f"certified, {budget} passes"] = partial(_certified, passes, pdip, budget, False)
        found[FALLBACK] = partial(_certified, passes, pdip, PASSES[0], True)
    return found


def against_release(systems: Sequence[System]) -> dict[str, Contender]:
    """Ours with status, the collinear columns not named and named, and the solvers of the release."""
    solves = {OURS: _ours(None), NAMED: _ours(systems[0].dense), **solvers_of_release()}
    return {name: contender(solve, systems) for name, solve in solves.items()}


def ours_differentiable(Q: Any, q: Any) -> Solved:
    """Ours, with gradients for Q and q; its status is of a solve of its own."""
    import jax

    import solver

    x = solver.solve_nnls_primal(Q, q, target_kappa=TARGET_KAPPA)
    _, converged, steps = _ours(None)(*map(jax.lax.stop_gradient, (Q, q)))
    return Solved(x, converged, steps)


# One function for each choice, so that each is compiled once for a size.
@cache
def _ours(dense: tuple[int, ...] | None) -> ReleaseSolve:
    import solver

    def solve(Q: Any, q: Any) -> Solved:
        x, _, _, converged, steps = solver.solve_nnls(Q, q, dense_columns=dense)
        return Solved(x, converged, steps)

    return solve


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"autoarray.util.{name}")
    except ImportError:
        return None


def _jacobi(pdip: Any, Q: Any, q: Any) -> Solved:
    scaled, vector, D = _scaled(Q, q)
    y, converged, steps = pdip.solve_nnls_primal_with_status(
        scaled, vector, target_kappa=TARGET_KAPPA, solver_tol=None, max_iter=_LIMIT
    )
    return Solved(D * y, converged, steps)


def _raw(pdip: Any, Q: Any, q: Any) -> Solved:
    scaled, vector, D = _scaled(Q, q)
    y, converged, steps = pdip.solve_nnls_primal_raw_forward(
        scaled, vector, Q, q, D, target_kappa=TARGET_KAPPA, solver_tol=None, max_iter=_LIMIT
    )
    return Solved(D * y, converged, steps)


def _certified(passes: Any, pdip: Any, budget: int, fallback: bool, Q: Any, q: Any) -> Solved:
    scaled, vector, D = _scaled(Q, q)

    def interior_points() -> Any:
        return pdip.solve_nnls_primal(
            scaled, vector, target_kappa=TARGET_KAPPA, solver_tol=None, max_iter=_LIMIT
        )

    y, certified, steps = passes.solve_certified_with_fallback(
        scaled, vector, interior_points, fallback=fallback, pass_budget=budget, tau_rel=_CERTIFICATE
    )
    return Solved(D * y, certified, steps)


def _scaled(Q: Any, q: Any) -> tuple[Any, Any, Any]:
    import jax.numpy as jnp

    D = 1 / jnp.sqrt(jnp.diagonal(Q))
    return Q * D[:, None] * D[None, :], q * D, D
