"""The page on the architecture names the rooms there are, in the order that the contract holds."""

import ast
import re
import tomllib
from collections.abc import Callable, Iterator

import pytest

from matrix.ground.layout import REPOSITORY_ROOT

PAGE = (REPOSITORY_ROOT / "docs" / "architecture.md").read_text()


def rows_of(heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its own heads."""
    section = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def rooms_in_order() -> list[set[str]]:
    return [set(re.findall(r"`(\w+)`", rooms)) for rooms, _ in rows_of("The rooms")]


def test_every_room_is_in_the_table() -> None:
    package = REPOSITORY_ROOT / "matrix"
    folders = {path.parent.name for path in package.glob("*/__init__.py")}
    assert set().union(*rooms_in_order()) == folders
    assert {path.name for path in package.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_order_is_that_of_the_contract() -> None:
    project = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())
    (contract,) = (each for each in project["tool"]["importlinter"]["contracts"] if each["type"] == "layers")
    layers = [set(re.findall(r"matrix\.(\w+)", layer)) for layer in contract["layers"]]
    assert rooms_in_order() == layers[::-1]


def test_places_to_change_exist() -> None:
    for _, places in rows_of("Where do I change what"):
        folder = ""
        for name in re.findall(r"`([\w/.]+)`", places):
            found = REPOSITORY_ROOT / (name if "/" in name or name.endswith(".yaml") else f"{folder}/{name}")
            folder = folder if "/" not in name else name.rpartition("/")[0]
            assert found.exists(), f"{name} of the line that says {places}"


# One name for what each of several files has to have, and the files that have it.
PROTOCOLS = {
    # What `python -m` starts: it takes words and returns the exit code.
    "main": "**/*.py",
    # What a diagnosis does inside a side, called by its name there.
    "look": "diagnose/*/cell.py",
    # A check inside a side: its items.
    "measure": "checks/inside/*.py",
}


def classes_of(module: ast.Module) -> Iterator[str]:
    """The public names of a module that stand for classes and types."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            names = (target.id for target in node.targets if isinstance(target, ast.Name))
            yield from (name for name in names if re.fullmatch(r"[A-Z]\w*[a-z]\w*", name))


def functions_of(module: ast.Module) -> Iterator[str]:
    """The public functions of a module."""
    yield from (node.name for node in module.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("names_of", [classes_of, functions_of])
def test_no_name_means_two_things(names_of: Callable[[ast.Module], Iterator[str]]) -> None:
    package = REPOSITORY_ROOT / "matrix"
    files = [path for path in package.rglob("*.py") if not {"embedded", "templates"} & {*path.parts}]
    one_meaning = {(path, name) for name, where in PROTOCOLS.items() for path in package.glob(where)}
    places: dict[str, list[str]] = {}
    for path in files:
        for name in names_of(ast.parse(path.read_bytes())):
            if (path, name) not in one_meaning and not name.startswith("_"):
                places.setdefault(name, []).append(path.relative_to(package).as_posix())
    assert len(places) > 100
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_is_several_files(name: str) -> None:
    has = [
        path
        for path in (REPOSITORY_ROOT / "matrix").glob(PROTOCOLS[name])
        if f"def {name}(" in path.read_text()
    ]
    assert len(has) > 1
