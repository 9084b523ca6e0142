"""Reads repositories with GitPython; every Git that it starts is started by our runner.

GitPython names its own Git by a class, which is replaced here. What it reads by itself are refs, which are
files; the variables by which a person leads Git elsewhere are out of its sight while it opens a repository.
"""

import contextlib
import functools
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matrix.ground import process
from matrix.ground.errors import EnvironmentFailure
from matrix.prepare.checkout.git import complaint, git, hardened, without_filters

if TYPE_CHECKING:
    from git import Repo


@contextmanager
def reading(path: Path) -> Iterator["Repo"]:
    """Give a repository to be read, until the end of the block.

    Parameters
    ----------
    path
        The repository or working tree itself: none is looked for above it.

    Raises
    ------
    EnvironmentFailure
        There is no repository, or Git failed.
    UsageError
        It belongs to another user, and the person has not said that they trust it.
    """
    # Git itself decides whether the folder is one that it trusts.
    git("rev-parse", "--git-dir", at=path)
    with _without_git_variables():
        make = _repository_class()
        from git.exc import GitError, ODBError
    try:
        with _without_git_variables():
            repository = make(path, expand_vars=False)
        with contextlib.closing(repository):
            yield repository
    except (GitError, ODBError, ValueError) as error:
        raise EnvironmentFailure(f"{path} cannot be read: {' '.join(str(error).split())}") from error


def has_commit(repository: "Repo", name: str) -> bool:
    """Whether a repository has a commit, by its name or that of a ref."""
    done = repository.git.rev_parse("--verify", "--quiet", f"{name}^{{commit}}", with_exceptions=False)
    return bool(done)


@contextmanager
def _without_git_variables() -> Iterator[None]:
    """Let nothing that a person exported lead GitPython to another repository or to a program."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith("GIT_")}
    # At its first import it asks its Git for the version: with the whole environment, tokens included.
    ours = {"GIT_PYTHON_REFRESH": "quiet", "GIT_PYTHON_GIT_EXECUTABLE": os.devnull}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(kept)


@functools.cache
def _repository_class() -> "type[Repo]":
    """Return GitPython's repository with our runner; imported here, since importing it has to be fenced."""
    from git import Git, Repo
    from git.exc import GitCommandError

    class Runner(Git):
        """Carries out GitPython's commands as `matrix.prepare.checkout.git` does."""

        def __init__(self, working_dir: str | os.PathLike[str] | None = None) -> None:
            super().__init__(working_dir)
            self.folder = Path(working_dir or os.devnull)
            self.open = ExitStack()

        def execute(
            self,
            command: Sequence[Any],
            *_: Any,
            as_process: bool = False,
            with_exceptions: bool = True,
            with_extended_output: bool = False,
            strip_newline_in_stdout: bool = True,
            **__: Any,
        ) -> Any:
            words = [str(word) for word in command[1:]]
            # A look at files must not start the programs that the repository names for them.
            env = without_filters(self.folder) if words[0] in ("diff", "status") else {}
            if as_process:
                start, variables = self.open.enter_context(hardened(self.folder))
                return self.AutoInterrupt(process.start([*start, *words], env=variables | env), command)
            done = git(*words, at=self.folder, env=env, check=False)
            if done.exit_code and with_exceptions:
                raise GitCommandError(words, done.exit_code, complaint(done))
            said = done.stdout.removesuffix("\n") if strip_newline_in_stdout else done.stdout
            return (done.exit_code, said, done.stderr) if with_extended_output else said

        def clear_cache(self) -> Any:
            """End what it started, and remove the configurations that were made for that."""
            super().clear_cache()
            self.open.close()
            return self

    class Repository(Repo):
        """A repository that is read with our runner."""

        GitCommandWrapperType = Runner

    return Repository
