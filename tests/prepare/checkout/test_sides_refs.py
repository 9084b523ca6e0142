"""Each side's ref: any name of a commit, or a folder with uncommitted work, which is never written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from matrix.ground.errors import UsageError
from matrix.ground.settings import PACKAGED
from matrix.prepare import difference
from matrix.prepare.checkout import Source, prepare, resolve_source
from matrix.prepare.difference import Trees, difference_of, need_one_stack, trees_of
from matrix.prepare.manifest import Manifest, SourceKind, override
from matrix.run.change import Change, Given
from tests.prepare.checkout.helpers import Upstream, fingerprint, make_repository, run_git

LIBRARY = "PyAutoArray"
RELEASE = "2026.7.9.1"
Sides = Callable[..., tuple[Manifest, Trees]]


@pytest.fixture
def sides(upstream: Upstream, tmp_path: Path) -> Sides:
    """Return a function that checks out both sides, given refs."""

    def made(baseline: dict[str, str] | None = None, **candidate: str) -> tuple[Manifest, Trees]:
        change = Change(vendor=False, baseline=Given(refs=baseline or {}), candidate=Given(refs=candidate))
        manifest = override(upstream.manifest, change=change)
        source = resolve_source(manifest)
        library = prepare(manifest, source, tmp_path / "root")[LIBRARY]
        return manifest, trees_of(manifest, source, library, tmp_path / "root")

    return made


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("feature/fast", "main~1"),
        (RELEASE, "main~1"),
        ("refs/pull/60/head", "pulled"),
        ("main~1", ""),
    ],
)
def test_candidate_of_a_ref(sides: Sides, upstream: Upstream, ref: str, meant: str) -> None:
    clone = upstream.clone(LIBRARY)
    run_git(clone, "checkout", "--quiet", "-b", "pulled")
    (clone / "package" / "code.py").write_text("x = 60\n")
    run_git(clone, "commit", "--quiet", "--all", "-m", "a pull request")
    run_git(clone, "update-ref", "refs/pull/60/head", "HEAD")
    run_git(clone, "checkout", "--quiet", "main")
    wanted = ref if meant else run_git(clone, "rev-parse", "main~1")
    manifest, trees = sides(**{LIBRARY: wanted})
    baseline, candidate = trees["baseline"][LIBRARY], trees["candidate"][LIBRARY]
    commits = [run_git(clone, "rev-parse", f"{name}^{{commit}}") for name in ("main", meant or wanted)]
    assert [baseline.commit, candidate.commit] == commits
    assert [baseline.purpose, candidate.purpose] == ["baseline", "candidate"]
    expected = run_git(clone, "show", f"{candidate.commit}:package/code.py") + "\n"
    assert (candidate.path / "package" / "code.py").read_text() == expected
    said = difference_of(manifest.change, trees, {}, RELEASE)
    theirs, ours = (at[:12] for at in commits)
    # A commit that was given as one is not said twice.
    ours = f"{wanted} ({ours})" if meant else ours
    assert said == f"Candidate against baseline: {LIBRARY} {ours} against main ({theirs})."


def test_baseline_may_be_another_one_too(sides: Sides, upstream: Upstream) -> None:
    manifest, trees = sides({LIBRARY: RELEASE}, **{LIBRARY: "main"})
    clone = upstream.clone(LIBRARY)
    assert trees["baseline"][LIBRARY].commit == run_git(clone, "rev-parse", "main~1")
    assert trees["candidate"][LIBRARY].commit == run_git(clone, "rev-parse", "main")
    assert manifest.change.repositories == (LIBRARY,)


def test_no_such_ref_is_wrong_use_with_near_matches(sides: Sides) -> None:
    with pytest.raises(
        UsageError, match=r"no branch, tag or commit 'feature/fst'.*Near matches: feature/fast"
    ):
        sides(**{LIBRARY: "feature/fst"})


def test_sides_of_one_commit_are_nothing_to_compare(sides: Sides) -> None:
    manifest, trees = sides(**{LIBRARY: "main"})
    with pytest.raises(UsageError, match="both sides would be the same"):
        difference_of(manifest.change, trees, {}, RELEASE)


def test_setting_is_held_against_what_the_library_says_itself(sides: Sides, upstream: Upstream) -> None:
    clone = upstream.clone(LIBRARY)
    packaged = clone / PACKAGED
    packaged.parent.mkdir(parents=True)
    packaged.write_text("inversion:\n  positive_only_solver: pdip\n  log: {warm: true}\n")
    run_git(clone, "add", ".")
    run_git(clone, "commit", "--quiet", "-m", "its configuration")
    _, trees = sides({LIBRARY: "main"}, **{LIBRARY: "main"})

    def said(baseline: dict[str, str], candidate: dict[str, str]) -> str:
        sides_of = {"baseline": Given(settings=baseline), "candidate": Given(settings=candidate)}
        change = Change(vendor=False, **sides_of)
        return difference_of(change, trees, {}, RELEASE).removeprefix("Candidate against baseline: ")

    solver, warm = "inversion.positive_only_solver", "inversion.log.warm"
    assert said({}, {solver: "certified"}) == f"{solver} = certified against pdip as packaged."
    assert said({warm: "false"}, {}) == f"{warm} = true as packaged against false."
    assert said({solver: "pdip"}, {solver: "certified"}) == f"{solver} = certified against pdip."
    assert said({}, {"inversion.new": "1"}) == "inversion.new = 1 against nothing as packaged."


# A folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A person's clone of the library: one file changed, one new, one deleted, one ignored."""
    clone = make_repository(tmp_path / "persons")
    (clone / "autoarray").mkdir()
    (clone / "autoarray" / "__init__.py").write_text("")
    run_git(clone, "add", ".")
    run_git(clone, "commit", "--quiet", "-m", "third")
    (clone / "package" / "code.py").write_text("x = 3\n")
    (clone / "package" / "new.py").write_text("y = 1\n")
    (clone / "tool.sh").unlink()
    (clone / "ignored").mkdir()
    (clone / "ignored" / "big").write_text("0")
    return clone


