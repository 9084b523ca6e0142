"""Which systems were taken from a likelihood, and under what settings."""

from typing import ClassVar

from matrix.diagnose.systems.variation import Variation
from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed


@closed
class Extracted:
    """One system.

    Attributes
    ----------
    file
        Its file, beside the record.
    unit
        The lens model, as a point of the priors' unit cube; the first draw is the medians.
    K, dense
        Unknowns, and how many of them are the collinear block that the call site names.
    zeros
        Unknowns that are zero in the likelihood's own answer.
    """

    file: str
    variation: Variation
    unit: tuple[float, ...]
    K: int
    dense: int
    zeros: int


@closed
class ExtractionRecord:
    """The systems of one pipeline."""

    SCHEMA: ClassVar[str] = "nnls-matrix/extraction-record"
    VERSION: ClassVar[int] = 1

    cell: Cell
    systems: tuple[Extracted, ...]
    precision: PrecisionFacts
    provenance: Provenance
