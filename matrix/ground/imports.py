"""Which files of this repository a module is made of, itself and all that it imports, by their syntax."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from matrix.ground.layout import REPOSITORY_ROOT


@cache
def files_behind(*modules: str, root: Path = REPOSITORY_ROOT) -> tuple[str, ...]:
    """The files below `root` that `modules` are made of, relative to it.

    Imports inside functions count. What is not found below `root` is another's package and is left out.

    Parameters
    ----------
    modules
        As ``matrix.pipelines.cell``.
    root
        The folder that `modules` are imported from.
    """
    found: set[Path] = set()
    waiting = list(modules)
    while waiting:
        for path in _files_of(waiting.pop(), root):
            if path not in found:
                found.add(path)
                waiting += _imported(path, path.relative_to(root).parent.parts)
    return tuple(sorted(path.relative_to(root).as_posix() for path in found))


def _files_of(module: str, root: Path) -> Iterator[Path]:
    """The module's file, and those of the packages that Python imports before it."""
    place = root
    for name in module.split("."):
        place /= name
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                yield path


def _imported(path: Path, package: tuple[str, ...]) -> Iterator[str]:
    """What a file of `package` imports, by its full name."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            # What is imported may be a module itself.
            yield from (f"{module}.{alias.name}" for alias in node.names)
