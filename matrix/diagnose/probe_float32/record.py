"""What one arithmetic does to the baseline's likelihood: evidences and iterations, alone and in a batch."""

from typing import ClassVar, Literal, get_args

from matrix.records.cell import Cell, LaneSolve, PrecisionFacts, Provenance
from matrix.records.typed_json import closed

# With tf32 the operands of products are rounded to ten bits, as GPUs do in float32 by default: those of the
# solver, or all others.
Arithmetic = Literal["float64", "float32", "tf32-assembly", "tf32-solver"]
ARITHMETICS: tuple[Arithmetic, ...] = get_args(Arithmetic)


@closed
class Float32Record:
    """One pipeline in one arithmetic, lanes all different, the prior medians first.

    Attributes
    ----------
    tolerance
        On the residual, as jaxnnls sets it: min(K times its EPSILON, 1e-2). None where the library scales it
        with the data, in its raw mode.
    alone, batched
        Log evidence of each lane, by the single program and as a lane of the batch; None if not finite.
    equal
        Log evidence where all lanes of the batch are the first.
    solves_alone, solves_batched
        Per lane: iterations, convergence as jaxnnls tells it, and residuals judged in float64.
    single_s, batch_s
        Seconds per call of the two programs; of the whole batch.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/float32-record"
    VERSION: ClassVar[int] = 2

    cell: Cell
    arithmetic: Arithmetic
    tolerance: float | None
    alone: tuple[float | None, ...]
    batched: tuple[float | None, ...]
    equal: tuple[float | None, ...]
    solves_alone: tuple[LaneSolve, ...]
    solves_batched: tuple[LaneSolve, ...]
    single_s: tuple[float, ...]
    batch_s: tuple[float, ...]
    precision: PrecisionFacts
    provenance: Provenance

    @property
    def lane_s(self) -> float:
        """Seconds per lane of the batch, of its quickest call."""
        return min(self.batch_s) / len(self.batched)
