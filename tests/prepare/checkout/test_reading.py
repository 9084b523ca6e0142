"""GitPython reads what Git would say, and starts nothing but what our runner starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure
from matrix.prepare.checkout.reading import has_commit, reading
from tests.prepare.checkout.helpers import make_repository, run_git

LEADING_ELSEWHERE = {
    "GIT_DIR": ".git",
    "GIT_COMMON_DIR": ".git",
    "GIT_OBJECT_DIRECTORY": ".git/objects",
    "GIT_WORK_TREE": ".",
    "GIT_INDEX_FILE": ".git/index",
}
LOOK = """
import sys
from pathlib import Path
from matrix.prepare.checkout.reading import reading
with reading(Path(sys.argv[1])) as repository:
    print(repository.head.commit.summary, repository.is_dirty(untracked_files=True))
    print([commit.summary for commit in repository.iter_commits()])
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "here")


def test_commits_trees_and_what_contains_what(here: Path) -> None:
    tip, first = run_git(here, "rev-parse", "main"), run_git(here, "rev-parse", "main~1")
    with reading(here) as repository:
        assert repository.commit("refs/heads/main").hexsha == tip
        assert [commit.summary for commit in repository.iter_commits("main", reverse=True)] == [
            "first",
            "second",
        ]
        assert repository.commit(first).tree.hexsha == run_git(here, "rev-parse", "main~1^{tree}")
        assert repository.is_ancestor(repository.commit(first), repository.commit(tip))
        assert not repository.is_ancestor(repository.commit(tip), repository.commit(first))
        assert has_commit(repository, tip)
        assert not has_commit(repository, "0" * 40)
        assert not repository.is_dirty(untracked_files=True)
        (here / "new.txt").write_text("new\n")
        assert repository.is_dirty(untracked_files=True)


def test_variables_that_lead_elsewhere_have_no_effect(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = make_repository(tmp_path / "elsewhere")
    run_git(elsewhere, "commit", "--quiet", "--allow-empty", "-m", "another")
    for name, place in LEADING_ELSEWHERE.items():
        monkeypatch.setenv(name, str(elsewhere / place))
    before = dict(os.environ)
    with reading(here) as repository:
        assert repository.head.commit.summary == "second"
        assert repository.working_tree_dir == str(here)
    assert dict(os.environ) == before


def test_no_git_sees_a_token_nor_the_persons_variables(here: Path, tmp_path: Path) -> None:
    programs, seen = tmp_path / "programs", tmp_path / "seen"
    programs.mkdir()
    program = programs / "git"
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    program.write_text(f'#!/bin/sh\necho "ARGUMENTS $*" >> {seen}\nenv >> {seen}\nexec {real} "$@"\n')
    program.chmod(0o755)
    said = {"GH_TOKEN": "t0ken-of-a-person", "GIT_TRACE_SETUP": "1", "GIT_EXTERNAL_DIFF": "false"}
    environment = {**os.environ, **said, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    root = Path(__file__).parents[3]
    words = [sys.executable, "-c", LOOK, str(here)]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["second False", "['second', 'first']"]
    calls = seen.read_text().split("ARGUMENTS ")[1:]
    # Git alone is asked for the person's configuration, as it is for them.
    looks = [call for call in calls if " config --list --includes " not in call]
    assert len(looks) > 3
    for call in looks:
        assert "core.hooksPath=" in call
        assert "t0ken" not in call
        assert not [name for name in said if f"{name}=" in call]


def test_what_is_no_repository_is_said(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="not a git repository"), reading(tmp_path):
        pass


def test_an_object_that_is_not_there_is_said(here: Path) -> None:
    with pytest.raises(EnvironmentFailure, match="cannot be read"), reading(here) as repository:
        repository.commit("0" * 40).tree  # noqa: B018 (what is asked for is read here)
