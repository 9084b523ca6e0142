"""Records of the diagnoses as files: typed data with a versioned JSON form."""

from pathlib import Path
from typing import Any, TypeVar

from matrix.ground.files import write_text
from matrix.records import typed_json

Diagnosis = TypeVar("Diagnosis")


def write_diagnosis(path: Path, record: Any) -> None:
    """Write a record of one of the diagnoses, whole or not at all; its class says the schema."""
    write_text(path, typed_json.to_text(record, record.SCHEMA, record.VERSION))


def read_diagnosis(path: Path, kind: type[Diagnosis]) -> Diagnosis:
    """Read the record of a diagnosis at `path`.

    Parameters
    ----------
    kind
        Class of the record, with its schema and version.

    Raises
    ------
    RecordError
        The file is missing, or no such record of this version.
    """
    return typed_json.read(path, kind, kind.SCHEMA, kind.VERSION)  # type: ignore[attr-defined]
