"""What kept records say of the solvers: times against the release's own, and judgements on the corpus."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from matrix.branches.markdown import markdown_table
from matrix.errors import UsageError
from matrix.layout import REPOSITORY_ROOT

RESULTS = REPOSITORY_ROOT / "docs" / "results"

# Which files are records of what, by the schema that they name; each is read in these versions alone.
UPSTREAM, CORPUS = ("upstream*.json", "nnls-bench", 2), ("corpus*.json", "nnls-matrix/corpus-record", 1)


class _Read(BaseModel):
    # Records have more in them than is quoted here.
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Row(_Read):
    system: str
    K: int
    lanes: int
    solver: str
    times_ours: float
    residual: float


class _Metrics(_Read):
    significant: float
    source_flux: float
    inactive_flux: float


class _Judged(_Read):
    solver: str
    converged: bool
    metrics: _Metrics
    gradient_finite: bool | None


class _Examined(_Read):
    name: str
    judged: tuple[_Judged, ...]


class _Kind(_Read):
    kind: str
    family: str
    systems: tuple[_Examined, ...]
    left_out: str | None


_ROWS = TypeAdapter(tuple[_Row, ...])
_KINDS = TypeAdapter(tuple[_Kind, ...])


def measured_paragraphs(folder: Path = RESULTS) -> list[str]:
    """Tables of the records in a folder, each with the name of its record; none where there are no records.

    Raises
    ------
    UsageError
        A record is there and cannot be read: what a text leaves out should be left out knowingly.
    """
    paragraphs = []
    for path, document in _records(folder, *UPSTREAM):
        rows = _valid(_ROWS, document["rows"], path)
        paragraphs += [
            "## Against the library's own solvers\n\nSystems as the likelihoods of a release hand them over. "
            "Times are relative to `ours`, from the quickest to the slowest system, residuals the largest. "
            f"From `{path.name}`.",
            _times(rows),
        ]
    for path, document in _records(folder, *CORPUS):
        kinds = _valid(_KINDS, document["kinds"], path)
        paragraphs += [
            "## On a corpus of systems\n\nErrors are the worst over all systems of a family, against "
            f"`fnnls_cholesky`. From `{path.name}`.",
            _judgements(kinds),
            *_left_out(kinds),
        ]
    return paragraphs


def _records(folder: Path, pattern: str, schema: str, version: int) -> Iterator[tuple[Path, Any]]:
    for path in sorted(folder.glob(pattern)):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            found = document["schema"], document["version"]
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{path} is no record ({error}): make it again, or remove it") from error
        if found != (schema, version):
            raise UsageError(f"{path} is a record of {found}, not of {(schema, version)}: make it again")
        yield path, document


def _valid(adapter: TypeAdapter[Any], value: Any, path: Path) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise UsageError(f"{path} has {error.error_count()} faults: make it again, or remove it") from error


def _times(rows: Sequence[_Row]) -> str:
    headings = ("solver", "systems alone", "times ours", "batches", "times ours, per lane", "residual")
    table = []
    for solver in dict.fromkeys(row.solver for row in rows):
        mine = [row for row in rows if row.solver == solver]
        alone = [row.times_ours for row in mine if row.lanes == 1]
        batched = [row.times_ours for row in mine if row.lanes > 1]
        worst = _worst(row.residual for row in mine)
        table.append(
            (solver, str(len(alone)), _range(alone), str(len(batched)), _range(batched), f"{worst:.0e}")
        )
    return markdown_table(headings, table)


def _judgements(kinds: Sequence[_Kind]) -> str:
    headings = (
        *(
            "family",
            "solver",
            "not converged",
            "significant column",
            "source flux",
            "flux on inactive columns",
        ),
        "gradients not finite",
    )
    table = []
    for family in dict.fromkeys(kind.family for kind in kinds):
        judged = [
            one for kind in kinds if kind.family == family for system in kind.systems for one in system.judged
        ]
        for solver in dict.fromkeys(one.solver for one in judged):
            mine = [one for one in judged if one.solver == solver]
            metrics = [one.metrics for one in mine]
            table.append(
                (
                    *(family, solver, f"{sum(not one.converged for one in mine)} of {len(mine)}"),
                    f"{_worst(found.significant for found in metrics):.1e}",
                    f"{_worst(found.source_flux for found in metrics):.1e}",
                    f"{_worst(found.inactive_flux for found in metrics):.1e}",
                    str(sum(one.gradient_finite is False for one in mine)),
                )
            )
    return markdown_table(headings, table)


def _left_out(kinds: Iterable[_Kind]) -> list[str]:
    lines = [f"- {kind.kind}: {kind.left_out}" for kind in kinds if kind.left_out]
    return ["Left out of the corpus:\n\n" + "\n".join(lines)] if lines else []


def _worst(values: Iterable[float]) -> float:
    """The largest; a value that is no number is the worst of all."""
    return max((math.inf if math.isnan(value) else value for value in values), default=math.nan)


def _range(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return low if low == high else f"{low}–{high}"
