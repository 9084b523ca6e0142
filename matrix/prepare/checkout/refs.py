"""From the name of a ref, as a person writes it, to the commit a source has for it."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.suggestions import near_matches
from matrix.prepare.checkout.git import clone_history, git, local_clone

_FULL_SHA = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SHORT_SHA = re.compile(r"[0-9a-f]{4,63}")
# Where a name is looked for, in Git's own order; `{}` is the name.
_PLACES = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/origin/{}", "refs/remotes/{}")
_NEAR_MATCHES = 5


@dataclass(frozen=True)
class ResolvedRef:
    """A ref and the commit it stands for."""

    ref: str
    commit: str


def is_full_sha(ref: str) -> bool:
    """Return whether `ref` is the whole name of a commit."""
    return _FULL_SHA.fullmatch(ref) is not None


def find_named(ref: str, advertised: Mapping[str, str]) -> str | None:
    """Return the commit of a branch, tag or full ref name among those a remote advertised."""
    for place in _PLACES:
        commit = advertised.get(place.format(ref))
        if commit is not None:
            return commit
    return None


def find_abbreviated(ref: str, location: str, advertised: Mapping[str, str]) -> str | None:
    """Return the commit an abbreviated sha stands for.

    Looks at the tips first, then in the clone itself where `location` is a local one, and fetches the list of
    all commits only when nothing else knows it.

    Parameters
    ----------
    ref
        At least four hexadecimal digits.
    location
        Address or path of the remote.
    advertised
        Its refs, name to commit.

    Raises
    ------
    UsageError
        Several commits begin with `ref`.
    """
    if _SHORT_SHA.fullmatch(ref) is None:
        return None
    tips = {commit for commit in advertised.values() if commit.startswith(ref)}
    if len(tips) == 1:
        return tips.pop()
    clone = local_clone(location)
    if clone is not None:
        return _in_clone(ref, clone)
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.git"
        clone_history(location, history)
        return _in_clone(ref, history)


def _in_clone(ref: str, clone: Path) -> str | None:
    done = git("rev-parse", "--verify", f"{ref}^{{commit}}", at=clone, check=False)
    if done.exit_code == 0:
        return done.stdout.strip()
    if "ambiguous" in done.stderr:
        raise UsageError(f"several commits begin with {ref!r}: give more digits")
    return None


def no_such_ref(name: str, tried: Sequence[str], location: str, advertised: Mapping[str, str]) -> UsageError:
    """Return the error for refs of which none exists, with those that look alike."""
    short = sorted({re.sub(r"^refs/(heads|tags|remotes)/", "", ref) for ref in advertised} - {"HEAD"})
    near = [
        match for ref in tried if not is_full_sha(ref) for match in near_matches(ref, short, _NEAR_MATCHES)
    ]
    known = f"Near matches: {', '.join(dict.fromkeys(near))}." if near else f"It has: {_some(short)}."
    asked = " nor ".join(repr(ref) for ref in tried)
    return UsageError(
        f"{name}: no branch, tag or commit {asked} in {location}. {known} Choose one with --ref {name}=REF."
    )


def _some(names: Sequence[str]) -> str:
    own = [name for name in names if not name.startswith("refs/")]
    more = f" and {len(own) - 10} more" if len(own) > 10 else ""
    return (", ".join(own[:10]) or "no refs at all") + more
