"""Whether the library needs jaxnnls: it solves without it, asks for it nowhere, and who still declares it."""

import ast
import importlib
import importlib.metadata
import importlib.util
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from matrix.checks.inside.watch import ImportWatch
from matrix.ground.files import read_text
from matrix.records.cell import REPLACED
from matrix.records.check import Item

LIBRARY = "autoarray"

# By hand: the second unknown is at its bound, the first is then q / Q, and the sum's gradient is 1 / Q.
_Q, _q = [[2.0, 1.0], [1.0, 3.0]], [4.0, -1.0]
_x, _x_by_q = [2.0, 0.0], [0.5, 0.0]


def measure(
    nnls: ModuleType, reconstruction: Callable[..., Any], chosen: str, watch: ImportWatch
) -> tuple[Item, ...]:
    """Solve without jaxnnls as an inversion does, and look for every way back to it.

    Parameters
    ----------
    nnls
        The solver's module.
    reconstruction, chosen
        The library's positive-only solve under the setting it has, and the name of that setting.
    watch
        On jaxnnls, since before the library was imported.
    """
    solves = (_solve(nnls), *_call_site(reconstruction, chosen))
    # Before we ask for it ourselves.
    asked = _watched(watch)
    return (*solves, asked, _absence(), _imports(), *_loaded(), *_declarations())


def _call_site(reconstruction: Callable[..., Any], chosen: str) -> Iterator[Item]:
    """The same system through the library's call site: run, compiled, in a batch, and differentiated."""
    import jax
    import jax.numpy as jnp

    def solve(q: Any, Q: Any) -> Any:
        return reconstruction(data_vector=q, curvature_reg_matrix=Q, xp=jnp)

    Q, q = jnp.asarray(_Q), jnp.asarray(_q)
    gradient = jax.jit(jax.grad(lambda q, Q: jnp.sum(solve(q, Q))))
    ways: dict[str, tuple[Callable[[], Any], list[float]]] = {
        "run": (lambda: solve(q, Q), _x),
        "compiled": (lambda: jax.jit(solve)(q, Q), _x),
        "in a batch": (lambda: jax.jit(jax.vmap(solve, (0, None)))(jnp.stack([q, q]), Q)[1], _x),
        "differentiated": (lambda: gradient(q, Q), _x_by_q),
    }
    for way, (call, expected) in ways.items():
        name = f"the call site, {way}"
        try:
            error = float(np.max(np.abs(np.asarray(call()) - np.asarray(expected))))
        except ImportError as reason:
            yield Item(name, "failed", f"under {chosen}: {reason}")
        else:
            yield Item(name, "measured", f"under {chosen}", {"error": error})


def _solve(nnls: ModuleType) -> Item:
    x = np.asarray(nnls.solve_nnls_primal(np.array(_Q), np.array(_q)))
    error = float(np.max(np.abs(x - np.array(_x))))
    return Item(
        "a solve", "measured", f"{nnls.__name__}.solve_nnls_primal from {nnls.__file__}", {"error": error}
    )


def _absence() -> Item:
    try:
        module = importlib.import_module(REPLACED)
    except ImportError:
        return Item(f"import {REPLACED}", "passed", "it cannot be imported")
    return Item(f"import {REPLACED}", "failed", f"it can be imported, from {module.__file__}")


def _imports() -> Item:
    """Where the library's files import it: not a fault by itself, since a solver may be a choice."""
    spec = importlib.util.find_spec(LIBRARY)
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    paths = sorted(folder.rglob("*.py"))
    found = [
        f"{path.relative_to(folder.parent)}:{line}"
        for path in paths
        for line in importing_lines(read_text(path))
    ]
    message = f"imports of it stand in {', '.join(found)}" if found else f"no module of {LIBRARY} imports it"
    return Item(f"{LIBRARY} imports {REPLACED}", "measured", message, {"modules": float(len(paths))})


def _watched(watch: ImportWatch) -> Item:
    seen = sorted(set(watch.seen))
    message = f"from {', '.join(seen)}" if seen else "nothing that ran asked for it"
    return Item(f"{REPLACED} is asked for", "failed" if seen else "passed", message)


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
