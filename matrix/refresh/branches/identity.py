"""Who the commits are by: the person at the keyboard, as their Git configuration says."""

import re
from dataclasses import dataclass
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.prepare.checkout.git import git


@dataclass(frozen=True)
class Identity:
    """Author, committer and signer of the commits; `date` is theirs in ISO 8601, now where it is empty."""

    name: str
    email: str
    date: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """The environment in which Git commits as this person."""
        people = ("AUTHOR", "COMMITTER")
        return {f"GIT_{who}_{key}": value for who in people for key, value in self._parts}

    @property
    def sign_off(self) -> str:
        """The last line of a commit message."""
        return f"Signed-off-by: {self.name} <{self.email}>"

    @property
    def _parts(self) -> tuple[tuple[str, str], ...]:
        dated = (("DATE", self.date),) if self.date else ()
        return ("NAME", self.name), ("EMAIL", self.email), *dated


def read_identity(folder: Path) -> Identity:
    """Read the person's name and address from the Git configuration in force in `folder`.

    Raises
    ------
    UsageError
        Git does not know them; nothing is guessed from the machine's name.
    """
    done = git("-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT", at=folder, check=False)
    match = re.fullmatch(r"(?P<name>.*\S)\s+<(?P<email>[^<>\s]+)>\s+\d+\s+[+-]\d{4}", done.stdout.strip())
    if done.exit_code != 0 or match is None:
        raise UsageError(
            "the commits need an author and a sign-off, and Git does not know yours. Tell it once: "
            "git config --global user.name 'YOUR NAME' and git config --global user.email YOU@EXAMPLE.ORG"
        )
    return Identity(match["name"], match["email"])
