"""The algorithms by name, behind one call form: scaled problem and limits in, best answer out."""

from collections.abc import Callable

from jax import Array

from ._interior import Best, nothing_yet, solve_interior
from ._options import Options
from ._problem import Scaled
from ._schur import solve_schur

# From where one elimination costs less than a few factorisations; docs/solver.md says how to measure it.
SCHUR_FROM = 300

Algorithm = Callable[[Scaled, Options, Array, Array], Best]


def _pdip(problem: Scaled, _options: Options, limit: Array, tolerance: Array) -> Best:
    return solve_interior(problem, limit, tolerance, nothing_yet(problem))


def _schur(problem: Scaled, options: Options, limit: Array, tolerance: Array) -> Best:
    return solve_schur(problem, options.dense_columns, limit, tolerance)


def _auto(problem: Scaled, options: Options, limit: Array, tolerance: Array) -> Best:
    return (_schur if problem.q.shape[0] >= SCHUR_FROM else _pdip)(problem, options, limit, tolerance)


_BY_NAME: dict[str, Algorithm] = {"auto": _auto, "pdip": _pdip, "schur": _schur}

ALGORITHMS: tuple[str, ...] = tuple(_BY_NAME)


def solve_scaled(problem: Scaled, options: Options, limit: Array, tolerance: Array) -> Best:
    """Run the algorithm that `options` names on a scaled problem.

    Parameters
    ----------
    problem
        The scaled problem.
    options
        The choices that shape the program.
    limit
        () int32, most factorisations.
    tolerance
        () certificate residual to stop at.
    """
    return _BY_NAME[options.algorithm](problem, options, limit, tolerance)
