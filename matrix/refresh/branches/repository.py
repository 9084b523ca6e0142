"""One repository of several: a private bare repository and the working tree in which its branch grows."""

import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from matrix.ground.console import note
from matrix.ground.errors import EnvironmentFailure, UsageError
from matrix.ground.files import write_text
from matrix.prepare.checkout.git import git, is_repository
from matrix.prepare.checkout.reading import has_commit, reading
from matrix.prepare.checkout.store import absent_files, store_path
from matrix.refresh.branches.identity import Identity

if TYPE_CHECKING:
    from git import Commit as GitCommit
    from git import Repo

_EXCLUDED = "__pycache__/\n*.py[co]\n"


@dataclass(frozen=True)
class Commit:
    """One commit to be: what it says, and the paths that belong to it, relative to the working tree."""

    message: str
    paths: tuple[str, ...]


Edit = Callable[[Path], Iterable[Commit]]


@dataclass(frozen=True)
class BranchRepository:
    """A branch, where it starts, and where it is worked on.

    Attributes
    ----------
    bare
        Our own repository. It borrows the objects of the store, and holds the branch and its commits.
    worktree
        The working tree, on `branch`.
    start
        Full sha of the commit that the run validated, from which the branch grows.
    store
        The store of the checkout, which has `start`.
    """

    name: str
    bare: Path
    worktree: Path
    branch: str
    start: str
    store: Path

    @property
    def head(self) -> str:
        """Full sha of the tip of the branch."""
        with reading(self.bare) as repository:
            return repository.commit(self._ref).hexsha

    @property
    def commits(self) -> tuple[str, ...]:
        """The commits of the branch, oldest first."""
        with reading(self.bare) as repository:
            return tuple(commit.hexsha for commit in self._own(repository))

    @property
    def subjects(self) -> tuple[str, ...]:
        """First lines of the commits' messages, oldest first."""
        with reading(self.bare) as repository:
            return tuple(str(commit.summary) for commit in self._own(repository))

    @property
    def _ref(self) -> str:
        return f"refs/heads/{self.branch}"

    def _own(self, repository: "Repo") -> "Iterator[GitCommit]":
        return repository.iter_commits(f"{self.start}..{self._ref}", reverse=True)

    @property
    def size(self) -> str:
        """How many files and lines the branch changes, in Git's words."""
        return _output("diff", "--shortstat", self.start, self.head, at=self.bare)

    def contains(self, commit: str) -> bool:
        """Whether a commit is the branch's tip or below it."""
        with reading(self.bare) as repository:
            if not has_commit(repository, commit):
                return False
            return repository.is_ancestor(repository.commit(commit), repository.commit(self._ref))

    def tree(self, commit: str) -> str:
        """Name of the content of a commit."""
        with reading(self.bare) as repository:
            return repository.commit(commit).tree.hexsha

    def difference(self, commit: str) -> str:
        """What the branch has otherwise than `commit`, one line per file."""
        return git("diff", "--stat=100", commit, self.head, at=self.bare).stdout.strip()

    @property
    def _unfinished(self) -> Path:
        """There while our edits are in the tree and not all committed."""
        return self.bare / "unfinished"

    def open(self, *, pushed: bool) -> None:
        """Bring branch and working tree into a state from which `build` can go on.

        Parameters
        ----------
        pushed
            Whether the branch was pushed before, and so must not start anew elsewhere.

        Raises
        ------
        UsageError
            The tree has a person's changes in it, is on another branch, is not ours, or a pushed branch
            started from another commit.
        """
        self._open_bare()
        self._open_branch(pushed)
        self._open_tree()

    def build(self, edit: Edit, identity: Identity) -> None:
        """Apply edits and commit them piece by piece on top of the branch; what changes nothing is left out.

        Raises
        ------
        EnvironmentFailure
            An edit left changes that belong to none of its commits.
        """
        write_text(self._unfinished, "edits of an unfinished run may be in the working tree\n")
        for commit in edit(self.worktree):
            self._commit(commit, identity)
        left = _output("status", "--porcelain", "--untracked-files=all", at=self.worktree)
        if left:
            raise EnvironmentFailure(f"{self.worktree}: changes that belong to no commit are left:\n{left}")
        self._unfinished.unlink()

    def export(self, folder: Path) -> list[Path]:
        """Write the branch as a bundle and as patches; nothing for a branch without commits."""
        patches = folder / f"{self.name}-patches"
        shutil.rmtree(patches, ignore_errors=True)
        bundle = folder / f"{self.name}.bundle"
        bundle.unlink(missing_ok=True)
        if not self.commits:
            return []
        folder.mkdir(parents=True, exist_ok=True)
        git("bundle", "create", "--quiet", bundle, self.branch, f"^{self.start}", at=self.bare)
        git("format-patch", "--quiet", "-o", patches, f"{self.start}..{self.head}", at=self.bare)
        return [bundle, patches]

    def _commit(self, commit: Commit, identity: Identity) -> None:
        if not commit.paths:
            return
        tree = self.worktree
        git("add", "--all", "--force", "--", *commit.paths, at=tree)
        content = _output("write-tree", "--missing-ok", at=tree)
        parent = self.head
        if content == self.tree(parent):
            return
        message = f"{commit.message.strip()}\n\n{identity.sign_off}\n"
        words = ("commit-tree", content, "-p", parent, "-m", message)
        made = git(*words, at=tree, env=identity.variables).stdout.strip()
        git("update-ref", self._ref, made, parent, at=self.bare)

    def _open_bare(self) -> None:
        if not is_repository(self.bare):
            aside = self.bare.with_suffix(".new")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            git("init", "--quiet", "--bare", "--template=", at=aside)
            write_text(aside / "info" / "exclude", _EXCLUDED)
            shutil.rmtree(self.bare, ignore_errors=True)
            aside.rename(self.bare)
        write_text(self.bare / "objects" / "info" / "alternates", f"{self.store / 'objects'}\n")
        ends = {line for where in (self.store, self.bare) for line in _lines(where / "shallow")}
        if ends:
            write_text(self.bare / "shallow", "".join(f"{line}\n" for line in sorted(ends)))

    def _open_branch(self, pushed: bool) -> None:
        ref = self._ref
        with reading(self.bare) as repository:
            exists = has_commit(repository, ref)
        if not exists:
            git("update-ref", ref, self.start, at=self.bare)
        elif not self.contains(self.start):
            if pushed:
                raise UsageError(
                    f"{self.name}: the pushed {self.branch} does not contain {self.start[:12]}, which "
                    f"was validated. Merge it into the branch in {self.worktree}, or run the matrix on the "
                    f"branch's own base with --ref {self.name}=REF."
                )
            kept = f"refs/kept/{self.branch}/{self.head[:12]}"
            note(f"{self.name}: {self.branch} starts anew; what it was is kept as {kept}")
            git("update-ref", kept, self.head, at=self.bare)
            write_text(self._unfinished, "the branch starts anew\n")
            git("update-ref", ref, self.start, at=self.bare)

    def _open_tree(self) -> None:
        path = self.worktree
        if not path.exists() or not any(path.iterdir()):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._unfinished, "the working tree is being made\n")
            git("worktree", "prune", at=self.bare)
            # Twice by force: what a killed run registered here and never finished counts as locked.
            words = ("worktree", "add", "--quiet", "--force", "--force", "--no-checkout")
            git(*words, path, self.branch, at=self.bare)
        elif not self._is_ours():
            raise UsageError(
                f"{path} is not a working tree made by this program, and it stays as it is. "
                "Let PYAUTO_ROOT name another folder, or unset it to work under .matrix/."
            )
        if self._unfinished.exists():
            self._reset()
        on = git("symbolic-ref", "--quiet", "HEAD", at=path, check=False).stdout.strip()
        if on != self._ref:
            raise UsageError(f"{path} is on {on or 'no branch'}: check out {self.branch} there")
        if self._is_behind():
            self._reset()
        changes = _output("status", "--porcelain", at=path)
        if changes:
            raise UsageError(
                f"{path} has changes that are not committed; commit them or take them back:\n{changes}"
            )

    def _is_behind(self) -> bool:
        """Whether the tree is, untouched, at an older commit: the branch grew in another tree meanwhile."""
        status = git("status", "--porcelain", at=self.worktree).stdout.splitlines()
        if not status or any(line[0] == "?" or line[1] != " " for line in status):
            return False
        content = _output("write-tree", "--missing-ok", at=self.worktree)
        return content in {self.tree(commit) for commit in (self.start, *self.commits)}

    def _reset(self) -> None:
        """Take back what an interrupted run left in the tree; files that Git ignores stay."""
        path = self.worktree
        metadata = Path(_output("rev-parse", "--absolute-git-dir", at=path))
        (metadata / "index.lock").unlink(missing_ok=True)
        git("symbolic-ref", "HEAD", self._ref, at=path)
        git("read-tree", "HEAD", at=path)
        absent = absent_files(self.store, self.start)
        if absent:
            git("update-index", "--skip-worktree", "--", *absent, at=path)
        git("checkout-index", "--all", "--force", "--index", at=path)
        git("clean", "-ffdq", at=path)
        self._unfinished.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        if not (self.worktree / ".git").is_file():
            return False
        words = ("rev-parse", "--path-format=absolute", "--git-common-dir")
        done = git(*words, at=self.worktree, check=False)
        return done.exit_code == 0 and Path(done.stdout.strip()).resolve() == self.bare.resolve()


def branch_repository(root: Path, name: str, branch: str, start: str, trees: Path) -> BranchRepository:
    """Name the places of one repository's branch.

    Parameters
    ----------
    root
        Our folder, `.matrix`.
    name, branch
        Of the repository and its branch.
    start
        Commit the branch grows from, in the store under `root`.
    trees
        Folder of the working trees.
    """
    bare = root / "trio" / "repositories" / f"{name}.git"
    return BranchRepository(name, bare, trees / name, branch, start, store_path(root, name))


def _output(*words: str, at: Path) -> str:
    return git(*words, at=at).stdout.strip()


def _lines(path: Path) -> Iterator[str]:
    if path.is_file():
        yield from path.read_text(encoding="utf-8").split()
