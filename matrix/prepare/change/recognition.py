"""The refusal to edit code whose shape is not known, and the questions about code that lead to it."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from matrix.ground.errors import UsageError

SUPPORTED = (
    "the PyAutoArray releases 2026.5.8.2 to 2026.7.9.1 and from 2026.9.26.1 on, as far as these had come by "
    "2026.10.26.1, and the main branches of those times"
)


@dataclass(frozen=True)
class Unrecognised:
    """One thing that was not recognised: the file, relative to the checkout, and what is wrong with it."""

    where: str
    what: str


class UnrecognisedError(UsageError):
    """Code or configuration that vendoring does not know how to edit; nothing was changed."""

    def __init__(self, *problems: Unrecognised) -> None:
        self.problems = problems
        found: dict[str, list[str]] = {}
        for problem in dict.fromkeys(problems):
            found.setdefault(problem.where, []).append(f"  - {problem.what}")
        lines = "\n".join(line for where, whats in found.items() for line in (f"{where}:", *whats))
        super().__init__(
            f"the library is not as vendoring knows it, and nothing was changed.\n{lines}\n"
            f"Vendoring knows {SUPPORTED}: choose one of them, or restore the files named here."
        )


def parse(where: str, source: str) -> ast.Module:
    """Parse Python source.

    Raises
    ------
    UnrecognisedError
        It is not valid Python.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise UnrecognisedError(
            Unrecognised(where, f"not valid Python (line {error.lineno}: {error.msg})")
        ) from error


def function_named(where: str, body: list[ast.stmt], name: str) -> ast.FunctionDef:
    """Return the one function `name` among the statements of a module or class.

    Raises
    ------
    UnrecognisedError
        There is none, or more than one.
    """
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == name]
    if len(found) != 1:
        raise UnrecognisedError(Unrecognised(where, f"expected one function `{name}`, found {len(found)}"))
    return found[0]


def class_named(where: str, module: ast.Module, name: str) -> ast.ClassDef:
    """Return the one class `name` of a module.

    Raises
    ------
    UnrecognisedError
        There is none, or more than one.
    """
    found = [node for node in module.body if isinstance(node, ast.ClassDef) and node.name == name]
    if len(found) != 1:
        raise UnrecognisedError(Unrecognised(where, f"expected one class `{name}`, found {len(found)}"))
    return found[0]


def parameters_of(function: ast.FunctionDef) -> list[str]:
    """Return the parameter names of a function in order, `*args` and `**kwargs` with their stars."""
    arguments = function.args
    names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
    if arguments.vararg is not None:
        names.append(f"*{arguments.vararg.arg}")
    names += [argument.arg for argument in arguments.kwonlyargs]
    if arguments.kwarg is not None:
        names.append(f"**{arguments.kwarg.arg}")
    return names


def same_code(first: ast.AST | list[ast.stmt], second: ast.AST | list[ast.stmt]) -> bool:
    """Tell whether two pieces of code are equal but for layout and comments."""

    def dump(code: ast.AST | list[ast.stmt]) -> str:
        return ast.dump(ast.Module(body=code, type_ignores=[]) if isinstance(code, list) else code)

    return dump(first) == dump(second)


def need_imported(where: str, module: ast.Module, names: Iterable[str]) -> None:
    """Refuse a module that does not import these names, which the inserted code uses.

    Raises
    ------
    UnrecognisedError
        One of them is not imported at the top of the module.
    """
    imported = {
        alias.asname or alias.name
        for node in module.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    missing = [name for name in names if name not in imported]
    if missing:
        raise UnrecognisedError(*(Unrecognised(where, f"it does not import `{name}`") for name in missing))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted name of every module that the code imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
