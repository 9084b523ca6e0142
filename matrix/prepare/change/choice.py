"""The third value of `positive_only_solver`: "nnls" beside "pdip" and "certified", which stay as they are.

For libraries whose callers choose the solver: `AbstractInversion.positive_only_solver_used` asks
`Settings.positive_only_solver`, and `reconstruction_positive_only_from` takes the answer.
"""

import ast
import re

import libcst as cst
import libcst.matchers as m

from matrix.prepare.change.call_site import FUNCTION, config_import, jax_branch
from matrix.prepare.change.call_site import PATH as CALL_SITE
from matrix.prepare.change.callers import CALLER, CLASS
from matrix.prepare.change.callers import PATH as CALLERS
from matrix.prepare.change.recognition import (
    Unrecognised,
    UnrecognisedError,
    class_named,
    function_named,
    parameters_of,
    parse,
    same_code,
)
from matrix.prepare.change.templating import (
    ReplaceFunction,
    appending_last,
    appending_to_parameter,
    class_in,
    function_in,
    parse_like,
    spaced,
    template_text,
    with_docstring,
)

SETTINGS = "autoarray/settings.py"
VALUE = "nnls"
THEIRS = ("pdip", "certified")
SETTING = "positive_only_solver"
USED = "positive_only_solver_used"
SCALING_USED = "positive_only_preconditioning_used"
HELPER = "_nnls_positive_only_from"
READER = "nnls_config_from"
TEMPLATE = "choice/inversion_util.py"
CALL_TEMPLATE = "choice/abstract_inversion.py"

_PARAMETERS = [
    *("data_vector", "curvature_reg_matrix", "settings", "xp"),
    *("fingerprint", "factor", "solver", "stats", "preconditioning"),
]
_CALL = {
    "data_vector": None,
    "curvature_reg_matrix": None,
    "settings": "self.settings",
    "xp": "self._xp",
    "fingerprint": None,
    "factor": None,
    "solver": f"self.{USED}",
    "preconditioning": f"self.{SCALING_USED}",
}
_SYSTEMS = ["self.data_vector", "self.data_vector[self.solve_ids_to_keep]"]

_SAID_OF_SETTING = f"""\

    - ``"{VALUE}"`` -- the solver of :mod:`autoarray.inversion.nnls`, which is part of autoarray. It
      finds which values are zero, solves for the others exactly and certifies the Karush-Kuhn-Tucker
      conditions of its solution. It is applied to **every** JAX inversion, with or without a `Mapper` and
      linear light profiles, alone and under ``vmap``.
      `nnls_solver_tol` and `nnls_max_iter` are its own where they are set; `None` is its own tolerance and
      limit."""

_SAID_OF_SOLVER = f"""\
    ``"{VALUE}"`` is the solver of :mod:`autoarray.inversion.nnls`, for every JAX inversion; it scales the
    system itself, so ``preconditioning`` stays ``"jacobi"``."""

_SAID_OF_STATS = f"""\
    With ``solver="{VALUE}"`` it receives ``converged`` (``1`` if the solution is certified, else ``0``) and
    ``iterations`` (factorizations of the system), also as traced JAX scalars. They are those of the solve
    which gives the reconstruction."""

_SAID_OF_USED = f"""\
``"{VALUE}"`` (:mod:`autoarray.inversion.nnls`) is selected for every inversion on the JAX backend where
`Settings.positive_only_solver` is ``"{VALUE}"``, with or without a `Mapper` and linear light profiles."""

# What the default is, in the words of the releases; where the words are others they stay as they are.
_DEFAULT_IN_DOCSTRINGS = (
    (r'(reads the packaged\s+value ``")pdip("``\.\s+- ``"pdip"``) \(default\)', r"\g<1>nnls\g<2>"),
    (r'(- ``"nnls"``) --', r"\1 (default) --"),
    (r'(the packaged default is ``")pdip("``)', r"\g<1>nnls\g<2>"),
)


def is_choice(source: str) -> bool:
    """Tell whether an `inversion_util.py` has the shape in which callers choose the solver."""
    try:
        function = function_named(CALL_SITE, parse(CALL_SITE, source).body, FUNCTION)
    except UnrecognisedError:
        return False
    return "solver" in parameters_of(function)


