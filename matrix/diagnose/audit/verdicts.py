"""What one result tells about the precision it was computed in."""

import dataclasses
import enum
import math
import re
from collections.abc import Iterator
from typing import Any, Literal

from matrix.records.cell import Record
from matrix.records.precision import FLOAT32_DIGITS, is_float32, significant_digits

# Keys whose numbers, at any depth below, are log likelihoods; docs/precision-audit.md lists them.
_LOG_LIKELIHOOD = re.compile(r"(log_likelihood|log_evidence|figure_of_merit)(_\w+)?|sweep_log_L")
# Keys that look alike but hold a time, or a constant the script was given.
_SOMETHING_ELSE = re.compile(r".*_(ms|s|per_call|expected)")
# NumPy computes in float64 whatever JAX does, so these say nothing about the precision JAX had.
_NUMPY = re.compile(r"eager|(^|\.)log_evidence_(no_)?sparse$")
_LABEL = re.compile(r"(^|_)(fp64|mp)(_|$)")
_BYTES_PER_MIB = 2**20

Label = Literal["fp64", "mp", "none"]


class TruePrecision(enum.StrEnum):
    """What a file is; of several configs in one file the first of these that applies."""

    FLOAT32 = "float32 in truth"
    UNDECIDABLE = "undecidable"
    FLOAT64 = "float64"
    UNREADABLE = "could not be looked at"
    FOREIGN = "not a result file"


class Digits(enum.StrEnum):
    """What one number tells."""

    FLOAT32 = "exactly a float32 number"
    FLOAT64 = "has more digits than float32 holds"
    WHOLE = "a whole number tells nothing"
    SHORT = f"{FLOAT32_DIGITS} digits or fewer: may be a float32 number printed short, or a rounded one"
    NOT_FINITE = "not finite, tells nothing"


@dataclasses.dataclass(frozen=True)
class Number:
    """One log likelihood: its key path in the file, its value, and what that tells."""

    path: str
    value: float
    finding: Digits

    @property
    def compiled(self) -> bool:
        """Whether JAX computed it, and not the eager NumPy path."""
        return not _NUMPY.search(self.path)


@dataclasses.dataclass(frozen=True)
class Sign:
    """Something that only a float32 run leaves behind: where, what it reads, and why it is one."""

    path: str
    value: str
    why: str


@dataclasses.dataclass(frozen=True)
class OutputSize:
    """Bytes that a compiled program returns, and the lanes it returns, one log likelihood each."""

    path: str
    output_bytes: int
    lanes: int

    @property
    def float32(self) -> bool:
        """Four bytes a lane."""
        return self.output_bytes == 4 * self.lanes

    @property
    def float64(self) -> bool:
        """Eight bytes a lane."""
        return self.output_bytes == 8 * self.lanes

    @property
    def meaning(self) -> str:
        """What the size says, in words."""
        kind = "float32" if self.float32 else "float64" if self.float64 else "neither float32 nor float64"
        return f"{self.output_bytes} bytes for {_counted(self.lanes, 'lane')}: {kind}"


@dataclasses.dataclass(frozen=True)
class JudgedResult:
    """What is known of one result: a whole file, or one config of a comparison.

    Attributes
    ----------
    name
        The config's name, the cell's for a record, or the file's.
    label
        The precision it claims.
    reason
        The verdict's ground in a few words.
    signs
        Why it is float32 in truth; empty for the other verdicts. Key paths are those inside the config.
    numbers, sizes
        All the evidence, whatever it tells.
    """

    name: str
    label: Label
    verdict: TruePrecision
    reason: str
    signs: tuple[Sign, ...]
    numbers: tuple[Number, ...]
    sizes: tuple[OutputSize, ...]


def judged_results(name: str, document: Any) -> list[JudgedResult]:
    """One judgement per config of a comparison, or one for a plain result; none for anything else."""
    if not isinstance(document, dict):
        return []
    rest = dict(document)
    configs = rest.pop("configs") if isinstance(document.get("configs"), dict) else {}
    judgements = [
        _judged_config(config_name, config)
        for config_name, config in configs.items()
        if isinstance(config, dict)
    ]
    if "autolens_version" in rest or any(_log_likelihoods(rest)):
        judgements.append(_judged_config(name, rest))
    return judgements


