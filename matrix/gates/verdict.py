"""What a gate says: pass, fail, inconclusive or not run, with its numbers."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matrix.records.cell import Side

CHANGE = "the change"
# More findings than this are counted, not named.
_NAMED = 5


class Outcome(enum.StrEnum):
    """How a gate ended. What did not run, or could not be told, is never a pass."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_RUN = "not run"


class Blame(enum.StrEnum):
    """Whether a failure is new with the candidate."""

    NONE = ""
    REGRESSED = "regressed"
    BASELINE_TOO = "fails at baseline too"


@dataclass(frozen=True)
class Verdict:
    """One gate's judgement on one pipeline, or on the change as a whole.

    Parameters
    ----------
    gate, pipeline, side
        What was judged; `side` is empty where both sides are held against each other, and `pipeline` is
        `CHANGE` where it is the change.
    numbers
        What was compared, by name: values, relative differences, the tolerance.
    message
        One sentence: what was found, and on failure where to look.
    """

    gate: str
    pipeline: str
    side: Side | None
    outcome: Outcome
    message: str
    numbers: Mapping[str, float] = dataclasses.field(default_factory=dict)
    blame: Blame = Blame.NONE


def listed(words: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return "; ".join(words[:_NAMED]) + more
