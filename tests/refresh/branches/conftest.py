"""A person with a Git identity, and a world of small repositories."""

from pathlib import Path

import pytest

from matrix.commands import refresh_artifacts as refresh
from matrix.refresh.artifacts import plots
from tests.prepare.change.miniature import make_solver
from tests.refresh.branches.world import World, make_world


@pytest.fixture(autouse=True)
def person(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Git configuration of their own; returns its path."""
    config = tmp_path_factory.mktemp("person") / "gitconfig"
    config.write_text("[user]\n\tname = Ada Person\n\temail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("PYAUTO_ROOT", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    return config


@pytest.fixture(autouse=True)
def quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars take a second to draw per run; that they are right is seen elsewhere."""
    monkeypatch.setattr(plots, "draw_config", lambda *_: b"\x89PNG one")
    monkeypatch.setattr(plots, "draw_comparison", lambda *_: b"\x89PNG all")


@pytest.fixture
def solver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The miniature solver, in the real one's place."""
    made = make_solver(tmp_path / "solver")
    monkeypatch.setattr(refresh, "SOLVER", made)
    return made


@pytest.fixture
def world(tmp_path: Path, solver: Path) -> World:
    return make_world(tmp_path, solver)