def judged_record(record: Record) -> JudgedResult:
    """Judge a record of ours, which tells more: dtypes, the x64 flag and each program's output size."""
    evaluations = dataclasses.asdict(record.evaluations)
    numbers = tuple(
        Number(path, value, _finding(value)) for path, value in _leaves(evaluations, "evaluations", float)
    )
    facts = record.precision
    claims = [
        (path, text) for path, text in _leaves(evaluations, "evaluations", str) if path.endswith(".dtype")
    ]
    claims.append(("precision.solver_dtype", facts.solver_dtype))
    signs = [Sign(path, text, "not float64") for path, text in claims if text != "float64"]
    if not facts.x64_enabled:
        signs.append(Sign("precision.x64_enabled", "False", "JAX was in float32"))
    lanes = {"jit": 1, "vmap": record.timings.batch}
    sizes = tuple(
        OutputSize(f"memory.{program}.output_bytes", memory.output_bytes, count)
        for program, count in lanes.items()
        if (memory := getattr(record.memory, program)) is not None
    )
    cell = record.cell
    return _judged(cell.name, cell.precision, numbers, sizes, tuple(signs))


def _judged_config(name: str, config: dict[str, Any]) -> JudgedResult:
    numbers = tuple(Number(path, value, _finding(value)) for path, value in _log_likelihoods(config))
    return _judged(name, _label(name, config), numbers, _output_sizes(config))


def _judged(
    name: str,
    label: Label,
    numbers: tuple[Number, ...],
    sizes: tuple[OutputSize, ...],
    claims: tuple[Sign, ...] = (),
) -> JudgedResult:
    """Weigh the evidence: one sign of float32 decides, float64 needs evidence of its own."""
    signs = (
        *(Sign(n.path, repr(n.value), n.finding) for n in numbers if n.finding is Digits.FLOAT32),
        *(Sign(size.path, str(size.output_bytes), size.meaning) for size in sizes if size.float32),
        *claims,
    )
    proofs = [n for n in numbers if n.compiled and n.finding is Digits.FLOAT64]
    corroboration = "; ".join(size.meaning for size in sizes)
    if signs:
        verdict, reason = TruePrecision.FLOAT32, f"{_counted(len(signs), 'sign')} of float32"
    elif proofs:
        verdict, reason = (
            TruePrecision.FLOAT64,
            f"{_counted(len(proofs), 'JAX value')} with more digits than float32 holds",
        )
    elif any(size.float64 for size in sizes):
        verdict, reason = TruePrecision.FLOAT64, "no JAX value tells, the compiled program's output does"
    else:
        verdict, reason = TruePrecision.UNDECIDABLE, _why_undecidable(numbers)
    reason = f"{reason} ({corroboration})" if corroboration else reason
    return JudgedResult(name, label, verdict, reason, signs, numbers, sizes)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _why_undecidable(numbers: tuple[Number, ...]) -> str:
    if not numbers:
        return "no values or memory recorded"
    compiled = [number for number in numbers if number.compiled]
    if not compiled:
        return "only values of the NumPy path, which is float64 whatever JAX was"
    return "; ".join(sorted({f"JAX value {number.finding}" for number in compiled}))


def _finding(value: float) -> Digits:
    if isinstance(value, int):
        return Digits.WHOLE
    if not math.isfinite(value):
        return Digits.NOT_FINITE
    if value.is_integer():
        return Digits.WHOLE
    if is_float32(value):
        return Digits.FLOAT32
    return Digits.SHORT if significant_digits(value) <= FLOAT32_DIGITS else Digits.FLOAT64


def _log_likelihoods(value: Any, path: str = "", inside: bool = False) -> Iterator[tuple[str, float]]:
    """Key path and value of each number under a key that names a log likelihood."""
    if isinstance(value, dict):
        for key, item in value.items():
            below = inside or _LOG_LIKELIHOOD.fullmatch(key) is not None
            if not (below and _SOMETHING_ELSE.fullmatch(key)):
                yield from _log_likelihoods(item, f"{path}.{key}" if path else key, below)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _log_likelihoods(item, f"{path}[{index}]", inside)
    elif inside and isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def _leaves(value: Any, path: str, kind: type) -> Iterator[tuple[str, Any]]:
    """Key path and value of everything of one type."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}", kind)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}[{index}]", kind)
    elif isinstance(value, kind):
        yield path, value


def _output_sizes(config: dict[str, Any]) -> tuple[OutputSize, ...]:
    """What upstream's file says of the batched program: the output in MiB, and the lanes of a batch."""
    memory, vmap = config.get("memory_mb"), config.get("vmap")
    mebibytes = memory.get("output") if isinstance(memory, dict) else None
    lanes = vmap.get("batch_size") if isinstance(vmap, dict) else None
    if not (
        isinstance(mebibytes, float) and math.isfinite(mebibytes) and isinstance(lanes, int) and lanes > 0
    ):
        return ()
    return (OutputSize("memory_mb.output", round(mebibytes * _BYTES_PER_MIB), lanes),)


def _label(name: str, config: dict[str, Any]) -> Label:
    """The precision a result claims: its own flag before its name."""
    mixed = config.get("use_mixed_precision")
    if isinstance(mixed, bool):
        return "mp" if mixed else "fp64"
    found = _LABEL.search(name)
    if found is None:
        return "none"
    return "mp" if found[2] == "mp" else "fp64"
