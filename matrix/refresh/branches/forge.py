"""The forge's REST API: one repository's pull requests and issues, and what the forge refuses, in words."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

import requests
from github import Auth, Github
from github.GithubException import (
    BadAttributeException,
    GithubException,
    IncompletableObject,
    RateLimitExceededException,
)
from github.PullRequest import PullRequest as Answer
from urllib3 import Retry

from matrix.ground.errors import NetworkError, UsageError
from matrix.ground.redaction import redact
from matrix.prepare.checkout.git import RemoteRefusedError
from matrix.refresh.branches.hosting import Hosted, hosted

TOKEN_VARIABLES = ("GH_TOKEN", "GITHUB_TOKEN")
ADDRESS_VARIABLE = "GITHUB_API_URL"

_TIMEOUT = 30
# The forge asks for a second between requests that change something.
SECONDS_BETWEEN_WRITES = 1.0
_THIS_MACHINE = frozenset({"127.0.0.1", "::1", "localhost"})


class ForgeRefusedError(UsageError):
    """The forge, or what is there, is not as a pull request of ours needs it; nothing was overwritten."""


@dataclass(frozen=True)
class PullRequest:
    """A pull request as the forge has it.

    Attributes
    ----------
    base
        Name of the branch it goes to.
    head
        Full sha of the tip of its own branch.
    body
        Its text in Markdown, without the title.
    """

    number: int
    url: str
    state: Literal["open", "closed", "merged"]
    base: str
    head: str
    body: str


@dataclass(frozen=True)
class KeptIssue:
    """An issue that is there now, and what was done for it: "opened", "updated" or "unchanged"."""

    url: str
    done: Literal["opened", "updated", "unchanged"]


class Forge:
    """The pull requests and issues of one repository.

    Every method raises

    RemoteRefusedError
        The token is not accepted, or may not do this.
    ForgeRefusedError
        The forge has the request and says no.
    NetworkError
        No answer, an answer that is none, or too many requests.
    """

    def __init__(self, place: Hosted, token: str, address: str) -> None:
        self.slug = place.slug
        self._owner = place.owner
        self._host = urlsplit(address).hostname
        self._token = token
        # A lost answer to a question is asked for again; what changes something is sent once.
        retry = Retry(
            total=2,
            backoff_factor=0.5,
            status_forcelist=(500, 502, 503, 504),
            allowed_methods=("GET",),
            raise_on_status=False,
            # A rate limit is said at once, and not slept out: it may last an hour.
            respect_retry_after_header=False,
        )
        client = Github(
            base_url=address,
            auth=Auth.Token(token),
            timeout=_TIMEOUT,
            retry=retry,
            seconds_between_requests=None,
            seconds_between_writes=SECONDS_BETWEEN_WRITES,
            lazy=True,
        )
        self._repository = client.get_repo(self.slug)

    def find(self, branch: str, base: str, head: str) -> PullRequest | None:
        """The pull request from `branch` to `base`: the open one, else the newest there ever was.

        One that was merged at another commit than `head` was an earlier change, and does not count.
        """
        with self._in_words("list its pull requests"):
            answers = self._repository.get_pulls(state="all", head=f"{self._owner}:{branch}", base=base)
            pulls = [_read(answer) for answer in answers]
        ours = [pull for pull in pulls if pull.state != "merged" or pull.head == head]
        return min(ours, key=lambda pull: (pull.state != "open", -pull.number), default=None)

    def read(self, number: int) -> PullRequest:
        """The pull request of that number."""
        with self._in_words(f"show its pull request {number}"):
            return _read(self._repository.get_pull(number))

    def open(self, branch: str, base: str, title: str, body: str) -> PullRequest:
        """Open a pull request from `branch` to `base`."""
        with self._in_words(f"open a pull request from {branch} to {base}"):
            return _read(self._repository.create_pull(base=base, head=branch, title=title, body=body))

    def rewrite(self, number: int, change: Callable[[str], str]) -> bool:
        """Change the text of a pull request as it is this moment; return whether anything changed.

        Parameters
        ----------
        change
            Makes the new text of the old one.
        """
        with self._in_words(f"show its pull request {number}"):
            answer = self._repository.get_pull(number)
            before = _read(answer).body
        after = change(before)
        if after != before:
            with self._in_words(f"change the text of its pull request {number}"):
                answer.edit(body=after)
        return after != before

    def keep_issue(self, author: str, title: str, body: str) -> KeptIssue:
        """Have one issue of that title by that author, open and with that text; there is never a second one.

        An older one that was closed is opened again.
        """
        with self._in_words("list its issues", "issues"):
            answers = self._repository.get_issues(state="all")
            ours = [one for one in answers if (one.user.login, one.title) == (author, title)]
            found = min(ours, key=lambda one: (one.state != "open", -one.number), default=None)
        if found is None:
            with self._in_words("open an issue", "issues"):
                return KeptIssue(self._repository.create_issue(title=title, body=body).html_url, "opened")
        with self._in_words(f"change its issue {found.number}", "issues"):
            if (found.state, (found.body or "").replace("\r\n", "\n")) == ("open", body):
                return KeptIssue(found.html_url, "unchanged")
            found.edit(body=body, state="open")
            return KeptIssue(found.html_url, "updated")

    @contextmanager
    def _in_words(self, doing: str, writes: str = "pull requests") -> Iterator[None]:
        where = f"{self.slug}: {self._host} was asked to {doing}"
        try:
            yield
        except (IncompletableObject, BadAttributeException, AttributeError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{where}, and its answer is not a forge's. Is {ADDRESS_VARIABLE} right?"
            ) from error
        except GithubException as error:
            raise self._refusal(error, where, writes) from error
        except requests.RequestException as error:
            raise NetworkError(
                f"{where} and does not answer ({type(error).__name__}). What is there already stays; "
                "run this again to go on from here."
            ) from error

    def _refusal(self, error: GithubException, where: str, writes: str) -> Exception:
        said = self._complaint(error)
        if _wants_a_pause(error):
            return NetworkError(
                f"{where} and wants fewer requests (rate limit{_until(error.headers or {})}). What is there "
                "already stays; run this again then."
            )
        variables = " or ".join(TOKEN_VARIABLES)
        if error.status == 401:
            return RemoteRefusedError(
                f"{where} and does not accept the token in {variables}: {said}. Has it expired?"
            )
        if error.status in (403, 404):
            return RemoteRefusedError(
                f"{where} and does not let the token do that: {said}. It needs to read {self.slug} and to "
                f'write its {writes} (a fine-grained token: "{writes.capitalize()}: read and write"; a '
                'classic one: "repo", authorised for the organisation).'
            )
        if error.status == 422:
            return ForgeRefusedError(
                f"{where} and says no: {said}. Nothing was overwritten; put that right, then run this again."
            )
        return NetworkError(f"{where} and fails ({error.status}: {said}). Run this again to go on from here.")

    def _complaint(self, error: GithubException) -> str:
        """What the forge said, in one line, without the token should it be repeated there."""
        data = error.data if isinstance(error.data, Mapping) else {}
        parts = [str(data.get("message") or "no reason given")]
        for fault in data.get("errors") or ():
            if isinstance(fault, Mapping):
                words = fault.get("message") or f"{fault.get('field')} {fault.get('code')}"
            else:
                words = fault
            parts.append(str(words))
        return redact("; ".join(parts)).replace(self._token, "***").replace("\n", " ")


def open_forge(url: str, purpose: str = "--open-prs needs a token that may write pull requests") -> Forge:
    """Make the client for the repository at `url`; nothing is sent yet.

    The token is read from the environment and goes nowhere but into the requests' headers.

    Raises
    ------
    UsageError
        There is no token, no forge has this address, or the token would travel in the clear.
    """
    place = hosted(url)
    if place is None:
        raise UsageError(
            f"{redact(url)} is not a repository on a forge, so no pull request can be opened there; "
            "give its https or ssh address as `url` in the manifest"
        )
    token = next((value for name in TOKEN_VARIABLES if (value := os.environ.get(name, "").strip())), None)
    if token is None:
        raise UsageError(
            f"{purpose}: put it into {TOKEN_VARIABLES[0]} (or {TOKEN_VARIABLES[1]}), in the environment only"
        )
    return Forge(place, token, _address(place))


def _address(place: Hosted) -> str:
    """Where the API is: named by the environment, as on a forge's own runners, or derived from the host."""
    known = "https://api.github.com" if place.host == "github.com" else f"https://{place.host}/api/v3"
    address = os.environ.get(ADDRESS_VARIABLE, "").strip().rstrip("/") or known
    parts = urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _THIS_MACHINE):
        raise UsageError(f"{ADDRESS_VARIABLE}={redact(address)}: a token is sent over https alone")
    return address


def _read(answer: Answer) -> PullRequest:
    merged = answer.merged_at is not None
    state: Literal["open", "closed", "merged"] = "open" if answer.state == "open" else "closed"
    return PullRequest(
        number=answer.number,
        url=answer.html_url,
        state="merged" if merged else state,
        base=answer.base.ref,
        head=answer.head.sha,
        # Text typed into the forge's page has the line ends of a web form.
        body=(answer.body or "").replace("\r\n", "\n"),
    )


def _wants_a_pause(error: GithubException) -> bool:
    headers = error.headers or {}
    spent = headers.get("x-ratelimit-remaining") == "0" or "retry-after" in headers
    limited = isinstance(error, RateLimitExceededException) or spent
    return error.status == 429 or (error.status == 403 and limited)


def _until(headers: Mapping[str, str]) -> str:
    wait, reset = headers.get("retry-after", ""), headers.get("x-ratelimit-reset", "")
    if wait.isdigit():
        return f", for {wait} s"
    if reset.isdigit():
        return f", until {datetime.fromtimestamp(int(reset)).astimezone():%H:%M:%S %Z}"
    return ""
