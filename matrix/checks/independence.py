"""Whether the library still needs jaxnnls: a solve without it, its imports, and who still asks for it."""

import ast
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from matrix.checks.record import Item
from matrix.files import read_text

REPLACED = "jaxnnls"
LIBRARY = "autoarray"


def measure(nnls: ModuleType) -> tuple[Item, ...]:
    """Look for every way back to jaxnnls; run where the stack is imported and has solved."""
    return (_solve(nnls), _absence(), *_imports(), *_loaded(), *_declarations())


def _solve(nnls: ModuleType) -> Item:
    """2 x 2, done by hand: the second unknown is at its bound, the first is then q / Q = 2."""
    x = np.asarray(nnls.solve_nnls_primal(np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([4.0, -1.0])))
    error = float(np.max(np.abs(x - np.array([2.0, 0.0]))))
    return Item(
        "a solve", "measured", f"{nnls.__name__}.solve_nnls_primal from {nnls.__file__}", {"error": error}
    )


def _absence() -> Item:
    try:
        module = importlib.import_module(REPLACED)
    except ImportError:
        return Item(f"import {REPLACED}", "passed", "it cannot be imported")
    return Item(f"import {REPLACED}", "failed", f"it can be imported, from {module.__file__}")


def _imports() -> Iterator[Item]:
    spec = importlib.util.find_spec(LIBRARY)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    paths = sorted(folder.rglob("*.py"))
    found = [
        f"{path.relative_to(folder.parent)}:{line}"
        for path in paths
        for line in importing_lines(read_text(path))
    ]
    message = f"imported in {', '.join(found)}" if found else f"no module of {LIBRARY} imports it"
    yield Item(
        f"{LIBRARY} imports {REPLACED}",
        "failed" if found else "passed",
        message,
        {"modules": float(len(paths))},
    )


def importing_lines(source: str) -> list[int]:
    """Lines that import jaxnnls: by statement, or by a call of an import function with its name."""
    lines = []
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""] if node.level == 0 else []
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in (
            "import_module",
            "__import__",
        ):
            names = [
                arg.value
                for arg in node.args[:1]
                if isinstance(arg, ast.Constant) and isinstance(arg.value, str)
            ]
        if any(name.split(".")[0] == REPLACED for name in names):
            lines.append(node.lineno)  # type: ignore[attr-defined]
    return sorted(lines)


def _loaded() -> Iterator[Item]:
    # A module hidden by None in sys.modules is not loaded.
    loaded = sorted(name for name, module in sys.modules.items() if module and name.split(".")[0] == REPLACED)
    message = f"loaded: {', '.join(loaded)}" if loaded else "the stack is imported and has solved without it"
    yield Item(f"{REPLACED} is loaded", "failed" if loaded else "passed", message)


def _declarations() -> Iterator[Item]:
    """One item per installed distribution that asks for jaxnnls: "residual" where it is not the library."""
    for distribution in sorted(importlib.metadata.distributions(), key=lambda one: one.name or ""):
        for requirement in distribution.requires or ():
            if re.match(rf"{REPLACED}\b", requirement, re.IGNORECASE):
                name = distribution.name.lower()
                kind = f"{LIBRARY} declares" if name == LIBRARY else "residual"
                yield Item(f"{kind}: {name} {distribution.version}", "failed", requirement)
