"""What else in the library's Python files speaks of jaxnnls: comments are made true, code is refused."""

import ast
import re

from matrix.prepare.change.recognition import Unrecognised, UnrecognisedError, imported_modules, parse

_NAME = re.compile(r"\bjaxnnls\b")
REPLACEMENT = "autoarray.inversion.nnls"


def without_mentions(where: str, source: str) -> str:
    """Return a Python file whose comments and docstrings name the vendored solver where they named jaxnnls.

    Raises
    ------
    UnrecognisedError
        The file uses jaxnnls in code.
    """
    if not _NAME.search(source):
        return source
    tree = parse(where, source)
    imports = sorted({name for name in imported_modules(tree) if name.split(".")[0] == "jaxnnls"})
    if imports:
        raise UnrecognisedError(*(Unrecognised(where, f"it imports `{name}`") for name in imports))
    if _in_code(tree):
        raise UnrecognisedError(Unrecognised(where, "it names jaxnnls in code"))
    return _NAME.sub(REPLACEMENT, source)


def _in_code(tree: ast.Module) -> bool:
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    words = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation
    ]
    words += [node.id for node in ast.walk(tree) if isinstance(node, ast.Name)]
    return any(_NAME.search(word) for word in words)
