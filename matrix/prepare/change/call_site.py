"""The call site of the solver: `reconstruction_positive_only_from` in `inversion_util.py`."""

import ast

import libcst as cst
import libcst.matchers as m

from matrix.prepare.change.recognition import (
    Unrecognised,
    UnrecognisedError,
    function_named,
    need_imported,
    parameters_of,
    parse,
    same_code,
)
from matrix.prepare.change.templating import (
    ReplaceFunction,
    function_in,
    parse_like,
    template_text,
    with_appended,
)

PATH = "autoarray/inversion/inversion/inversion_util.py"
FUNCTION = "reconstruction_positive_only_from"
CONFIG_READER = "nnls_config_from"
TEMPLATE = "inversion_util.py"
NEW_PARAMETER = "dense_columns"

_DRIVER = "autoarray.util.jax_nnls"
_PARAMETERS = ["data_vector", "curvature_reg_matrix", "settings", "xp"]
_CONFIG_KEYS = {"general", "inversion", "nnls_jacobi_preconditioning", "nnls_target_kappa"}
_FREE_NAMES = {"xp", "data_vector", "curvature_reg_matrix", "KeyError"}
_SOLVER_KEYWORDS = {"target_kappa"}
# All that the known branch computes: the Jacobi scaling with D = 1 / sqrt(diag(Q)).
_ARRAY_FUNCTIONS = {"__name__", "sqrt", "diag"}
_NUMBERS = {"1.0", "1e-11"}
_OPERATORS = {"Mult", "Div"}


def switch_call_site(source: str) -> str:
    """Return `inversion_util.py` with the JAX branch of the positive-only solve switched over.

    The function keeps its name and its parameters and gains the optional `dense_columns`; its docstring tells
    what either branch does; the branch of NumPy stays as it is. Source that is already switched is returned
    unchanged.

    Raises
    ------
    UnrecognisedError
        The signature, the JAX branch or the NumPy branch is not as known. A JAX branch is known when it does
        nothing but read two config keys and call `jaxnnls.solve_nnls_primal`, whatever its layout, so that
        nothing else a branch may do gets lost.
    """
    tree = parse(PATH, source)
    function = function_named(PATH, tree.body, FUNCTION)
    branch = jax_branch(function)
    if _is_switched(function, branch):
        function_named(PATH, tree.body, CONFIG_READER)
        return source
    need_imported(PATH, tree, ("List", "Optional"))
    _recognise(function, branch)
    return _rewrite(source, config_import(branch))


def calls_driver(source: str) -> bool:
    """Tell whether an `inversion_util.py` calls a module of the library's own that wraps jaxnnls."""
    try:
        function = function_named(PATH, parse(PATH, source).body, FUNCTION)
    except UnrecognisedError:
        return False
    return any(isinstance(node, ast.ImportFrom) and node.module == _DRIVER for node in ast.walk(function))


def jax_branch(function: ast.FunctionDef) -> ast.If:
    """Return the branch of the solving function that runs on the JAX backend.

    Raises
    ------
    UnrecognisedError
        There is none, or more than one.
    """
    found = [
        node
        for node in function.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "xp.__name__.startswith('jax')"
    ]
    if len(found) != 1:
        raise UnrecognisedError(
            Unrecognised(
                PATH, f'`{FUNCTION}` has {len(found)} branches `if xp.__name__.startswith("jax")`, not one'
            )
        )
    return found[0]


def _is_switched(function: ast.FunctionDef, branch: ast.If) -> bool:
    if NEW_PARAMETER not in parameters_of(function):
        return False
    template = function_named(TEMPLATE, ast.parse(template_text(TEMPLATE)).body, FUNCTION)
    if same_code(branch, jax_branch(template)):
        return True
    raise UnrecognisedError(
        Unrecognised(PATH, f"`{FUNCTION}` has `{NEW_PARAMETER}` but another JAX branch than vendoring writes")
    )


