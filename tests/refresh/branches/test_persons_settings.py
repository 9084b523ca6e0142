"""Patches made under a person's Git settings are taken by a plain Git."""

import os
import subprocess
from pathlib import Path

from tests.persons_settings import SETTINGS
from tests.refresh.branches.world import DEVELOPER, LIBRARY, TEST, World

PLAIN = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}


def test_patches_apply(world: World, person: Path, tmp_path: Path) -> None:
    with person.open("a") as stream:
        stream.writelines(SETTINGS.values())
    assert world.run() == 0
    for repository in (LIBRARY, DEVELOPER, TEST):
        clone = tmp_path / "apply" / repository
        subprocess.run(["git", "clone", "-q", str(world.remote(repository)), str(clone)], check=True)
        patches = sorted((world.out / f"{repository}-patches").glob("*"))
        assert len(patches) == len(world.commits(repository))
        command = ["git", "am", "-q", "--keep-cr", *map(str, patches)]
        subprocess.run(command, cwd=clone, check=True, env={**os.environ, **PLAIN})
