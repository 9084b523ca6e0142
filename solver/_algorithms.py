"""The algorithms by name, behind one call form: scaled problem and options in, scaled answer and iterations out."""

from collections.abc import Callable

from ._linalg import Array
from ._pdip import solve_pdip
from ._problem import Options, Scaled
from ._schur import solve_schur

Algorithm = Callable[[Scaled, Options], tuple[Array, Array]]


def _pdip(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_pdip(problem, options.max_iter, options.solver_tol)


def _schur(problem: Scaled, options: Options) -> tuple[Array, Array]:
    return solve_schur(problem, options.dense_columns, options.max_iter, options.solver_tol)


def _auto(problem: Scaled, options: Options) -> tuple[Array, Array]:
    """Elimination pays where factorisations dominate; below, the interior-point method has less to set up."""
    return (_schur if problem.q.shape[0] >= SCHUR_FROM else _pdip)(problem, options)


SCHUR_FROM = 256

_BY_NAME: dict[str, Algorithm] = {"auto": _auto, "pdip": _pdip, "schur": _schur}

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
