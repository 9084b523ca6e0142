"""The search for the free set of a small problem: sweeps of ADMM guess it, pivots make it exact.

Sweeps
    The splitting is x = y, y >= 0, with penalties R. The point before projection, r, is all the state there
    is: y = max(r, 0), and the scaled multiplier is min(r, 0). Over-relaxed by α a sweep takes r to

        α(S + R)⁻¹(q + R|r|) - (α/2)|r| + (1 - α/2)r.

    All sweeps share one inverse. The signs of r settle long before its values.

Pivots
    The system is solved on the variables that are believed free, and all of the wrong sign change sides. A
    trip corrects the point at hand, so that the last one, which exchanges nothing, takes away what rounding
    left. The search is bounded; whoever asked for it judges what comes out.

References
    S. Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach. Learn. 3
    (2011). J. Eckstein and D. Bertsekas, Math. Program. 55 (1992) 293 (over-relaxation).
    J. Júdice and F. Pires, Comput. Oper. Res. 21 (1994) 587 (exchanges).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._certificate import rounding_of
from ._linalg import cholesky, factorised, inverse_lower, rounding_ridge, with_diagonal

RELAXATION = 1.6
SEARCH_PENALTY = 0.01
SEARCH_SWEEPS = 400
MAX_PIVOTS = 20


class Sweeps(NamedTuple):
    """What all sweeps on a matrix share."""

    response: Array  # (m, m) α(S + R)⁻¹
    penalty: Array  # (m,) diag R

    @classmethod
    def prepare(cls, S: Array, penalty: Array) -> "Sweeps":
        """For the matrix S (m, m) and the penalties (m,)."""
        half = inverse_lower(cholesky(with_diagonal(S, jnp.diagonal(S) + penalty)))
        return cls(RELAXATION * (half.T @ half), penalty)

    def advance(self, r: Array, q: Array, count: int) -> Array:
        """The point r (m,) after `count` sweeps with the linear term q (m,)."""

        def sweep(_: int, r: Array) -> Array:
            size = jnp.abs(r)
            moved = self.response @ (q + self.penalty * size)
            return moved - RELAXATION / 2 * size + (1 - RELAXATION / 2) * r

        return lax.fori_loop(0, count, sweep, r)


class _Search(NamedTuple):
    """State of the pivots."""

    x: Array  # (m,) zero where not free
    free: Array  # (m,) bool, the variables to solve for next
    moves: Array  # () int32, exchanges that made `free` of what it was; 1 at the start
    moved: Array  # () int32, and those before
    trips: Array  # () int32


def search(S: Array, q: Array) -> Array:
    """The optimum (m,) of: minimise ½ xᵀSx - qᵀx, x >= 0; the last point tried if the search does not end.

    Parameters
    ----------
    S
        (m, m), whose diagonal is at most 1. Variables where it is no more than rounding stay at zero.
    q
        (m,).
    """
    diagonal = jnp.diagonal(S)
    usable = diagonal > jnp.finfo(S.dtype).eps
    unit = jnp.where(usable, diagonal, 1)
    guess = Sweeps.prepare(S, SEARCH_PENALTY * unit).advance(jnp.zeros_like(q), q, SEARCH_SWEEPS) > 0
    one = jnp.ones((), jnp.int32)

    def unfinished(state: _Search) -> Array:
        return (state.moves + state.moved > 0) & (state.trips < MAX_PIVOTS)

    def pivot(state: _Search) -> _Search:
        free = state.free
        matrix = jnp.where(free[:, None] & free, S, 0)
        factor = factorised(with_diagonal(matrix, jnp.where(free, diagonal * (1 + rounding_ridge(q)), 1)))
        x = jnp.where(free, state.x, 0)
        x = x + factor.solve(jnp.where(free, q - S @ x, 0))
        image = S @ x
        own = jnp.abs(image) + jnp.abs(q) + unit * jnp.abs(x)
        wrong = usable & (jnp.where(free, unit * x, image - q) < -rounding_of(q) * own)
        return _Search(x, free ^ wrong, jnp.sum(wrong, dtype=jnp.int32), state.moves, state.trips + 1)

    begin = _Search(0 * q, guess & usable, one, one, 0 * one)
    return lax.while_loop(unfinished, pivot, begin).x
