"""What the corpus says of every solver on every system, as typed data with a versioned JSON form."""

from typing import Any, ClassVar

from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.corpus.metrics import Metrics
from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed

REFERENCE = "fnnls (reference)"


@closed
class JudgedSolve:
    """One solver on one system.

    Attributes
    ----------
    converged
        What the solver itself says.
    residual
        Largest relative KKT residual by our certificate, which scales by diag(Q).
    gradient_finite
        Of the answer with respect to Q and q; None for the reference, which has none.
    """

    solver: str
    converged: bool
    steps: int
    metrics: Metrics
    residual: float
    gradient_finite: bool | None


@closed
class Examined:
    """One system: the condition of its matrix as it is, and every solver on it."""

    name: str
    K: int
    condition: float
    judged: tuple[JudgedSolve, ...]


@closed
class KindRecord:
    """The systems of one kind.

    Attributes
    ----------
    times
        The solvers in turn on the first of the systems as lanes of one `vmap`.
    left_out
        Why there are no systems; None where there are.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/corpus-kind"
    VERSION: ClassVar[int] = 1

    kind: str
    family: str
    cell: Cell
    key: str
    systems: tuple[Examined, ...]
    times: tuple[BenchRow, ...]
    left_out: str | None
    precision: PrecisionFacts
    provenance: Provenance


@closed
class CorpusRecord:
    """All kinds; the options are those that decide which systems there are."""

    SCHEMA: ClassVar[str] = "nnls-matrix/corpus-record"
    VERSION: ClassVar[int] = 1

    options: dict[str, Any]
    kinds: tuple[KindRecord, ...]
