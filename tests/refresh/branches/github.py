"""A forge in memory: pull requests and issues of repositories, as GitHub's API shows and changes them."""

import copy
import json
import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "token-of-ada-e3b0c44298fc1c149afb"
OWNER = "PyAutoLabs"

_PATH = re.compile(r"/repos/(?P<owner>[^/]+)/(?P<name>[^/]+)/(?P<kind>pulls|issues)(?:/(?P<number>\d+))?")

Pull = dict[str, Any]
Issue = dict[str, Any]

# Who a workflow's own token acts as.
BOT = "github-actions[bot]"


@dataclass(frozen=True)
class Fault:
    """What the next matching request meets in place of an answer.

    Attributes
    ----------
    done
        Whether the request is carried out all the same.
    status
        None to break the connection off.
    """

    method: str
    name: str
    status: int | None
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    done: bool = False


class GitHub:
    """The forge: what it holds, what it was asked, and how it is to fail.

    Parameters
    ----------
    remotes
        Folder of the bare repositories, `NAME.git`.
    example
        A complete pull request, whose every field that is not ours is answered; empty for our fields alone.
    """

    def __init__(self, remotes: Path, example: Pull) -> None:
        self.remotes = remotes
        self.address = ""
        self.pulls: dict[str, list[Pull]] = {}
        self.issues: dict[str, list[Issue]] = {}
        self.requests: list[tuple[str, str]] = []
        self.faults: list[Fault] = []
        self._example = example

    def writes(self) -> list[tuple[str, str]]:
        """The requests so far that were to change something."""
        return [request for request in self.requests if request[0] != "GET"]

    def bodies(self) -> dict[str, str]:
        """Text of the only pull request of each repository that has any."""
        for name, pulls in self.pulls.items():
            assert len(pulls) == 1, f"{name} has {len(pulls)} pull requests"
        return {name: pulls[0]["body"] for name, pulls in self.pulls.items()}

    def answer(
        self, method: str, target: str, token: str, sent: Any
    ) -> tuple[int, Any, Mapping[str, str]] | None:
        """Status, body and headers for one request; None to break the connection off."""
        address = urlsplit(target)
        match = _PATH.fullmatch(address.path)
        name = match["name"] if match else ""
        self.requests.append((method, address.path))
        fault = next((f for f in self.faults if (f.method, f.name) == (method, name)), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.done:
                self._carry_out(method, match, parse_qs(address.query), sent)
            return None if fault.status is None else (fault.status, fault.body, fault.headers)
        if token != f"token {TOKEN}" and token != f"Bearer {TOKEN}":
            return 401, {"message": "Bad credentials", "documentation_url": "https://d", "status": "401"}, {}
        if match is None or match["owner"] != OWNER or not self._git_folder(name).is_dir():
            return 404, {"message": "Not Found", "documentation_url": "https://d", "status": "404"}, {}
        return (*self._carry_out(method, match, parse_qs(address.query), sent), {})

    def _carry_out(
        self, method: str, match: Any, query: Mapping[str, list[str]], sent: Any
    ) -> tuple[int, Any]:
        name = match["name"]
        if match["kind"] == "issues":
            return self._carry_out_issue(method, name, match["number"], query, sent)
        pulls = self.pulls.setdefault(name, [])
        if match["number"] is None:
            return (
                self._create(name, pulls, sent)
                if method == "POST"
                else (200, self._listed(name, pulls, query))
            )
        pull = next((one for one in pulls if one["number"] == int(match["number"])), None)
        if pull is None:
            return 404, {"message": "Not Found", "documentation_url": "https://d", "status": "404"}
        if method == "PATCH":
            pull.update({key: sent[key] for key in ("title", "body", "state", "base") if key in sent})
        return 200, self._shown(name, pull)

    def _carry_out_issue(
        self, method: str, name: str, number: str | None, query: Mapping[str, list[str]], sent: Any
    ) -> tuple[int, Any]:
        issues = self.issues.setdefault(name, [])
        if method == "POST":
            issues.append(issue(len(issues) + 1, sent["title"], sent.get("body"), BOT))
            return 201, self._issue_shown(name, issues[-1])
        if number is None:
            states = query.get("state", ["open"])
            listed = [one for one in issues if states[0] in ("all", one["state"])]
            return 200, [self._issue_shown(name, one) for one in listed]
        found = next((one for one in issues if one["number"] == int(number)), None)
        if found is None:
            return 404, {"message": "Not Found", "documentation_url": "https://d", "status": "404"}
        found.update({key: sent[key] for key in ("title", "body", "state") if key in sent})
        return 200, self._issue_shown(name, found)

    def _issue_shown(self, name: str, one: Issue) -> Any:
        number = one["number"]
        return {
            **one,
            "url": f"{self.address}/repos/{OWNER}/{name}/issues/{number}",
            "html_url": f"https://github.com/{OWNER}/{name}/issues/{number}",
        }

    def _create(self, name: str, pulls: list[Pull], sent: Any) -> tuple[int, Any]:
        head, base = sent["head"].rpartition(":")[2], sent["base"]
        if not (self._tip(name, head) and self._tip(name, base)):
            return _invalid({"resource": "PullRequest", "field": "head", "code": "invalid"})
        if any((one["head"], one["base"], one["state"]) == (head, base, "open") for one in pulls):
            words = f"A pull request already exists for {OWNER}:{head}."
            return _invalid({"resource": "PullRequest", "code": "custom", "message": words})
        # Numbers are shared with issues, so that they differ from one repository to the next.
        number = 10 * (1 + sorted(path.name for path in self.remotes.iterdir()).index(f"{name}.git")) + len(
            pulls
        )
        pull = {"number": number, "state": "open", "head": head, "base": base, "merged_at": None, "sha": None}
        pulls.append({**pull, "title": sent["title"], "body": sent.get("body")})
        return 201, self._shown(name, pulls[-1])

    def _listed(self, name: str, pulls: list[Pull], query: Mapping[str, list[str]]) -> list[Any]:
        wanted = {key: values[0] for key, values in query.items()}
        state, head, base = wanted.get("state", "open"), wanted.get("head"), wanted.get("base")
        return [
            self._shown(name, pull)
            for pull in pulls
            if state in ("all", pull["state"])
            and head in (None, f"{OWNER}:{pull['head']}")
            and base in (None, pull["base"])
        ]

    def _shown(self, name: str, pull: Pull) -> Any:
        shown = copy.deepcopy(self._example)
        tip = pull["sha"] or self._tip(name, pull["head"])
        shown.update(
            {
                "url": f"{self.address}/repos/{OWNER}/{name}/pulls/{pull['number']}",
                "html_url": f"https://github.com/{OWNER}/{name}/pull/{pull['number']}",
                # Nobody is asked to review. (The description's example of a team is not valid itself.)
                "requested_teams": [],
                **{key: pull[key] for key in ("number", "state", "title", "body", "merged_at")},
            }
        )
        for end, ref, sha in (
            ("head", pull["head"], tip),
            ("base", pull["base"], self._tip(name, pull["base"])),
        ):
            shown[end] = {**shown.get(end, {}), "ref": ref, "sha": sha, "label": f"{OWNER}:{ref}"}
        return shown

    def close(self, name: str, *, merged: bool) -> None:
        """A person closes the only pull request, by merging or without; a merged branch is deleted."""
        pull = self.pulls[name][0]
        pull.update({"state": "closed", "sha": self._tip(name, pull["head"])})
        if merged:
            pull["merged_at"] = "2026-11-25T10:00:00Z"
            self._git(name, "update-ref", f"refs/heads/{pull['base']}", pull["sha"])
            self._git(name, "update-ref", "-d", f"refs/heads/{pull['head']}")

    def _tip(self, name: str, branch: str) -> str:
        return self._git(name, "for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")

    def _git(self, name: str, *words: str) -> str:
        command = ["git", "-C", str(self._git_folder(name)), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def _git_folder(self, name: str) -> Path:
        return self.remotes / f"{name}.git"


def issue(number: int, title: str, body: str | None, author: str) -> Issue:
    """An issue as somebody opened it."""
    return {"number": number, "state": "open", "title": title, "body": body, "user": {"login": author}}


def _invalid(fault: Mapping[str, str]) -> tuple[int, Any]:
    return 422, {"message": "Validation Failed", "documentation_url": "https://d", "errors": [fault]}


@contextmanager
def serve_forge() -> Iterator[tuple[str, list[GitHub]]]:
    """A web server for a forge, which is put into the list; gives its address."""
    shown: list[GitHub] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else None
            found = shown[0].answer(self.command, self.path, self.headers.get("Authorization", ""), sent)
            if found is None:
                self.close_connection = True
                return
            status, body, headers = found
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for key, value in {"Content-Type": "application/json; charset=utf-8", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def do_PATCH(self) -> None:
            self._answer()

        def log_message(self, *_: object) -> None:
            """Say nothing: the test's output is the program's."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
