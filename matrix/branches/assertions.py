"""The test workspace's assertion script: its solver's import switched, and a matrix of cases appended."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

from matrix.errors import UsageError

SCRIPT = "scripts/jax_assertions/nnls.py"
OLD = "jaxnnls"
NEW = "autoarray.inversion.nnls"

_TEMPLATE = Path(__file__).parent / "templates" / "nnls_cases.py.txt"
_FIRST = "# --- Matrix of cases: begin ---"
_LAST = "# --- Matrix of cases: end ---"
_CASES = re.compile(f"{re.escape(_FIRST)}.*?{re.escape(_LAST)}\n", re.DOTALL)
_IN_WORDS = (
    (re.compile(rf"\b{OLD}(?=\.solve_)"), "nnls"),
    (re.compile(rf"(?<=preconditioned ``){OLD}(?=`` path)"), NEW),
    (re.compile(rf"(?<=Matches Raw ){OLD}(?=__)"), "nnls"),
)


def switch_import(script: str) -> str:
    """Return the assertion script with our solver in jaxnnls's place.

    Sentences that name the function called are made true; what is said of jaxnnls's own history stays.

    Raises
    ------
    UsageError
        The script uses jaxnnls in a way that is not known; nothing is guessed.
    """
    tree = _parsed(script)
    edits: list[tuple[ast.AST, str]] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(name.name.split(".")[0] == OLD for name in node.names):
            edits.append((node, _import(node)))
        elif isinstance(node, ast.ImportFrom) and node.module == OLD:
            names = ", ".join(ast.unparse(name) for name in node.names)
            edits.append((node, f"from {NEW} import {names}"))
        elif isinstance(node, ast.Name) and node.id == OLD:
            edits.append((node, "nnls"))
        elif isinstance(node, ast.Name) and node.id == "nnls" and isinstance(node.ctx, ast.Store):
            raise UsageError(
                f"{SCRIPT}, line {node.lineno}: the name `nnls`, which the import needs, is taken"
            )
    if not edits:
        return script
    switched = _edited(script, edits)
    for pattern, word in _IN_WORDS:
        switched = pattern.sub(word, switched)
    _refuse_leftovers(switched)
    return switched


def with_cases(script: str) -> str:
    """Return the assertion script with the matrix of cases before its last word, in place of an older one."""
    cases = f"{_FIRST}\n{_TEMPLATE.read_text(encoding='utf-8').strip()}\n{_LAST}\n"
    if _CASES.search(script):
        return _CASES.sub(lambda _: cases, script, count=1)
    last = _parsed(script).body[-1]
    if not (isinstance(last, ast.Expr) and ast.unparse(last).startswith("print(")):
        return f"{script.rstrip()}\n\n{cases}"
    lines = script.splitlines(keepends=True)
    return "".join([*lines[: last.lineno - 1], cases, "\n", *lines[last.lineno - 1 :]])


def _import(node: ast.Import) -> str:
    if len(node.names) != 1 or node.names[0].name != OLD:
        raise UsageError(
            f"{SCRIPT}, line {node.lineno}: `{ast.unparse(node)}` is not a known way to import it"
        )
    alias = node.names[0].asname
    package, _, module = NEW.rpartition(".")
    return f"from {package} import {module}" + (f" as {alias}" if alias else "")


def _edited(script: str, edits: Iterable[tuple[ast.AST, str]]) -> str:
    """Replace nodes by texts; positions are lines from 1 and columns in bytes from 0."""
    lines = script.encode().splitlines(keepends=True)
    for node, text in sorted(edits, key=lambda edit: _place(edit[0]), reverse=True):
        line, first, last = _place(node)
        lines[line] = lines[line][:first] + text.encode() + lines[line][last:]
    return b"".join(lines).decode()


def _place(node: ast.AST) -> tuple[int, int, int]:
    assert isinstance(node, ast.stmt | ast.expr)
    if node.end_lineno != node.lineno or node.end_col_offset is None:
        raise UsageError(
            f"{SCRIPT}, line {node.lineno}: this import goes over several lines, write it on one"
        )
    return node.lineno - 1, node.col_offset, node.end_col_offset


def _refuse_leftovers(script: str) -> None:
    for node in ast.walk(_parsed(script)):
        modules = [name.name for name in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(module.split(".")[0] == OLD for module in modules) or (
            isinstance(node, ast.Name) and node.id == OLD
        ):
            raise UsageError(f"{SCRIPT}: {OLD} is still used in it after the switch; change it by hand")


def _parsed(script: str) -> ast.Module:
    try:
        return ast.parse(script)
    except SyntaxError as error:
        raise UsageError(f"{SCRIPT}, line {error.lineno}: not valid Python ({error.msg})") from error