def offer_in_settings(source: str) -> str:
    """Return `settings.py` whose `positive_only_solver` may be "nnls" as well.

    Raises
    ------
    UnrecognisedError
        The property does not hold its value against the two known ones.
    """
    where = f"`Settings.{SETTING}`"
    setting = function_named(
        SETTINGS, class_named(SETTINGS, parse(SETTINGS, source), "Settings").body, SETTING
    )
    if _is_offered(SETTINGS, where, setting, "value"):
        return source
    module = cst.parse_module(source)
    old = function_in(class_in(module, "Settings"), SETTING)
    new = cst.ensure_type(old.visit(_AddChoice("value")), cst.FunctionDef)
    module = module.visit(ReplaceFunction(old, [new]))
    init = function_in(class_in(module, "Settings"), "__init__")
    said = with_docstring(init, appending_to_parameter(SETTING, _SAID_OF_SETTING))
    return module.visit(ReplaceFunction(init, [said])).code


def offer_in_call_site(source: str) -> str:
    """Return `inversion_util.py` with a solve by `autoarray.inversion.nnls` where `solver` is "nnls".

    Raises
    ------
    UnrecognisedError
        The function does not take, check and dispatch on its arguments as known.
    """
    tree = parse(CALL_SITE, source)
    function = function_named(CALL_SITE, tree.body, FUNCTION)
    branch = jax_branch(function)
    _recognise_call_site(function, branch)
    text = template_text(TEMPLATE).replace("from autonerves import conf", config_import(branch))
    ours = ast.parse(text).body
    if _is_offered(CALL_SITE, f"`{FUNCTION}`", function, "solver"):
        kept = [function_named(CALL_SITE, tree.body, name) for name in (READER, HELPER)]
        written = [function_named(TEMPLATE, ours, name) for name in (READER, HELPER)]
        case = function_named(TEMPLATE, ours, FUNCTION).body[0]
        if not all(map(same_code, (*kept, branch.body[0]), (*written, case))):
            raise UnrecognisedError(
                Unrecognised(
                    CALL_SITE, f'`{FUNCTION}` takes "{VALUE}" but has another solve than vendoring writes'
                )
            )
        return source
    module = cst.parse_module(source)
    template = parse_like(text, module)
    old = function_in(module, FUNCTION)
    dispatch = cst.ensure_type(function_in(template, FUNCTION).body.body[0], cst.If)
    new = cst.ensure_type(old.visit(_AddChoice("solver")), cst.FunctionDef)
    new = cst.ensure_type(new.visit(_Dispatch(dispatch)), cst.FunctionDef)
    new = with_docstring(
        new,
        lambda text: appending_to_parameter("stats", _SAID_OF_STATS)(
            appending_to_parameter("solver", _SAID_OF_SOLVER)(text)
        ),
    )
    added = [function_in(template, name) for name in (READER, HELPER)]
    return module.visit(ReplaceFunction(old, [*added, new])).code


def offer_in_callers(source: str) -> str:
    """Return `abstract.py` whose `positive_only_solver_used` answers "nnls" for every JAX inversion.

    Raises
    ------
    UnrecognisedError
        The properties and the two calls that use them are not as known.
    """
    inversion = class_named(CALLERS, parse(CALLERS, source), CLASS)
    _recognise_callers(inversion)
    used = function_named(CALLERS, inversion.body, USED)
    ours = function_named(CALL_TEMPLATE, ast.parse(template_text(CALL_TEMPLATE)).body, USED)
    found = [node for node in used.body if same_code(node, ours.body[0])]
    if VALUE in _strings(used):
        if _without_docstring(used)[:1] == found:
            return source
        raise UnrecognisedError(
            Unrecognised(CALLERS, f'`{CLASS}.{USED}` answers "{VALUE}" but not as vendoring writes it')
        )
    module = cst.parse_module(source)
    old = function_in(class_in(module, CLASS), USED)
    answer = function_in(parse_like(template_text(CALL_TEMPLATE), module), USED).body.body[0]
    statements = list(old.body.body)
    first = 1 if old.get_docstring() is not None else 0
    body = [*statements[:first], answer, spaced(statements[first]), *statements[first + 1 :]]
    new = with_docstring(
        old.with_changes(body=old.body.with_changes(body=body)), appending_last(_SAID_OF_USED)
    )
    return module.visit(ReplaceFunction(old, [new])).code


def default_in_settings(source: str) -> str:
    """Return `settings.py` that takes "nnls" where no configuration says otherwise.

    Raises
    ------
    UnrecognisedError
        The property does not have a default of its own.
    """
    settings = class_named(SETTINGS, parse(SETTINGS, source), "Settings")
    setting = function_named(SETTINGS, settings.body, SETTING)
    found = [call for call in ast.walk(setting) if _reads_setting(call)]
    if len(found) != 1:
        what = f"`Settings.{SETTING}` reads its value from the configuration {len(found)} times, not once"
        raise UnrecognisedError(Unrecognised(SETTINGS, what))
    module = cst.parse_module(source)
    old = function_in(class_in(module, "Settings"), SETTING)
    new = cst.ensure_type(old.visit(_Default()), cst.FunctionDef)
    code = module.visit(ReplaceFunction(old, [new])).code
    return _with_default_said(code)


