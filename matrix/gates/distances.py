"""How far what two paths or two records say is apart."""

import math
from collections.abc import Iterable, Sequence

from matrix.records.cell import Evaluation, Record


def relative(value: float, reference: float) -> float:
    """|value − reference| / |reference|; infinite where either is not finite."""
    if not (math.isfinite(value) and math.isfinite(reference)):
        return math.inf
    if reference == 0.0:
        return 0.0 if value == 0.0 else math.inf
    return abs(value - reference) / abs(reference)


def furthest(values: Iterable[float], reference: float) -> float:
    """The value with the largest relative distance from `reference`."""
    return max(values, key=lambda value: relative(value, reference))


def paths(record: Record) -> dict[str, Evaluation]:
    """Every evaluation of a record by the name of its path."""
    evaluations = record.evaluations
    return {
        "eager": evaluations.eager.figure_of_merit,
        "eager log likelihood": evaluations.eager.log_likelihood,
        "jit": evaluations.jit,
        "vmap": evaluations.vmap_equal,
        "vmap, different lanes": evaluations.vmap_lanes,
        "eager, different lanes": evaluations.lanes_eager,
        "jit, different lanes": evaluations.lanes_jit,
    }


def differences(record: Record, reference: Record) -> dict[str, float]:
    """Largest relative difference of each path's values from those of another record."""
    theirs, ours = paths(reference), paths(record)
    return {path: _values_apart(ours[path].values, theirs[path].values) for path in theirs}


def _values_apart(values: tuple[float, ...], references: tuple[float, ...]) -> float:
    # Other numbers of lanes are no agreement, however alike those are that both have.
    return max(map(relative, values, references)) if len(values) == len(references) else math.inf


def agree(record: Record, reference: Record, tolerance: float) -> tuple[bool, str]:
    """Whether every path of two records gives the same evidence, and how far they are apart, in words."""
    apart = differences(record, reference)
    worst = max(apart, key=lambda path: apart[path])
    return apart[worst] <= tolerance, f"largest relative difference {apart[worst]:.1e}, in {worst}"


def lanes_apart(*paths: Sequence[float]) -> list[float]:
    """Per lane the largest relative difference of the first path from one of the others."""
    return [max(relative(first, other) for other in others) for first, *others in zip(*paths, strict=True)]


def systems_apart(record: Record, reference: Record) -> float:
    """Largest relative difference of the scaled norms of the systems that two records' lanes solved."""
    lanes = zip(record.nnls, reference.nnls, strict=False)
    return max(
        max(relative(mine.matrix_norm, other.matrix_norm), relative(mine.vector_norm, other.vector_norm))
        for mine, other in lanes
    )
