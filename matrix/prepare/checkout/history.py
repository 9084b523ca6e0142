"""The commits, or the releases, between two; and `git bisect`, which walks them in a scratch repository."""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.releases import order_of
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.redaction import redact
from matrix.ground.suggestions import did_you_mean
from matrix.prepare.checkout.git import clone_history, complaint, git, list_refs, local_clone
from matrix.prepare.checkout.refs import find_abbreviated, find_named, is_full_sha
from matrix.prepare.checkout.sdist import released_versions
from matrix.prepare.checkout.worktrees import fixed_identity

_DATE = "2000-01-01T00:00:00+0000"
_NEAREST = 3
# What `git bisect` ends with when none but skipped ones are left, which is no failure.
_SKIPPED_ALONE = 2


@dataclass(frozen=True)
class Revision:
    """A commit by its full sha, or a release; its subject, and its parents among those of the history."""

    name: str
    subject: str
    parents: tuple[str, ...] = ()


def commits_between(name: str, location: str, good: str, bad: str) -> tuple[Revision, ...]:
    """The commits that BAD has and GOOD has not, parents first, and GOOD before them.

    Parameters
    ----------
    name
        Of the repository, for messages.
    location
        Its address, or the path of a clone, which is only read.
    good, bad
        Branches, tags or commits.

    Raises
    ------
    UsageError
        There is no such ref, or GOOD is not an ancestor of BAD.
    NetworkError
        The remote did not answer.
    """
    clone = local_clone(location)
    if clone is not None:
        return _commits(name, clone, good, bad)
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.git"
        clone_history(location, history)
        return _commits(name, history, good, bad)


def releases_between(package: str, good: str, bad: str) -> tuple[Revision, ...]:
    """The releases of a package after GOOD up to BAD, the oldest first, and GOOD before them.

    Raises
    ------
    UsageError
        The package index has no such release, or GOOD is not older than BAD.
    NetworkError
        The package index did not answer.
    """
    known = released_versions(package)
    for release in (good, bad):
        if release not in known:
            raise UsageError(
                f"{package}: the package index has no release {release!r}."
                f"{did_you_mean(release, known, _NEAREST)} Branches and commits need --source git or mirror."
            )
    between = [one for one in known if order_of(good) <= order_of(one) <= order_of(bad)]
    if order_of(good) >= order_of(bad):
        raise UsageError(f"{package}: GOOD {good} is not older than BAD {bad}.")
    parents = [(), *((one,) for one in between)]
    return tuple(Revision(one, f"release {one}", above) for one, above in zip(between, parents, strict=False))


class Bisection:
    """`git bisect` over a history, in a bare scratch repository with an empty commit for each revision.

    So it is the same for commits and releases, and needs no file of the repository.

    Parameters
    ----------
    folder
        Where the scratch repository is made.
    revisions
        GOOD first, BAD last, parents before their children.
    """

    def __init__(self, folder: Path, revisions: Sequence[Revision]) -> None:
        self._at = folder / "bisect.git"
        self._skipped: set[str] = set()
        git("init", "--quiet", "--bare", "--template=", self._at)
        tree = self._ask("write-tree")
        for revision in revisions:
            above = [word for parent in revision.parents for word in ("-p", f"refs/tags/{parent}")]
            commit = self._ask("commit-tree", tree, *above, "-m", revision.name)
            self._ask("update-ref", f"refs/tags/{revision.name}", commit)
        good, bad = revisions[0].name, revisions[-1].name
        # Git wants a branch that it could go back to.
        self._ask("update-ref", "refs/heads/main", f"refs/tags/{bad}")
        self._ask("bisect", "start", "--no-checkout", f"refs/tags/{bad}", f"refs/tags/{good}")

    @property
    def suspects(self) -> tuple[str, ...]:
        """The revisions of which one is the first bad one, as far as is known; a bad one is the first."""
        words = ("refs/bisect/bad", "--not", "--glob=refs/bisect/good-*")
        return tuple(self._ask("log", "--topo-order", "--format=%s", *words).split())

    @property
    def next(self) -> str | None:
        """The revision to measure now; None where no more can be known."""
        untried = set(self.suspects[1:]) - self._skipped
        return self._ask("log", "-1", "--format=%s", "BISECT_HEAD") if untried else None

    def mark(self, state: str, name: str) -> None:
        """Say that a revision is ``good`` or ``bad``, or to ``skip``."""
        if state == "skip":
            self._skipped.add(name)
        env = fixed_identity(_DATE)
        done = git("bisect", state, f"refs/tags/{name}", at=self._at, env=env, check=False)
        if done.exit_code not in (0, _SKIPPED_ALONE):
            raise EnvironmentFailure(f"git bisect {state} {name} failed: {complaint(done)}")

    def _ask(self, *words: str) -> str:
        return git(*words, at=self._at, env=fixed_identity(_DATE)).stdout.strip()


def _commits(name: str, clone: Path, good: str, bad: str) -> tuple[Revision, ...]:
    advertised = list_refs(str(clone))
    first, last = (_resolved(name, clone, ref, advertised) for ref in (good, bad))
    if first == last:
        raise UsageError(f"{name}: GOOD {good} and BAD {bad} are the same commit, {first[:12]}.")
    if not _is_ancestor(clone, first, last):
        swapped = " It is the other way round: give them in the other order."
        raise UsageError(
            f"{name}: GOOD {good} ({first[:12]}) is not an ancestor of BAD {bad} ({last[:12]})."
            f"{swapped if _is_ancestor(clone, last, first) else ''} A shallow clone ends too early to know."
        )
    form = ("log", "--topo-order", "--reverse", "--format=%H%x00%P%x00%s", f"{first}..{last}")
    rows = [line.split("\0") for line in git(*form, at=clone).stdout.split("\n") if line]
    subject = git("log", "-1", "--format=%s", first, at=clone).stdout.strip()
    known = {commit for commit, _, _ in rows}
    # Whatever else a branch began from is an ancestor of GOOD, and so as good.
    return (
        Revision(first, subject),
        *(
            Revision(commit, said, _distinct(one if one in known else first for one in parents.split()))
            for commit, parents, said in rows
        ),
    )


def _resolved(name: str, clone: Path, ref: str, advertised: dict[str, str]) -> str:
    commit = ref if is_full_sha(ref) else find_named(ref, advertised)
    commit = commit or find_abbreviated(ref, str(clone), advertised)
    found = git("cat-file", "-e", f"{commit}^{{commit}}", at=clone, check=False)
    if commit is None or found.exit_code != 0:
        short = [known.split("/", 2)[-1] for known in advertised]
        raise UsageError(
            f"{name}: no branch, tag or commit {ref!r} in the history of {redact(str(clone))}."
            f"{did_you_mean(ref, short, _NEAREST)}"
        )
    return commit


def _is_ancestor(clone: Path, older: str, newer: str) -> bool:
    return git("merge-base", "--is-ancestor", older, newer, at=clone, check=False).exit_code == 0


def _distinct(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
