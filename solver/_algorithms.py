"""The algorithms by name, behind one call form: scaled problem and options in, answer and iterations out."""

from collections.abc import Callable

from jax import Array

from ._admm import solve_admm
from ._fista import solve_fista
from ._pdip import solve_pdip
from ._problem import Options, Scaled
from ._schur import solve_schur

SCHUR_FROM = 256

Algorithm = Callable[[Scaled, Options], tuple[Array, Array]]


def _pdip(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_pdip(problem, options.max_iter, options.solver_tol)


def _schur(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_schur(problem, options.dense_columns, options.max_iter, options.solver_tol)


def _admm(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_admm(problem, options.max_iter, options.solver_tol)


def _fista(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_fista(problem, options.max_iter, options.solver_tol)


def _auto(problem: Scaled, options: Options) -> tuple[Array, Array]:
    """Elimination pays where factorisations dominate; below, the interior-point method has less to set up."""
    return (_schur if problem.q.shape[0] >= SCHUR_FROM else _pdip)(problem, options)


_BY_NAME: dict[str, Algorithm] = {
    "auto": _auto,
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
