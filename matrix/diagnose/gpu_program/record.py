"""What a likelihood is on a GPU, as far as its compiled program says: launches, loops and memory."""

from typing import ClassVar

from matrix.diagnose.hlo_audit.levels import Level
from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed


@closed
class GpuProgram:
    """The likelihood compiled for one number of lanes.

    Attributes
    ----------
    temporary_bytes
        XLA's temporary memory.
    text
        The program, beside the record.
    """

    lanes: int
    compile_s: float
    temporary_bytes: int
    levels: tuple[Level, ...]
    text: str


@closed
class GpuProgramRecord:
    """One pipeline on one side, compiled for the GPU `target`, alone and as a batch."""

    SCHEMA: ClassVar[str] = "nnls-matrix/gpu-program-record"
    VERSION: ClassVar[int] = 1

    cell: Cell
    target: str
    programs: tuple[GpuProgram, ...]
    precision: PrecisionFacts
    provenance: Provenance
