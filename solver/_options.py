"""What a caller may choose about a solve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict, Unpack

import jax.numpy as jnp
from jax import Array

from ._certificate import default_tolerance

DEFAULT_MAX_ITER = 60


class Choices(TypedDict, total=False):
    """The keyword arguments of every public solve; all may be left out.

    Attributes
    ----------
    algorithm
        A name in `ALGORITHMS`; "auto", the default, picks by size.
    max_iter
        Most iterations, each with one factorisation of the order of Q; None for 60.
    solver_tol
        Relative KKT residual that counts as converged; iterations stop at half of it. None for 1e-9 (float64)
        or 1e-4 (float32).
    dense_columns
        Indices of the collinear columns, such as unregularised linear light profiles, or a mask of K; () for
        none; None if not known. A wrong value costs time, never correctness.
    jacobi
        Scale Q to unit diagonal before solving (the default).
    """

    algorithm: str
    max_iter: int | None
    solver_tol: float | None
    dense_columns: Sequence[int] | None
    jacobi: bool


@dataclass(frozen=True)
class Options:
    """The checked choices that shape a program; hashable, so that compiled programs are reused."""

    algorithm: str
    dense_columns: tuple[int, ...] | None
    jacobi: bool


class Limits(NamedTuple):
    """Where to stop; traced, so that other limits are no other program.

    Attributes
    ----------
    max_iter
        () int32, most factorisations.
    solver_tol
        () certificate residual that counts as converged.
    """

    max_iter: Array
    solver_tol: Array


def checked(
    K: int, dtype: Any, algorithms: Sequence[str], **choices: Unpack[Choices]
) -> tuple[Options, Limits]:
    """The choices, checked against a problem of size K and the known algorithms.

    Raises
    ------
    ValueError
        If the algorithm is not known, a limit is not positive or a dense column is not a column of Q.
    TypeError
        If an option is not known.
    """
    unknown = sorted(choices.keys() - Choices.__annotations__.keys())
    if unknown:
        known = ", ".join(Choices.__annotations__)
        raise TypeError(f"not an option of the solver: {', '.join(unknown)}. Options are {known}.")
    algorithm = choices.get("algorithm", "auto")
    if algorithm not in algorithms:
        raise ValueError(f"algorithm must be one of {', '.join(algorithms)}, not {algorithm!r}.")
    max_iter = choices.get("max_iter")
    if max_iter is None:
        max_iter = DEFAULT_MAX_ITER
    elif int(max_iter) < 1:
        raise ValueError(f"max_iter must be at least 1, not {max_iter}.")
    solver_tol = choices.get("solver_tol")
    if solver_tol is None:
        solver_tol = default_tolerance(dtype)
    elif not 0 < float(solver_tol) < 1:
        raise ValueError(f"solver_tol is relative and must lie between 0 and 1, not {solver_tol}.")
    options = Options(algorithm, _columns(K, choices.get("dense_columns")), bool(choices.get("jacobi", True)))
    return options, Limits(jnp.asarray(int(max_iter), jnp.int32), jnp.asarray(float(solver_tol), dtype))


def _columns(K: int, dense_columns: Sequence[int] | None) -> tuple[int, ...] | None:
    if dense_columns is None:
        return None
    if jnp.asarray(dense_columns).dtype == bool:
        if len(dense_columns) != K:
            raise ValueError(f"dense_columns as a mask must have {K} entries, not {len(dense_columns)}.")
        dense_columns = [column for column in range(K) if dense_columns[column]]
    columns = tuple(sorted({int(column) for column in dense_columns}))
    if columns and not 0 <= columns[0] <= columns[-1] < K:
        raise ValueError(
            f"dense_columns must lie in 0 ... {K - 1}, but they span {columns[0]} ... {columns[-1]}."
        )
    return columns
