"""What a probe found, as typed data with a versioned JSON form."""

from typing import Any, ClassVar

from matrix.records.cell import Cell, PrecisionFacts, Provenance, XlaMemory
from matrix.records.typed_json import closed


@closed
class StepTime:
    """One step of one program; seconds per call, of the whole batch where there is one.

    Attributes
    ----------
    in_program_s
        Its share of a call of the whole program, from the profiler's trace.
    alone_s
        Quickest call of the step compiled and run as a program of its own; None if it was not run so.
    alone_temporary_bytes
        XLA's temporary memory of that program.
    """

    step: str
    in_program_s: float
    alone_s: float | None
    alone_temporary_bytes: int | None


@closed
class Kernel:
    """One instruction of the compiled program: how often it ran in a call, and its seconds per call."""

    instruction: str
    opcode: str
    step: str | None
    origin: str
    calls: int
    seconds: float


@closed
class HostCallback:
    """Python that a compiled program calls back on the host; figures per call of the program."""

    function: str
    calls: float
    bytes_to_host: float
    bytes_from_host: float
    seconds: float


@closed
class ProgramProbe:
    """One compiled likelihood, for one or more lanes.

    Attributes
    ----------
    steady_s
        Seconds of each call without the profiler.
    traced_s
        Seconds of a call under the profiler, the quickest; steps and kernels are of this call.
    outside_steps_s
        Of these, instructions that belong to no step.
    idle_s
        Of these, time in which no instruction ran.
    kernels
        The most expensive instructions, most expensive first.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/probe-program"
    VERSION: ClassVar[int] = 1

    lanes: int
    compile_s: float
    steady_s: tuple[float, ...]
    traced_s: float
    outside_steps_s: float
    idle_s: float
    steps: tuple[StepTime, ...]
    kernels: tuple[Kernel, ...]
    callbacks: tuple[HostCallback, ...]
    memory: XlaMemory | None

    @property
    def call_s(self) -> float:
        """Seconds of the quickest call without the profiler."""
        return min(self.steady_s)

    @property
    def unexplained(self) -> float:
        """The part of a traced call that no step accounts for, 0 to 1."""
        return 1.0 - sum(step.in_program_s for step in self.steps) / self.traced_s


@closed
class ProbeRecord:
    """One pipeline on one side: the single program, and the batch.

    Attributes
    ----------
    absent
        Library attributes that a step is told by and this release does not have.
    traces
        Folders of the profiler's traces, relative to this record's, one per program.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/probe-record"
    VERSION: ClassVar[int] = 1

    cell: Cell
    single: ProgramProbe
    batch: ProgramProbe
    absent: tuple[str, ...]
    traces: tuple[str, ...]
    configuration: dict[str, Any]
    precision: PrecisionFacts
    provenance: Provenance
