"""Pushes to real remotes, over file:// and over HTTP with a password, and everything that stops one."""

import json
from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.refresh.branches.push import check_branch
from tests.refresh.branches.http import serve
from tests.refresh.branches.world import BRANCH, DEVELOPER, LIBRARY, TEST, World, run_git, write_manifest

TRIO = (LIBRARY, DEVELOPER, TEST)


def tips(world: World) -> dict[str, str]:
    return {name: world.pushed(name) for name in TRIO}


def test_push_and_push_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    mains = {name: run_git(world.remote(name), "rev-parse", "main") for name in TRIO}
    assert world.run("--push") == 0
    assert tips(world) == {name: world.head(name) for name in TRIO}
    assert {name: run_git(world.remote(name), "rev-parse", "main") for name in TRIO} == mains
    text = (world.out / f"{TEST}.md").read_text()
    assert text.count("pushed at `") == 3
    assert "not pushed" not in text
    before = tips(world)
    assert world.run("--push") == 0
    assert tips(world) == before
    capsys.readouterr()
    assert world.run() == 0
    assert capsys.readouterr().out.count("is there already") == 3


def test_second_of_three_fails_and_the_next_run_goes_on(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    hook = world.remote(DEVELOPER) / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'frozen for release' >&2\nexit 1\n")
    hook.chmod(0o755)
    assert world.run("--push") == 2
    assert f"{DEVELOPER}" in capsys.readouterr().err
    assert world.pushed(LIBRARY) == world.head(LIBRARY)
    assert (world.pushed(DEVELOPER), world.pushed(TEST)) == ("", "")
    assert (world.out / f"{LIBRARY}.md").read_text().count("**not pushed yet**") == 2
    hook.unlink()
    assert world.run("--push") == 0
    assert tips(world) == {name: world.head(name) for name in TRIO}


@pytest.mark.parametrize("step", [0, 2])
def test_killed_right_after_a_push(world: World, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The push arrived, and nobody wrote it down."""
    from matrix.refresh.branches import publish

    left = step

    def dying(*words: object) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        write(*words)  # type: ignore[arg-type]

    write = publish.write_state
    with monkeypatch.context() as patch:
        patch.setattr(publish, "write_state", dying)
        assert world.run("--push") == 3
    assert world.run("--push") == 0
    assert tips(world) == {name: world.head(name) for name in TRIO}
    state = json.loads((world.root / "trio" / "state.json").read_text())
    assert {name: entry["commit"] for name, entry in state["branches"].items()} == tips(world)


def test_somebody_elses_commit_on_our_branch_stays(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run("--push")
    theirs = world.commit_at_remote(TEST, BRANCH, "theirs.txt")
    capsys.readouterr()
    assert world.run("--push") == 2
    assert "which is not part of our branch" in capsys.readouterr().err
    assert world.pushed(TEST) == theirs
    run_git(world.tree(TEST), "pull", "--quiet", str(world.remote(TEST)), BRANCH)
    assert world.run("--push") == 0


def test_all_remotes_are_looked_at_before_the_first_push(world: World) -> None:
    run_git(world.remote(TEST), "branch", BRANCH, "main")
    world.commit_at_remote(TEST, BRANCH, "theirs.txt")
    assert world.run("--push") == 2
    assert world.pushed(LIBRARY) == ""


def test_base_that_moved_on_is_said(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.commit_at_remote(LIBRARY, "main", "new.txt")
    assert world.run("--push") == 0
    assert f"{LIBRARY}: main is 1 commits beyond what was validated" in capsys.readouterr().out
    assert world.pushed(LIBRARY) == world.head(LIBRARY)


def test_stale_base_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    clone = world.folder / "rewritten"
    run_git(world.folder, "clone", "--quiet", str(world.remote(LIBRARY)), str(clone))
    run_git(clone, "checkout", "--quiet", "--orphan", "other")
    run_git(clone, "commit", "--quiet", "-m", "another history")
    run_git(clone, "push", "--quiet", "--force", "origin", "other:main")
    assert world.run("--push") == 2
    assert "the base is stale" in capsys.readouterr().err
    assert tips(world) == dict.fromkeys(TRIO, "")


def test_branch_that_is_gone_is_not_made_again(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run("--push")
    run_git(world.remote(TEST), "branch", "-D", BRANCH)
    assert world.run("--push") == 2
    assert "is gone from" in capsys.readouterr().err


def test_missing_remote(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.run()
    world.remote(TEST).rename(world.folder / "moved.git")
    assert world.run("--push") == 3
    assert f"{TEST}: file://" in capsys.readouterr().err
    assert world.pushed(LIBRARY) == ""


def test_embedded_source_is_pushed_to_its_own_origins(world: World) -> None:
    origins = world.root / "embedded" / world.plan.release
    for number, name in enumerate(TRIO):
        (origins / "stale").mkdir(parents=True, exist_ok=True)
        run_git(world.folder, "init", "--quiet", "--bare", str(origins / "stale" / f"{name}.git"))
        run_git(
            world.folder,
            "clone",
            "--quiet",
            "--bare",
            str(world.remote(name)),
            str(origins / f"key{number}" / f"{name}.git"),
        )
    world.plan.model_copy(update={"source": "embedded"}).write()
    assert world.run("--push") == 0
    assert tips(world) == dict.fromkeys(TRIO, "")
    origin = origins / "key2" / f"{TEST}.git"
    assert run_git(origin, "rev-parse", BRANCH) == world.head(TEST)


@pytest.mark.parametrize("branch", ["main", "master", "release-base"])
def test_protected_branches(branch: str) -> None:
    with pytest.raises(UsageError, match="is never pushed to"):
        check_branch(branch, "release-base")


def test_manifest_that_names_a_base_branch(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    urls = {name: f"file://{world.remote(name)}" for name in TRIO}
    write_manifest(world.folder, urls, branch="main")
    assert world.run() == 2
    assert "main is never pushed to" in capsys.readouterr().err


def test_over_http_with_a_password(world: World, person: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serve(world.folder / "remotes", "ada", "open-sesame") as address:
        write_manifest(world.folder, {name: f"{address}/{name}.git" for name in TRIO})
        for name in TRIO:
            run_git(world.remote(name), "config", "http.receivepack", "true")
        assert world.run("--push") == 3
        assert tips(world) == dict.fromkeys(TRIO, "")
        give_credentials(person, "wrong-sesame")
        assert world.run("--push") == 3
        assert tips(world) == dict.fromkeys(TRIO, "")
        said = capsys.readouterr()
        assert "wrong-sesame" not in said.out + said.err
        give_credentials(person, "open-sesame")
        assert world.run("--push") == 0
        assert tips(world) == {name: world.head(name) for name in TRIO}
    said = capsys.readouterr()
    kept = "".join(path.read_text(errors="replace") for path in world.out.rglob("*") if path.is_file())
    state = (world.root / "trio" / "state.json").read_text()
    assert "open-sesame" not in said.out + said.err + kept + state


def give_credentials(person: Path, password: str) -> None:
    """A credential helper in the person's own configuration, as a keychain would be."""
    helper = f"!f() {{ echo username=ada; echo password={password}; }}; f"
    name = "[user]\n\tname = Ada Person\n\temail = ada@example.org\n"
    person.write_text(f'{name}[credential]\n\thelper = "{helper}"\n')
