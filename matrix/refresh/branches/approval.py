"""What a person approved: the bundles they looked at, which the branches must be to the commit."""

from collections.abc import Sequence
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.files import inside
from matrix.prepare.checkout.git import git
from matrix.refresh.branches.trio import Branch


class NotApprovedError(UsageError):
    """The branches are other ones than a person approved; nothing was pushed."""


def check_approved(branches: Sequence[Branch], folder: Path) -> None:
    """See that every branch ends in the commit that its bundle in `folder` does.

    Parameters
    ----------
    branches
        All, with and without commits.
    folder
        Where an earlier refresh of the same run left its bundles.

    Raises
    ------
    NotApprovedError
        A branch is another one, or one of the two is missing; names every difference.
    """
    faults = []
    for branch in branches:
        at = branch.at
        bundle = inside(folder, f"{at.name}.bundle")
        approved = _heads(bundle, at.branch) if bundle.is_file() else []
        made = [at.head] if at.commits else []
        if made != approved:
            faults.append(f"  {at.name}: approved {_said(approved)}, made here {_said(made)}")
    if faults:
        raise NotApprovedError(
            f"the branches are not those whose bundles are in {folder}, so nothing is pushed:\n"
            + "\n".join(faults)
            + "\nRun the whole workflow again, and look at what it shows."
        )


def _heads(bundle: Path, branch: str) -> list[str]:
    """The commits that a bundle has for a branch, honestly one; takes nothing out of it."""
    done = git("bundle", "list-heads", bundle.resolve(), check=False)
    heads = (line.partition(" ") for line in done.stdout.splitlines())
    return [commit for commit, _, ref in heads if ref == f"refs/heads/{branch}"]


def _said(commits: Sequence[str]) -> str:
    return " and ".join(commits) or "nothing"