def default_in_callers(source: str) -> str:
    """Return `abstract.py` whose docstrings say what the default is."""
    return _with_default_said(source)


def default_in_tests(source: str) -> str:
    """Return the library's test of the dispatch with the new default where it asserts the old one."""
    return source.replace(
        f'assert inversion.settings.{SETTING} == "{THEIRS[0]}"',
        f'assert inversion.settings.{SETTING} == "{VALUE}"',
    )


def _with_default_said(source: str) -> str:
    for old, new in _DEFAULT_IN_DOCSTRINGS:
        source = re.sub(old, new, source)
    return source


def _is_offered(where: str, what: str, function: ast.FunctionDef, variable: str) -> bool:
    found = [
        tuple(_strings(comparator))
        for node in ast.walk(function)
        if isinstance(node, ast.Compare) and ast.unparse(node.left) == variable
        for operator, comparator in zip(node.ops, node.comparators, strict=True)
        if isinstance(operator, ast.NotIn)
    ]
    if found == [(*THEIRS, VALUE)]:
        return True
    if found == [THEIRS]:
        return False
    raise UnrecognisedError(
        Unrecognised(where, f"{what} holds `{variable}` against {found or 'nothing'}, expected {THEIRS}")
    )


def _strings(node: ast.AST) -> list[str]:
    return [
        one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]


def _without_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def _recognise_call_site(function: ast.FunctionDef, branch: ast.If) -> None:
    oddities = []
    found = parameters_of(function)
    if found != _PARAMETERS:
        oddities.append(f"its parameters are ({', '.join(found)}), expected ({', '.join(_PARAMETERS)})")
    before = function.body[: function.body.index(branch)]
    said = [ast.unparse(node) for node in before]
    if not any("factor.clear()" in text for text in said):
        oddities.append("it does not clear `factor` before its JAX branch")
    if sum("raise ValueError" in text for text in said) != 3:
        oddities.append("it does not refuse three kinds of arguments before its JAX branch")
    calls = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    if "fnnls_cholesky" not in calls:
        oddities.append("its NumPy branch does not call `fnnls_cholesky`")
    if oddities:
        raise UnrecognisedError(*(Unrecognised(CALL_SITE, f"`{FUNCTION}`: {oddity}") for oddity in oddities))


def _recognise_callers(inversion: ast.ClassDef) -> None:
    used = function_named(CALLERS, inversion.body, USED)
    scaling = function_named(CALLERS, inversion.body, SCALING_USED)
    caller = function_named(CALLERS, inversion.body, CALLER)
    answers = {
        ast.literal_eval(node.value)
        for node in ast.walk(used)
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Constant)
    }
    oddities = []
    if not answers >= set(THEIRS) or not answers <= {*THEIRS, VALUE}:
        oddities.append(f"`{CLASS}.{USED}` answers {', '.join(sorted(map(str, answers)))}")
    if "self.use_jax" not in ast.unparse(used):
        oddities.append(f"`{CLASS}.{USED}` does not ask `self.use_jax`")
    if f"self.{USED} != '{THEIRS[0]}'" not in ast.unparse(scaling):
        oddities.append(f"`{CLASS}.{SCALING_USED}` does not ask whether `{USED}` is another than {THEIRS[0]}")
    calls = [
        node
        for node in ast.walk(caller)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == FUNCTION
    ]
    names = _named_once(caller)
    for call in calls:
        oddities += _call_oddities(call, names)
    systems = sorted(_system_of(call, names) for call in calls)
    if systems != _SYSTEMS:
        oddities.append(
            f"`{CLASS}.{CALLER}` solves {len(systems)} systems ({'; '.join(systems) or 'none'}), "
            f"expected {'; '.join(_SYSTEMS)}"
        )
    if oddities:
        raise UnrecognisedError(*(Unrecognised(CALLERS, oddity) for oddity in oddities))