def test_folder_with_uncommitted_work_is_copied_and_never_written(sides: Sides, folder: Path) -> None:
    # Git refreshes an index when it is asked for the status, so that is asked before.
    status = run_git(folder, "status", "--porcelain")
    before = fingerprint(folder)
    manifest, trees = sides(**{LIBRARY: str(folder)})
    tree = trees["candidate"][LIBRARY]
    assert fingerprint(folder) == before
    assert run_git(folder, "status", "--porcelain") == status
    there = {str(path.relative_to(tree.path)) for path in tree.path.rglob("*") if path.is_file()}
    assert there - {".git"} == {
        ".gitignore",
        "autoarray/__init__.py",
        "package/code.py",
        "package/new.py",
    }
    assert (tree.path / "package" / "code.py").read_text() == "x = 3\n"
    assert tree.ref == f"{folder}, with uncommitted work"
    assert run_git(tree.path, "rev-parse", "HEAD~1") == run_git(folder, "rev-parse", "HEAD")
    assert f"{folder}, with uncommitted work" in difference_of(manifest.change, trees, {}, RELEASE)


def test_same_work_is_the_same_commit_and_other_work_another(sides: Sides, folder: Path) -> None:
    commits = [sides(**{LIBRARY: str(folder)})[1]["candidate"][LIBRARY].commit for _ in range(2)]
    assert commits[0] == commits[1]
    (folder / "package" / "new.py").write_text("y = 2\n")
    assert sides(**{LIBRARY: str(folder)})[1]["candidate"][LIBRARY].commit != commits[0]


def test_folder_without_uncommitted_work_is_its_commit(sides: Sides, folder: Path) -> None:
    run_git(folder, "add", "--all")
    run_git(folder, "commit", "--quiet", "-m", "all of it")
    tree = sides(**{LIBRARY: str(folder)})[1]["candidate"][LIBRARY]
    assert tree.commit == run_git(folder, "rev-parse", "HEAD")
    assert tree.ref == str(folder)


def test_folder_need_not_be_a_clone(sides: Sides, tmp_path: Path) -> None:
    plain = tmp_path / "unpacked"
    (plain / "autoarray").mkdir(parents=True)
    (plain / "autoarray" / "__init__.py").write_text("z = 1\n")
    before = fingerprint(plain)
    tree = sides(**{LIBRARY: str(plain)})[1]["candidate"][LIBRARY]
    assert (tree.path / "autoarray" / "__init__.py").read_text() == "z = 1\n"
    assert fingerprint(plain) == before


def test_folder_of_something_else_is_refused(sides: Sides, folder: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no autoarray/__init__\.py in it"):
        sides(**{LIBRARY: str(folder / "package")})


# Other repositories of the stack


def test_package_of_the_stack_lies_beside_the_library(sides: Sides, upstream: Upstream) -> None:
    make_repository(upstream.folder / "PyAutoLabs" / "PyAutoFit")
    manifest, trees = sides(PyAutoFit="feature/fast")
    assert manifest.changed[0].url == "https://forge.invalid/PyAutoLabs/PyAutoFit"
    assert set(trees["baseline"]) == {LIBRARY}
    assert set(trees["candidate"]) == {LIBRARY, "PyAutoFit"}
    said = difference_of(manifest.change, trees, {}, RELEASE)
    assert "PyAutoFit feature/fast (" in said
    assert said.endswith(f"against as in release {RELEASE}.")


def test_package_that_the_mirror_does_not_have_is_refused(sides: Sides) -> None:
    with pytest.raises(UsageError, match="no clone of PyAutoFit in the mirror"):
        sides(PyAutoFit="main")


def test_embedded_source_has_releases_and_says_so(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def at(ref: str) -> Trees:
        change = Change(vendor=False, candidate=Given(refs={LIBRARY: ref}))
        manifest = override(upstream.manifest, change=change)
        library = prepare(manifest, resolve_source(manifest), tmp_path / "root")[LIBRARY]
        return trees_of(manifest, Source(SourceKind.EMBEDDED, ""), library, tmp_path / "root")

    asked: list[Any] = []

    def origin(repository: Any, release: str, _: Path) -> Path:
        asked.append((repository.name, release))
        return upstream.clone(LIBRARY)

    monkeypatch.setattr(difference, "origin_of_release", origin)
    with pytest.raises(UsageError, match="the embedded source knows releases alone"):
        at("feature/fast")
    assert not asked
    at(RELEASE)
    assert asked == [(LIBRARY, RELEASE)]


def test_where_sides_share_a_stack_only_library_and_settings_differ() -> None:
    fine = Given(refs={LIBRARY: "main"}, settings={"inversion.a": "1"})
    need_one_stack(Change(vendor=False, candidate=fine), LIBRARY, "there")
    for given, named in (
        (Given(packages=("jax==1",)), "jax==1"),
        (Given(refs={"PyAutoFit": "a"}), "PyAutoFit"),
    ):
        for side in ("baseline", "candidate"):
            change = Change(vendor=False, **{side: given})
            with pytest.raises(UsageError, match=f"there both sides share one stack.*{named} cannot differ"):
                need_one_stack(change, LIBRARY, "there")
