"""Upstream's pre-registered rule for a solver, and what the corpus says to each of its revisit conditions.

The rule is of autolens_profiling's accuracy study (2026-09-30), the conditions of its decision of 2026-10-08.
"""

import math
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from matrix.diagnose.bench.release import FALLBACK, JACOBI, OURS, RAW
from matrix.diagnose.corpus.kinds import KINDS
from matrix.diagnose.corpus.record import Examined, JudgedSolve, KindRecord

SIGNIFICANT, SOURCE_FLUX, TIMES_JACOBI = 1e-3, 1e-4, 10.0
# Upstream notes that its fourth rule compares roundings, by which its own reference fails, and wants a floor.
# That of K products and their sum, in units of K.
FLOOR = sys.float_info.epsilon


@dataclass(frozen=True)
class BrokenRules:
    """One solver over some systems: on how many it breaks which rule, and the worst of each metric.

    Attributes
    ----------
    unconverged, inexact, not_optimal
        Systems on which the first rule is broken; the second and third; the fourth, as it is written.
    above_floor
        Of the last, those whose residual is above rounding.
    """

    solver: str
    systems: int
    unconverged: int
    inexact: int
    not_optimal: int
    above_floor: int
    significant: float
    source_flux: float
    inactive_flux: float
    kkt: float
    residual: float
    steps: tuple[float, int]
    gradients_not_finite: int | None

    @property
    def admissible(self) -> bool:
        """By the first three rules, and the fourth with a floor."""
        return not (self.unconverged or self.inexact or self.above_floor)


def on(system: Examined, solver: str) -> JudgedSolve:
    """A solver on a system."""
    return next(judged for judged in system.judged if judged.solver == solver)


def says_solved(system: Examined, judged: JudgedSolve) -> bool:
    """What a solver says; where a fallback answers, it is for the fallback to say."""
    return judged.converged or (judged.solver == FALLBACK and on(system, JACOBI).converged)


def exact(judged: JudgedSolve) -> bool:
    """Whether the second and third rule are kept."""
    return judged.metrics.significant <= SIGNIFICANT and judged.metrics.source_flux <= SOURCE_FLUX


def optimal(system: Examined, judged: JudgedSolve) -> bool:
    """Whether the fourth rule is kept, which says nothing where Jacobi PDIP does not converge."""
    yardstick = on(system, JACOBI)
    return not yardstick.converged or judged.metrics.kkt <= TIMES_JACOBI * yardstick.metrics.kkt


def judgements(systems: Sequence[Examined]) -> list[BrokenRules]:
    """Every solver over all of them."""
    return [_judgement(name, systems) for name in (judged.solver for judged in systems[0].judged)]


def _judgement(solver: str, systems: Sequence[Examined]) -> BrokenRules:
    pairs = [(system, on(system, solver)) for system in systems]
    broken = [(system, judged) for system, judged in pairs if not optimal(system, judged)]
    finite = [judged.gradient_finite for _, judged in pairs if judged.gradient_finite is not None]
    steps = [judged.steps for _, judged in pairs]

    def worst(metric: Callable[[JudgedSolve], float]) -> float:
        return max(math.inf if math.isnan(metric(judged)) else metric(judged) for _, judged in pairs)

    return BrokenRules(
        solver=solver,
        systems=len(pairs),
        unconverged=sum(not says_solved(*pair) for pair in pairs),
        inexact=sum(not exact(judged) for _, judged in pairs),
        not_optimal=len(broken),
        above_floor=sum(not judged.metrics.kkt <= FLOOR * system.K for system, judged in broken),
        significant=worst(lambda judged: judged.metrics.significant),
        source_flux=worst(lambda judged: judged.metrics.source_flux),
        inactive_flux=worst(lambda judged: judged.metrics.inactive_flux),
        kkt=worst(lambda judged: judged.metrics.kkt),
        residual=worst(lambda judged: judged.residual),
        steps=(statistics.median(steps), max(steps)),
        gradients_not_finite=finite.count(False) if finite else None,
    )


def revisited(kinds: Iterable[KindRecord]) -> list[str]:
    """A sentence for each condition under which upstream would take up its decision again."""
    kinds = [kind for kind in kinds if kind.systems]
    mapper = [k for k in kinds if k.family in ("mixed", "mapper")]
    wide = [s for k in mapper for s in k.systems if k.family == "mixed" or s.name.startswith("whole")]
    visibilities = [s for k in kinds if k.family == "interferometer" for s in k.systems]
    rectangular = [s for k in mapper if KINDS[k.kind].mesh for s in k.systems]
    everything = [s for k in kinds for s in k.systems]
    return [
        "Is a wide-prior or production Mapper system unstable? " + _kept(wide, (JACOBI, RAW, OURS)),
        "Is there an interferometer corpus? " + _kept(visibilities, (JACOBI, RAW, OURS)),
        "Have the primitives changed? " + _primitive(everything, kinds),
        "Is a rectangular mesh accurate? " + _kept(rectangular, (JACOBI, RAW, OURS)),
    ]


def _kept(systems: Sequence[Examined], solvers: Sequence[str]) -> str:
    if not systems:
        return "Not measured: the corpus has no such system."
    found = {one.solver: one for one in judgements(systems)}
    words = [_one(found[name]) for name in solvers if name in found]
    return f"{len(systems)} systems: " + "; ".join(words) + "."


def _one(judgement: BrokenRules) -> str:
    if judgement.admissible:
        return f"{judgement.solver} keeps the rule on all"
    parts = (
        (judgement.unconverged, "not converged"),
        (judgement.inexact, f"inexact (worst column {judgement.significant:.1e})"),
        (judgement.above_floor, "less optimal than ten times Jacobi PDIP"),
    )
    return f"{judgement.solver} breaks it: " + ", ".join(f"{words} on {n}" for n, words in parts if n)


def _primitive(systems: Sequence[Examined], kinds: Sequence[KindRecord]) -> str:
    if not systems:
        return "Not measured: the corpus is empty."
    ratios = [
        row.times_ours for kind in kinds for row in kind.times if row.solver == JACOBI and row.lanes > 1
    ]
    ours = next(one for one in judgements(systems) if one.solver == OURS)
    words = f"One that is none of the library's, on {len(systems)} systems: {_one(ours)}."
    if not ratios:
        return words
    return f"{words} In a batch it takes 1/{min(ratios):.1f} to 1/{max(ratios):.1f} of Jacobi PDIP's time."
