"""The callers of the solver: `AbstractInversion.reconstruction`, which knows the unregularized columns."""

import ast
import re

import libcst as cst
import libcst.matchers as m

from matrix.prepare.change.call_site import FUNCTION, NEW_PARAMETER
from matrix.prepare.change.recognition import (
    Unrecognised,
    UnrecognisedError,
    class_named,
    function_named,
    need_imported,
    parse,
    same_code,
)
from matrix.prepare.change.templating import (
    ReplaceFunction,
    class_in,
    function_in,
    parse_like,
    template_text,
    with_appended,
)

PATH = "autoarray/inversion/inversion/abstract.py"
CLASS = "AbstractInversion"
CALLER = "reconstruction"
COLUMNS = "unregularized_columns_from"
TEMPLATE = "abstract_inversion.py"

_KEYWORDS = {
    "data_vector": None,
    "curvature_reg_matrix": None,
    "settings": "self.settings",
    "xp": "self._xp",
}
_NEEDED = ("zeroed_ids_to_keep", "no_regularization_index_list", "total_params", "cls_list_from")
_FULL_SYSTEM = "self.data_vector"
_RESTRICTED_SYSTEM = "self.data_vector[self.zeroed_ids_to_keep]"
# What the method says of fnnls is true of the NumPy path only.
_TRUER = {
    r"We use fnnls \((?P<link>[^)]*)\)[^.]*\.": (
        r"The quadratic value is optimized by fnnls (\g<link>) on the NumPy path and by"
        "{newline}        `autoarray.inversion.nnls` on the JAX path."
    ),
    r"(?<=# Perform )reconstruction via fnnls": "the positive-only reconstruction",
}


def pass_columns(source: str) -> str:
    """Return `abstract.py` whose two calls of the positive-only solve pass the unregularized columns.

    One call solves the whole system, the other the system restricted to `zeroed_ids_to_keep`; a new method of
    `AbstractInversion` counts the columns as they stand in either. Source that already has it is returned
    unchanged.

    Raises
    ------
    UnrecognisedError
        There are not exactly these two calls, or the attributes the new method needs are missing.
    """
    tree = parse(PATH, source)
    inversion = class_named(PATH, tree, CLASS)
    if _is_done(inversion):
        return source
    need_imported(PATH, tree, ("List", "Mapper"))
    _recognise(inversion)
    return _rewrite(source)


def _is_done(inversion: ast.ClassDef) -> bool:
    if COLUMNS not in {node.name for node in inversion.body if isinstance(node, ast.FunctionDef)}:
        return False
    template = class_named(TEMPLATE, ast.parse(template_text(TEMPLATE)), CLASS)
    ours = function_named(TEMPLATE, template.body, COLUMNS)
    passed = [
        keyword.arg == NEW_PARAMETER
        for call in _calls(function_named(PATH, inversion.body, CALLER))
        for keyword in call.keywords[-1:]
    ]
    if same_code(function_named(PATH, inversion.body, COLUMNS), ours) and passed == [True, True]:
        return True
    raise UnrecognisedError(
        Unrecognised(PATH, f"`{CLASS}.{COLUMNS}` exists but is not as vendoring writes and uses it")
    )


def _calls(function: ast.FunctionDef) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == FUNCTION
    ]


def _recognise(inversion: ast.ClassDef) -> None:
    caller = function_named(PATH, inversion.body, CALLER)
    oddities = [oddity for call in _calls(caller) for oddity in _call_oddities(call)]
    systems = sorted(_system_of(caller, call) for call in _calls(caller))
    if systems != [_FULL_SYSTEM, _RESTRICTED_SYSTEM]:
        oddities.append(
            f"it solves {len(systems)} systems ({'; '.join(systems) or 'none'}), "
            f"expected {_FULL_SYSTEM}; {_RESTRICTED_SYSTEM}"
        )
    defined = {node.name for node in inversion.body if isinstance(node, ast.FunctionDef)}
    oddities += [f"`{CLASS}.{name}` is missing" for name in _NEEDED if name not in defined]
    if oddities:
        raise UnrecognisedError(*(Unrecognised(PATH, f"`{CLASS}.{CALLER}`: {oddity}") for oddity in oddities))


def _call_oddities(call: ast.Call) -> list[str]:
    given = {keyword.arg or "**": ast.unparse(keyword.value) for keyword in call.keywords}
    extra = [name for name in given if name not in _KEYWORDS]
    oddities = [f"it calls `{FUNCTION}` with {', '.join(extra)}"] if extra else []
    for name, expected in _KEYWORDS.items():
        if name not in given or (expected is not None and given[name] != expected):
            oddities.append(f"it calls `{FUNCTION}` with {name}={given.get(name)}, not as known")
    if call.args:
        oddities.append(f"it calls `{FUNCTION}` with positional arguments")
    return oddities


def _system_of(caller: ast.FunctionDef, call: ast.Call) -> str:
    """Return the data vector of a call as an expression in `self`, seeing through a local name."""
    vector = next((keyword.value for keyword in call.keywords if keyword.arg == "data_vector"), None)
    if isinstance(vector, ast.Name):
        assigned = [
            node.value
            for node in ast.walk(caller)
            if isinstance(node, ast.Assign)
            and [ast.unparse(target) for target in node.targets] == [vector.id]
        ]
        vector = assigned[0] if len(assigned) == 1 else None
    return ast.unparse(vector) if vector is not None else "unknown"


def _rewrite(source: str) -> str:
    module = cst.parse_module(source)
    template = parse_like(template_text(TEMPLATE), module)
    method = function_in(class_in(template, CLASS), COLUMNS)
    caller = function_in(class_in(module, CLASS), CALLER)

    spaced = method.with_changes(leading_lines=[cst.EmptyLine(indent=False)])
    passing = cst.ensure_type(caller.visit(_PassColumns()), cst.FunctionDef)
    code = module.visit(ReplaceFunction(caller, [spaced, passing])).code
    for untrue, truer in _TRUER.items():
        code = re.sub(untrue, truer.replace("{newline}", module.default_newline), code)
    return code


class _PassColumns(cst.CSTTransformer):
    """Append the new keyword to both calls; the restricted system is the one whose vector is a local name."""

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        name = m.Name(FUNCTION)
        if not m.matches(original_node.func, name | m.Attribute(attr=name)):
            return updated_node
        vector = next(
            arg.value for arg in original_node.args if arg.keyword and arg.keyword.value == "data_vector"
        )
        columns = cst.parse_expression(f"self.{COLUMNS}(edge_zeroed={isinstance(vector, cst.Name)})")
        like = updated_node.args[-1]
        new = like.with_changes(keyword=cst.Name(NEW_PARAMETER), value=columns)
        return updated_node.with_changes(args=with_appended(list(updated_node.args), new))
