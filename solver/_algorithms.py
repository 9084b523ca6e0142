"""The algorithms by name, behind one call form: scaled problem and options in, scaled answer and iterations out."""

from collections.abc import Callable

from ._linalg import Array
from ._pdip import solve_pdip
from ._problem import Options
from ._schur import solve_schur

Algorithm = Callable[[Array, Array, Options], tuple[Array, Array]]


def _pdip(Q: Array, q: Array, options: Options) -> tuple[Array, Array]:
    return solve_pdip(Q, q, options.max_iter, options.solver_tol)


def _schur(Q: Array, q: Array, options: Options) -> tuple[Array, Array]:
    return solve_schur(Q, q, options.dense_columns, options.max_iter, options.solver_tol)


_BY_NAME: dict[str, Algorithm] = {"auto": _pdip, "pdip": _pdip, "schur": _schur}

ALGORITHMS: tuple[str, ...] = tuple(_BY_NAME)


def solve_scaled(Q: Array, q: Array, options: Options) -> tuple[Array, Array]:
    """Run the algorithm that `options` names on a scaled problem.

    Returns
    -------
    x
        (K,) answer, not judged.
    iterations
        () int32.
    """
    return _BY_NAME[options.algorithm](Q, q, options)
