"""Real datasets, result files and systems: the small ones, and where more systems are found."""

import os
from pathlib import Path

import pytest

REAL = Path(__file__).parent
DATASETS = REAL / "datasets"
ARTIFACTS = REAL / "artifacts"
MORE_SYSTEMS = "NNLS_REAL_SYSTEMS"


def real_systems(pattern: str) -> list[Path]:
    """Files of systems, kept here or in the folder that `NNLS_REAL_SYSTEMS` names.

    The test is skipped where no file fits the pattern.
    """
    folders = [REAL / "systems"]
    if more := os.environ.get(MORE_SYSTEMS):
        folders.append(Path(more))
    found = sorted(path for folder in folders for path in folder.glob(f"{pattern}.npz"))
    if not found:
        pytest.skip(f"no real system {pattern} here: {MORE_SYSTEMS} may name a folder of them")
    return found
