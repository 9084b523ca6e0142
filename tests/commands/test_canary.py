"""The canary: what is not recognised is news and green, told in one issue; what fails stays red."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix.commands import canary
from matrix.ground.errors import MatrixError, NetworkError, UsageError
from matrix.prepare.change import UnrecognisedError
from matrix.prepare.change.recognition import Unrecognised
from matrix.refresh.branches import forge as forge_module
from tests.refresh.branches.github import BOT, OWNER, TOKEN, GitHub, issue, serve_forge

CALL_SITE = "autoarray/inversion/inversion/inversion_util.py"
NEW_SHAPE = UnrecognisedError(
    Unrecognised(CALL_SITE, "its parameters are (data_vector, @everyone), expected (data_vector)"),
    Unrecognised(CALL_SITE, "its JAX branch computes with ``` Sub"),
    Unrecognised("autoarray/config/general.yaml", "`inversion` has no key `nnls_target_kappa`"),
)
NAME = "matrix-of-ada"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job's page, in CI."""
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "page.md"))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", f"{OWNER}/{NAME}")
    monkeypatch.setenv("GITHUB_RUN_ID", "17")
    (tmp_path / "page.md").write_text("")
    return tmp_path / "page.md"


def run_that(ends: Callable[[], int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The canary's exit code where the matrix ends so."""
    seen: list[Any] = []

    def run_matrix(options: Any) -> int:
        seen.append(options)
        return ends()

    monkeypatch.setattr(canary, "run_matrix", run_matrix)
    code = canary.main(["--root", str(folder), "--release", "latest", "--ref", "PyAutoArray=main"])
    (options,) = seen
    assert options.newest
    assert (options.precision, options.release, options.refs) == ("fp64", "latest", {"PyAutoArray": "main"})
    return code


def raises(error: MatrixError) -> Callable[[], int]:
    def ends() -> int:
        raise error

    return ends


def test_shape_that_is_not_known_is_green_and_listed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_that(raises(NEW_SHAPE), tmp_path, monkeypatch) == 0
    news = (tmp_path / canary.NEWS).read_text()
    assert page.read_text().strip() == news.strip()
    assert "no gate was judged" in news
    # As code, so that names of other people's code neither call anybody nor become markup.
    listed = [f"    {problem.where}: {problem.what}" for problem in NEW_SHAPE.problems]
    assert "\n".join(listed) in news
    assert f"https://github.com/{OWNER}/{NAME}/actions/runs/17" in news
    said = capsys.readouterr().out
    assert "::notice title=the library's shape is not known::" in said
    assert "neutral: the library is not as vendoring knows it" in said


def test_news_of_last_week_are_gone_when_the_shape_is_known(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_that(raises(NEW_SHAPE), tmp_path, monkeypatch) == 0
    page.write_text("")
    assert run_that(lambda: 0, tmp_path, monkeypatch) == 0
    assert not (tmp_path / canary.NEWS).exists()
    assert page.read_text() == ""


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (lambda: 1, 1),
        (raises(UsageError("there is no ref main")), 2),
        (raises(NetworkError("no answer")), 3),
        (lambda: 1 // 0, 3),
    ],
)
def test_what_is_red_stays_red_and_a_machine_that_failed_is_called_so(
    ends: Callable[[], int], code: int, page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_that(ends, tmp_path, monkeypatch) == code
    assert not (tmp_path / canary.NEWS).exists()
    assert ("This says nothing of upstream" in page.read_text()) == (code == 3)


def test_long_list_is_cut_where_a_forge_would_refuse_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = UnrecognisedError(*(Unrecognised(CALL_SITE, f"{number}: {'x' * 90}") for number in range(2000)))
    assert run_that(raises(many), tmp_path, monkeypatch) == 0
    news = (tmp_path / canary.NEWS).read_text()
    assert 30_000 < len(news) < 65_536
    assert "… and more, in the job's log" in news


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    """The forge with this repository, and the token of a workflow's job."""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", f"{OWNER}/{NAME}")
    (tmp_path / "remotes" / f"{NAME}.git").mkdir(parents=True)
    with serve_forge() as (address, shown):
        forge = GitHub(tmp_path / "remotes", {})
        forge.address = address
        shown[:] = [forge]
        monkeypatch.setenv("GITHUB_API_URL", address)
        monkeypatch.setenv("GH_TOKEN", TOKEN)
        monkeypatch.delenv("GITHUB_TOKEN", raising=False)
        monkeypatch.setattr(forge_module, "SECONDS_BETWEEN_WRITES", None)
        yield forge


def told(folder: Path, text: str) -> int:
    news = folder / canary.NEWS
    news.write_text(text)
    return canary.main(["--tell", str(news)])


def test_one_issue_is_opened_and_then_brought_up_to_date(
    github: GitHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Somebody else's of the same title, and another of the bot's, are not ours.
    github.issues[NAME] = [
        issue(1, "Canary: upstream's library has a shape that vendoring does not know", "mine", "mallory"),
        issue(2, "Something else", "other", BOT),
    ]
    for text, done in (("first", "opened"), ("first", "unchanged"), ("second", "updated")):
        assert told(tmp_path, text) == 0
        assert capsys.readouterr().out.split() == [done, f"https://github.com/{OWNER}/{NAME}/issues/3"]
    assert [(one["number"], one["body"]) for one in github.issues[NAME]] == [
        (1, "mine"),
        (2, "other"),
        (3, "second"),
    ]
    assert [method for method, _ in github.writes()] == ["POST", "PATCH"]


def test_issue_that_was_closed_is_opened_again(github: GitHub, tmp_path: Path) -> None:
    assert told(tmp_path, "first") == 0
    github.issues[NAME][0]["state"] = "closed"
    assert told(tmp_path, "first") == 0
    (only,) = github.issues[NAME]
    assert (only["state"], only["body"]) == ("open", "first")


def test_text_with_line_ends_of_a_web_form_is_the_same_text(github: GitHub, tmp_path: Path) -> None:
    assert told(tmp_path, "a\nb\n") == 0
    github.issues[NAME][0]["body"] = "a\r\nb\r\n"
    writes = github.writes()
    assert told(tmp_path, "a\nb\n") == 0
    assert github.writes() == writes


@pytest.mark.usefixtures("github")
def test_token_that_may_not_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", f"{OWNER}/another")
    assert told(tmp_path, "first") == 3
    assert '"Issues: read and write"' in capsys.readouterr().err
    monkeypatch.delenv("GH_TOKEN")
    assert told(tmp_path, "first") == 2
    assert "--tell needs a token that may write issues" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [([], "takes one file"), (["a", "b"], "takes one file"), (["gone.md"], "no file gone.md")],
)
def test_news_that_are_not_there(words: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert canary.main(["--tell", *words]) == 2
    assert says in capsys.readouterr().err


def test_outside_a_workflow_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    assert told(tmp_path, "first") == 2
    assert "they are not set" in capsys.readouterr().err
