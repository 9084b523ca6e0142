"""What one side's compiled programs consist of."""

from typing import ClassVar

from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed

PROGRAMS = ("likelihood", "solver", "forward-only", "gradient")


@closed
class AuditedProgram:
    """One compiled program.

    Attributes
    ----------
    kinds
        Instructions by the kinds that matter here.
    operations
        The same by operation, custom calls by their target.
    from_relaxed_code
        Instructions that the relaxed backward pass gave rise to.
    temporary_bytes, code_bytes
        Of memory; None where XLA does not say.
    text
        The file with the program, beside the record.
    """

    kinds: dict[str, int]
    operations: dict[str, int]
    from_relaxed_code: int
    temporary_bytes: int | None
    code_bytes: int | None
    text: str


@closed
class HloRecord:
    """The `PROGRAMS` of one side; `size` is K of the system that the likelihood solves."""

    SCHEMA: ClassVar[str] = "nnls-matrix/hlo-record"
    VERSION: ClassVar[int] = 1

    cell: Cell
    size: int
    programs: dict[str, AuditedProgram]
    precision: PrecisionFacts
    provenance: Provenance
