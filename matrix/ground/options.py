"""Options that several commands have."""

import argparse
import os
from pathlib import Path


def add_root(parser: argparse.ArgumentParser) -> None:
    """Let the caller say which folder is ours."""
    parser.add_argument("--root", type=Path, default=_ours(), help="our working folder (default .matrix)")


def add_record(parser: argparse.ArgumentParser, name: str) -> None:
    """Let the caller say where a record is kept, which is under our folder where they do not."""
    default = _ours() / name / f"{name}.json"
    said = f"the record; its table and picture go beside it (default .matrix/{name}/{name}.json)"
    parser.add_argument("--record", dest="output", type=Path, default=default, help=said)


def _ours() -> Path:
    return Path(os.environ.get("MATRIX_ROOT", ".matrix"))
