"""Git with a configuration that is only the test's, and three repositories to check out."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.prepare.manifest import Manifest
from tests.prepare.checkout.helpers import NAMES, RELEASE, Upstream, make_repository


@pytest.fixture(autouse=True)
def git_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Git a configuration that is only the test's."""
    configuration = tmp_path / "gitconfig"
    configuration.write_text("[user]\n\tname = A Person\n\temail = person@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR_", "GIT_COMMITTER_"))]:
        monkeypatch.delenv(name)
    return configuration


@pytest.fixture
def make_manifest() -> Callable[..., Manifest]:
    """Return a function that makes a manifest of the three repositories, keys replaced as given."""

    def make(**changes: object) -> Manifest:
        roles = zip(NAMES, ("library", "developer", "test"), strict=True)
        document: dict[str, object] = {
            "schema": 1,
            "task": "nnls-vmap-speedup",
            "branch": "feature/nnls-vmap-speedup",
            "release": RELEASE,
            "git_timeout": 5,
            "repositories": [
                {
                    "name": name,
                    "role": role,
                    "url": f"https://forge.invalid/PyAutoLabs/{name}",
                    "ref": "main",
                    "formerly": [f"Jammy2211/{name}"],
                }
                for name, role in roles
            ],
        }
        return Manifest.model_validate(document | changes)

    return make


@pytest.fixture
def upstream(tmp_path: Path, make_manifest: Callable[..., Manifest]) -> Upstream:
    """Return three real repositories laid out as a mirror, `owner/name`."""
    folder = tmp_path / "upstream"
    for name in NAMES:
        make_repository(folder / "PyAutoLabs" / name)
    return Upstream(folder, make_manifest(source="mirror", mirror=str(folder)))
