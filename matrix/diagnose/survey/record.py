"""What a survey of the solver's algorithms found, as typed data with a versioned JSON form."""

from typing import Any, ClassVar

from matrix.diagnose.survey.grid import Choice
from matrix.records.typed_json import closed


@closed
class SurveyRow:
    """One setting on one system, or on several as lanes of a `vmap`; of several lanes the worst counts.

    Attributes
    ----------
    same_as
        The larger limit whose figures these are, since this one would not be reached; None if it was run.
    milliseconds, cholesky_equivalents
        Median per lane.
    times_today
        The time of the library's PDIP of today divided by this one's.
    residual
        Largest relative KKT residual.
    objective_excess
        (f - f*) / |f*|, f* from the answer with the smallest residual of all.
    evidence_shift
        f - f*: what the log evidence loses, since misfit and regularisation term enter it as f.
    l2
        Distance of the reconstruction from that answer, relative, in Jacobi-scaled unknowns.
    l2_today, evidence_today
        The same distance, and |f - f'|, from the answer of the library's PDIP of today.
    gradient_finite
        Of the answer with respect to Q and q; None where it was not taken (batches, most settings,
        ADMM and FISTA).
    """

    systems: tuple[str, ...]
    K: int
    choice: Choice
    same_as: int | None
    milliseconds: float
    cholesky_equivalents: float
    times_today: float
    iterations: int
    residual: float
    objective_excess: float
    evidence_shift: float
    l2: float
    l2_today: float
    evidence_today: float
    gradient_finite: bool | None

    @property
    def lanes(self) -> int:
        """How many systems were solved together."""
        return len(self.systems)


@closed
class ClassGradients:
    """Gradients of one setting on one class of systems with a known optimum, as lanes of one `vmap`."""

    choice: Choice
    kind: str
    K: int
    conditions: tuple[float, ...]
    not_finite: tuple[float, ...]


@closed
class CurvePoint:
    """How far one setting comes on one system, and for how much."""

    system: str
    K: int
    dense: int
    choice: Choice
    cholesky_equivalents: float
    residual: float


@closed
class SurveyRecord:
    """One survey; `smallest_evidence` is the least |log evidence| of the recorded constants."""

    SCHEMA: ClassVar[str] = "nnls-matrix/survey-record"
    VERSION: ClassVar[int] = 1

    provenance: dict[str, Any]
    smallest_evidence: float
    rows: tuple[SurveyRow, ...]
    gradients: tuple[ClassGradients, ...]
    curves: tuple[CurvePoint, ...]
