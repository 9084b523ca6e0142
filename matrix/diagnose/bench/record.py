"""What the benchmark measured: rows, their JSON form, and their line of text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matrix.files import write_json

SCHEMA = "nnls-bench"
VERSION = 3


@dataclass(frozen=True)
class Row:
    """One solver on one system, or on several as lanes of a `vmap`.

    Attributes
    ----------
    milliseconds
        Median per lane.
    cholesky_equivalents
        The same in units of one Cholesky factorisation of the same matrix in the same process; of ways to
        factorise, of the batched routine's share for one lane.
    times_ours
        The solver's time divided by ours; of a way to factorise, by that of the batched routine.
    residual
        Largest relative KKT residual of the answers, by our certificate; of factors, the backward error.
    objective_excess
        How far the objective lies above ours, relative to it; None of factors.
    temporary_bytes
        Working memory per lane, where XLA tells.
    solved
        For how many of the lanes the solver itself says that it has solved them; None where it says nothing.
    """

    part: str
    system: str
    K: int
    lanes: int
    solver: str
    milliseconds: float
    cholesky_equivalents: float
    times_ours: float
    residual: float
    objective_excess: float | None
    temporary_bytes: int | None
    solved: int | None = None


def per_lane(size: int | None, lanes: int) -> int | None:
    """A size in bytes, where it is known, shared among lanes."""
    return None if size is None else size // lanes


def write_bench(path: Path, provenance: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Write the record, as far as it goes."""
    report = {
        "schema": SCHEMA,
        "version": VERSION,
        "provenance": dict(provenance),
        "rows": [asdict(row) for row in rows],
    }
    write_json(path, report)


def line(rows: Sequence[Row]) -> str:
    """One measurement as a line of text."""
    first = rows[0]
    figures = "  ".join(
        f"{row.solver} {row.milliseconds:.3g} ms, {row.cholesky_equivalents:.1f} C-eq"
        + ("" if row.solver == "ours" else f", {row.times_ours:.1f}x")
        for row in rows
    )
    return (
        f"{first.part:14s}{first.system:34s} K={first.K:<5d} lanes={first.lanes:<3d}{figures}  "
        f"residual {first.residual:.0e}"
    )
