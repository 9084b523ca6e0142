"""The miniature library and solver as fixtures."""

from pathlib import Path

import pytest

from tests.prepare.change.miniature import make_library, make_solver


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return make_library(tmp_path / "library")


@pytest.fixture
def solver(tmp_path: Path) -> Path:
    return make_solver(tmp_path / "solver")
