"""Working trees at exact commits, made and remade by us, each disposable."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from matrix.ground.console import note
from matrix.ground.disk import disk_failures
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.file_locks import locked, wait_for_orphans
from matrix.prepare.checkout.git import git
from matrix.prepare.checkout.reading import reading
from matrix.prepare.checkout.refs import ResolvedRef
from matrix.prepare.checkout.sources import Source
from matrix.prepare.checkout.store import (
    absent_files,
    discard_store,
    fetch_first,
    is_damaged,
    open_store,
    store_path,
)
from matrix.prepare.manifest import Manifest, Repository, Role

_Result = TypeVar("_Result")

BASELINE = "baseline"
CANDIDATE = "candidate"

_UNCOMMITTED = "What lies in a folder, with what is not committed there"
_LONG_AGO = "2000-01-01T00:00:00+00:00"

_AUTHOR = {"NAME": "NNLS validation matrix", "EMAIL": "nnls-validation-matrix@localhost"}


@dataclass(frozen=True)
class Checkout:
    """A working tree of one repository.

    Parameters
    ----------
    name, role
        As in the manifest.
    purpose
        `baseline` (never edited) or `candidate` (vendoring edits it).
    path
        The working tree.
    commit
        Full sha of what the tree holds.
    base
        Full sha of what the source gave; differs from `commit` after `commit_candidate`.
    ref
        As asked: branch, tag or commit.
    dirty
        The person's clone it came from has uncommitted changes, which are not in the tree.
    absent
        Files of the commit that are not in the tree, because the clone it came from lacks them.
    """

    name: str
    role: Role
    purpose: str
    path: Path
    commit: str
    base: str
    ref: str
    dirty: bool = False
    absent: tuple[str, ...] = ()


def prepare(manifest: Manifest, source: Source, root: Path) -> dict[str, Checkout]:
    """Make the baseline working tree of every repository in the manifest.

    A tree that already is exactly the commit is left alone; any other is reset to it, with everything that
    does not belong removed. Running again repairs what an interruption left.

    Parameters
    ----------
    manifest
        Repositories and refs.
    source
        Where they come from, with a location for each.
    root
        Our folder, `.matrix`. The stores are `root/store/NAME.git`, the trees
        `root/checkouts/NAME/SHA-PURPOSE`.

    Returns
    -------
    dict
        Repository name to checkout, in the manifest's order; without that of role `profiling` where the
        source has none, as the embedded one.

    Raises
    ------
    UsageError
        A ref does not exist in the source.
    NetworkError
        The source did not answer or broke off; running again goes on from there.
    EnvironmentFailure
        The disk or Git failed.
    """
    root = root.resolve()
    with disk_failures(root):
        return {
            repository.name: _baseline(
                repository,
                manifest.refs(repository),
                source.locations[repository.name],
                repository.name in source.dirty,
                root,
            )
            for repository in manifest.repositories
            if repository.role is not Role.PROFILING or repository.name in source.locations
        }


def prepare_ref(repository: Repository, ref: str, location: str, dirty: bool, root: Path) -> Checkout:
    """Make the working tree of one ref, which is not edited.

    Parameters
    ----------
    repository
        Whose ref it is.
    ref
        A branch, tag, commit or full name of a ref.
    location
        Address or absolute path of the source.
    dirty
        Whether that is a clone with uncommitted changes.
    root
        Our folder, `.matrix`.

    Raises
    ------
    UsageError
        There is no such ref.
    NetworkError
        The source did not answer or broke off.
    """
    root = root.resolve()
    with disk_failures(root):
        return _baseline(repository, (ref,), location, dirty, root)


def prepare_folder(repository: Repository, folder: Path, root: Path) -> Checkout:
    """Make a working tree of what lies in a person's folder, committed or not; the folder is only read.

    What its `.gitignore` names is left out. The commit of the tree is ours: on top of the one that is
    checked out in the folder, or on none where that is no clone.

    Parameters
    ----------
    repository
        Whose code it is.
    folder
        A clone with or without uncommitted changes, or any folder.
    root
        Our folder, `.matrix`.

    Raises
    ------
    UsageError
        The folder belongs to another user, and the person has not said that they trust it.
    EnvironmentFailure
        The disk or Git failed.
    """
    root, name = root.resolve(), repository.name
    with disk_failures(root):
        commit, dirty = _mended(name, root, lambda: _committed_folder(name, folder, root))
        path = _tree_path(root, name, commit, BASELINE)
        with _tree_locked(root, name, path):
            if not _is_exact(path, store_path(root, name), commit):
                _make_exact(path, name, commit, root)
    ref = f"{folder}, with uncommitted work" if dirty else str(folder)
    return Checkout(name, repository.role, BASELINE, path, commit, commit, ref)


def _committed_folder(name: str, folder: Path, root: Path) -> tuple[str, bool]:
    """The commit in our store that holds what lies in `folder`; and whether the folder's own does not."""
    store = store_path(root, name)
    with _store_locked(root, name):
        open_store(store)
        head = _head_of(folder)
        if head is not None:
            fetch_first(store, name, (head,), str(folder))
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            # Our store and an index of ours over the person's files: nothing of theirs is written.
            ours = {
                "GIT_DIR": str(store),
                "GIT_WORK_TREE": str(folder),
                "GIT_INDEX_FILE": str(Path(scratch) / "index"),
            }
            git("add", "--all", at=folder, env=ours)
            content = git("write-tree", at=folder, env=ours).stdout.strip()
        parent: tuple[str, ...] = ()
        date = _LONG_AGO
        if head is not None:
            with reading(store) as repository:
                committed = repository.commit(head)
                date, before = committed.committed_datetime.isoformat(), committed.tree.hexsha
            if content == before:
                return head, False
            parent = ("-p", head)
        words = ("commit-tree", content, *parent, "-m", _UNCOMMITTED)
        commit = git(*words, at=store, env=fixed_identity(date)).stdout.strip()
        git("update-ref", f"refs/folders/{commit}", commit, at=store)
        return commit, True


