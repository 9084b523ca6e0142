"""From what a person calls a commit to the commit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from matrix.ground.errors import UsageError
from matrix.prepare.checkout import Checkout, prepare, resolve_source
from matrix.prepare.manifest import override
from tests.prepare.checkout.helpers import NAMES, RELEASE, Upstream, run_git

Prepare = Callable[[str], Checkout]


@pytest.fixture
def library_at(upstream: Upstream, tmp_path: Path) -> Prepare:
    """Return a function that checks out the library at a ref."""

    def at(ref: str) -> Checkout:
        manifest = override(upstream.manifest, refs={"PyAutoArray": ref})
        return prepare(manifest, resolve_source(manifest), tmp_path / "root")["PyAutoArray"]

    return at


@pytest.mark.parametrize(
    ("ref", "meant"),
    [
        ("main", "main"),
        ("feature/fast", "feature/fast"),
        ("heads/main", "main"),
        ("refs/heads/main", "main"),
        (RELEASE, "main~1"),
        ("{release}", "main~1"),
        ("HEAD", "main"),
    ],
)
def test_names(library_at: Prepare, upstream: Upstream, ref: str, meant: str) -> None:
    clone = upstream.clone("PyAutoArray")
    assert library_at(ref).commit == run_git(clone, "rev-parse", f"{meant}^{{commit}}")


@pytest.mark.parametrize("digits", [7, 12, 40])
def test_commits_by_any_number_of_digits(library_at: Prepare, upstream: Upstream, digits: int) -> None:
    commit = run_git(upstream.clone("PyAutoArray"), "rev-parse", "main~1")
    checkout = library_at(commit[:digits])
    assert checkout.commit == commit
    assert checkout.ref == commit[:digits]
    assert (checkout.path / "package" / "code.py").read_text() == "x = 1\n"


def test_a_short_sha_over_a_url_that_is_no_local_path(
    upstream: Upstream, tmp_path: Path, git_configuration: Path
) -> None:
    clone = upstream.clone("PyAutoArray")
    run_git(clone, "branch", "--delete", "--force", "feature/fast")
    run_git(clone, "tag", "--delete", RELEASE)
    older = run_git(clone, "rev-parse", "main~1")
    with git_configuration.open("a") as stream:
        # `localhost` in a file address keeps it from being read as a path of this machine.
        stream.write(f'[url "file://localhost{upstream.folder}/"]\n\tinsteadOf = https://forge.invalid/\n')
    manifest = override(upstream.manifest, source="git", refs={"PyAutoArray": older[:8]})
    checkouts = prepare(manifest, resolve_source(manifest), tmp_path / "root")
    assert checkouts["PyAutoArray"].commit == older


def test_remote_heads_of_a_persons_clone(tmp_path: Path, upstream: Upstream, library_at: Prepare) -> None:
    clone = upstream.clone("PyAutoArray")
    aside = clone.rename(tmp_path / "aside")
    run_git(tmp_path, "clone", "--quiet", str(aside), str(clone))
    assert library_at("feature/fast").commit == run_git(aside, "rev-parse", "feature/fast")
    assert library_at("origin/feature/fast").commit == run_git(aside, "rev-parse", "feature/fast")


def test_the_first_ref_that_exists_is_taken(upstream: Upstream, tmp_path: Path) -> None:
    document = upstream.manifest.model_dump(mode="json", by_alias=True)
    for repository in document["repositories"]:
        repository["ref"] = ["0" * 40, "no/such/branch", "feature/fast", "main"]
    manifest = type(upstream.manifest).model_validate(document)
    checkouts = prepare(manifest, resolve_source(manifest), tmp_path / "root")
    assert {checkouts[name].ref for name in NAMES} == {"feature/fast"}


def test_a_ref_that_does_not_exist_lists_near_matches(library_at: Prepare) -> None:
    with pytest.raises(UsageError) as caught:
        library_at("feature/fats")
    assert "PyAutoArray: no branch, tag or commit 'feature/fats'" in str(caught.value)
    assert "Near matches: feature/fast" in str(caught.value)
    assert "--ref PyAutoArray=REF" in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("ref", ["f" * 40, "ffffffff", "zzzzzzzz"])
def test_where_nothing_is_near_what_there_is_is_listed(library_at: Prepare, ref: str) -> None:
    with pytest.raises(UsageError, match=f"It has: {RELEASE}, feature/fast, main"):
        library_at(ref)


def test_an_ambiguous_abbreviation_asks_for_more(library_at: Prepare, upstream: Upstream) -> None:
    clone = upstream.clone("PyAutoArray")
    seen: set[str] = set()
    for number in range(3000):
        commit = run_git(clone, "commit-tree", "main^{tree}", "-m", str(number))
        if commit[:4] in seen:
            break
        seen.add(commit[:4])
    with pytest.raises(UsageError, match="give more digits"):
        library_at(commit[:4])
