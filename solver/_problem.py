"""The problem as it enters and leaves an algorithm: validation, scaling, options."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ._certificate import jacobi_scale

Array = jax.Array


@dataclass(frozen=True)
class Options:
    """What a caller may choose; hashable, so that compiled programs are reused.

    Attributes
    ----------
    algorithm
        A name in `ALGORITHMS`.
    max_iter
        Most iterations (factorisations, for the first-order methods sweeps); None: the algorithm's own default.
    solver_tol
        Relative KKT residual to iterate to, and to call converged; None: as tight as the dtype allows, judged
        at `default_tolerance`.
    dense_columns
        Columns of the collinear dense block, () for none, None if not known.
    jacobi
        Scale Q to unit diagonal before solving.
    """

    algorithm: str = "auto"
    max_iter: int | None = None
    solver_tol: float | None = None
    dense_columns: tuple[int, ...] | None = None
    jacobi: bool = True


class Scaled(NamedTuple):
    """The scaled problem: minimise ½ xᵀQx - qᵀx, x >= 0, with diag Q <= 1 and max(q) = 1.

    Attributes
    ----------
    Q
        (K, K); rows and columns of variables that can only be zero are those of the identity.
    q
        (K,)
    unit
        (K,) the original answer is `unit * x`, the original gradient `pull / unit` times the scaled one times it.
    pull
        () scale of the scaled linear term.
    """

    Q: Array
    q: Array
    column_scale: Array
    pull: Array


def scaled_problem(Q: Array, q: Array, jacobi: bool) -> Scaled:
    """Scale columns by D (diag(Q)^(-1/2), or one number if not `jacobi`) and q by its largest positive entry.

    Complementarity products x·z are unchanged by D, so a relaxation at kappa means the same in every scaling.

    Parameters
    ----------
    Q
        (K, K), K >= 1.
    q
        (K,).
    """
    absent = jnp.diagonal(Q) <= 0
    scale = jacobi_scale(Q) if jacobi else jnp.broadcast_to(jnp.min(jacobi_scale(Q)), q.shape)
    linear = jnp.where(absent, 0, scale * q)
    pull = jnp.max(jnp.maximum(linear, 0))
    pull = jnp.where(pull > 0, pull, 1)
    matrix = Q * scale[:, None] * scale[None, :]
    outside = absent[:, None] | absent[None, :]
    identity = jnp.eye(Q.shape[0], dtype=Q.dtype)
    return Scaled(jnp.where(outside, identity, matrix), linear / pull, scale, pull)


def validated(Q: Any, q: Any) -> tuple[Array, Array]:
    """Q and q as arrays of one floating dtype.

    Raises
    ------
    ValueError
        If the shapes are not (K, K) and (K,), the dtype is not float32 or float64, or, where the values are
        known (outside a trace), they are not finite.
    """
    matrix, vector = jnp.asarray(Q), jnp.asarray(q)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"Q must be a square matrix of shape (K, K), but its shape is {matrix.shape}.")
    if vector.shape != matrix.shape[:1]:
        raise ValueError(f"q must have shape {matrix.shape[:1]} to match Q, but its shape is {vector.shape}.")
    dtype = jnp.result_type(matrix, vector)
    if dtype not in (jnp.float32, jnp.float64):
        raise ValueError(
            f"Q and q must be float32 or float64, but they are {matrix.dtype} and {vector.dtype}: convert them first."
        )
    for name, value in (("Q", matrix), ("q", vector)):
        if not isinstance(value, jax.core.Tracer) and not bool(jnp.all(jnp.isfinite(value))):
            raise ValueError(
                f"{name} contains NaN or infinity: the system was not finite before it was solved."
            )
    return matrix.astype(dtype), vector.astype(dtype)


def validated_options(
    K: int,
    algorithms: Sequence[str],
    algorithm: str,
    max_iter: int | None,
    solver_tol: float | None,
    dense_columns: Sequence[int] | None,
    jacobi: bool,
) -> Options:
    """Options checked against a problem of size K.

    Raises
    ------
    ValueError
        If the algorithm is not known, a limit is not positive or a dense column is not a column of Q.
    """
    if algorithm not in algorithms:
        raise ValueError(f"algorithm must be one of {', '.join(algorithms)}, not {algorithm!r}.")
    if max_iter is not None and int(max_iter) < 1:
        raise ValueError(f"max_iter must be at least 1, not {max_iter}.")
    if solver_tol is not None and not 0 < float(solver_tol) < 1:
        raise ValueError(f"solver_tol is relative and must lie between 0 and 1, not {solver_tol}.")
    columns = None
    if dense_columns is not None:
        columns = tuple(sorted({int(column) for column in dense_columns}))
        if columns and not 0 <= columns[0] <= columns[-1] < K:
            raise ValueError(
                f"dense_columns must lie in 0 ... {K - 1}, but they span {columns[0]} ... {columns[-1]}."
            )
    return Options(
        algorithm=algorithm,
        max_iter=None if max_iter is None else int(max_iter),
        solver_tol=None if solver_tol is None else float(solver_tol),
        dense_columns=columns,
        jacobi=bool(jacobi),
    )
