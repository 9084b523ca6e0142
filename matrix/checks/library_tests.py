"""The library's own tests of its inversions, in a copy of the side's checkout."""

import importlib.metadata
from collections.abc import Iterator
from pathlib import Path

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from matrix.checks.workplace import CheckError, Workplace
from matrix.prepare.change.package import TESTS
from matrix.records.check import Item

FOLDER = "test_autoarray/inversion"
OURS = TESTS.replace("/", ".")
# Our pytest last, so that every other package is the side's own.
_BORROWED = "import sys; sys.path.append(sys.argv.pop(1)); import pytest; sys.exit(pytest.main(sys.argv[1:]))"


def run_library_tests(place: Workplace) -> tuple[Item, ...]:
    """Run `pytest test_autoarray/inversion`; no items where the checkout has no tests there."""
    library = place.copy(place.plan.libraries[place.check.side], "library")
    if not any((library / FOLDER).rglob("test_*.py")):
        return ()
    results = place.folder / "junit.xml"
    command: list[str | Path] = [
        *(place.python, "-c", _BORROWED, _borrowed_pytest(place.folder / "pytest"), FOLDER, "-q"),
        *("-p", "no:cacheprovider", f"--junitxml={results}"),
    ]
    exit_code = place.run(command, library, place.variables())
    # Interrupted is what pytest calls it when a test file could not be imported; its results say which.
    ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    if exit_code not in ended or not results.is_file():
        raise place.failed(exit_code)
    return tuple(_item(case) for case in _cases(results))


def _cases(results: Path) -> Iterator[TestCase]:
    for suite in JUnitXml.fromfile(str(results)):
        yield from suite


def _item(case: TestCase) -> Item:
    name = "::".join(filter(None, (case.classname, case.name)))
    for result in case.result:
        if isinstance(result, Failure | Error):
            return Item(
                name, "failed", (result.message or "").strip().splitlines()[0] if result.message else ""
            )
        if isinstance(result, Skipped):
            return Item(name, "skipped", result.message or "")
    return Item(name, "passed")


def _borrowed_pytest(folder: Path) -> Path:
    """A folder with links to our pytest and what it needs, and to nothing else of ours."""
    folder.mkdir()
    for distribution in _closure("pytest"):
        for file in distribution.files or ():
            top = file.parts[0]
            source = Path(str(distribution.locate_file(top)))
            if top != ".." and source.exists() and not (folder / top).exists():
                (folder / top).symlink_to(source)
    return folder


def _closure(name: str) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    wanted = [name]
    while wanted:
        key = canonicalize_name(wanted.pop())
        if key in found:
            continue
        try:
            found[key] = importlib.metadata.distribution(key)
        except importlib.metadata.PackageNotFoundError as error:
            raise CheckError(f"our own environment lacks {key}, which pytest needs") from error
        for line in found[key].requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                wanted.append(requirement.name)
    return list(found.values())
