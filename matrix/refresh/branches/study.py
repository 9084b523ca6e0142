"""The profiling repository's solver study: our solver as one more of its candidates, with its row.

The study's candidates are functions of (Q, q) put together from library functions alone. Each stands in a
registry, and in a table that people write by hand. What was measured is in other tables, which the study's
own program writes.
"""

import ast
from collections.abc import Iterable

from matrix.ground.errors import UsageError

REGISTRY = "scripts/lens/solver/_solvers.py"
README = "scripts/lens/solver/README.md"
NAME = "nnls"
FUNCTION = "autoarray.inversion.nnls.solve_nnls"

# The candidate after which ours is put: the library's active-set method.
_NEIGHBOUR = "certified"
_BUILDER = f"_build_{NAME}"
_TABLE = "| Candidate | What it is | Library primitive(s) |"
_ROW = (
    f"| `{NAME}` | The library's own solver, `positive_only_solver: nnls`, on the Jacobi system: an active "
    "set that ends with a certificate, which is what `converged` says. Columns without regularization are "
    "not named, since a candidate sees (Q, q) alone. Not of the pre-registered set. | "
    f"`{FUNCTION.removeprefix('autoarray.')}` |"
)
_BUILD = f"""def {_BUILDER}(target_kappa):
    from autoarray.inversion.nnls import solve_nnls

    def f(Q, q):
        Q_pc, q_pc, D = _jacobi(Q, q)
        x, _, _, converged, iterations = solve_nnls(Q_pc, q_pc)
        return {{"x": x * D, "converged": converged, "iterations": iterations}}

    return f
"""
_REGISTRATION = f'''    add(
        _jax_candidate(
            "{NAME}",
            "The library's own solver (positive_only_solver: nnls) on the Jacobi system. It finds "
            "which values are zero, solves for the others exactly and certifies the answer, which is "
            "what converged says. Columns without regularization are not named, since a candidate sees "
            "(Q, q) alone. Not of the pre-registered set.",
            "{FUNCTION}",
            {_BUILDER},
        )
    )
'''


def with_candidate(registry: str) -> str:
    """Return the study's registry with our solver as a candidate, after the certified one; once is enough.

    Raises
    ------
    UsageError
        The registry is not built as known, or has another candidate of our name; nothing is guessed.
    """
    tree = _parsed(registry)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    faults = [
        f"{REGISTRY}: no function {name}({', '.join(parameters)})"
        for name, parameters in (
            ("_jacobi", ("Q", "q")),
            ("_jax_candidate", ("name", "description", "library_function", "build")),
            (f"_build_{_NEIGHBOUR}", ("target_kappa",)),
            ("_build_registry", ()),
        )
        if _parameters(functions.get(name))[: len(parameters)] != parameters or name not in functions
    ]
    if faults:
        raise _unknown(faults)
    registered = dict(_registered(functions["_build_registry"]))
    if _NEIGHBOUR not in registered:
        raise _unknown([f"{REGISTRY}: _build_registry adds no candidate {_NEIGHBOUR!r} by add(...)"])
    if NAME in registered or _BUILDER in functions:
        if _BUILD in registry and _REGISTRATION in registry:
            return registry
        raise UsageError(
            f"{REGISTRY} has a candidate {NAME!r} that is not ours: take it out of the branch, or run the "
            "matrix on a ref without it"
        )
    lines = registry.splitlines(keepends=True)
    builder, call = functions[f"_build_{_NEIGHBOUR}"].end_lineno, registered[_NEIGHBOUR].end_lineno
    assert builder is not None
    assert call is not None
    return "".join(
        [*lines[:builder], "\n\n", _BUILD, *lines[builder:call], _REGISTRATION, *lines[call:]],
    )


def with_row(readme: str) -> str:
    """Return the study's README with our row in the hand-written table of candidates; once is enough.

    Raises
    ------
    UsageError
        The table is not there once, or has no row of the certified solver.
    """
    lines = readme.splitlines(keepends=True)
    tables = [number for number, line in enumerate(lines) if line.rstrip() == _TABLE]
    if not tables:
        raise _unknown([f"{README}: no table of candidates, {_TABLE}"])
    rows = list(_rows(lines, tables[0]))
    ours = [number for number in rows if lines[number].startswith(f"| `{NAME}` |")]
    if ours:
        lines[ours[0]] = f"{_ROW}\n"
        return "".join(lines)
    neighbours = [number for number in rows if lines[number].startswith(f"| `{_NEIGHBOUR}` |")]
    if not neighbours:
        raise _unknown([f"{README}: the table of candidates has no row of `{_NEIGHBOUR}`"])
    lines.insert(neighbours[0] + 1, f"{_ROW}\n")
    return "".join(lines)


def _rows(lines: list[str], heading: int) -> Iterable[int]:
    """Numbers of the lines of a table below its heading."""
    for number in range(heading + 1, len(lines)):
        if not lines[number].startswith("|"):
            return
        yield number


def _registered(function: ast.FunctionDef) -> Iterable[tuple[str, ast.stmt]]:
    """Candidates that are added by name at the top of the registry's function, each with its statement."""
    for statement in function.body:
        match statement:
            case ast.Expr(
                ast.Call(func=ast.Name("add"), args=[ast.Call(args=[ast.Constant(str(name)), *_])])
            ):
                yield name, statement


def _parameters(function: ast.FunctionDef | None) -> tuple[str, ...]:
    return tuple(each.arg for each in function.args.args) if function else ()


def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError as error:
        raise UsageError(f"{REGISTRY}, line {error.lineno}: not valid Python ({error.msg})") from error


def _unknown(faults: Iterable[str]) -> UsageError:
    listed = "\n  ".join(faults)
    return UsageError(
        f"the solver study of the profiling repository is not as known:\n  {listed}\n"
        "Run the matrix on a ref of it that is, with --ref NAME=REF, or take it out of the manifest."
    )
