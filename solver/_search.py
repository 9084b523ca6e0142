"""Search for the free set, by exchanges or by a walk, up to an answer that certifies or none."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from ._exchange import Exchange, exchange
from ._problem import Scaled
from ._walk import Walk, walk

# Cosine between two columns. Neighbours in a multi-Gaussian expansion have 0.998 and more, neighbouring
# pixels of a source 0.7 and less.
PARALLEL = 0.99


class Found(NamedTuple):
    """What a search came to.

    Attributes
    ----------
    x
        (K,) the optimum where `certified`.
    steps
        () int32, factorisations.
    certified
        () bool.
    """

    x: Array
    steps: Array
    certified: Array


def by_exchange(
    problem: Scaled,
    free: Array,
    limit: int | Array,
    solver_tol: float | None,
    enabled: Array | bool = True,
    close: bool = False,
) -> Found:
    """Exchange from a guess of the free set; parameters as for `exchange`, tolerance as for `certifies`."""
    return _judged(problem, exchange(problem, free, limit, enabled, close), solver_tol)


def by_walk(
    problem: Scaled,
    start: Array,
    free: Array,
    limit: int | Array,
    solver_tol: float | None,
    enabled: Array | bool = True,
) -> Found:
    """Walk from a feasible point; parameters as for `walk`, tolerance as for `certifies`."""
    return _judged(problem, walk(problem, start, free, limit, enabled), solver_tol)


def any_parallel(problem: Scaled) -> Array:
    """Whether two columns are parallel, as neighbouring Gaussians of a light profile are: () bool."""
    index = jnp.arange(problem.q.shape[0])
    cosines = jnp.abs(problem.Q) * problem.scale[:, None] * problem.scale[None, :]
    return jnp.max(jnp.where(index[:, None] == index[None, :], 0, cosines)) > PARALLEL


def _judged(problem: Scaled, end: Exchange | Walk, solver_tol: float | None) -> Found:
    # Among huge coefficients that cancel, rounding level is no answer.
    certified = end.settled & problem.certifies(end.x, end.gradient, solver_tol)
    return Found(end.x, end.steps, certified)
