"""Ours beside jaxnnls on every family of systems, and on which it is slower, uncertified or not the same."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from matrix.diagnose.bench.contenders import SMALL, Contender, told
from matrix.diagnose.bench.measuring import time_contenders
from matrix.diagnose.bench.record import BenchRow
from matrix.diagnose.families import Case, families
from matrix.diagnose.systems.stored import System

PART = "families"
# A call on a small system takes milliseconds: more rounds cost little, and a busy machine needs them.
ROUNDS_OF_SMALL = 5
# The most that ours may take of jaxnnls' time, from this size on and below.
LARGE, MOST_OF_LARGE, MOST_OF_SMALL = 100, 1.0, 1.1
# The most that a lane of a batch may take of the time of its slowest lane alone.
MOST_OF_SLOWEST = 2.0


def on_families(
    systems: Sequence[System], repeats: int, sizes: Sequence[int] | None, match: str
) -> Iterator[list[BenchRow]]:
    """Every family, and real systems alone; the lanes of a batch also one by one, where they have an optimum.

    Parameters
    ----------
    sizes
        Unknowns of the systems that are made; None for those of each family.
    match
        What the name must contain.
    """
    real = [Case((system._replace(name=f"real, {system.name}"),), system.dense) for system in systems]
    for case in (*real, *families(sizes)):
        if match in case.name:
            yield from _measured(case, repeats)


def _measured(case: Case, repeats: int) -> Iterator[list[BenchRow]]:
    if case.systems[0].K < SMALL:
        repeats *= ROUNDS_OF_SMALL
    contenders = told(case.systems, case.told)
    rows = time_contenders(PART, case.systems, repeats, contenders)
    if len(case.systems) == 1:
        yield rows
        return
    alone = [told((system,), case.told)["ours"] for system in case.systems]
    same = _same_as_alone(contenders["ours"], alone)
    yield [replace(row, as_alone=same) if row.solver == "ours" else row for row in rows]
    for lane, system in enumerate(case.systems):
        if np.isfinite(system.Q).all() and np.isfinite(system.q).all():
            named = (system._replace(name=f"{system.name}: lane {lane} alone"),)
            yield time_contenders(PART, named, repeats, {"ours": alone[lane]})


def _same_as_alone(together: Contender, alone: Sequence[Contender]) -> bool:
    """Whether every lane's answer is, to the bit, the one it has alone; nan counts as itself."""
    lanes, _ = together.outcome(len(alone))
    return all(
        np.array_equal(lane, one.outcome(1)[0][0], equal_nan=True)
        for lane, one in zip(lanes, alone, strict=True)
    )


@dataclass(frozen=True)
class Pair:
    """Ours and jaxnnls on the same systems."""

    ours: BenchRow
    theirs: BenchRow

    @property
    def label(self) -> str:
        """Which systems."""
        return f"{self.ours.system}, K = {self.ours.K}"

    @property
    def slower(self) -> bool | None:
        """Whether ours takes more of jaxnnls' time than it may; None where the interval does not say."""
        most = MOST_OF_LARGE if self.ours.K >= LARGE else MOST_OF_SMALL
        low, high = (most * end for end in self._interval)
        return None if low < 1 <= high else high < 1

    @property
    def uncertified(self) -> bool:
        """Whether ours is not certified, although jaxnnls is."""
        return not self.ours.certified and bool(self.theirs.certified)

    @property
    def _interval(self) -> tuple[float, float]:
        return self.theirs.spread or (self.theirs.times_ours, self.theirs.times_ours)

    def __str__(self) -> str:
        low, high = self._interval
        return f"{self.label} ({self.theirs.times_ours:.2f}x, {low:.2f}-{high:.2f})"


def pairs(rows: Sequence[BenchRow]) -> list[Pair]:
    """Ours beside jaxnnls, in the order of measurement; not what was measured without jaxnnls."""
    ours, theirs = (
        {(row.system, row.K): row for row in rows if row.solver == name} for name in ("ours", "jaxnnls")
    )
    return [Pair(ours[key], row) for key, row in theirs.items()]


def family_findings(rows: Sequence[BenchRow]) -> list[str]:
    """What holds on all families and what does not, the speed last."""
    both = pairs(rows)
    ours, theirs = (
        sum(bool(row.certified) for row in side)
        for side in ([pair.ours for pair in both], [pair.theirs for pair in both])
    )
    most = f"{MOST_OF_LARGE}x its time from K = {LARGE} on, {MOST_OF_SMALL}x below"
    return [
        f"certified: ours {ours} of {len(both)}, jaxnnls {theirs}",
        _listed("not certified where jaxnnls is", [pair.label for pair in both if pair.uncertified]),
        _listed("batches with other answers than alone", _others_than_alone(both)),
        _listed(f"batches over {MOST_OF_SLOWEST:g}x their slowest lane, per lane", _slow_batches(rows)),
        _listed("perhaps slower than jaxnnls", [str(pair) for pair in both if pair.slower is None]),
        _listed(f"slower than jaxnnls (over {most})", [str(pair) for pair in both if pair.slower]),
    ]


def _others_than_alone(both: Sequence[Pair]) -> list[str]:
    return [pair.label for pair in both if pair.ours.as_alone is False]


def _slow_batches(rows: Sequence[BenchRow]) -> list[str]:
    found = []
    for batch in (row for row in rows if row.solver == "ours" and row.lanes > 1):
        lane = f"{batch.system}: lane"
        alone = max(r.milliseconds for r in rows if r.K == batch.K and r.system.startswith(lane))
        if batch.milliseconds > MOST_OF_SLOWEST * alone:
            found.append(f"{batch.system}, K = {batch.K} ({batch.milliseconds / alone:.1f}x)")
    return found


def _listed(what: str, names: Sequence[str]) -> str:
    return f"{what}: {'; '.join(names) or 'none'}"
