"""Links that are committed in a repository: what they point to is neither read nor overwritten."""

import shutil
from pathlib import Path

import pytest

from tests.refresh.branches.world import ASSERTIONS, DEVELOPER, TEST, World, make_world, run_git, run_on

RESULTS = "jax_profiling/results/jit/imaging/mge"


def with_link(world: World, name: str, path: str, target: Path) -> World:
    """The world with a link in a repository, and a run of that commit."""
    world.commit_at_remote(name, "main", "note.txt")
    clone = world.folder / "somebody" / name
    link = clone / path
    link.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
    link.symlink_to(target)
    run_git(clone, "add", "--all", "--force")
    run_git(clone, "commit", "--quiet", "-m", "a link")
    run_git(clone, "push", "--quiet", "origin", "main")
    world.plan = run_on(world.folder, world.solver)
    return world


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "home" / "secret.json"
    path.parent.mkdir()
    path.write_text('{"token": "t0ken"}\n')
    return path


@pytest.mark.parametrize(
    ("name", "path", "to_folder"),
    [
        (DEVELOPER, f"{RESULTS}/local_cpu_fp64.png", False),
        (DEVELOPER, f"{RESULTS}/other_gpu_fp64.json", False),
        (DEVELOPER, "jax_profiling/results", True),
        (TEST, ASSERTIONS, False),
    ],
)
def test_a_committed_link_is_refused_with_its_path(
    tmp_path: Path,
    solver: Path,
    secret: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    path: str,
    to_folder: bool,
) -> None:
    world = with_link(make_world(tmp_path, solver), name, path, secret.parent if to_folder else secret)
    assert world.run() == 2
    said = capsys.readouterr().err
    assert f"{world.tree(name) / path} is a symbolic link" in said
    assert secret.read_text() == '{"token": "t0ken"}\n'
    assert [one.name for one in secret.parent.iterdir()] == [secret.name]
    results = [path for path in world.tree(DEVELOPER).rglob("*.json") if not path.is_symlink()]
    assert not any("t0ken" in path.read_text() for path in results)
