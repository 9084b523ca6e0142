"""Whether both sides' records differ by the change alone, and are of what they claim to be of."""

import itertools
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from matrix.catalogue.releases import package_of
from matrix.records.cell import REPLACED, Record, Side, Timing
from matrix.run.change import LIBRARY_PACKAGE, VENDORING, Change

# Each side keeps its own compiled functions, and a process may be given another GPU of the same model.
OWN_VARIABLES = ("CUDA_VISIBLE_DEVICES", "JAX_COMPILATION_CACHE_DIR", "NUMBA_CACHE_DIR")
# Lanes closer than rounding are one lane measured several times.
LANES_APART = 1e-12

_Facts = Mapping[str, object]
# Of a package the version that each side has, None for none.
Moved = Mapping[str, Mapping[Side, str | None]]
NOTHING_MOVED: Moved = MappingProxyType({})
NO_DATA: Mapping[str, str] = MappingProxyType({})


def differences_beside_the_change(
    baseline: Record,
    candidate: Record,
    change: Change = VENDORING,
    moved: Moved = NOTHING_MOVED,
    moves_evidence: bool = False,
) -> list[str]:
    """What is not equal on both sides though the change does not touch it, with both values.

    Parameters
    ----------
    baseline, candidate
        Of one pipeline.
    change, moved
        What the sides were asked to differ in, and the versions of packages that follow from it.
    moves_evidence
        Whether the change is meant to give another evidence, and so may have another number of unknowns.
    """
    may_differ = (*_packages_of(change), *moved)
    ours, theirs = (_facts(record, may_differ, moves_evidence) for record in (candidate, baseline))
    apart = [name for name in dict.fromkeys((*theirs, *ours)) if ours.get(name) != theirs.get(name)]
    return [
        f"{name} is {_shown(theirs, name)} on the baseline, {_shown(ours, name)} on the candidate"
        for name in apart
    ] + [fault for record in (baseline, candidate) for fault in _not_as_planned(record, moved)]


def _packages_of(change: Change) -> tuple[str, ...]:
    """The packages whose code the change is made in, and the one that vendoring replaces."""
    vendored = (LIBRARY_PACKAGE, REPLACED) if change.vendor else ()
    return (*vendored, *map(package_of, change.repositories))


def _not_as_planned(record: Record, moved: Moved) -> Iterator[str]:
    """A package that the change moves has the very version that was planned, and no other."""
    side, packages = record.cell.side, record.provenance.packages
    for name, versions in moved.items():
        if packages.get(name) != versions[side] and name != REPLACED:
            planned = versions[side] or "none"
            yield f"package {name} is {packages.get(name, 'none')} on the {side}, {planned} was planned"


def faults_within(
    record: Record, change: Change = VENDORING, own_data: Mapping[str, str] = NO_DATA
) -> list[str]:
    """What makes a record no measurement of what it is said to measure, whatever the other side's holds.

    Parameters
    ----------
    record, change
        Of one side, and what the sides were asked to differ in.
    own_data
        SHA-256 of each file that is not the workspace's, by its path there.
    """
    side = record.cell.side
    faults = (
        *_of_lanes(record),
        *_of_times(record),
        *_of_replaced(record, change),
        *_of_data(record, own_data),
    )
    return [f"{side}: {fault}" for fault in faults]


def _facts(record: Record, may_differ: tuple[str, ...], moves_evidence: bool) -> _Facts:
    """What both sides must have alike, by the name that people read."""
    facts = record.provenance
    return {
        **_named("package", facts.packages, may_differ),
        "Python": facts.python,
        **_named("dataset", facts.datasets),
        "seed": facts.seed,
        "number of lanes": record.timings.batch,
        "lanes": facts.lanes_unit,
        **({} if moves_evidence else {"K": tuple(lane.size for lane in record.nnls)}),
        "scale": record.cell.scale,
        "precision": record.cell.precision,
        **_named("likelihood", record.configuration),
        **_named("variable", facts.variables, OWN_VARIABLES),
        "processor": facts.cpu,
        "cores of the machine": facts.cores,
        "cores of the cell": len(facts.affinity),
        "system": facts.platform,
        "device": f"{facts.device_platform} {facts.device_kind}",
        "GPUs": tuple((gpu.get("name"), gpu.get("driver_version")) for gpu in facts.accelerators),
    }


def _named(kind: str, found: Mapping[str, object], left_out: tuple[str, ...] = ()) -> _Facts:
    return {f"{kind} {name}": value for name, value in found.items() if name not in left_out}


def _shown(facts: _Facts, name: str) -> str:
    return str(facts[name]) if name in facts else "none"


def _of_lanes(record: Record) -> Iterator[str]:
    """Lanes said to be different are: as points of the priors, as linear systems, and as evidences."""
    points, values = record.provenance.lanes_unit, record.evaluations.vmap_lanes.values
    counts = {
        "drawn": len(points),
        "timed": record.timings.batch,
        "evaluated": len(values),
        "solved": len(record.nnls),
    }
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{count} {word}" for word, count in counts.items())
        yield f"the numbers of lanes are not equal: {said}"
    systems = [(lane.matrix_norm, lane.vector_norm) for lane in record.nnls]
    alike = {
        "are drawn at the same point": [a == b for a, b in itertools.combinations(points, 2)],
        "hand the solver the same system": [a == b for a, b in itertools.combinations(systems, 2)],
        "have the same evidence": [
            math.isclose(a, b, rel_tol=LANES_APART) for a, b in itertools.combinations(values, 2)
        ],
    }
    yield from (f"different lanes {words}" for words, pairs in alike.items() if any(pairs))
    if not record.provenance.datasets:
        yield "it names no data file that it read"


def _of_data(record: Record, own_data: Mapping[str, str]) -> Iterator[str]:
    """It read the data that take the workspace's place, and no others of that name."""
    read = record.provenance.datasets
    for path, planned in own_data.items():
        if read.get(path) != planned:
            yield f"it did not read the {path} that was planned: {read.get(path, 'none')}, not {planned}"


def _of_times(record: Record) -> Iterator[str]:
    """Times are positive, and those of two programs are not one program's."""
    timings = record.timings
    found = {"eager": (timings.eager_s,), "jit": _seconds(timings.jit), "vmap": _seconds(timings.vmap)}
    for path, seconds in found.items():
        wrong = [second for second in seconds if not 0.0 < second < math.inf]
        if wrong:
            yield f"a time of {path} is {wrong[0]} s, which is no time"
    if timings.jit.steady_s == timings.vmap.steady_s:
        yield "the batch's times are the single call's, to the last digit"
    for path, timing, lanes in (("jit", timings.jit, 1), ("vmap", timings.vmap, timings.batch)):
        if timing.lanes not in (None, lanes):
            yield f"the program timed as {path} gave {timing.lanes} values a call, not {lanes}"


def _seconds(timing: Timing) -> tuple[float, ...]:
    return (timing.lower_s, timing.compile_s, timing.first_call_s, *timing.steady_s)


def _of_replaced(record: Record, change: Change) -> Iterator[str]:
    """The package that vendoring replaces can be imported where it belongs, and nowhere else."""
    facts = record.provenance
    installed = REPLACED in facts.packages
    replaced = change.vendor and record.cell.side == "candidate"
    if replaced and facts.jaxnnls_importable:
        yield f"{REPLACED} can be imported, which the change replaces"
    if not replaced and facts.jaxnnls_importable != installed:
        words = ("installed", "cannot be imported") if installed else ("not installed", "can be imported")
        yield f"{REPLACED} is {words[0]} and {words[1]}"
