"""What the corpus says of every solver on every system, as typed data with a versioned JSON form."""

import dataclasses
from typing import Any, ClassVar

from matrix.diagnose.bench.record import Row
from matrix.diagnose.corpus.metrics import Metrics
from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import CLOSED

REFERENCE = "fnnls (reference)"


@dataclasses.dataclass(frozen=True)
class Judged:
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

    __pydantic_config__ = CLOSED

    solver: str
    converged: bool
    steps: int
    metrics: Metrics
    residual: float
    gradient_finite: bool | None


@dataclasses.dataclass(frozen=True)
class Examined:
    """One system: the condition of its matrix as it is, and every solver on it."""

    __pydantic_config__ = CLOSED

    name: str
    K: int
    condition: float
    judged: tuple[Judged, ...]


@dataclasses.dataclass(frozen=True)
class KindRecord:
    """The systems of one kind.

    Attributes
    ----------
    times
        The solvers in turn on the first of the systems as lanes of one `vmap`.
    left_out
        Why there are no systems; None where there are.
    """

    __pydantic_config__ = CLOSED
    SCHEMA: ClassVar[str] = "nnls-matrix/corpus-kind"
    VERSION: ClassVar[int] = 1

    kind: str
    family: str
    cell: Cell
    key: str
    systems: tuple[Examined, ...]
    times: tuple[Row, ...]
    left_out: str | None
    precision: PrecisionFacts
    provenance: Provenance


@dataclasses.dataclass(frozen=True)
class CorpusRecord:
    """All kinds; the options are those that decide which systems there are."""

    __pydantic_config__ = CLOSED
    SCHEMA: ClassVar[str] = "nnls-matrix/corpus-record"
    VERSION: ClassVar[int] = 1

    options: dict[str, Any]
    kinds: tuple[KindRecord, ...]
