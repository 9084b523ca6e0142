"""What has left this machine so far, written down after every step for the next run to go on from."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from matrix.ground.errors import UsageError
from matrix.ground.files import write_text


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pushed(_Frozen):
    """A branch that was pushed: where to, and its tip then."""

    branch: str
    address: str
    commit: str


class Opened(_Frozen):
    """A branch's pull request; `merged` is the branch's tip when it was merged, None while it is not."""

    branch: str
    number: int
    url: str
    merged: str | None = None


class BranchState(BaseModel):
    """What was pushed and opened, by repository name."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[2] = 2
    branches: dict[str, Pushed] = {}
    pull_requests: dict[str, Opened] = {}

    def pushed(self, name: str, branch: str) -> Pushed | None:
        """What was pushed of a repository's branch, None while nothing was."""
        found = self.branches.get(name)
        return found if found is not None and found.branch == branch else None

    def opened(self, name: str, branch: str) -> Opened | None:
        """The pull request of a repository's branch, None while there is none."""
        found = self.pull_requests.get(name)
        return found if found is not None and found.branch == branch else None


def read_state(path: Path) -> BranchState:
    """Read the state; a new one where there is no file yet.

    Raises
    ------
    UsageError
        The file is damaged or of another version.
    """
    if not path.is_file():
        return BranchState()
    try:
        return BranchState.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UsageError(
            f"{path} cannot be read ({error.error_count()} faults): restore it, or remove it "
            "after checking by hand what was pushed and opened"
        ) from error


def write_state(path: Path, state: BranchState) -> None:
    """Write the state, whole or not at all."""
    write_text(path, state.model_dump_json(indent=2) + "\n")
