"""The table of docs/releases.md is what its record holds."""

import json
import re

import pytest

from matrix.catalogue.releases import KNOWN
from matrix.commands.releases import RECORD, ExaminedRelease, table_of
from matrix.ground.layout import REPOSITORY_ROOT

PAGE = REPOSITORY_ROOT / "docs" / "releases.md"


def examined() -> list[ExaminedRelease]:
    """The releases of the committed record."""
    return [
        ExaminedRelease(**{**entry, "pythons": tuple(entry["pythons"]), "refusals": tuple(entry["refusals"])})
        for entry in json.loads(RECORD.read_text())["releases"]
    ]


def test_page_shows_the_record() -> None:
    found = re.search(r"<!-- releases: begin -->\n(.*?)<!-- releases: end -->", PAGE.read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == table_of(examined()) + "\n"


def test_known_releases_are_recognised_in_the_record() -> None:
    known = {one.release for one in examined() if not one.refusals}
    assert set(KNOWN) <= known


@pytest.mark.parametrize(
    ("examined", "row"),
    [
        (
            ExaminedRelease("2026.9.19.1", ("3.12", "3.13"), ("a.py: x", "b.py: y")),
            ("2026.9.19.1", "3.12, 3.13", "refused", "not run", "", "", ""),
        ),
        (
            ExaminedRelease("2026.7.9.1", ("3.11",), (), "6 of 6", 2.54e-6, "mirror", "Python 3.11"),
            ("2026.7.9.1", "3.11", "known", "6 of 6", "2.5e-06", "mirror", "Python 3.11"),
        ),
    ],
)
def test_rows_say_what_was_seen(examined: ExaminedRelease, row: tuple[str, ...]) -> None:
    assert examined.row == row
