"""Which forge hosts a repository, and under which name, as its address says."""

import re
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"(?:https?://(?:[^@/]*@)?|ssh://(?:[^@/]*@)?|[^@/:]+@)(?P<host>[^/:]+)(?::\d+)?[/:]"
    r"(?P<owner>[^/:]+)/(?P<name>[^/]+?)(?:\.git)?/?"
)
_PULL = re.compile(r"refs/pull/(?P<number>\d+)/")


@dataclass(frozen=True)
class Hosted:
    """A repository on a forge."""

    host: str
    owner: str
    name: str

    @property
    def slug(self) -> str:
        """Its name as the forge writes it, `OWNER/NAME`."""
        return f"{self.owner}/{self.name}"

    def branch_page(self, branch: str) -> str:
        """Where a person finds a branch of it, or what else a ref names; of a pull request's ref that one."""
        pull = _PULL.match(branch)
        place = f"pull/{pull['number']}" if pull else f"tree/{branch}"
        return f"https://{self.host}/{self.slug}/{place}"


def hosted(url: str) -> Hosted | None:
    """Read host, owner and name off a repository's address; None for one that no forge has."""
    match = _ADDRESS.fullmatch(url)
    return Hosted(match["host"], match["owner"], match["name"]) if match else None
