"""The algorithms by name, behind one call form: scaled problem and options in, answer and iterations out."""

from collections.abc import Callable

from jax import Array

from ._active_set import solve_active_set
from ._admm import solve_admm
from ._fista import solve_fista
from ._options import Options
from ._pdip import solve_pdip
from ._problem import Scaled
from ._schur import solve_schur

# About where elimination costs as much as a search on production-shaped systems, and from where it costs less
# where the search has to find its way among known collinear columns; docs/solver.md says how to measure it.
SCHUR_FROM = 300
SCHUR_WITH_BLOCK_FROM = 128

Algorithm = Callable[[Scaled, Options], tuple[Array, Array]]


def _pdip(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_pdip(problem, options.max_iter, options.solver_tol)


def _active_set(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_active_set(problem, options.max_iter, options.solver_tol)


def _schur(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_schur(problem, options.dense_columns, options.max_iter, options.solver_tol)


def _admm(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_admm(problem, options.max_iter, options.solver_tol, options.penalty)


def _fista(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_fista(problem, options.max_iter, options.solver_tol)


def _auto(problem: Scaled, options: Options) -> tuple[Array, Array]:
    """Elimination pays where factorisations dominate, and earlier where a known block misleads searches."""
    eliminate_from = SCHUR_WITH_BLOCK_FROM if options.dense_columns else SCHUR_FROM
    return (_schur if problem.q.shape[0] >= eliminate_from else _active_set)(problem, options)


_BY_NAME: dict[str, Algorithm] = {
    "auto": _auto,
    "active_set": _active_set,
    "pdip": _pdip,
    "schur": _schur,
    "admm": _admm,
    "fista": _fista,
}

ALGORITHMS: tuple[str, ...] = tuple(_BY_NAME)


def solve_scaled(problem: Scaled, options: Options) -> tuple[Array, Array]:
    """Run the algorithm that `options` names on a scaled problem.

    Returns
    -------
    x
        (K,) answer, not judged.
    iterations
        () int32.
    """
    return _BY_NAME[options.algorithm](problem, options)
