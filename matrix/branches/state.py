"""What has left this machine so far, written down after every step for the next run to go on from."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from matrix.errors import UsageError
from matrix.files import write_text


class Pushed(BaseModel):
    """A branch that was pushed: where to, and its tip then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    commit: str


class State(BaseModel):
    """The pushed branches by repository name."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    branches: dict[str, Pushed] = {}

    def pushed(self, name: str) -> Pushed | None:
        """What was pushed of a repository, None while nothing was."""
        return self.branches.get(name)


def read_state(path: Path) -> State:
    """Read the state; a new one where there is no file yet.

    Raises
    ------
    UsageError
        The file is damaged or from a newer version.
    """
    if not path.is_file():
        return State()
    try:
        return State.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        raise UsageError(
            f"{path} cannot be read ({error.error_count()} faults): restore it, or remove it "
            "after checking by hand what was pushed"
        ) from error


def write_state(path: Path, state: State) -> None:
    """Write the state, whole or not at all."""
    write_text(path, state.model_dump_json(indent=2) + "\n")
