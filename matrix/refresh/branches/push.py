"""Pushing one branch: looked at first, by fast-forward alone, and looked at again afterwards."""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import NetworkError, UsageError
from matrix.ground.redaction import redact
from matrix.prepare.checkout.git import RemoteRefusedError, clone_history, complaint, git, list_refs
from matrix.refresh.branches.repository import BranchRepository
from matrix.refresh.branches.state import Pushed

PROTECTED = frozenset({"main", "master", "develop", "trunk", "release", "gh-pages"})

_PUSH_TIMEOUT = 900.0
_DENIED = re.compile(
    r"Authentication failed|could not read (Username|Password)|Permission denied|Access denied|"
    r"not authorized|requested URL returned error: 40[134]|Permission to .* denied|Repository not found",
    re.IGNORECASE,
)
_BEHIND = re.compile(r"non-fast-forward|fetch first|stale info|cannot lock ref|incorrect old value")
_HELD_BACK = re.compile(r"protected branch|pre-receive hook declined|remote rejected", re.IGNORECASE)
_BUSY = re.compile(r"returned error: 429|rate limit|too many requests", re.IGNORECASE)


class PushRefusedError(UsageError):
    """The remote is not as this branch needs it; nothing was pushed and nothing is lost."""


@dataclass(frozen=True)
class Outlook:
    """What a push would meet.

    Attributes
    ----------
    address
        Where to, as Git is given it.
    theirs
        Tip of our branch there, None while it is not there.
    base_tip
        Tip of the branch that the pull request goes to.
    ahead
        Commits the base has beyond the commit that was validated.
    """

    address: str
    theirs: str | None
    base_tip: str
    ahead: int


def check_branch(branch: str, base: str) -> None:
    """Refuse to push to a branch that is not ours alone.

    Raises
    ------
    UsageError
        `branch` is the base, or has the name of a branch that others build on.
    """
    if branch in PROTECTED | {base}:
        raise UsageError(
            f"{branch} is never pushed to: give the pull requests a branch of their own in the manifest"
        )


def look_at_remote(at: BranchRepository, address: str, base: str, before: Pushed | None) -> Outlook:
    """Look at a remote without changing it, and say what stands in the way of a push.

    Parameters
    ----------
    at
        Our branch.
    address
        The remote.
    base
        Name of the branch that the pull request goes to.
    before
        What was pushed there by an earlier run.

    Raises
    ------
    PushRefusedError
        The remote's base does not hold the validated commit, somebody else's commits are on our branch, or
        the branch is gone.
    NetworkError
        No answer, or no permission to read.
    """
    check_branch(at.branch, base)
    refs = _listed(at, address)
    base_tip = refs.get(f"refs/heads/{base}")
    if base_tip is None:
        raise PushRefusedError(
            f"{at.name}: {redact(address)} has no branch {base}; correct `base` in the manifest"
        )
    theirs = refs.get(f"refs/heads/{at.branch}")
    if theirs is None and before is not None and before.address == redact(address):
        raise PushRefusedError(
            f"{at.name}: {at.branch} was pushed before and is gone from {redact(address)}. Merged, or "
            f"deleted? To push it anew, remove {at.name} from trio/state.json in our folder."
        )
    if theirs is not None and not at.contains(theirs):
        raise PushRefusedError(
            f"{at.name}: {at.branch} at {redact(address)} is at {theirs[:12]}, which is not part of our "
            "branch: somebody else pushed to it, or another machine did. Nothing is overwritten. Fetch and "
            f"merge it in {at.worktree}, then run this again, or choose another `branch` in the manifest."
        )
    return Outlook(address, theirs, base_tip, _commits_beyond(at, address, base, base_tip))


def push(at: BranchRepository, outlook: Outlook) -> Pushed:
    """Push our branch by fast-forward, unless it is there already.

    Git compares the remote's tip with the one it was told when it connected, so that a push which somebody
    else overtakes is refused by the remote itself.

    Raises
    ------
    PushRefusedError
        The branch moved meanwhile, or the remote protects it.
    NetworkError
        No answer, no permission, or too many requests.
    """
    if outlook.theirs != at.head:
        _send(at, outlook)
        arrived = _listed(at, outlook.address).get(f"refs/heads/{at.branch}")
        if arrived != at.head:
            raise PushRefusedError(
                f"{at.name}: {at.branch} is at {arrived} right after {at.head} was pushed: "
                "somebody else works on it"
            )
    return Pushed(branch=at.branch, address=redact(outlook.address), commit=at.head)


def _listed(at: BranchRepository, address: str) -> dict[str, str]:
    """The refs of the remote; a failure says of which repository, and what a person can do."""
    try:
        return list_refs(address)
    except RemoteRefusedError as error:
        raise RemoteRefusedError(
            f"{at.name}: {redact(address)} does not let you in: {error}. Check the address in the manifest, "
            "and that Git's credential helper, or your ssh agent, has your credentials. Nothing was lost."
        ) from error
    except NetworkError as error:
        raise NetworkError(
            f"{at.name}: {redact(address)} does not answer: {error}. Run this again to go on from here."
        ) from error


def _commits_beyond(at: BranchRepository, address: str, base: str, tip: str) -> int:
    """How many commits the base has beyond the validated one, which it must contain."""
    if tip == at.start:
        return 0
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.git"
        try:
            clone_history(address, history)
        except NetworkError as error:
            raise NetworkError(
                f"{at.name}: the history of {redact(address)} cannot be read, so nobody knows whether {base} "
                f"contains what was validated: {error}. Nothing was pushed; run this again."
            ) from error
        words = ("merge-base", "--is-ancestor", at.start, tip)
        if git(*words, at=history, check=False).exit_code != 0:
            raise PushRefusedError(
                f"{at.name}: the base is stale. {base} at {redact(address)} lacks {at.start[:12]}, "
                "which was validated, so a pull request would carry what is not ours. Run the matrix on it "
                f"with --ref {at.name}={base}, then this again."
            )
        count = int(git("rev-list", "--count", f"{at.start}..{tip}", at=history).stdout)
    # Known to us, the base's new commits need not be sent back.
    quietly = ("--quiet", "--no-tags", "--no-write-fetch-head")
    git("fetch", *quietly, address, tip, at=at.bare, remote=address)
    return count


def _send(at: BranchRepository, outlook: Outlook) -> None:
    ref = f"refs/heads/{at.branch}"
    words = ("push", "--porcelain", "--no-verify", "--no-follow-tags", outlook.address, f"{ref}:{ref}")
    done = git(*words, at=at.bare, remote=outlook.address, timeout=_PUSH_TIMEOUT, check=False)
    if done.exit_code == 0:
        return
    said = redact(f"{done.stdout}\n{done.stderr}")
    where = f"{at.name}: {redact(outlook.address)}"
    if _BUSY.search(said):
        raise NetworkError(f"{where} asks us to wait (rate limit). Run this again later: {complaint(done)}")
    if _DENIED.search(said):
        raise RemoteRefusedError(
            f"{where} does not let you push: {complaint(done)}. Check that you may write there, and that "
            "Git's credential helper, or your ssh agent, has your credentials."
        )
    if _BEHIND.search(said):
        raise PushRefusedError(
            f"{where}: {at.branch} moved while we pushed; nothing was overwritten. Run this again."
        )
    if _HELD_BACK.search(said):
        raise PushRefusedError(f"{where} refuses {at.branch}: {complaint(done)}")
    raise NetworkError(f"{where}: {complaint(done)}. What was pushed before stays; run this again to go on.")
