"""What a batch curve found: time and memory of one side's likelihood by the number of lanes."""

from typing import ClassVar

from matrix.records.cell import Cell, PrecisionFacts, Provenance
from matrix.records.typed_json import closed

GAIN = 1.05


@closed
class BatchPoint:
    """One batch size.

    Attributes
    ----------
    steady_s
        Seconds of each call, of the whole batch; empty if it was not run.
    temporary_bytes
        XLA's temporary memory of the program; None where it says nothing.
    not_run
        Why it was not run; empty if it was.
    """

    lanes: int
    compile_s: float
    steady_s: tuple[float, ...]
    temporary_bytes: int | None
    not_run: str

    @property
    def lane_s(self) -> float:
        """Seconds per lane, of the quickest call."""
        return min(self.steady_s) / self.lanes


@closed
class BatchRecord:
    """One pipeline on one side, at several batch sizes; `peak_rss_bytes` is that of the whole process."""

    SCHEMA: ClassVar[str] = "nnls-matrix/batch-record"
    VERSION: ClassVar[int] = 1

    cell: Cell
    points: tuple[BatchPoint, ...]
    peak_rss_bytes: int
    precision: PrecisionFacts
    provenance: Provenance

    @property
    def run(self) -> tuple[BatchPoint, ...]:
        """The batch sizes that were run."""
        return tuple(point for point in self.points if not point.not_run)

    @property
    def stops_gaining(self) -> int | None:
        """The smallest batch whose time per lane is within 5 % of the best one's; None if nothing was run."""
        if not self.run:
            return None
        best = min(point.lane_s for point in self.run)
        return min(point.lanes for point in self.run if point.lane_s <= GAIN * best)
