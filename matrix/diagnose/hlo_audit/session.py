"""What of the gradient's machinery is compiled into a sampler's likelihood: `nox -s hlo-audit`."""

import argparse
from collections.abc import Iterator, Mapping

from matrix.diagnose.hlo_audit.cell import LANES
from matrix.diagnose.hlo_audit.record import PROGRAMS, AuditedProgram, HloRecord
from matrix.diagnose.sides.likelihood import LikelihoodDiagnosis
from matrix.gates import in_sampling_path
from matrix.records.cell import SIDES, Side

_MIB = 1024**2
_USUAL = "interferometer-pixelization"


def audit_table(records: Mapping[Side, HloRecord]) -> str:
    """Both sides' programs in counts, what of the likelihood differs, and each side's sentence."""
    return "\n".join([*_counts(records), "", *_difference(records), "", *map(sentence, records.values())])


def _counts(records: Mapping[Side, HloRecord]) -> Iterator[str]:
    candidate = records["candidate"]
    yield (
        f"{candidate.cell.pipeline}, {candidate.cell.scale} scale, K = {candidate.size}, batch of {LANES}: "
        "instructions, baseline → candidate"
    )
    values = {name: [_values(records[side].programs[name]) for side in SIDES] for name in PROGRAMS}
    yield f" {'':20s}" + "".join(f"{name:>18s}" for name in PROGRAMS)
    for row in values["likelihood"][0]:
        pairs = (" → ".join(value[row] for value in values[name]) for name in PROGRAMS)
        yield f" {row:20s}" + "".join(f"{pair:>18s}" for pair in pairs)


def _values(program: AuditedProgram) -> dict[str, str]:
    sizes = {"temporary MiB": program.temporary_bytes, "code MiB": program.code_bytes}
    return {
        **{kind: str(count) for kind, count in program.kinds.items()},
        "from relaxed code": str(program.from_relaxed_code),
        **{name: "-" if size is None else f"{size / _MIB:.1f}" for name, size in sizes.items()},
    }


def _difference(records: Mapping[Side, HloRecord]) -> Iterator[str]:
    before, after = (records[side].programs["likelihood"].operations for side in SIDES)
    yield f" {'operation of the likelihood':40s} {'baseline':>9s} {'candidate':>9s} {'difference':>10s}"
    for name in sorted({*before, *after}):
        was, now = before.get(name, 0), after.get(name, 0)
        if was != now:
            yield f" {name:40s} {was:9d} {now:9d} {now - was:+10d}"


def relaxed_in_sampling_path(record: HloRecord) -> bool:
    """The gate's verdict on one side's programs."""
    called, needed = (record.programs[name].kinds["Cholesky"] for name in ("solver", "forward-only"))
    return in_sampling_path(called, needed, record.programs["likelihood"].from_relaxed_code)


def sentence(record: HloRecord) -> str:
    """State in one line whether the relaxed backward pass is in the sampling path."""
    counts = {name: program.kinds["Cholesky"] for name, program in record.programs.items()}
    relaxed = record.programs["likelihood"].from_relaxed_code
    word = "IS" if relaxed_in_sampling_path(record) else "is not"
    return (
        f"{record.cell.side}: the relaxed backward pass {word} in the sampling path: the solve has "
        f"{counts['solver']} Cholesky instructions as it is called and {counts['forward-only']} without "
        f"gradient machinery, its gradient {counts['gradient']}; {relaxed} instructions of the likelihood "
        "come from relaxed code"
    )


def _options(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(pipeline=[_USUAL])


DIAGNOSIS = LikelihoodDiagnosis(
    name="hlo-audit",
    sentence=(
        "Say what of the gradient's machinery is compiled into a sampler's likelihood, of "
        f"{_USUAL} where no pipeline is named."
    ),
    example=_USUAL,
    options=_options,
    record=HloRecord,
    table=lambda _plan, records: audit_table(records),
    failed=lambda records: relaxed_in_sampling_path(records["candidate"]),
)
