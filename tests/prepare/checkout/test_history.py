"""What lies between two commits, and that `git bisect` walks it as it would walk the repository."""

from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.prepare.checkout import Bisection, commits_between, releases_between
from matrix.prepare.checkout import history as module
from matrix.prepare.checkout.history import Revision
from tests.prepare.checkout.helpers import make_history, run_git


def by_subject(revisions: tuple[Revision, ...]) -> dict[str, set[str]]:
    """The subjects of each revision's parents, by its own subject."""
    subjects = {revision.name: revision.subject for revision in revisions}
    return {one.subject: {subjects[name] for name in one.parents} for one in revisions}


def test_commits_are_those_that_good_has_not_and_merges_keep_their_parents(tmp_path: Path) -> None:
    clone = make_history(tmp_path / "clone")
    found = commits_between("X", str(clone), "c1", "main")
    assert found[0].subject == "c1"
    assert found[-1].name == run_git(clone, "rev-parse", "main")
    # The branch began before GOOD, and so is as good as GOOD at its root.
    assert by_subject(found) == {
        "c1": set(),
        "c2": {"c1"},
        "s1": {"c1"},
        "s2": {"s1"},
        "m": {"c2", "s2"},
        "c3": {"m"},
        "c4": {"c3"},
        "c5": {"c4"},
    }


def test_a_remote_gives_the_same_as_a_clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = make_history(tmp_path / "clone")
    here = commits_between("X", str(clone), "c0", "main")
    monkeypatch.setattr(module, "local_clone", lambda _: None)
    assert commits_between("X", clone.as_uri(), "c0", "main") == here


@pytest.mark.parametrize(
    ("good", "bad", "said"),
    [
        ("mian", "c3", "no branch, tag or commit 'mian' .* Did you mean 'main'"),
        ("c3", "c1", "not an ancestor of BAD .* other way round"),
        ("c2", "s2", "not an ancestor of BAD"),
        ("c5", "main", "the same commit"),
        ("0" * 40, "main", "no branch, tag or commit"),
    ],
)
def test_what_cannot_be_bisected_is_refused(tmp_path: Path, good: str, bad: str, said: str) -> None:
    clone = make_history(tmp_path / "clone")
    with pytest.raises(UsageError, match=said):
        commits_between("X", str(clone), good, bad)


def bisected(tmp_path: Path, revisions: tuple[Revision, ...], bad: set[str], skipped: set[str]) -> set[str]:
    """The subjects among which the first bad one is, and that nothing is asked for twice."""
    bisection = Bisection(tmp_path, revisions)
    subjects = {revision.name: revision.subject for revision in revisions}
    asked = []
    while (name := bisection.next) is not None:
        asked.append(name)
        state = "bad" if subjects[name] in bad else "good"
        bisection.mark("skip" if subjects[name] in skipped else state, name)
    assert len(asked) == len(set(asked))
    return {subjects[name] for name in bisection.suspects}


@pytest.mark.parametrize("culprit", ["c1", "c2", "s1", "s2", "m", "c3", "c4", "c5"])
def test_culprit_is_found_wherever_it_is(tmp_path: Path, culprit: str) -> None:
    clone = make_history(tmp_path / "clone")
    revisions = commits_between("X", str(clone), "c0", "main")
    words = ("log", "--format=%s", "--ancestry-path", f"{culprit}..main")
    bad = {culprit, *run_git(clone, *words).split()}
    assert bisected(tmp_path, revisions, bad, set()) == {culprit}
    # The merge does not build: then it cannot be told from the commit after it.
    expected = {"m", "c3"} if culprit in ("m", "c3") else {culprit}
    (tmp_path / "again").mkdir()
    assert bisected(tmp_path / "again", revisions, bad, {"m"}) == expected


RELEASES = ("2026.9.26.1", "2026.10.2.1", "2026.10.7.1", "2026.10.26.1")


def test_releases_are_a_line_and_others_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "released_versions", lambda _: RELEASES)
    found = releases_between("autoarray", "2026.10.2.1", "2026.10.26.1")
    assert [(one.name, one.parents) for one in found] == [
        ("2026.10.2.1", ()),
        ("2026.10.7.1", ("2026.10.2.1",)),
        ("2026.10.26.1", ("2026.10.7.1",)),
    ]
    with pytest.raises(UsageError, match="not older"):
        releases_between("autoarray", "2026.10.26.1", "2026.9.26.1")
    with pytest.raises(UsageError, match=r"no release '2026.10.26.2'\. Did you mean '2026.10.26.1'"):
        releases_between("autoarray", "2026.9.26.1", "2026.10.26.2")
