"""What a program of this repository is made of: the files that it imports, found without running it."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

from matrix.ground.layout import REPOSITORY_ROOT

_RECOGNISED = "TYPE_CHECKING"


def files_behind(modules: Iterable[str], root: Path = REPOSITORY_ROOT) -> tuple[Path, ...]:
    """Every file of a repository that a process can read which imports these modules, sorted.

    These are the modules, all that they import at any place, the packages around them, and data: a file or
    folder that lies beside a module which names it. An import for type checkers alone is none.

    Parameters
    ----------
    modules
        By their dotted names.
    root
        Of the repository; what is imported and not found there is another's and is left out.

    Raises
    ------
    LookupError
        One of the modules themselves is not there.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    unknown = [name for name in waiting if _file_of(name, root) is None]
    if unknown:
        raise LookupError(f"{root} holds no module {', '.join(unknown)}")
    while waiting:
        name = waiting.pop()
        path = None if name in found else _file_of(name, root)
        if path is not None:
            found[name] = path
            waiting += _imported(name, path)
    data = (file for path in found.values() for file in _data_beside(path))
    return tuple(sorted({*found.values(), *data}))


def definitions_in(path: Path, *tables: str) -> str:
    """The source of a module of data without its data: none of `tables`, no private name that is for them."""
    kept = [node for node in _parsed(path).body if not _assigns(node, tables)]
    return "\n".join(map(ast.unparse, kept))


def _assigns(node: ast.stmt, tables: Sequence[str]) -> bool:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    return bool(names) and all(name in tables or name.startswith("_") for name in names)


def _file_of(module: str, root: Path) -> Path | None:
    place = root.joinpath(*module.split("."))
    candidates = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


@cache
def _parsed_as(path: Path, _changed: int) -> ast.Module:
    return ast.parse(path.read_bytes())


def _parsed(path: Path) -> ast.Module:
    return _parsed_as(path, path.stat().st_mtime_ns)


def _imported(name: str, path: Path) -> Iterator[str]:
    """What a module imports, by dotted name; a name from a package may be a module of it."""
    yield from _packages_around(name)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in _run(_parsed(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for imported in names:
            yield imported
            yield from _packages_around(imported)


def _packages_around(module: str) -> Iterator[str]:
    parts = module.split(".")
    yield from (".".join(parts[:count]) for count in range(1, len(parts)))


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all below it, without what only a type checker reads."""
    yield node
    children: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, ast.If) and ast.unparse(node.test).endswith(_RECOGNISED):
        children = node.orelse
    for child in children:
        yield from _run(child)


def _data_beside(path: Path) -> Iterator[Path]:
    """Files that are no modules, beside a module that holds their name or that of a folder they lie in."""
    words = {node.value for node in ast.walk(_parsed(path)) if isinstance(node, ast.Constant)}
    for entry in path.parent.iterdir():
        if entry.name not in words or entry.suffix == ".py":
            continue
        if entry.is_file():
            yield entry
        elif not (entry / "__init__.py").exists():
            files = (file for file in entry.rglob("*") if file.is_file())
            yield from (file for file in files if not _is_a_cache(file.relative_to(path.parent)))


def _is_a_cache(path: Path) -> bool:
    return any(part == "__pycache__" or part.startswith(".") for part in path.parts)
