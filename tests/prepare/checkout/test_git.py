"""The Git runner: silent, fenced, discreet."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from matrix.ground.errors import EnvironmentFailure, NetworkError
from matrix.ground.redaction import redact
from matrix.prepare.checkout.git import RemoteRefusedError, git, is_repository, list_refs
from tests.prepare.checkout.helpers import make_repository, run_git


@contextmanager
def server(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[tuple[str, list[str]]]:
    """Serve HTTP on this machine; yield the address and the list of requested paths."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            answer(self)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{serving.server_port}", asked
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def answering(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        if status == 401:
            handler.send_header("WWW-Authenticate", 'Basic realm="private"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_credentials_are_taken_out_of_addresses() -> None:
    text = redact("fatal: unable to access 'https://me:s3cret@host/x' and ssh://git@host/y")
    assert text == "fatal: unable to access 'https://***@host/x' and ssh://***@host/y"


def test_a_private_repository_is_refused_at_once_and_keeps_the_secret() -> None:
    with server(answering(401)) as (place, _), pytest.raises(RemoteRefusedError) as caught:
        list_refs(f"http://me:s3cret@{place}/private.git")
    assert "s3cret" not in str(caught.value)
    assert "Authentication failed" in str(caught.value)


def test_the_secret_stays_out_of_a_failing_command() -> None:
    with pytest.raises(EnvironmentFailure) as caught:
        git("fetch", "http://me:s3cret@host.invalid/x", at=Path.cwd())
    assert "s3cret" not in str(caught.value)


def test_a_missing_repository_is_asked_for_once() -> None:
    with server(answering(404)) as (place, asked), pytest.raises(RemoteRefusedError):
        list_refs(f"http://{place}/missing.git")
    assert len(asked) == 1


def test_a_failure_that_may_pass_is_tried_three_times() -> None:
    with server(answering(503)) as (place, asked), pytest.raises(NetworkError, match="503"):
        list_refs(f"http://{place}/busy.git")
    assert len(asked) == 3


def test_a_remote_that_never_answers_is_given_up() -> None:
    ended = threading.Event()
    with server(lambda _: (ended.wait(20), None)[1]) as (place, _):
        with pytest.raises(NetworkError, match=r"no answer within 0\.5 s"):
            list_refs(f"http://{place}/slow.git", timeout=0.5, attempts=1)
        ended.set()


def test_git_does_not_look_above_the_folder_it_is_given(tmp_path: Path) -> None:
    outer = make_repository(tmp_path / "outer")
    inner = outer / "package"
    assert not is_repository(inner)
    with pytest.raises(EnvironmentFailure, match="not a git repository"):
        git("reset", "--hard", "HEAD~1", at=inner)
    assert run_git(outer, "log", "-1", "--format=%s") == "second"


def test_an_inherited_git_dir_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make_repository(tmp_path / "here")
    elsewhere = make_repository(tmp_path / "elsewhere")
    monkeypatch.setenv("GIT_DIR", str(elsewhere / ".git"))
    assert git("rev-parse", "--show-toplevel", at=here).stdout.strip() == str(here.resolve())


def test_a_tag_is_followed_to_its_commit(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "here")
    refs = list_refs(str(repository))
    assert refs["refs/tags/2026.7.9.1"] == run_git(repository, "rev-parse", "main~1")
    assert refs["refs/heads/main"] == run_git(repository, "rev-parse", "main")


def test_missing_git_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EnvironmentFailure, match="cannot run 'git'"):
        git("version")
