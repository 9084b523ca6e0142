"""What the survey's own algorithms share: a problem with unit diagonal, and its certificate."""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

import solver

# Half of what the solver certifies, at which its own algorithms stop too.
TOLERANCE = 0.5e-9
# Sweeps or steps between two looks at the certificate, which costs a few products.
CHECK_EVERY = 25


class UnitDiagonal(NamedTuple):
    """Minimise ½ xᵀAx - qᵀx, x >= 0, where A (K, K) has unit diagonal; the original answer is scale · x."""

    A: Array
    q: Array
    scale: Array

    def certified(self, x: Array) -> Array:
        """Whether x (K,) satisfies the optimality conditions."""
        return solver.certificate(self.A, self.q, x).worst <= TOLERANCE


def scaled(Q: Array, q: Array) -> UnitDiagonal:
    """Scale by diag(Q)^(-1/2), Q (K, K) with a positive diagonal, q (K,)."""
    scale = 1 / jnp.sqrt(jnp.diagonal(Q))
    return UnitDiagonal(Q * scale[:, None] * scale[None, :], q * scale, scale)