def _head_of(folder: Path) -> str | None:
    """The commit that is checked out in a folder; None where it is no clone, or has no commit yet."""
    done = git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", at=folder, check=False)
    return done.stdout.strip() if done.exit_code == 0 else None


@contextlib.contextmanager
def candidate_of(baseline: Checkout) -> Iterator[Checkout]:
    """Give a second tree of the same commit, to be edited, and keep other runs away from it meanwhile.

    Parameters
    ----------
    baseline
        From `prepare`.

    Yields
    ------
    Checkout
        Exactly the base commit, whatever an earlier run left in the tree.

    Raises
    ------
    EnvironmentFailure
        The disk or Git failed.
    """
    root = _root_of(baseline)
    path = _tree_path(root, baseline.name, baseline.base, CANDIDATE)
    with _tree_locked(root, baseline.name, path):
        with disk_failures(root):
            _make_exact(path, baseline.name, baseline.base, root)
        yield replace(baseline, purpose=CANDIDATE, path=path, commit=baseline.base)


def commit_candidate(checkout: Checkout, branch: str, message: str) -> Checkout:
    """Commit everything in a candidate tree, on top of its base.

    The same content gives the same sha: the identity is the tool's and the date that of the base commit.
    Compiled Python files and what the repository itself ignores stay out.

    Parameters
    ----------
    checkout
        Inside `candidate_of`.
    branch
        Set to the new commit in our store; the tree itself stays detached.
    message
        Commit message.

    Returns
    -------
    Checkout
        With the new `commit`; that of the base where nothing was changed.

    Raises
    ------
    UsageError
        The checkout is no candidate, or `branch` cannot be a branch.
    EnvironmentFailure
        Git failed.
    """
    if checkout.purpose != CANDIDATE:
        raise UsageError(
            f"{checkout.path} is the {checkout.purpose} of {checkout.name}: only a candidate is edited"
        )
    if git("check-ref-format", "--branch", branch, check=False).exit_code != 0:
        raise UsageError(f"{branch!r} cannot be the name of a branch: correct `branch` in the manifest")
    with _store_locked(_root_of(checkout), checkout.name):
        commit = _committed(checkout, branch, message)
    return replace(checkout, commit=commit)


def _committed(checkout: Checkout, branch: str, message: str) -> str:
    tree = checkout.path
    git("add", "--all", at=tree)
    content = git("write-tree", "--missing-ok", at=tree).stdout.strip()
    commit = checkout.base
    with reading(tree) as repository:
        base = repository.commit(commit)
        date, before = base.committed_datetime.isoformat(), base.tree.hexsha
    if content != before:
        words = ("commit-tree", content, "-p", commit, "-m", message)
        commit = git(*words, at=tree, env=fixed_identity(date)).stdout.strip()
    git("update-ref", f"refs/heads/{branch}", commit, at=tree)
    git("update-ref", "--no-deref", "HEAD", commit, at=tree)
    return commit


