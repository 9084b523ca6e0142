"""From branches on this machine to branches at the remotes and pull requests, each step written down."""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.refresh.branches.forge import Forge, ForgeRefusedError, PullRequest
from matrix.refresh.branches.push import look_at_remote, push
from matrix.refresh.branches.state import BranchState, Opened, Pushed, write_state
from matrix.refresh.branches.trio import Branch

# The text between the marks is ours; what people write before and after it stays.
BEGIN = "<!-- nnls-matrix: begin. This part is rewritten by nox -s refresh-artifacts; ticks are kept. -->"
END = "<!-- nnls-matrix: end. What is written below stays. -->"

_BLOCK = re.compile(r"<!-- nnls-matrix: begin\b.*<!-- nnls-matrix: end\b[^\n]*?-->", re.DOTALL)
_TICKED = re.compile(r"^- \[[xX]\] (.+)$", re.MULTILINE)

Text = Callable[[Branch], str]


class Publisher:
    """Takes branches with commits to their remotes and opens their pull requests.

    Parameters
    ----------
    branches
        In merge order, each with commits.
    addresses
        The remote of each repository, by name.
    state
        What was published before; brought up to date after every single step.
    state_path
        Where it is written.
    """

    def __init__(
        self, branches: Sequence[Branch], addresses: Mapping[str, str], state: BranchState, state_path: Path
    ) -> None:
        self._branches = branches
        self._addresses = addresses
        self._state = state
        self._state_path = state_path

    def look_up(self, forges: Mapping[str, Forge]) -> None:
        """Find every branch's pull request before anything is pushed or opened.

        Raises
        ------
        ForgeRefusedError
            One was closed by a person, or goes to another base.
        """
        for branch in self._branches:
            self._find(branch, forges[branch.repository.name])

    def send(self, *, pushing: bool) -> None:
        """Look at every remote before the first push; then push in merge order.

        Parameters
        ----------
        pushing
            Whether to push; without it the branches must be there already.

        Raises
        ------
        UsageError
            A branch is not there and was not to be pushed.
        """
        waiting = self._waiting()
        outlooks = [
            (
                branch,
                look_at_remote(
                    branch.at, self._address(branch), branch.repository.base, self._pushed(branch)
                ),
            )
            for branch in waiting
        ]
        for branch, outlook in outlooks:
            if not pushing and outlook.theirs != branch.at.head:
                raise UsageError(
                    f"{branch.at.name}: a pull request needs {branch.at.branch} at {branch.at.head[:12]} on "
                    "its remote, and it is not there. Give --push beside --open-prs."
                )
        for branch, outlook in outlooks:
            if outlook.ahead:
                print(
                    f"note        {branch.at.name}: {branch.repository.base} is {outlook.ahead} commits "
                    "beyond what was validated"
                )
            self._state.branches[branch.at.name] = push(branch.at, outlook)
            write_state(self._state_path, self._state)
            print(f"pushed      {branch.at.name} {branch.at.branch} {branch.at.head[:12]}")

    def open(self, forges: Mapping[str, Forge], title: Text, body: Text) -> None:
        """Open what is not open yet in merge order, then bring every text up to date with all the links.

        Parameters
        ----------
        forges
            By repository name.
        title, body
            Of a branch's pull request, as things stand when they are called.
        """
        waiting = self._waiting()
        for branch in waiting:
            at, base = branch.at, branch.repository.base
            if self._opened(branch) is None:
                made = forges[at.name].open(at.branch, base, title(branch), in_marks(body(branch)))
                self._note(branch, made)
                print(f"opened      {at.name} {made.url}")
        for branch in waiting:
            known = self._opened(branch)
            assert known is not None
            renewed = functools.partial(with_ours, ours=body(branch))
            changed = forges[branch.at.name].rewrite(known.number, renewed)
            print(f"{'updated' if changed else 'unchanged':<11} {branch.at.name} {known.url}")

    def _find(self, branch: Branch, forge: Forge) -> None:
        at, base = branch.at, branch.repository.base
        known = self._opened(branch)
        found = forge.find(at.branch, base, at.head) if known is None else forge.read(known.number)
        if found is None:
            return
        if found.state == "closed":
            raise ForgeRefusedError(
                f"{at.name}: {found.url} was closed without being merged, and is not opened again by a "
                "program. Reopen it there, or choose another `branch` in the manifest for a new one."
            )
        if found.base != base:
            raise ForgeRefusedError(
                f"{at.name}: {found.url} goes to {found.base}, the manifest says {base}: change one of them."
            )
        self._note(branch, found)

    def _note(self, branch: Branch, pull: PullRequest) -> None:
        merged = pull.head if pull.state == "merged" else None
        self._state.pull_requests[branch.at.name] = Opened(
            branch=branch.at.branch, number=pull.number, url=pull.url, merged=merged
        )
        write_state(self._state_path, self._state)

    def _waiting(self) -> list[Branch]:
        """The branches that are not merged yet."""
        return [branch for branch in self._branches if not self._is_merged(branch)]

    def _is_merged(self, branch: Branch) -> bool:
        opened = self._opened(branch)
        if opened is None or opened.merged is None:
            return False
        if opened.merged != branch.at.head:
            raise ForgeRefusedError(
                f"{branch.at.name}: {opened.url} was merged at {opened.merged[:12]}, and our "
                f"{branch.at.branch} has other commits since: choose another `branch` in the manifest."
            )
        return True

    def _opened(self, branch: Branch) -> Opened | None:
        return self._state.opened(branch.at.name, branch.at.branch)

    def _pushed(self, branch: Branch) -> Pushed | None:
        return self._state.pushed(branch.at.name, branch.at.branch)

    def _address(self, branch: Branch) -> str:
        return self._addresses[branch.at.name]


def in_marks(ours: str) -> str:
    """Our text as a pull request holds it."""
    return f"{BEGIN}\n\n{ours.strip()}\n\n{END}"


def with_ours(theirs: str, ours: str) -> str:
    """A pull request's text with our part as it should be now.

    What people wrote outside the marks stays; boxes they ticked stay ticked while the line says the same.

    Parameters
    ----------
    theirs
        As it is on the forge.
    ours
        Our part, without marks.
    """
    block = _BLOCK.search(theirs)
    ticked = set(_TICKED.findall(block[0])) if block else set()
    lines = [
        f"- [x] {line.removeprefix('- [ ] ')}" if line.removeprefix("- [ ] ") in ticked else line
        for line in ours.splitlines()
    ]
    marked = in_marks("\n".join(lines))
    if block:
        return theirs[: block.start()] + marked + theirs[block.end() :]
    return f"{theirs.rstrip()}\n\n{marked}" if theirs.strip() else marked
