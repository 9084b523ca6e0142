"""The record of a bisection: what each commit or release gave that was measured, and which one moved it."""

from typing import ClassVar, Literal

from matrix.records.ratio import Ratio
from matrix.records.typed_json import closed

EVIDENCE, TIME = "evidence", "time"
State = Literal["good", "bad", "skip"]


def short_name(name: str) -> str:
    """What people are shown of a revision's name: twelve digits of a sha, and a release whole."""
    return name if "." in name else name[:12]


@closed
class TriedRevision:
    """One revision.

    Attributes
    ----------
    name, subject
        A commit's full sha and the first line of its message; or a release.
    said
        Why it is good or bad, or could not be measured.
    run
        Name of the run that measured it; empty where none was made.
    key
        Of all that the run depends on: commits of one content are measured once.
    evidence
        Log evidence of the compiled likelihood.
    milliseconds
        Of a likelihood in a batch: median of the pair's rounds where there was a pair, else of the cell's
        own repeats.
    ratio
        GOOD's time over this one's in a batch; None where no times were asked for.
    """

    name: str
    subject: str
    state: State
    said: str
    run: str = ""
    key: str = ""
    evidence: float | None = None
    milliseconds: float | None = None
    ratio: Ratio | None = None


@closed
class BisectRecord:
    """All of it, as far as it has come.

    Attributes
    ----------
    of
        ``evidence`` or ``time``.
    limit
        Relative difference of an evidence, or times as long as GOOD, from which on a revision is bad.
    history
        The names of all revisions from GOOD to BAD, parents first.
    steps
        Those that were tried, in the order of the history.
    suspects
        One of them is the first bad one; where there is one alone, it is found. Empty where nothing moved.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/bisect-record"
    VERSION: ClassVar[int] = 1

    repository: str
    pipeline: str
    of: Literal["evidence", "time"]
    scale: str
    release: str
    source: str
    limit: float
    history: tuple[str, ...]
    steps: tuple[TriedRevision, ...]
    suspects: tuple[str, ...]
    taken: str

    def step(self, name: str) -> TriedRevision | None:
        """What is known of a revision."""
        return next((step for step in self.steps if step.name == name), None)
