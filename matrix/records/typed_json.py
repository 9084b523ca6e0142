"""Records as standard JSON: a dataclass with a schema and a version, written and read strictly."""

import dataclasses
import datetime
import functools
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from matrix.ground.errors import MatrixError
from matrix.ground.files import LARGEST_DOCUMENT, read_text, write_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Kind = TypeVar("Kind")

_PLACES_NAMED = 5
_NONFINITE = ("nan", "inf", "-inf")


class RecordError(MatrixError):
    """A record file cannot be read: it is damaged, foreign, or from another version."""


@dataclass_transform(frozen_default=True)
def closed(kind: type[Kind]) -> type[Kind]:
    """Make a class a frozen dataclass of records; reading refuses a key that this version does not know."""
    made = dataclasses.dataclass(frozen=True)(kind)
    made.__pydantic_config__ = {"extra": "forbid"}  # type: ignore[attr-defined]
    return made


def to_text(record: Any) -> str:
    """Write a dataclass as JSON; floats that are not finite become {"nonfinite": "nan"}.

    Its class says the schema and the version, as `SCHEMA` and `VERSION`.
    """
    document = {"schema": record.SCHEMA, "version": record.VERSION, **dataclasses.asdict(record)}
    return json.dumps(_encoded(document), indent=2, allow_nan=False) + "\n"


def from_text(text: str, kind: type[Kind], origin: str) -> Kind:
    """Read what `to_text` wrote, strictly.

    Parameters
    ----------
    kind
        Class of the record, with its `SCHEMA` and `VERSION`.
    origin
        How messages call the text, usually its path.

    Raises
    ------
    RecordError
        The text is no JSON, no such record, from another version, or has a missing, unknown or ill-typed key.
    """
    schema, version = kind.SCHEMA, kind.VERSION  # type: ignore[attr-defined]
    # Only the driver's environment has pydantic; the sides' environments write records but never read them.
    import pydantic

    try:
        document = json.loads(text, object_hook=_decoded, parse_constant=_refused)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{origin} is not valid JSON ({error}). Remove it and make it again.") from error
    if not isinstance(document, dict) or document.pop("schema", None) != schema:
        name = schema.rpartition("/")[2].replace("-", " ")
        raise RecordError(f"{origin} is not a {name}: its schema is not {schema!r}.")
    found = document.pop("version", None)
    if found != version:
        raise RecordError(
            f"{origin} has record version {found!r}, this program reads version {version}. "
            "Update the program, or make the record again."
        )
    try:
        # Through JSON once more, since pydantic accepts lists for tuples in strict mode from JSON alone.
        # mypy takes a class for unhashable here.
        adapter = _adapter(kind)  # type: ignore[arg-type]
        record: Kind = adapter.validate_json(json.dumps(document), strict=True)
    except RecursionError as error:
        raise RecordError(f"{origin} is nested too deeply to be a record.") from error
    except pydantic.ValidationError as error:
        places = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
            for problem in error.errors()[:_PLACES_NAMED]
        )
        raise RecordError(f"{origin} does not fit the record's schema: {places}.") from error
    return record


def read(path: Path, kind: type[Kind]) -> Kind:
    """Read the record at `path`.

    Raises
    ------
    RecordError
        The file is missing or not such a record of this version.
    """
    try:
        text = read_text(path, most=LARGEST_DOCUMENT)
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"cannot read the record {path}: {error}.") from error
    return from_text(text, kind, str(path))


def write(path: Path, record: Any) -> None:
    """Write a record to `path`, whole or not at all."""
    write_text(path, to_text(record))


def is_moment(text: str) -> bool:
    """Whether a text is a time in ISO form, with its zone, that can be reckoned with."""
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return found.tzinfo is not None and 2000 <= found.year < 3000


@functools.cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _encoded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _encoded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encoded(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"nonfinite": repr(value)}
    return value


def _decoded(mapping: dict[str, Any]) -> Any:
    if set(mapping) != {"nonfinite"}:
        return mapping
    if mapping["nonfinite"] not in _NONFINITE:
        raise ValueError(f"{mapping['nonfinite']!r} is not one of {', '.join(_NONFINITE)}")
    return float(mapping["nonfinite"])


def _refused(token: str) -> None:
    raise ValueError(f"{token} is not standard JSON")
