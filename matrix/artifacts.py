"""Recorded constants of the developer workspace, read from its pipeline scripts."""

import ast
import re
from pathlib import Path

from matrix.errors import UsageError
from matrix.pipelines import pipeline_named
from matrix.plan import Constant

CONSTANT = re.compile(r"EXPECTED_LOG_(EVIDENCE|LIKELIHOOD)(_(?P<suffix>[A-Z0-9_]+))?")


def read_constant(workspace: Path, name: str, scale: str) -> Constant:
    """The constant recorded for the pipeline `name` at `scale`.

    The scripts hold it as `EXPECTED_LOG_EVIDENCE_HST = <float>` (or `..._LIKELIHOOD_...`), or as a dict
    `EXPECTED_LOG_EVIDENCE = {"sma": <float or None>, ...}`; at smoke scale the instrument is
    called `HST_SMOKE` or `"sma_smoke"`.

    Raises
    ------
    UsageError
        The workspace has no such script, or it is not Python.
    """
    pipeline = pipeline_named(name)
    path = workspace / pipeline.script
    instrument = pipeline.instrument + ("_smoke" if scale == "smoke" else "")
    required = scale == "production"
    script = str(pipeline.script)
    for constant, node in _constants(path).items():
        if isinstance(node, ast.Dict):
            entries = ast.literal_eval(node)
            if instrument in entries:
                label = f"{constant}[{instrument!r}]"
                return Constant(name=label, value=entries[instrument], script=script, required=required)
        elif constant.endswith(f"_{instrument.upper()}"):
            value = ast.literal_eval(node)
            return Constant(name=constant, value=value, script=script, required=required)
    expected = f"EXPECTED_LOG_EVIDENCE_{instrument.upper()}"
    return Constant(name=expected, value=None, script=script, required=required)


def _constants(path: Path) -> dict[str, ast.expr]:
    """Module-level constants of a script, by name."""
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(
            f"the developer workspace has no {path}: is its ref one that holds the six pipelines?"
        ) from error
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from error
    found = {}
    for statement in module.body:
        if not isinstance(statement, ast.Assign):
            continue
        for target in statement.targets:
            if isinstance(target, ast.Name) and CONSTANT.fullmatch(target.id):
                found[target.id] = statement.value
    return found
