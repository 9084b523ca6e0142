"""What a sweep over solver settings found, through the whole likelihood."""

from typing import ClassVar

from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed


@closed
class Setting:
    """One setting of the solver; None where its own default holds."""

    algorithm: str
    max_iter: int | None = None
    solver_tol: float | None = None

    @property
    def is_default(self) -> bool:
        """Whether nothing but the algorithm is said."""
        return self.max_iter is None and self.solver_tol is None

    @property
    def label(self) -> str:
        """The setting in a few words."""
        words = [self.algorithm]
        if self.max_iter is not None:
            words.append(f"max_iter {self.max_iter}")
        if self.solver_tol is not None:
            words.append(f"tol {self.solver_tol:.0e}")
        return " ".join(words)


@closed
class SweepPoint:
    """The likelihood at the prior medians under one setting.

    Attributes
    ----------
    solve_s
        Seconds of each call of the solver, compiled alone, on the likelihood's own system.
    evidence
        The likelihood's value with that answer; None if it is not finite.
    l2
        Of the reconstruction against the baseline's default, relative, in Jacobi-scaled variables; None where
        it is not finite.
    """

    setting: Setting
    solve_s: tuple[float, ...]
    evidence: float | None
    l2: float | None
    iterations: int
    converged: bool


@closed
class SweepRecord:
    """One pipeline on one side under several settings, that side's default first.

    Attributes
    ----------
    rest_s
        Seconds of each call of the likelihood whose solver is given the answer: all but the solve.
    whole_s, whole_evidence
        The likelihood as it is, with the default setting: what rest and solve must add up to.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/sweep-record"
    VERSION: ClassVar[int] = 2

    cell: Cell
    points: tuple[SweepPoint, ...]
    rest_s: tuple[float, ...]
    whole_s: tuple[float, ...]
    whole_evidence: float | None
    precision: PrecisionFacts
    provenance: Provenance
