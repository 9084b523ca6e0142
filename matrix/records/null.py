"""The record of a trial of the method: a side timed against itself, as it is or slowed by a known factor."""

from typing import ClassVar

from matrix.records.cell import Precision, Scale, Side
from matrix.records.pair import BATCH, SINGLE
from matrix.records.ratio import Ratio
from matrix.records.typed_json import closed


@closed
class Trial:
    """One pair.

    Attributes
    ----------
    ratios
        By what was timed; None where the rounds were too few for an interval.
    reasons
        Why a ratio is not to be believed, by what was timed; empty where it is.
    rounds
        Of each pair of processes.
    load
        The machine's load average over a minute: the least and the greatest of all rounds.
    outcome
        What the gate of times says of the pair.
    """

    ratios: dict[str, Ratio | None]
    reasons: dict[str, str]
    rounds: tuple[int, ...]
    load: tuple[float, float]
    outcome: str


@closed
class NullRecord:
    """All trials of one call.

    Attributes
    ----------
    side
        Whose software played both sides.
    slower
        How many times as much the candidate's likelihoods computed, alone and in a batch; its solve alone
        was the same.
    seconds
        That the rounds of each pair of processes were given.
    cores
        That the processes could be bound to, in all.
    taken
        When, in ISO 8601.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/null-record"
    VERSION: ClassVar[int] = 1

    pipeline: str
    precision: Precision
    scale: Scale
    release: str
    side: Side
    slower: float
    seconds: float
    cpu: str
    device: str
    cores: int
    taken: str
    trials: tuple[Trial, ...]

    def truth(self, timed: str) -> float:
        """What the interval of a ratio should hold."""
        return 1.0 / self.slower if timed in (SINGLE, BATCH) else 1.0

    @property
    def told(self) -> tuple[Trial, ...]:
        """The trials in which everything has an interval; elsewhere the rounds were too few."""
        return tuple(trial for trial in self.trials if None not in trial.ratios.values())

    def wrong(self) -> int:
        """How many of those have an interval without the truth in it, believed or not."""
        return sum(
            any(
                ratio is not None and not ratio.holds(self.truth(name))
                for name, ratio in trial.ratios.items()
            )
            for trial in self.told
        )
