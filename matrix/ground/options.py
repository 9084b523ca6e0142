"""The option that every command has."""

import argparse
import os
from pathlib import Path


def add_root(parser: argparse.ArgumentParser) -> None:
    """Let the caller say which folder is ours."""
    default = Path(os.environ.get("MATRIX_ROOT", ".matrix"))
    parser.add_argument("--root", type=Path, default=default, help="our working folder (default .matrix)")
