"""The test workspace's assertion script: its solver's import switched, and a matrix of cases appended."""

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.prepare.change.call_site import FUNCTION
from matrix.prepare.change.choice import VALUE

SCRIPT = "scripts/jax_assertions/nnls.py"
OLD = "jaxnnls"
NEW = "autoarray.inversion.nnls"

_KEYWORD = "solver"

_TEMPLATES = Path(__file__).parent / "templates"
_FIRST = "# --- Matrix of cases: begin ---"
_LAST = "# --- Matrix of cases: end ---"
_CASES = re.compile(f"{re.escape(_FIRST)}.*?{re.escape(_LAST)}\n", re.DOTALL)
_IN_WORDS = (
    (re.compile(rf"\b{OLD}(?=\.solve_)"), "nnls"),
    (re.compile(rf"(?<=preconditioned ``){OLD}(?=`` path)"), NEW),
    (re.compile(rf"(?<=Matches Raw ){OLD}(?=__)"), "nnls"),
)


def switch_import(script: str, named: bool) -> str:
    """Return the assertion script with our solver in jaxnnls's place.

    Sentences that name the function called are made true; what is said of jaxnnls's own history stays.

    Parameters
    ----------
    script
        As the workspace has it, or as this function left it.
    named
        Whether the call site takes a solver's name: then each of its calls gives ours.

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
    switched = _edited(script, edits)
    if edits:
        for pattern, word in _IN_WORDS:
            switched = pattern.sub(word, switched)
        _refuse_leftovers(switched)
    return with_solver(switched) if named else switched


def with_solver(script: str) -> str:
    """Return a script whose calls of the library's call site name our solver, where they name none yet."""
    lines = script.encode().splitlines(keepends=True)
    for line, end, column in sorted(_unnamed_calls(_parsed(script), lines), reverse=True):
        between = ", " if column is None else ",\n" + " " * column
        added = f'{between}{_KEYWORD}="{VALUE}"'.encode()
        lines[line] = lines[line][:end] + added + lines[line][end:]
    return b"".join(lines).decode()


def _unnamed_calls(tree: ast.Module, lines: list[bytes]) -> Iterator[tuple[int, int, int | None]]:
    """Where the last argument of each call ends, and its column where it begins a line of its own."""
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and ast.unparse(call.func).split(".")[-1] == FUNCTION):
            continue
        if _KEYWORD in [word.arg for word in call.keywords]:
            continue
        places = [(each.lineno, each.col_offset, each) for each in call.args]
        places += [(word.lineno, word.col_offset, word.value) for word in call.keywords]
        first, column, last = max(places, key=lambda place: place[:2])
        assert last.end_lineno is not None
        assert last.end_col_offset is not None
        alone = not lines[first - 1][:column].strip()
        yield last.end_lineno - 1, last.end_col_offset, column if alone else None


def with_cases(script: str, named: bool) -> str:
    """Return the assertion script with the matrix of cases before its last word, in place of an older one.

    Where the call site takes a solver's name (`named`), the cases give ours, and ask which one ran.
    """
    text = _template("nnls_cases")
    if named:
        text = with_solver(f"{text}\n\n{_template('nnls_named')}")
    cases = f"{_FIRST}\n{text}\n{_LAST}\n"
    if _CASES.search(script):
        return _CASES.sub(lambda _: cases, script, count=1)
    last = _parsed(script).body[-1]
    if not (isinstance(last, ast.Expr) and ast.unparse(last).startswith("print(")):
        return f"{script.rstrip()}\n\n{cases}"
    lines = script.splitlines(keepends=True)
    return "".join([*lines[: last.lineno - 1], cases, "\n", *lines[last.lineno - 1 :]])


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.py.txt").read_text(encoding="utf-8").strip()


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
