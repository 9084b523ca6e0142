"""The record a check leaves behind: what was found, item by item, in a versioned JSON form."""

import dataclasses
from typing import ClassVar, Literal

from matrix.records.cell import Side
from matrix.records.typed_json import closed

ItemOutcome = Literal["measured", "passed", "failed", "skipped"]


@closed
class Item:
    """One thing a check looked at.

    Attributes
    ----------
    name
        The same on both sides, such as a test's id or a script's path.
    outcome
        What the thing says of itself; "measured" where only numbers were taken, for the gates to judge.
    message
        Why it failed or was skipped, else what was found, in one line.
    numbers
        What was measured or printed, by name.
    """

    name: str
    outcome: ItemOutcome
    message: str = ""
    numbers: dict[str, float] = dataclasses.field(default_factory=dict)


@closed
class CheckRecord:
    """All a check leaves behind on one side.

    Attributes
    ----------
    key
        The driver's content key of everything the check depends on, opaque here.
    facts
        What the items have in common, such as versions, or a file that was made.
    seconds
        Wall-clock time of the check.
    """

    SCHEMA: ClassVar[str] = "nnls-matrix/check-record"
    VERSION: ClassVar[int] = 1

    check: str
    side: Side
    key: str
    items: tuple[Item, ...]
    facts: dict[str, str]
    seconds: float
