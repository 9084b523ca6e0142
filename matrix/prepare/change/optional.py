"""A library that needs jaxnnls for its interior-point solver alone, and says so where it is not there."""

import ast

import libcst as cst
import libcst.matchers as m
from libcst.codemod import CodemodContext
from libcst.codemod.visitors import AddImportsVisitor, ImportItem

from matrix.prepare.change.recognition import (
    Unrecognised,
    UnrecognisedError,
    imported_modules,
    parse,
    same_code,
)
from matrix.prepare.change.templating import parse_like, spaced, template_text

MODULE = "autoarray/util/jax_nnls.py"
CONFTEST = "test_autoarray/conftest.py"
GUARD = "require_jaxnnls"
MODULE_TEMPLATE = "choice/jax_nnls.py"
CONFTEST_TEMPLATE = "choice/conftest.py"


def guard_imports(source: str) -> str:
    """Return `jax_nnls.py` in which every import of jaxnnls is preceded by a call that says what to install.

    Raises
    ------
    UnrecognisedError
        It imports jaxnnls outside a function, or not at all.
    """
    tree = parse(MODULE, source)
    if _has(MODULE, tree, MODULE_TEMPLATE):
        return source
    outside = [
        node for node in tree.body if any(map(_is_ours, imported_modules(node))) and not _defines(node)
    ]
    inside = [name for name in imported_modules(tree) if _is_ours(name)]
    if outside or not inside:
        what = "it imports jaxnnls outside its functions" if outside else "it does not import jaxnnls"
        raise UnrecognisedError(Unrecognised(MODULE, what))
    module = cst.ensure_type(cst.parse_module(source).visit(_CallGuard()), cst.Module)
    first = next(index for index, node in enumerate(module.body) if isinstance(node, cst.FunctionDef))
    guard = _functions(MODULE_TEMPLATE, module)
    return module.with_changes(body=[*module.body[:first], *guard, *module.body[first:]]).code


def skip_tests(source: str) -> str:
    """Return the library's `conftest.py` with hooks by which tests skip that need jaxnnls and have none.

    Raises
    ------
    UnrecognisedError
        It has hooks of these names already.
    """
    if _has(CONFTEST, parse(CONFTEST, source), CONFTEST_TEMPLATE):
        return source
    module = cst.parse_module(source)
    items = [ImportItem("contextlib"), ImportItem("pytest")]
    module = AddImportsVisitor(CodemodContext(), items).transform_module(module)
    return module.with_changes(body=[*module.body, *_functions(CONFTEST_TEMPLATE, module)]).code


def _has(where: str, tree: ast.Module, template: str) -> bool:
    """Whether a module has the template's functions, as they are there.

    Raises
    ------
    UnrecognisedError
        It has one of them otherwise.
    """
    ours = {node.name: node for node in ast.parse(template_text(template)).body if _defines(node)}  # type: ignore[attr-defined]
    found = {node.name: node for node in tree.body if _defines(node) and node.name in ours}  # type: ignore[attr-defined]
    other = [name for name, node in found.items() if not same_code(node, ours[name])]
    if other:
        raise UnrecognisedError(Unrecognised(where, f"`{other[0]}` exists but is not as vendoring writes it"))
    return set(found) == set(ours)


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == "jaxnnls"


def _functions(template: str, target: cst.Module) -> list[cst.FunctionDef]:
    module = parse_like(template_text(template), target)
    return [node for node in module.body if isinstance(node, cst.FunctionDef)]


_PACKAGE = m.Name("jaxnnls")
_MODULE = _PACKAGE | m.Attribute(value=_PACKAGE)
_IMPORT = m.SimpleStatementLine(
    body=[m.ImportFrom(module=_MODULE) | m.Import(names=[m.ImportAlias(_MODULE)])]
)


class _CallGuard(cst.CSTTransformer):
    """Put a call of the guard in front of the first import of jaxnnls in every block."""

    def leave_IndentedBlock(
        self, _original_node: cst.IndentedBlock, updated_node: cst.IndentedBlock
    ) -> cst.IndentedBlock:
        found = [index for index, node in enumerate(updated_node.body) if m.matches(node, _IMPORT)]
        if not found:
            return updated_node
        call = cst.parse_statement(f"{GUARD}()")
        body = updated_node.body
        before = [*body[: found[0]], spaced(call) if found[0] else call]
        return updated_node.with_changes(body=[*before, spaced(body[found[0]]), *body[found[0] + 1 :]])