def _recognise(function: ast.FunctionDef, branch: ast.If) -> None:
    oddities = [*_signature_oddities(function), *_branch_oddities(branch)]
    calls = {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    if "fnnls_cholesky" not in calls:
        oddities.append("its NumPy branch does not call `fnnls_cholesky`")
    if oddities:
        raise UnrecognisedError(*(Unrecognised(PATH, f"`{FUNCTION}`: {oddity}") for oddity in oddities))


def _signature_oddities(function: ast.FunctionDef) -> list[str]:
    found = parameters_of(function)
    if found == _PARAMETERS:
        return []
    return [f"its parameters are ({', '.join(found)}), expected ({', '.join(_PARAMETERS)})"]


def _branch_oddities(branch: ast.If) -> list[str]:
    imports = [node for node in branch.body if isinstance(node, ast.Import | ast.ImportFrom)]
    solver = [node for node in imports if ast.unparse(node) == "import jaxnnls"]
    config = [node for node in imports if _imports_conf(node)]
    oddities = [
        f"its JAX branch has `{ast.unparse(node)}`" for node in imports if node not in (*solver, *config)
    ]
    if not solver:
        oddities.append("its JAX branch does not `import jaxnnls`")
    if len(config) != 1:
        oddities.append("its JAX branch does not import `conf` once")

    texts = (node.value for node in ast.walk(branch) if isinstance(node, ast.Constant))
    keys = {text for text in texts if isinstance(text, str)} - {"jax"}
    oddities += _listed("its JAX branch has the unknown keys", keys - _CONFIG_KEYS)
    oddities += _listed("its JAX branch does not read the keys", _CONFIG_KEYS - keys)
    oddities += _listed("its JAX branch uses the unknown names", _free_names(branch) - _FREE_NAMES)

    oddities += _listed("its JAX branch computes with", _arithmetic(branch))
    for node in ast.walk(branch):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "jaxnnls":
            if node.attr != "solve_nnls_primal":
                oddities.append(f"its JAX branch calls `jaxnnls.{node.attr}`")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "jaxnnls.solve_nnls_primal":
            extra = {keyword.arg or "**" for keyword in node.keywords} - _SOLVER_KEYWORDS
            oddities += _listed("its JAX branch gives the solver", extra)
    if branch.orelse:
        oddities.append("its JAX branch has an `else`")
    return oddities


def _arithmetic(branch: ast.If) -> set[str]:
    """Return the array functions, numbers and operators of a branch that the known one does not have."""
    found: set[str] = set()
    for node in ast.walk(branch):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "xp":
            found |= {f"xp.{node.attr}"} if node.attr not in _ARRAY_FUNCTIONS else set()
        elif isinstance(node, ast.BinOp | ast.UnaryOp):
            found |= {type(node.op).__name__} - _OPERATORS
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            found |= {repr(node.value)} - _NUMBERS
    return found


def _listed(what: str, names: set[str]) -> list[str]:
    return [f"{what} {', '.join(sorted(names))}"] if names else []


def _imports_conf(node: ast.AST) -> bool:
    return isinstance(node, ast.ImportFrom) and [alias.name for alias in node.names] == ["conf"]


def _free_names(branch: ast.If) -> set[str]:
    names = [node for node in ast.walk(branch) if isinstance(node, ast.Name)]
    bound = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {"jaxnnls", "conf"}
    return {node.id for node in names} - bound


def config_import(branch: ast.If) -> str:
    """Return the statement by which a JAX branch imports the configuration: its package was renamed once.

    Raises
    ------
    UnrecognisedError
        It has none.
    """
    found = [ast.unparse(node) for node in ast.walk(branch) if _imports_conf(node)]
    if not found:
        raise UnrecognisedError(Unrecognised(PATH, f"`{FUNCTION}`: its JAX branch does not import `conf`"))
    return found[0]


def _rewrite(source: str, importing: str) -> str:
    module = cst.parse_module(source)
    text = template_text(TEMPLATE).replace("from autoconf import conf", importing)
    template = parse_like(text, module)
    ours, reader = function_in(template, FUNCTION), function_in(template, CONFIG_READER)
    theirs = function_in(module, FUNCTION)

    parameters = with_appended(theirs.params.params, ours.params.params[-1])
    docstring, branch, _ = ours.body.body
    statements = list(theirs.body.body)[1 if theirs.get_docstring() is not None else 0 :]
    body = [docstring, *(branch if _is_jax_branch(node) else node for node in statements)]
    switched = theirs.with_changes(
        params=theirs.params.with_changes(params=parameters), body=theirs.body.with_changes(body=body)
    )
    return module.visit(ReplaceFunction(theirs, [reader, switched])).code


def _is_jax_branch(node: cst.CSTNode) -> bool:
    return m.matches(node, m.If(test=m.Call(func=m.Attribute(attr=m.Name("startswith")))))
