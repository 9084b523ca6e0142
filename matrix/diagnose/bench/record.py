"""What the benchmark measured: rows, their JSON form, and their line of text."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matrix.ground.files import write_json

SCHEMA = "nnls-bench"
VERSION = 4


@dataclass(frozen=True)
class BenchRow:
    """One solver on one system, or on several as lanes of a `vmap`.

    Attributes
    ----------
    milliseconds
        Median per lane.
    cholesky_equivalents
        The same in units of one Cholesky factorisation of the same matrix in the same process; of ways to
        factorise, of the batched routine's share for one lane.
    times_ours
        The median, over rounds, of the solver's time divided by ours; of a way to factorise, divided by that
        of the batched routine.
    spread
        What holds the median of these quotients, each of one round, with a confidence of 90 %; of fewer than
        five rounds the smallest and the largest; None where they were not kept.
    residual
        Largest relative KKT residual of the answers, by our certificate; of factors, the backward error.
    objective_excess
        How far the objective lies above ours, relative to it; None of factors and where it is not finite.
    temporary_bytes
        Working memory per lane, where XLA tells.
    solved
        For how many of the lanes the solver itself says that it has solved them; None where it says nothing.
    certified
        Whether the residual is at most 1e-9, in float32 1e-4; None of factors.
    as_alone
        Whether each lane of a batch has the very answer that it has alone; None where it was not asked.
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
    spread: tuple[float, float] | None = None
    certified: bool | None = None
    as_alone: bool | None = None

    @property
    def figures(self) -> str:
        """The solver and its numbers as text."""
        seconds = f"{self.milliseconds:.3g} ms, {self.cholesky_equivalents:.1f} C-eq"
        return f"{self.solver} {seconds}{_quotient(self)}, residual {self.residual:.0e}"


@dataclass(frozen=True)
class Compiled:
    """One program, a batch, compiled by a process that compiles nothing else.

    Attributes
    ----------
    lowering_s, compiling_s
        Median seconds, until the program is in XLA's language and until it is in the machine's.
    times_ours
        The seconds of both divided by ours.
    spread
        As in `BenchRow`.
    """

    part: str
    system: str
    K: int
    lanes: int
    solver: str
    lowering_s: float
    compiling_s: float
    times_ours: float
    spread: tuple[float, float]

    @property
    def figures(self) -> str:
        """The solver and its numbers as text."""
        return (
            f"{self.solver} {self.lowering_s:.2f} s to lower, {self.compiling_s:.2f} s to compile"
            f"{_quotient(self)}"
        )


@dataclass(frozen=True)
class Ablated:
    """The solver without one of its parts, beside the whole one, on a number of cases of one size.

    Attributes
    ----------
    left_out
        The part.
    systems
        How many cases there were, a batch being one.
    times_ours
        The time without the part divided by that of the whole solver: the median over the cases.
    spread
        The smallest and the largest of these.
    certified, certified_ours
        Of how many cases the answers are certified, without the part and with it.
    compiling
        The processor time to compile a batch without the part, divided by that of the whole; of two times
        each, in turn.
    """

    part: str
    left_out: str
    K: int
    systems: int
    times_ours: float
    spread: tuple[float, float]
    certified: int
    certified_ours: int
    compiling: float

    @property
    def figures(self) -> str:
        """What the part is worth, as text."""
        return (
            f"{self.times_ours:.2f}x ({self.spread[0]:.2f}-{self.spread[1]:.2f}), "
            f"{self.compiling:.2f}x to compile, "
            f"{self.certified} of {self.systems} certified, with it {self.certified_ours}"
        )


Measured = BenchRow | Compiled | Ablated


def _quotient(row: BenchRow | Compiled) -> str:
    if row.solver == "ours":
        return ""
    spread = f" ({row.spread[0]:.2f}-{row.spread[1]:.2f})" if row.spread else ""
    return f", {row.times_ours:.2f}x{spread}"


def bytes_per_lane(size: int | None, lanes: int) -> int | None:
    """A size in bytes, where it is known, shared among lanes."""
    return None if size is None else size // lanes


def write_bench(path: Path, provenance: Mapping[str, Any], rows: Sequence[Measured]) -> None:
    """Write the record, as far as it goes."""
    report = {
        "schema": SCHEMA,
        "version": VERSION,
        "provenance": dict(provenance),
        "rows": [asdict(row) for row in rows],
    }
    write_json(path, report)


def line(rows: Sequence[Measured]) -> str:
    """One measurement as a line of text."""
    first = rows[0]
    figures = "  ".join(row.figures for row in rows)
    if isinstance(first, Ablated):
        what = f"without {first.left_out}"
        return f"{first.part:14s}{what:46s} K={first.K:<5d} {figures}"
    return f"{first.part:14s}{first.system:34s} K={first.K:<5d} lanes={first.lanes:<3d}{figures}"
