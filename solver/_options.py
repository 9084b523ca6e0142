"""What a caller may choose about a solve."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack


class Choices(TypedDict, total=False):
    """The keyword arguments of every public solve; all may be left out.

    Attributes
    ----------
    algorithm
        A name in `ALGORITHMS`; "auto", the default, picks by size.
    max_iter
        Most iterations (factorisations of the main loop, for the first-order methods sweeps); None for the
        algorithm's own default.
    solver_tol
        Relative KKT residual that counts as converged, and that iterations stop at; None for the tightest the
        dtype allows, judged at 1e-9 (float64) or 1e-4 (float32).
    dense_columns
        Indices of the collinear columns, such as unregularised linear light profiles; () for none; None if
        not known. A wrong value costs time, never correctness.
    jacobi
        Scale Q to unit diagonal before solving (the default).
    penalty
        The penalty ρ of "admm", relative to the unit diagonal; other algorithms have none.
    """

    algorithm: str
    max_iter: int | None
    solver_tol: float | None
    dense_columns: Sequence[int] | None
    jacobi: bool
    penalty: float


@dataclass(frozen=True)
class Options:
    """Checked `Choices`, complete and hashable, so that compiled programs are reused."""

    algorithm: str
    max_iter: int | None
    solver_tol: float | None
    dense_columns: tuple[int, ...] | None
    jacobi: bool
    penalty: float


def checked(K: int, algorithms: Sequence[str], **choices: Unpack[Choices]) -> Options:
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
    if max_iter is not None and int(max_iter) < 1:
        raise ValueError(f"max_iter must be at least 1, not {max_iter}.")
    solver_tol = choices.get("solver_tol")
    if solver_tol is not None and not 0 < float(solver_tol) < 1:
        raise ValueError(f"solver_tol is relative and must lie between 0 and 1, not {solver_tol}.")
    penalty = float(choices.get("penalty", 0.1))
    if not penalty > 0:
        raise ValueError(f"penalty must be positive, not {penalty}.")
    return Options(
        algorithm=algorithm,
        max_iter=None if max_iter is None else int(max_iter),
        solver_tol=None if solver_tol is None else float(solver_tol),
        dense_columns=_columns(K, choices.get("dense_columns")),
        jacobi=bool(choices.get("jacobi", True)),
        penalty=penalty,
    )


def _columns(K: int, dense_columns: Sequence[int] | None) -> tuple[int, ...] | None:
    if dense_columns is None:
        return None
    columns = tuple(sorted({int(column) for column in dense_columns}))
    if columns and not 0 <= columns[0] <= columns[-1] < K:
        raise ValueError(
            f"dense_columns must lie in 0 ... {K - 1}, but they span {columns[0]} ... {columns[-1]}."
        )
    return columns
