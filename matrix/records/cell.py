"""The record: what one cell measured, as typed data with a versioned JSON form."""

import math
import statistics
from pathlib import Path
from typing import Any, ClassVar, Literal

from matrix.ground.files import write_text
from matrix.records import typed_json
from matrix.records.typed_json import RecordError as RecordError
from matrix.records.typed_json import closed as closed

# The package that is replaced, and what replaces it in a library that it was vendored into.
REPLACED = "jaxnnls"
VENDORED = "autoarray.inversion.nnls"

Precision = Literal["fp64", "mp"]
Side = Literal["baseline", "candidate"]
SIDES: tuple[Side, ...] = ("baseline", "candidate")
Scale = Literal["production", "smoke"]
Quantity = Literal["log_likelihood", "figure_of_merit"]


@closed
class Cell:
    """Which unit of work this is: pipeline x precision x side, at one scale."""

    pipeline: str
    precision: Precision
    side: Side
    scale: Scale

    @property
    def name(self) -> str:
        """The cell in one word, as shown to people and used for file names."""
        return f"{self.pipeline}-{self.precision}-{self.side}"


@closed
class Evaluation:
    """The values one path returned.

    Attributes
    ----------
    values
        One number per lane (one lane for the eager and the single-JIT path).
    dtype
        The dtype that came back, before any conversion to a Python float.
    float32_exact
        Per value, whether it is exactly a float32 number, which a float64 result practically never is.
    """

    values: tuple[float, ...]
    dtype: str
    float32_exact: tuple[bool, ...]


@closed
class EagerEvaluation:
    """The eager NumPy path at the prior medians, in both quantities a constant may be recorded in."""

    log_likelihood: Evaluation
    figure_of_merit: Evaluation


@closed
class LaneSolve:
    """One lane's positive-only solve, as really made inside the batched program.

    The residuals are those of the Jacobi-scaled system (unit diagonal), in NumPy float64, from the answer the
    program returned: with y the scaled answer, g = Qy - q, Y = max|y| and c = max(q), they are max(-y)+ / Y,
    max(-g)+ / c, and the largest over the unknowns of min(|y| / Y, |g| / c).

    Attributes
    ----------
    size
        K, the number of unknowns of the system that was solved.
    iterations, converged
        What the library states of that solve; a library that states nothing has its solver asked about the
        very same system. None where neither says it. Iterations of the "certified" solver are its passes.
    zeros
        Unknowns at the bound: at most 1e-9 of the largest, in scaled variables.
    matrix_norm, vector_norm
        Frobenius norm of the scaled matrix, and Euclidean norm of the scaled q: equal on both sides if their
        call sites hand over the same system, scaled already or not.
    certified
        Whether a solver that carries a certificate says it was reached; None of others, and in records made
        before this was noted. Without it, the library's "certified" solver hands over to its fallback.
    """

    size: int
    iterations: int | None
    converged: bool | None
    primal_infeasibility: float
    dual_infeasibility: float
    complementarity: float
    zeros: int
    matrix_norm: float
    vector_norm: float
    certified: bool | None = None

    @property
    def kkt_residual(self) -> float:
        """The largest of the three residuals; nan as soon as one of them is."""
        residuals = (self.primal_infeasibility, self.dual_infeasibility, self.complementarity)
        return math.nan if any(map(math.isnan, residuals)) else max(residuals)


@closed
class Batch:
    """Different lanes in one call, of another number than the batch that is timed.

    Attributes
    ----------
    lanes
        How many; the first ones are those of smaller batches.
    needed_bytes
        What the process would hold while it runs, by XLA's analysis; None where there is none.
    usable_bytes
        What the machine, or the device, lets it hold.
    vmap, jit, eager
        Each lane in the batch, alone by the compiled likelihood, and by NumPy. None where the batch does not
        fit and was not run.
    audit
        The batch again, from the program that also hands out the linear systems it solved. None where the
        batch was not run, and in records made before this was noted.
    nnls
        These solves, one per lane; empty where there is no such program.
    """

    lanes: int
    needed_bytes: int | None
    usable_bytes: int
    vmap: Evaluation | None = None
    jit: Evaluation | None = None
    eager: Evaluation | None = None
    audit: Evaluation | None = None
    nnls: tuple[LaneSolve, ...] = ()


