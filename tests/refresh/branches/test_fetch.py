"""Not the machine that ran the matrix: its records and the remotes are enough to make the branches."""

import shutil
from pathlib import Path

import pytest

from matrix.commands import fetch
from tests.refresh.branches.world import DEVELOPER, LIBRARY, World, make_world


@pytest.fixture
def elsewhere(tmp_path: Path, solver: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world whose folder holds nothing but the run."""
    monkeypatch.setattr(fetch, "SOLVER", solver)
    world = make_world(tmp_path, solver)
    for path in world.root.iterdir():
        if path.name != "runs":
            shutil.rmtree(path)
    return world


def fetched(world: World) -> int:
    return fetch.main(["fp64", f"--root={world.root}", f"--manifest={world.manifest}"])


def test_branches_are_made_from_records_and_remotes_alone(elsewhere: World) -> None:
    assert fetched(elsewhere) == 0
    assert elsewhere.run() == 0
    assert elsewhere.commits(LIBRARY) and elsewhere.commits(DEVELOPER)
    assert not list((elsewhere.root / "environments").iterdir())


def test_stand_ins_are_not_fetched(elsewhere: World, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fp64", f"--root={elsewhere.root}", "--source=embedded"]
    assert fetch.main(words) == 2
    assert "running their code" in capsys.readouterr().err
