"""What a checkout of the library itself declares, whatever is installed: files that name jaxnnls."""

import re
from pathlib import Path

from matrix.checks.inside.independence import LIBRARY
from matrix.ground.files import inside, read_text
from matrix.prepare.change import packaging_files
from matrix.records.cell import REPLACED
from matrix.records.check import Item

_NAMED = re.compile(rf"\b{REPLACED}\b", re.IGNORECASE)


def declaration(checkout: Path) -> Item:
    """Look through every packaging file of the checkout; what stands in a comment declares nothing."""
    names = packaging_files(checkout)
    found = [
        f"{name}:{number}: {line.strip()}"
        for name in names
        for number, line in enumerate(read_text(inside(checkout, name)).splitlines(), 1)
        if _NAMED.search(line.partition("#")[0])
    ]
    message = "; ".join(found) or f"none of {len(names)} packaging files names it"
    return Item(f"{LIBRARY}'s checkout declares {REPLACED}", "failed" if found else "passed", message)
