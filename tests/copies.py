"""This project copied as a clone would have it: without what runs and tools leave in a working tree."""

import shutil
from pathlib import Path

from matrix.ground.layout import REPOSITORY_ROOT

_LEFT_BEHIND = (".git", ".matrix", ".nox", ".venv", "__pycache__", ".*_cache", ".hypothesis")


def copy_project(folder: Path) -> Path:
    """Copy it into a folder, which may be there already; return the folder."""
    ignored = shutil.ignore_patterns(*_LEFT_BEHIND)
    return shutil.copytree(REPOSITORY_ROOT, folder, ignore=ignored, dirs_exist_ok=True)
