"""Sweeps of ADMM on a small problem, all with one inverse: what they tell soon is which variables are free.

The splitting is x = y, y >= 0, with penalties R. The point before projection, r, is all the state there is:
y = max(r, 0), and the scaled multiplier is min(r, 0). Over-relaxed by α a sweep takes r to

    α(S + R)⁻¹(q + R|r|) - (α/2)|r| + (1 - α/2)r.

S. Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach. Learn. 3
(2011). J. Eckstein and D. Bertsekas, Math. Program. 55 (1992) 293 (over-relaxation).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from ._linalg import cholesky, inverse_lower, with_diagonal

RELAXATION = 1.6


class Sweeps(NamedTuple):
    """What all sweeps on a matrix share."""

    response: Array  # (m, m) α(S + R)⁻¹
    penalty: Array  # (m,) diag R

    @classmethod
    def prepare(cls, S: Array, diagonal: Array, penalty: Array) -> "Sweeps":
        """For the matrix S (m, m) with another `diagonal` (m,), and the penalties (m,)."""
        half = inverse_lower(cholesky(with_diagonal(S, diagonal + penalty)))
        return cls(RELAXATION * (half.T @ half), penalty)

    def advance(self, r: Array, q: Array, count: int) -> Array:
        """The point r (m,) after `count` sweeps with the linear term q (m,)."""

        def sweep(_: int, r: Array) -> Array:
            size = jnp.abs(r)
            moved = self.response @ (q + self.penalty * size)
            return moved - RELAXATION / 2 * size + (1 - RELAXATION / 2) * r

        return lax.fori_loop(0, count, sweep, r)
