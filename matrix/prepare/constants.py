"""Recorded constants in the developer workspace's pipeline scripts, found and rewritten by syntax tree."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from matrix.catalogue.pipelines import pipeline_named
from matrix.ground.errors import UsageError
from matrix.ground.files import inside
from matrix.run.plan import Constant

CONSTANT = re.compile(r"EXPECTED_LOG_(EVIDENCE|LIKELIHOOD)(_(?P<suffix>[A-Z0-9_]+))?")
_LINE_ENDS = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"


class _Entry(NamedTuple):
    """One value among a script's constants.

    Its label as Python says it, what stands behind `EXPECTED_LOG_EVIDENCE_`, the keys that lead to it in a
    dict (none for a number by itself), and its node.
    """

    label: str
    suffix: str | None
    keys: tuple[str, ...]
    node: ast.expr

    def is_of(self, instrument: str) -> bool:
        """Whether it is this instrument's evidence, and not another quantity's that is pinned beside it."""
        if self.keys:
            return self.suffix is None and self.keys[0] == instrument
        return self.suffix == instrument.upper()


def read_constant(workspace: Path, name: str, scale: str, *, stand_in: bool = False) -> Constant:
    """The constant recorded for the pipeline `name` at `scale`.

    The scripts hold it as `EXPECTED_LOG_EVIDENCE_HST = <float>` (or `..._LIKELIHOOD_...`), or as a dict
    `EXPECTED_LOG_EVIDENCE = {"sma": <float or None>, ...}`, which may be nested; at smoke scale the
    instrument is called `HST_SMOKE` or `"sma_smoke"`. Other suffixes, as `_HST_STEP_BY_STEP`, are other
    quantities.

    Parameters
    ----------
    workspace, name, scale
        Root of the workspace, which pipeline, at which scale.
    stand_in
        Whether it is our stand-in of the workspace, which records constants at smoke scale too. Of a new
        pipeline it has no script, and so no constant.

    Raises
    ------
    UsageError
        The workspace has no such script, it is not Python, its constant is no number or is there twice.
    """
    pipeline = pipeline_named(name)
    instrument = pipeline.instrument + ("_smoke" if scale == "smoke" else "")
    script = inside(workspace, pipeline.script)
    unheld = "" if pipeline.is_on_its_own_instrument else f"none is recorded for {pipeline.instrument}"
    label, value = None, None
    if stand_in and not script.is_file():
        unheld = f"the stand-in has no {pipeline.script}"
    else:
        label, value = constant_in(script, instrument)
    return Constant(
        name=label or f"EXPECTED_LOG_EVIDENCE_{instrument.upper()}",
        value=value,
        script=str(pipeline.script),
        required=not unheld and (scale == "production" or stand_in),
        unheld=unheld,
    )


def of_other_data(constant: Constant, folder: str) -> Constant:
    """The constant where the data are a person's own, of which it says nothing."""
    said = f"the data are those of {folder}, and none is recorded for them"
    return constant.model_copy(update={"value": None, "required": False, "unheld": said})


def constant_in(path: Path, instrument: str) -> tuple[str, float | None]:
    """An instrument's constant in a script: its name, empty without one, and its value.

    Raises
    ------
    UsageError
        There is no such script, it is not Python, its constant is no number or is there twice.
    """
    found = [entry for entry in _entries(_read(path), path) if entry.is_of(instrument)]
    if len(found) > 1:
        names = ", ".join(f"{entry.label} (line {entry.node.lineno})" for entry in found)
        raise UsageError(f"{path} records more than one constant of {instrument}: {names}. Keep one of them.")
    return (found[0].label, _value(found[0], path)) if found else ("", None)


def rewrite_constant(path: Path, name: str, value: float) -> bytes:
    """Return the bytes of a script with one constant set to another value.

    Parameters
    ----------
    path
        The script, encoded in UTF-8.
    name
        As `Constant.name`: `EXPECTED_LOG_EVIDENCE_HST`, or `EXPECTED_LOG_EVIDENCE['sma']` for a dict's value.
    value
        Log evidence or log likelihood, written with all the digits that tell it from its neighbours.

    Returns
    -------
    bytes
        Everything but the number itself as it was: parentheses, comments, line ends.

    Raises
    ------
    UsageError
        The script does not hold `name` exactly once, or `value` is not finite.
    """
    if not math.isfinite(value):
        raise UsageError(f"{path}: {name} cannot become {value}, which is not a finite number")
    content = _read(path)
    found = [entry for entry in _entries(content, path) if entry.label == name]
    if len(found) != 1:
        raise UsageError(f"{path} assigns {name} {len(found)} times: it must be there exactly once")
    start, end = _span(content, found[0].node)
    changed = content[:start] + repr(value).encode() + content[end:]
    if [_value(entry, path) for entry in _entries(changed, path) if entry.label == name] != [value]:
        raise UsageError(
            f"{path}: {name} is written in a way that cannot be changed safely; change it by hand"
        )
    return changed


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}: is the checkout's ref one that holds this script?") from error


def _entries(content: bytes, path: Path) -> Iterator[_Entry]:
    """Yield every module-level constant of a script, a dict value by value."""
    try:
        module = ast.parse(content)
    except SyntaxError as error:
        raise UsageError(f"{path}, line {error.lineno}: not valid Python ({error.msg})") from error
    for name, value in _assignments(module):
        match = CONSTANT.fullmatch(name)
        if match:
            yield from _assigned(_Entry(name, match["suffix"], (), value))


def _assignments(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for statement in module.body:
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            yield from ((target.id, statement.value) for target in targets if isinstance(target, ast.Name))


def _assigned(entry: _Entry) -> Iterator[_Entry]:
    """Yield an entry, or where it is a dict every value in it."""
    if not isinstance(entry.node, ast.Dict):
        yield entry
        return
    for key, value in zip(entry.node.keys, entry.node.values, strict=True):
        if isinstance(key, ast.Constant):
            inner = (*entry.keys, str(key.value))
            yield from _assigned(_Entry(f"{entry.label}[{key.value!r}]", entry.suffix, inner, value))


def _value(entry: _Entry, path: Path) -> float | None:
    try:
        value = ast.literal_eval(entry.node)
        return None if value is None else float(value)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{path}, line {entry.node.lineno}: {entry.label} = {ast.unparse(entry.node)} is neither a "
            "number nor None. Write the recorded value itself."
        ) from error


def _span(content: bytes, node: ast.expr) -> tuple[int, int]:
    """First and last byte of a node; its line and column count from 1 and 0, the column in bytes."""
    starts = [0, *(match.end() for match in _LINE_ENDS.finditer(content))]
    # Columns of the first line do not count a byte order mark.
    starts[0] = len(_BOM) if content.startswith(_BOM) else 0
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