@closed
class Evaluations:
    """Every path's answer.

    Attributes
    ----------
    quantity
        Which eager quantity the pipeline's constant records. All JAX paths return the figure of merit.
    eager
        The NumPy path (exact active set) at the prior medians.
    jit
        The compiled likelihood at the prior medians.
    vmap_equal
        The batched likelihood with every lane at the prior medians: the lanes must agree.
    vmap_lanes
        The batched likelihood with different lanes, lane 0 being the prior medians.
    lanes_eager, lanes_jit
        The same different lanes one by one: NumPy figure of merit, and compiled likelihood.
    audit
        The different lanes again, from the program that also hands out the linear systems it solved.
        Equal to `vmap_lanes` unless the tap changed the answer.
    batches
        Those of other sizes, where they were asked for.
    """

    quantity: Quantity
    eager: EagerEvaluation
    jit: Evaluation
    vmap_equal: Evaluation
    vmap_lanes: Evaluation
    lanes_eager: Evaluation
    lanes_jit: Evaluation
    audit: Evaluation
    batches: tuple[Batch, ...] = ()

    @property
    def eager_recorded(self) -> Evaluation:
        """The eager values of the quantity that the constant records."""
        return self.eager.log_likelihood if self.quantity == "log_likelihood" else self.eager.figure_of_merit


@closed
class Timing:
    """Wall-clock seconds of one compiled program; `steady_s` are the repeats after the first call.

    `lanes` is how many values a call gave; None in records made before this was noted.
    """

    lower_s: float
    compile_s: float
    first_call_s: float
    steady_s: tuple[float, ...]
    lanes: int | None = None

    @property
    def median_s(self) -> float:
        """Median of the repeats, in seconds per call (a whole batch for the vmapped program)."""
        return statistics.median(self.steady_s)


@closed
class Timings:
    """How long each path took.

    Attributes
    ----------
    eager_s
        Seconds of the first NumPy evaluation, in which numba compiles what it has not cached.
    jit, vmap
        The compiled programs.
    batch
        Lanes that run in one call of the vmapped program.
    """

    eager_s: float
    jit: Timing
    vmap: Timing
    batch: int

    @property
    def vmap_lane_s(self) -> float:
        """Median seconds of the vmapped program per lane."""
        return self.vmap.median_s / self.batch


@closed
class XlaMemory:
    """XLA's memory analysis of one compiled program, in bytes."""

    argument_bytes: int
    output_bytes: int
    temporary_bytes: int
    generated_code_bytes: int


@closed
class Memory:
    """Peak resident memory of the cell's process, and each program's analysis where XLA gives one."""

    peak_rss_bytes: int
    jit: XlaMemory | None
    vmap: XlaMemory | None


@closed
class Solver:
    """Which solver answered, and the options that were in force at the call site.

    Attributes
    ----------
    name
        The package that was called, or what the library's `stats` name: "pdip", "certified".
    options
        By name, as text.
    stated
        Names in the `stats` of the library's call site; None where it has none.
    """

    name: str
    options: dict[str, str]
    stated: tuple[str, ...] | None = None

    @property
    def said(self) -> str:
        """The solver in a few words: its name, and how it scales the system where the library says so."""
        return ", ".join(filter(None, (self.name, self.options.get("preconditioning"))))


@closed
class PrecisionFacts:
    """What precision the cell really had, told by JAX itself and not by the environment.

    Attributes
    ----------
    x64_enabled
        `jax.config.jax_enable_x64` after the imports.
    x64_variable
        The text of the environment variable JAX_ENABLE_X64, None where unset. It can read "True" while JAX is
        in float32.
    mixed
        Whether the library's settings, as eager fit and analysis have them, are for mixed precision.
    solver_dtype
        The dtype of the linear systems the solver was given.
    """

    x64_enabled: bool
    x64_variable: str | None
    mixed: bool
    solver_dtype: str


@closed
class Provenance:
    """Where the numbers come from.

    Attributes
    ----------
    driver
        What the driver wrote down: commits, dirtiness, release, source and the like.
    seed
        Seed of the different lanes.
    lanes_unit
        The different lanes as points of the unit cube of the priors.
    datasets
        SHA-256 of each data file read, by its path in the workspace.
    packages
        Version of every installed distribution, by its name in lower case with hyphens.
    variables
        The environment variables that steer the library, threads, precision and XLA.
    accelerators
        Per GPU what nvidia-smi says of it: name, driver, memory, clocks as found. Empty without one, and in
        records made before this was noted.
    """

    driver: dict[str, Any]
    seed: int
    lanes_unit: tuple[tuple[float, ...], ...]
    datasets: dict[str, str]
    packages: dict[str, str]
    python: str
    platform: str
    cpu: str
    cores: int
    affinity: tuple[int, ...]
    device_platform: str
    device_kind: str
    variables: dict[str, str]
    jaxnnls_importable: bool
    autoarray_path: str
    started: str
    finished: str
    accelerators: tuple[dict[str, str], ...] = ()


