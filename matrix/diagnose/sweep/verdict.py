"""What a sweep says: the sides held against each other, and the recommendation in one sentence."""

import dataclasses
from collections.abc import Mapping, Sequence

from matrix.diagnose.sweep.record import SweepPoint, SweepRecord
from matrix.run.plan import Target

# Below this gain a change of the solver is not worth making.
WORTHWHILE = 1.05
PUBLISHED_ON = "A100"
# Of the baseline there, per call under vmap of 3: PyAutoArray#307.
PUBLISHED_MS = {"imaging-delaunay": 438.0, "imaging-pixelization": 34.8}


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Both sides of one pipeline, everything held against the baseline's default."""

    baseline: SweepRecord
    candidate: SweepRecord

    @property
    def points(self) -> tuple[SweepPoint, ...]:
        """All points, the baseline's default first."""
        return (*self.baseline.points, *self.candidate.points)

    @property
    def reference(self) -> SweepPoint:
        """The baseline's default."""
        return self.baseline.points[0]

    @property
    def rest_s(self) -> float:
        """Seconds of all but the solve: the baseline's for both, which differ in the solver alone."""
        return min(self.baseline.rest_s)

    def call_s(self, point: SweepPoint) -> float:
        """Seconds of a likelihood under that setting, rest and solve each by its quickest call."""
        return self.rest_s + min(point.solve_s)

    def gain(self, point: SweepPoint) -> float:
        """How many times as fast the likelihood is as with the baseline's default."""
        return self.call_s(self.reference) / self.call_s(point)

    def change(self, point: SweepPoint) -> float | None:
        """Difference of the log evidence to the baseline's default; None where a value is not finite."""
        if point.evidence is None or self.reference.evidence is None:
            return None
        return point.evidence - self.reference.evidence

    def drift(self, point: SweepPoint) -> float | None:
        """The same relative, without sign."""
        change = self.change(point)
        if change is None or self.reference.evidence is None:
            return None
        return abs(change / self.reference.evidence)

    def fastest_within(self, points: Sequence[SweepPoint], tolerance: float) -> SweepPoint | None:
        """The fastest converged point whose evidence is within `tolerance` of the reference's, if any."""
        converged = [point for point in points if point.converged]
        kept = [p for p in converged if (moved := self.drift(p)) is not None and moved <= tolerance]
        return min(kept, key=self.call_s, default=None)

    def recommendation(self, tolerance: float, targets: Mapping[str, Target]) -> str:
        """In one sentence: what a change of settings gives, what the candidate gives, and what to ship.

        Parameters
        ----------
        tolerance
            Relative, on the log evidence.
        targets
            What an A100 is to reach, by pipeline.
        """
        tuned = self.fastest_within(self.baseline.points, tolerance)
        best = self.fastest_within(self.candidate.points, tolerance)
        limit = f"a log evidence within {tolerance:.0e} of the baseline's"
        if best is None:
            return f"No setting of the candidate keeps {limit}: do not change anything."
        ours = f"vendoring ({_cost(best)}) {self.gain(best):.2f}×"
        if tuned is None:
            return f"With {limit}, {ours}, and no setting of the baseline: vendor."
        config = (
            f"a config change alone ({_cost(tuned)}) makes the likelihood {self.gain(tuned):.2f}× as fast"
        )
        free = f"a solve that took no time {self.call_s(self.reference) / self.rest_s:.2f}×"
        word = "vendor" if self.call_s(best) < self.call_s(tuned) else "ship a config change"
        if max(self.gain(best), self.gain(tuned)) < WORTHWHILE:
            word = "no change of the solver matters here"
        return f"With {limit}, {config}, {ours}, {free}{self._target(tuned, best, targets)}: {word}."

    def _target(self, tuned: SweepPoint, best: SweepPoint, targets: Mapping[str, Target]) -> str:
        pipeline = self.baseline.cell.pipeline
        if pipeline not in PUBLISHED_MS or pipeline not in targets:
            return ""
        published, target = PUBLISHED_MS[pipeline], targets[pipeline].limit
        needed = published / target
        device = self.baseline.provenance.device_kind
        reached = {"a config change": self.gain(tuned), "vendoring": self.gain(best)}
        enough = [word for word, gain in reached.items() if gain >= needed]
        return (
            f"; the target ({published:.4g} to {target:.0f} ms per call on an {PUBLISHED_ON}) needs "
            f"{needed:.2f}×, which on this {device} {' and '.join(enough) if enough else 'neither'} reaches"
        )


def _cost(point: SweepPoint) -> str:
    return f"{point.setting.label}, which moves the reconstruction by {point.l2:.0e}"