def fixed_identity(date: str) -> dict[str, str]:
    """Return the environment in which Git makes the same commit from the same content, dated `date`."""
    identity = {
        f"GIT_{who}_{key}": value for who in ("AUTHOR", "COMMITTER") for key, value in _AUTHOR.items()
    }
    return identity | {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}


def _baseline(
    repository: Repository, refs: Sequence[str], location: str, dirty: bool, root: Path
) -> Checkout:
    name = repository.name
    resolved = _mended(name, root, lambda: _obtained(name, refs, location, root))
    path = _tree_path(root, name, resolved.commit, BASELINE)

    def make() -> None:
        # A store that was mended is empty: what the tree needs is there only after asking again.
        _obtained(name, (resolved.commit,), location, root)
        _make_exact(path, name, resolved.commit, root)

    with _tree_locked(root, name, path):
        if not _is_exact(path, store_path(root, name), resolved.commit):
            _mended(name, root, make)
    return Checkout(
        name=name,
        role=repository.role,
        purpose=BASELINE,
        path=path,
        commit=resolved.commit,
        base=resolved.commit,
        ref=resolved.ref,
        dirty=dirty,
        absent=absent_files(store_path(root, name), resolved.commit),
    )


def _obtained(name: str, refs: Sequence[str], location: str, root: Path) -> ResolvedRef:
    store = store_path(root, name)
    with _store_locked(root, name):
        open_store(store)
        return fetch_first(store, name, refs, location)


def _mended(name: str, root: Path, step: Callable[[], _Result]) -> _Result:
    """Run `step`; if it fails and the store proves damaged, throw the store away and run it again."""
    try:
        return step()
    except EnvironmentFailure:
        store = store_path(root, name)
        with _store_locked(root, name):
            if not store.exists() or not is_damaged(store):
                raise
            note(f"the store of {name} was damaged, it is fetched again")
            discard_store(store)
    return step()


def _make_exact(path: Path, name: str, commit: str, root: Path) -> None:
    """Bring the tree at `path` to exactly `commit`, by a reset or, where that fails, by making it anew."""
    store = store_path(root, name)
    with _store_locked(root, name):
        open_store(store)
        if _belongs(path, store) and _was_reset(path, store, commit):
            return
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        git("worktree", "prune", at=store)
        git("worktree", "add", "--quiet", "--force", "--detach", "--no-checkout", path, commit, at=store)
        git("read-tree", "HEAD", at=path)
        absent = absent_files(store, commit)
        if absent:
            git("update-index", "--skip-worktree", "--", *absent, at=path)
        git("checkout-index", "--all", "--force", "--index", at=path)


def _was_reset(path: Path, store: Path, commit: str) -> bool:
    wait_for_orphans(path)
    metadata = git("rev-parse", "--absolute-git-dir", at=path, check=False).stdout.strip()
    (Path(metadata) / "index.lock").unlink(missing_ok=True)
    for words in (("checkout", "--quiet", "--force", "--detach", commit), ("clean", "-ffdxq")):
        if git(*words, at=path, check=False).exit_code != 0:
            return False
    return _is_exact(path, store, commit)


def _is_exact(path: Path, store: Path, commit: str) -> bool:
    if not _belongs(path, store):
        return False
    head = git("rev-parse", "--verify", "--quiet", "HEAD", at=path, check=False)
    status = git("status", "--porcelain", "--ignored", "--untracked-files=all", at=path, check=False)
    return head.stdout.strip() == commit and status.exit_code == 0 and not status.stdout.strip()


def _belongs(path: Path, store: Path) -> bool:
    """Return whether `path` is a working tree of this very store, not of one it was copied from."""
    if not (path / ".git").is_file():
        return False
    done = git("rev-parse", "--path-format=absolute", "--git-common-dir", at=path, check=False)
    return done.exit_code == 0 and Path(done.stdout.strip()).resolve() == store


def _root_of(checkout: Checkout) -> Path:
    return checkout.path.parents[2]


def _tree_path(root: Path, name: str, commit: str, purpose: str) -> Path:
    return root / "checkouts" / name / f"{commit[:12]}-{purpose}"


def _tree_locked(root: Path, name: str, path: Path) -> AbstractContextManager[None]:
    return locked(root / "locks" / f"{name}-{path.name}.lock", f"the {path.name} checkout of {name}")


def _store_locked(root: Path, name: str) -> AbstractContextManager[None]:
    return locked(root / "locks" / f"{name}.lock", f"the store of {name}")