def _call_oddities(call: ast.Call, names: dict[str, ast.expr]) -> list[str]:
    given = {keyword.arg or "**": _seen_through(keyword.value, names) for keyword in call.keywords}
    oddities = [f"`{CLASS}.{CALLER}` calls `{FUNCTION}` with {name}" for name in given if name not in _CALL]
    for name, expected in _CALL.items():
        if name not in given:
            oddities.append(f"`{CLASS}.{CALLER}` calls `{FUNCTION}` without {name}")
        elif expected not in (None, given[name]):
            oddities.append(f"`{CLASS}.{CALLER}` calls `{FUNCTION}` with {name}={given[name]}, not as known")
    if call.args:
        oddities.append(f"`{CLASS}.{CALLER}` calls `{FUNCTION}` with positional arguments")
    return oddities


def _system_of(call: ast.Call, names: dict[str, ast.expr]) -> str:
    vector = next((keyword.value for keyword in call.keywords if keyword.arg == "data_vector"), None)
    return "unknown" if vector is None else _seen_through(vector, names)


def _named_once(function: ast.FunctionDef) -> dict[str, ast.expr]:
    """Return what the local names of a function stand for that are assigned once."""
    assigned: dict[str, list[ast.expr]] = {}
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned.setdefault(node.targets[0].id, []).append(node.value)
    return {name: values[0] for name, values in assigned.items() if len(values) == 1}


def _seen_through(expression: ast.expr, names: dict[str, ast.expr]) -> str:
    """Return an expression as text, with the local names it uses replaced by what they stand for."""
    if isinstance(expression, ast.Name) and expression.id in names:
        return _seen_through(names[expression.id], names)
    text = ast.unparse(expression)
    for node in ast.walk(expression):
        if isinstance(node, ast.Name) and node.id in names:
            text = re.sub(rf"(?<![\w.]){node.id}\b", _seen_through(names[node.id], names), text)
    return text


def _reads_setting(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and len(node.args) == 2
        and all(isinstance(one, ast.Constant) for one in node.args)
        and ast.unparse(node.args[0]) == f"'{SETTING}'"
        and ast.literal_eval(node.args[1]) in (*THEIRS, VALUE)
    )


class _AddChoice(cst.CSTTransformer):
    """Add our value to the tuple that a variable is held against, and to the messages about them."""

    def __init__(self, variable: str) -> None:
        super().__init__()
        self._variable = variable

    def leave_Comparison(self, original_node: cst.Comparison, updated_node: cst.Comparison) -> cst.Comparison:
        held = m.Comparison(
            left=m.Name(self._variable),
            comparisons=[m.ComparisonTarget(operator=m.NotIn(), comparator=m.Tuple())],
        )
        if not m.matches(original_node, held):
            return updated_node
        values = cst.ensure_type(updated_node.comparisons[0].comparator, cst.Tuple)
        *before, last = values.elements
        comma = before[-1].comma
        ours = last.with_changes(value=cst.SimpleString(f'"{VALUE}"'))
        return cst.ensure_type(
            updated_node.with_deep_changes(values, elements=[*before, last.with_changes(comma=comma), ours]),
            cst.Comparison,
        )

    def leave_FormattedStringText(
        self, _original_node: cst.FormattedStringText, updated_node: cst.FormattedStringText
    ) -> cst.FormattedStringText:
        listed = updated_node.value.replace("'pdip' or 'certified'", f"'pdip', 'certified' or '{VALUE}'")
        return updated_node.with_changes(value=listed)

    def leave_SimpleString(
        self, _original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        truer = updated_node.value.replace("the certified solver always runs on", "the other solvers run on")
        return updated_node.with_changes(value=truer)


class _Dispatch(cst.CSTTransformer):
    """Put our case first into the JAX branch."""

    def __init__(self, case: cst.If) -> None:
        super().__init__()
        self._case = case

    def leave_If(self, original_node: cst.If, updated_node: cst.If) -> cst.If:
        starts = m.If(test=m.Call(func=m.Attribute(attr=m.Name("startswith"))))
        if not m.matches(original_node, starts):
            return updated_node
        block = cst.ensure_type(updated_node.body, cst.IndentedBlock)
        first, *others = block.body
        return updated_node.with_changes(body=block.with_changes(body=[self._case, spaced(first), *others]))


class _Default(cst.CSTTransformer):
    """Give the call that reads the setting our value as its default."""

    def leave_Call(self, original_node: cst.Call, updated_node: cst.Call) -> cst.Call:
        reads = m.Call(args=[m.Arg(m.SimpleString(f'"{SETTING}"')), m.Arg(m.SimpleString())])
        if not m.matches(original_node, reads):
            return updated_node
        name, default = updated_node.args
        return updated_node.with_changes(
            args=[name, default.with_changes(value=cst.SimpleString(f'"{VALUE}"'))]
        )
