"""Pieces of the template files as syntax trees that fit into a file of the library."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import libcst as cst

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


Item = TypeVar("Item", cst.Param, cst.Arg)


def with_appended(items: Sequence[Item], new: Item) -> list[Item]:
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
