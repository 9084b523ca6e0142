"""The record a check leaves behind: what was found, item by item, in a versioned JSON form."""

import dataclasses
from pathlib import Path
from typing import Literal

from matrix.ground.files import write_text
from matrix.records import typed_json
from matrix.records.cell import Side
from matrix.records.typed_json import closed

SCHEMA = "nnls-matrix/check-record"
VERSION = 1

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

    check: str
    side: Side
    key: str
    items: tuple[Item, ...]
    facts: dict[str, str]
    seconds: float


def write_check(path: Path, record: CheckRecord) -> None:
    """Write `record` to `path`, whole or not at all."""
    write_text(path, typed_json.to_text(record, SCHEMA, VERSION))


def read_check(path: Path) -> CheckRecord:
    """Read the check record at `path`, strictly.

    Raises
    ------
    RecordError
        The file is missing or not a valid check record of this version.
    """
    return typed_json.read(path, CheckRecord, SCHEMA, VERSION)
