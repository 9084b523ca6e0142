"""The two blocks of a large system: a few collinear dense columns, and the regularised source.

The dense block is given by the caller, or found: the `FOUND_BLOCK` columns with the largest Σⱼ Aᵢⱼ².
Collinear columns share their large entries, so these contain them. Source columns taken for dense do no
harm; dense columns taken for source slow the identification down, and in the end interior points answer.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array, lax

from ._problem import Scaled

FOUND_BLOCK = 64


@dataclass(frozen=True)
class Blocks:
    """A scaled problem (K,) with its dense columns named.

    The source keeps its place in the matrix: nothing is permuted, since moving a matrix costs as much as a
    quarter of a factorisation. A leading dense block is cut off; elsewhere its columns are masked.

    Attributes
    ----------
    problem
        The whole problem.
    dense
        (m,) int: indices of the dense columns.
    start
        Where the rows that hold the source begin: m if the dense block leads, else 0.
    is_source
        (K - start,) bool.
    """

    problem: Scaled
    dense: Array
    start: int
    is_source: Array

    @property
    def linear_source(self) -> Array:
        """q on the source, (K - start,), zero on the dense columns in between."""
        return jnp.where(self.is_source, self.problem.q[self.start :], 0)

    @property
    def index(self) -> Array | slice:
        """The dense columns as an index: a slice, which needs no gather, where they lead."""
        return slice(self.start) if self.start else self.dense


def blocks(problem: Scaled, dense_columns: tuple[int, ...] | None) -> Blocks:
    """Name the dense block of a problem: `dense_columns` (sorted) if given, else found."""
    K = problem.q.shape[0]
    if dense_columns is None:
        _, dense = lax.top_k(_column_weights(problem), min(FOUND_BLOCK, K))
        return Blocks(problem, dense, 0, jnp.ones(K, bool).at[dense].set(False))
    dense, count = jnp.array(dense_columns, int), len(dense_columns)
    if dense_columns == tuple(range(count)):
        return Blocks(problem, dense, count, jnp.ones(K - count, bool))
    return Blocks(problem, dense, 0, jnp.ones(K, bool).at[dense].set(False))


def _column_weights(problem: Scaled) -> Array:
    scaled = problem.Q * problem.scale[:, None] * problem.scale[None, :]
    return jnp.sum(scaled * scaled, axis=1)
