"""A survey as a table: each setting over all systems, and which of the four criteria it meets."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matrix.diagnose.survey.grid import LIBRARY, Choice
from matrix.diagnose.survey.record import SurveyRecord, SurveyRow

PRODUCTION = 1000
CERTIFIED = 1e-9
EVIDENCE = 1e-4
ROUNDING = 1e-12

HEADINGS = (
    "setting", "C-eq alone", "x today", "C-eq per lane", "x today", "all x", "iterations", "certified",
    "evidence", "L2", "L2 today", "NaN", "criteria",
)  # fmt: skip


@dataclass(frozen=True)
class CostTarget:
    """Time on a CPU: Cholesky equivalents and times as fast as today in the median, and the most of any."""

    cost: float
    speed: float
    most: float = 5.0


ALONE = CostTarget(cost=3.0, speed=6.0)
LANES = CostTarget(cost=3.5, speed=5.0)


@dataclass(frozen=True)
class Costs:
    """Cholesky equivalents per lane and times as fast as today, of every measurement at production size."""

    cost: tuple[float, ...]
    speed: tuple[float, ...]

    def meets(self, target: CostTarget) -> bool:
        """Whether the target is met; never where nothing was measured."""
        return (
            bool(self.cost)
            and statistics.median(self.cost) <= target.cost
            and statistics.median(self.speed) >= target.speed
            and max(self.cost) <= target.most
        )


@dataclass(frozen=True)
class Summary:
    """One setting over all systems.

    Attributes
    ----------
    alone, lanes
        Times at production size, single and under `vmap`.
    speed
        Times as fast as today, the geometric mean over systems of every size.
    certified, measured
        How many of the measurements have a certificate, of how many.
    evidence
        The largest loss of log evidence, relative to the smallest of the recorded ones.
    l2, l2_today, evidence_today
        The largest distances.
    nan_gradients
        How many of the condition classes' systems, and of those measured, have a gradient that is not finite;
        None where the classes were not measured.
    """

    choice: Choice
    alone: Costs
    lanes: Costs
    speed: float
    iterations: tuple[int, int]
    certified: int
    measured: int
    evidence: float
    l2: float
    l2_today: float
    evidence_today: float
    nan_gradients: int | None

    @property
    def in_time(self) -> bool:
        """Criterion 1: the target times, alone and per lane."""
        return self.alone.meets(ALONE) and self.lanes.meets(LANES)

    @property
    def keeps_evidence(self) -> bool:
        """Criterion 2: every log evidence within 1e-4."""
        return self.evidence <= EVIDENCE

    @property
    def differentiable(self) -> bool:
        """Criterion 3: no gradient that is not finite, in any condition class."""
        return self.nan_gradients == 0

    @property
    def marks(self) -> str:
        """The criteria that are met, by number."""
        met = (self.in_time, self.keeps_evidence, self.differentiable)
        return "".join(digit if ok else "-" for digit, ok in zip("123", met, strict=True))


def summaries(record: SurveyRecord) -> list[Summary]:
    """One per setting, in the order of the grid."""
    choices = dict.fromkeys(row.choice for row in record.rows)
    return [_summary(record, choice) for choice in choices]


def _summary(record: SurveyRecord, choice: Choice) -> Summary:
    rows = [row for row in record.rows if row.choice == choice]
    large = [row for row in rows if row.K >= PRODUCTION]
    in_classes = [len(found.not_finite) for found in record.gradients if found.choice == choice]
    on_systems = sum(row.gradient_finite is False for row in rows)
    return Summary(
        choice=choice,
        alone=_cost([row for row in large if row.lanes == 1]),
        lanes=_cost([row for row in large if row.lanes > 1]),
        speed=statistics.geometric_mean(row.times_today for row in rows),
        iterations=(min(row.iterations for row in rows), max(row.iterations for row in rows)),
        certified=sum(row.residual <= CERTIFIED for row in rows),
        measured=len(rows),
        evidence=_largest(row.evidence_shift for row in rows) / record.smallest_evidence,
        l2=_largest(row.l2 for row in rows),
        l2_today=_largest(row.l2_today for row in rows),
        evidence_today=_largest(row.evidence_today for row in rows) / record.smallest_evidence,
        nan_gradients=sum(in_classes) + on_systems if in_classes else None,
    )


def _cost(rows: Sequence[SurveyRow]) -> Costs:
    return Costs(tuple(row.cholesky_equivalents for row in rows), tuple(row.times_today for row in rows))


def _largest(values: Iterable[float]) -> float:
    return max(math.inf if math.isnan(value) else value for value in values)


def decision(found: Sequence[Summary]) -> Summary | None:
    """The setting to choose, None if none will do.

    It must certify every answer and meet criteria 2 and 3. Of those, the ones that meet the target times go
    first, then the nearest to today's answers (in log evidence, where it is no mere rounding), then the
    fastest.
    """
    fit = [
        one
        for one in found
        if one.choice != LIBRARY
        and one.certified == one.measured
        and one.keeps_evidence
        and one.differentiable
    ]
    order = [(not one.in_time, float(f"{max(one.evidence_today, ROUNDING):.1e}"), -one.speed) for one in fit]
    return fit[order.index(min(order))] if fit else None


def survey_table(record: SurveyRecord) -> str:
    """The summaries as text, with the decision under them."""
    found = summaries(record)
    rows = [HEADINGS, *(_cells(one) for one in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return "\n".join([*lines, "", *_notes(record), "", _words(found)]) + "\n"


def _cells(one: Summary) -> tuple[str, ...]:
    return (
        "jaxnnls (the library today)" if one.choice == LIBRARY else one.choice.label,
        _span(one.alone.cost), _span(one.alone.speed), _span(one.lanes.cost), _span(one.lanes.speed),
        f"{one.speed:.1f}",
        "-".join(map(str, dict.fromkeys(one.iterations))),
        f"{one.certified}/{one.measured}",
        *(f"{value:.0e}" for value in (one.evidence, one.l2, one.l2_today)),
        "-" if one.nan_gradients is None else str(one.nan_gradients), one.marks,
    )  # fmt: skip


def _span(values: Sequence[float]) -> str:
    return f"{min(values):.1f}-{max(values):.1f}" if values else "-"


def _notes(record: SurveyRecord) -> list[str]:
    where = record.provenance
    systems = dict.fromkeys(name for row in record.rows for name in row.systems)
    conditions = sum(len(found.conditions) for found in record.gradients if found.choice == LIBRARY)
    targets = ", ".join(
        f"{name} at most {target.cost} C-eq and {target.speed}x today in the median, none over {target.most}"
        for name, target in (("alone", ALONE), ("per lane", LANES))
    )
    return [
        f"{where['cpu']}, cores {where['cores']}, load {where['load_before']:.1f}, JAX {where['jax']}, "
        f"Python {where['python']}, {where['taken']}",
        f"{len(systems)} systems. C-eq and x today: those with K >= {PRODUCTION}, per lane.",
        "all x: the geometric mean over all. Other columns: the worst of all.",
        f"evidence: loss relative to the smallest recorded |log evidence|, {record.smallest_evidence:.2f}.",
        f"NaN: gradients that are not finite, of {conditions} systems of known condition, and of the systems "
        "above for one setting of each algorithm; ADMM and FISTA have none.",
        f"Criteria: 1 {targets}; 2 evidence within {EVIDENCE:.0e}; 3 no NaN gradient.",
    ]


def _words(found: Sequence[Summary]) -> str:
    best = decision(found)
    if best is None:
        return "Decision: none. No setting certifies every answer and meets criteria 2 and 3."
    today = next(one for one in found if one.choice == LIBRARY)
    return (
        f"Decision: {best.choice.label}. Criteria met: {best.marks}. It certifies {best.certified} of "
        f"{best.measured} (today {today.certified}). 4: its log evidence is within {best.evidence_today:.0e} "
        f"of today's, whose own distance from the optimum is {today.evidence:.0e}."
    )
