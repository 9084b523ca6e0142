"""The problem as it enters an algorithm: validation and scaling."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from ._linalg import diagonal_of, with_diagonal


class Scaled(NamedTuple):
    """The scaled problem: minimise ½ xᵀAx - qᵀx, x >= 0, where A = DQD has diag A <= 1, and max(q) = 1.

    A is never stored: products go through Q, and where a matrix is to be factorised it is written once,
    scaled, masked and shifted in the same pass. Large temporaries are what a memory-bound program pays for.

    Attributes
    ----------
    Q
        (K, K) as the caller gave it.
    q
        (K,) scaled.
    scale
        (K,) D; zero for variables with Q[i, i] <= 0, whose rows of A are those of the identity.
    diagonal
        (K,) of A.
    pull
        () the original answer is `scale * pull * x`.
    """

    Q: Array
    q: Array
    scale: Array
    diagonal: Array
    pull: Array

    def multiply(self, x: Array) -> Array:
        """A x for x of shape (K,)."""
        return self.scale * (self.Q @ (self.scale * x)) + jnp.where(self.scale > 0, 0, x)

    def gradient(self, x: Array) -> Array:
        """Ax - q."""
        return self.multiply(x) - self.q

    def rows(self, index: Array | slice) -> Array:
        """Rows `index` of A, off-diagonal entries of empty columns included; shape (len(index), K)."""
        return self.Q[index] * self.scale[index][:, None] * self.scale[None, :]

    def weighted(self, weight: Array, diagonal: Array, start: int = 0) -> Array:
        """W A W with another diagonal, without the first `start` rows and columns; W = diag(weight).

        Written in one pass through Qᵀ = Q: a factorisation wants columns contiguous, and arrays here have
        rows so.

        Parameters
        ----------
        weight, diagonal
            (K - start,) each.
        """
        factor = weight * self.scale[start:]
        return with_diagonal(self.Q.T[start:, start:] * factor[:, None] * factor[None, :], diagonal)

    def masked(self, free: Array, start: int = 0) -> Array:
        """A on the rows and columns of `free`, the identity elsewhere, without the first `start` of both.

        Keeps its shape whatever the number of free variables is, as compiled programs need.

        Parameters
        ----------
        free
            (K - start,) bool.
        """
        diagonal = jnp.where(free, self.diagonal[start:], 1)
        return self.weighted(free.astype(diagonal.dtype), diagonal, start)

    def at_interior(self, root: Array, ridge: float) -> Array:
        """EAE + I - E², E = `root` = (x/(x+z))^½: the matrix A + diag(z/x) of a point with x, z > 0 between
        two factors E.

        Its entries stay bounded as z/x goes to zero or infinity.
        """
        return self.weighted(root, root * root * (self.diagonal * (1 + ridge) - 1) + 1)


def scaled_problem(Q: Array, q: Array, jacobi: bool = True) -> Scaled:
    """Scale columns by D (diag(Q)^(-1/2), or one number if not `jacobi`) and q by its largest positive entry.

    Complementarity products x·z are unchanged by D, so a relaxation at kappa means the same in every scaling.

    Parameters
    ----------
    Q
        (K, K), K >= 1.
    q
        (K,).
    """
    diagonal = diagonal_of(Q)
    scale = lax.rsqrt(jnp.where(diagonal > 0, diagonal if jacobi else jnp.max(diagonal), jnp.inf))
    linear = scale * q
    pull = jnp.max(linear)
    pull = jnp.where(pull > 0, pull, 1)
    # An empty variable is fixed at zero, and strictly so.
    scaled = jnp.where(scale > 0, diagonal * scale * scale, 1)
    return Scaled(Q, jnp.where(scale > 0, linear / pull, -1), scale, scaled, pull)


def validated(Q: Any, q: Any) -> tuple[Array, Array]:
    """Q and q as arrays of one floating dtype.

    Raises
    ------
    ValueError
        If the shapes are not (K, K) and (K,), the dtype is not float32 or float64, or, where the values are
        known (outside a trace), they are not finite.
    """
    matrix, vector = jnp.asarray(_native(Q)), jnp.asarray(_native(q))
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"Q must be a square matrix of shape (K, K), but its shape is {matrix.shape}.")
    if vector.shape != matrix.shape[:1]:
        raise ValueError(f"q must have shape {matrix.shape[:1]} to match Q, but its shape is {vector.shape}.")
    dtype = jnp.result_type(matrix, vector)
    if dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"Q and q must be float32 or float64, but they are {matrix.dtype} and {vector.dtype}: "
            "convert them first."
        )
    for name, value in (("Q", matrix), ("q", vector)):
        if not isinstance(value, jax.core.Tracer) and not _is_finite(value):
            raise ValueError(
                f"{name} contains NaN or infinity: the system was not finite before it was solved."
            )
    return matrix.astype(dtype), vector.astype(dtype)


def _native(value: Any) -> Any:
    """An array of the other byte order, as FITS files have it, in this machine's."""
    dtype: Any = getattr(value, "dtype", None)
    return value if getattr(dtype, "isnative", True) else value.astype(dtype.newbyteorder("="))


def _is_finite(value: Array) -> bool:
    # Within a trace JAX would stage this even for values it knows.
    with jax.ensure_compile_time_eval():
        return bool(jnp.all(jnp.isfinite(value)))
