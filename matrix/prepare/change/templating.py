"""Pieces of the template files as syntax trees that fit into a file of the library."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import libcst as cst
import libcst.matchers as m

FOLDER = Path(__file__).parent / "templates"


def template_text(name: str) -> str:
    """Return the text of a template file."""
    return (FOLDER / name).read_text(encoding="utf-8")


def parse_like(text: str, target: cst.Module) -> cst.Module:
    """Parse `text` with the line ends and the indentation of the module it will go into."""
    return cst.parse_module(text.replace("\n", target.default_newline), target.config_for_parsing)


def function_in(body: cst.Module | cst.ClassDef, name: str) -> cst.FunctionDef:
    """Return the function `name` of a module or class that is known to have it."""
    statements = body.body if isinstance(body, cst.Module) else body.body.body
    return next(node for node in statements if isinstance(node, cst.FunctionDef) and node.name.value == name)


def class_in(module: cst.Module, name: str) -> cst.ClassDef:
    """Return the class `name` of a module that is known to have it."""
    return next(node for node in module.body if isinstance(node, cst.ClassDef) and node.name.value == name)


Argument = TypeVar("Argument", cst.Param, cst.Arg)


def with_appended(items: Sequence[Argument], new: Argument) -> list[Argument]:
    """Append to the parameters or arguments of a call, laid out as those before."""
    *before, last = items
    separator = before[-1].comma if before else cst.Comma(whitespace_after=cst.SimpleWhitespace(" "))
    return [*before, last.with_changes(comma=separator), new.with_changes(comma=last.comma)]


class ReplaceFunction(cst.CSTTransformer):
    """Replace one function by others, in its place."""

    def __init__(self, old: cst.FunctionDef, new: Sequence[cst.FunctionDef]) -> None:
        super().__init__()
        self._old = old
        self._new = new

    def leave_FunctionDef(
        self, original_node: cst.FunctionDef, updated_node: cst.FunctionDef
    ) -> cst.FunctionDef | cst.FlattenSentinel[cst.FunctionDef]:
        return cst.FlattenSentinel(self._new) if original_node is self._old else updated_node


def with_docstring(function: cst.FunctionDef, edit: Callable[[str], str]) -> cst.FunctionDef:
    """Return a function whose docstring, as it stands in the file, is edited; one without stays as it is."""
    first = function.body.body[0]
    if not m.matches(first, m.SimpleStatementLine(body=[m.Expr(value=m.SimpleString())])):
        return function
    literal = cst.ensure_type(
        cst.ensure_type(cst.ensure_type(first, cst.SimpleStatementLine).body[0], cst.Expr).value,
        cst.SimpleString,
    )
    opening = f"{literal.prefix}{literal.quote}"
    return function.with_deep_changes(literal, value=f"{opening}{edit(literal.raw_value)}{literal.quote}")


def spaced(statement: cst.CSTNode) -> cst.CSTNode:
    """Return a statement with an empty line in front of it and of its comments."""
    lines: list[cst.EmptyLine] = list(getattr(statement, "leading_lines", ()))
    if lines and lines[0].comment is None:
        return statement
    return statement.with_changes(leading_lines=[cst.EmptyLine(indent=False), *lines])


def appending_to_parameter(parameter: str, added: str) -> Callable[[str], str]:
    """Add lines to what a docstring in NumPy style says of one parameter, where it names it once.

    Parameters
    ----------
    parameter
        Named on a line of its own.
    added
        The lines, indented as if the parameter's name stood at the left margin.
    """

    def edit(docstring: str) -> str:
        lines = docstring.splitlines(keepends=True)
        named = [index for index, line in enumerate(lines) if line.strip() == parameter]
        if len(named) != 1:
            return docstring
        indent = _indent(lines[named[0]])
        end = named[0] + 1
        while end < len(lines) and (not lines[end].strip() or len(_indent(lines[end])) > len(indent)):
            end += 1
        while not lines[end - 1].strip():
            end -= 1
        return "".join([*lines[:end], *_laid_out(added, indent, _newline(docstring)), *lines[end:]])

    return edit


def appending_last(added: str) -> Callable[[str], str]:
    """Add a paragraph at the end of a docstring."""

    def edit(docstring: str) -> str:
        body = docstring.rstrip()
        closing = docstring[len(body) :]
        newline = _newline(docstring)
        said = "".join(_laid_out(added, closing.rpartition("\n")[2], newline))
        return f"{body}{newline}{newline}{said.removesuffix(newline)}{closing}"

    return edit


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _laid_out(text: str, indent: str, newline: str) -> list[str]:
    return [f"{indent}{line}".rstrip() + newline for line in text.splitlines()]