@closed
class Record:
    """All a cell leaves behind.

    Attributes
    ----------
    key
        The driver's content key of everything the cell depends on, opaque here.
    configuration
        Facts of the likelihood (pixel scale in arcsec, masked pixels, mesh), as result files list them.
    nnls
        One entry per different lane.
    convergence
        Iterations and KKT residual of the first lane's system on the way to its answer. Empty in records made
        before this was noted.
    convergence_note
        How that curve was had, where it needs saying; or why there is none.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/cell-record"
    VERSION: ClassVar[int] = 2

    cell: Cell
    key: str
    configuration: dict[str, Any]
    evaluations: Evaluations
    timings: Timings
    memory: Memory
    solver: Solver
    nnls: tuple[LaneSolve, ...]
    precision: PrecisionFacts
    provenance: Provenance
    convergence: tuple[tuple[int, float], ...] = ()
    convergence_note: str = ""


def to_json(record: Record) -> str:
    """Write `record` as standard JSON."""
    return typed_json.to_text(record)


def from_json(text: str, origin: str = "the record") -> Record:
    """Read what `to_json` wrote; `origin` is how messages call the text, usually its path.

    Raises
    ------
    RecordError
        The text is no cell record of this version.
    """
    return _whole(typed_json.from_text(text, Record, origin), origin)


def write_record(path: Path, record: Record) -> None:
    """Write `record` to `path`, whole or not at all."""
    write_text(path, to_json(record))


def read_record(path: Path) -> Record:
    """Read the record at `path`.

    Raises
    ------
    RecordError
        The file is missing or not a valid record of this version.
    """
    return _whole(typed_json.read(path, Record), str(path))


def _whole(record: Record, origin: str) -> Record:
    """The record, if its parts belong together: a gate can then judge whatever it holds."""
    faults = [name for name, holds in _parts_that_belong_together(record).items() if not holds]
    if faults:
        raise RecordError(f"{origin} contradicts itself: {'; '.join(faults)}. Make it again.")
    return record


def _parts_that_belong_together(record: Record) -> dict[str, bool]:
    """What must hold in every record, in words of what is wrong where it does not."""
    found = record.evaluations
    single = (found.eager.log_likelihood, found.eager.figure_of_merit, found.jit)
    lanes = (found.vmap_lanes, found.lanes_eager, found.lanes_jit, found.audit)
    every = (*single, found.vmap_equal, *lanes)
    times = (*record.timings.jit.steady_s, *record.timings.vmap.steady_s)
    return {
        "a path that has one lane has another number of values": all(len(e.values) == 1 for e in single),
        "a path has no value": all(e.values for e in every),
        "the paths of the different lanes have unequal numbers of lanes": len({len(e.values) for e in lanes})
        == 1,
        "it holds no solve": bool(record.nnls),
        "a path has not one float32 mark per value": all(
            len(e.values) == len(e.float32_exact) for e in every
        ),
        "a program was not timed": bool(record.timings.jit.steady_s and record.timings.vmap.steady_s),
        "a time is not a positive number": all(0.0 < time < math.inf for time in times),
        "its times are none": all(
            map(typed_json.is_moment, (record.provenance.started, record.provenance.finished))
        ),
        "a batch has no lane": record.timings.batch > 0,
        "a batch of another size has not one value per lane and path": all(
            evaluation is None or len(evaluation.values) == len(evaluation.float32_exact) == batch.lanes
            for batch in found.batches
            for evaluation in (batch.vmap, batch.jit, batch.eager, batch.audit)
        ),
        "a batch of another size has not one solve per lane": all(
            len(batch.nnls) == (0 if batch.audit is None else batch.lanes) for batch in found.batches
        ),
        "a batch of another size lacks a path": all(
            len({evaluation is None for evaluation in (batch.vmap, batch.jit, batch.eager)}) == 1
            for batch in found.batches
        ),
    }
