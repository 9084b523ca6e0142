"""Records of the diagnoses as files: typed data with a versioned JSON form."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from matrix.ground.files import write_text
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.ground.redaction import without_folders
from matrix.records import typed_json


def write_diagnosis(path: Path, record: Any) -> None:
    """Write a record of one of the diagnoses, whole or not at all; its class says the schema.

    No folder of this machine is named in it.
    """
    text = typed_json.to_text(record)
    write_text(path, without_folders(text, _folders(path.parent.resolve())))


def _folders(here: Path) -> dict[Path, str]:
    """Folders that a message may name, each with the word for it."""
    ours = [place for place in here.parents if (place / "runs").is_dir()]
    return {
        Path(tempfile.gettempdir()): "TMP",
        Path.home(): "~",
        Path(sys.prefix): "ENVIRONMENT",
        **dict.fromkeys(ours, ".matrix"),
        REPOSITORY_ROOT: ".",
        here: ".",
    }
