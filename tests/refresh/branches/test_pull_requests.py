"""Pull requests on a forge that is there: opened once, linked, brought up to date, and safe when it says no.

Through Prism, which holds every request and answer against GitHub's published description. What that does not
describe (a token that is not accepted, a proxy's page, a connection that breaks) comes directly.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from matrix.refresh.branches import forge as forge_module
from matrix.refresh.branches import publish
from matrix.refresh.branches.publish import BEGIN, END, with_ours
from tests.refresh.branches.github import OWNER, TOKEN, Fault, GitHub, serve_forge
from tests.refresh.branches.prism import example, installed, validating
from tests.refresh.branches.test_push import tips
from tests.refresh.branches.world import (
    BRANCH,
    DEVELOPER,
    LIBRARY,
    PROFILING,
    TEST,
    World,
    make_world,
    run_git,
    write_manifest,
)

TRIO = (LIBRARY, DEVELOPER, TEST)
BOTH = ("--push", "--open-prs")


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, list[GitHub]]]:
    with serve_forge() as served:
        yield served


@pytest.fixture(scope="module")
def prism(request: pytest.FixtureRequest, server: tuple[str, list[GitHub]]) -> Iterator[tuple[str, Any]]:
    """Address of Prism before the server, and the description's example of a pull request."""
    folder = request.config.cache.mkdir("prism")
    with FileLock(folder / "lock"):
        program, description = installed(folder)
    with validating(program, description, server[0]) as address:
        yield address, example(description)


@pytest.fixture
def direct(
    world: World, server: tuple[str, list[GitHub]], monkeypatch: pytest.MonkeyPatch, person: Path
) -> GitHub:
    """The forge itself, asked without Prism between."""
    return ready(world, GitHub(world.folder / "remotes", {}), server, server[0], monkeypatch, person)


@pytest.fixture
def github(
    world: World,
    server: tuple[str, list[GitHub]],
    prism: tuple[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    person: Path,
) -> GitHub:
    """The forge with Prism before it."""
    address, pull = prism
    return ready(world, GitHub(world.folder / "remotes", pull), server, address, monkeypatch, person)


def ready(
    world: World,
    github: GitHub,
    server: tuple[str, list[GitHub]],
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    person: Path,
    names: Sequence[str] = TRIO,
) -> GitHub:
    """Put a forge behind the address, and the person's Git and token before it."""
    server[1][:] = [github]
    github.address = address
    monkeypatch.setenv("GITHUB_API_URL", address)
    monkeypatch.setenv("GH_TOKEN", TOKEN)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setattr(forge_module, "SECONDS_BETWEEN_WRITES", None)
    person.write_text(
        f'{person.read_text()}[url "file://{world.folder}/remotes/"]\n\tinsteadOf = https://github.com/{OWNER}/\n'
    )
    write_manifest(world.folder, {name: f"https://github.com/{OWNER}/{name}" for name in names})
    return github


def url_of(github: GitHub, name: str) -> str:
    return f"https://github.com/{OWNER}/{name}/pull/{github.pulls[name][0]['number']}"


def assert_all_said(github: GitHub) -> None:
    """One pull request each, in which all three are linked and those before it are what it depends on."""
    bodies = github.bodies()
    assert list(bodies) == list(TRIO)
    for place, (name, body) in enumerate(bodies.items()):
        assert all(url_of(github, other) in body for other in TRIO), name
        depends = re.findall(r"^Depends-On: (\S+)$", body, re.MULTILINE)
        assert depends == [url_of(github, other) for other in TRIO[:place]]
        assert "no pull request yet" not in body
        assert "not pushed yet" not in body


def test_opened_in_order_linked_and_not_opened_again(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(*BOTH) == 0
    assert_all_said(github)
    created = [path.split("/")[3] for method, path in github.requests if method == "POST"]
    assert created == list(TRIO)
    pull = github.pulls[LIBRARY][0]
    assert (pull["head"], pull["base"]) == (BRANCH, "main")
    assert pull["title"] == "A non-negative least squares solver of our own, in place of jaxnnls"
    said = capsys.readouterr().out
    assert all(f"opened      {name} {url_of(github, name)}" in said for name in TRIO)
    writes = github.writes()
    for words in (BOTH, ("--open-prs",)):
        assert world.run(*words) == 0
        assert github.writes() == writes
    assert capsys.readouterr().out.count("unchanged ") == 6
    assert world.run() == 0
    assert capsys.readouterr().out.count("its text goes to https://github.com/") == 3
    assert all(url_of(github, LIBRARY) in (world.out / f"{name}.md").read_text() for name in TRIO)


def test_the_fourth_is_opened_after_the_workspaces_whatever_the_manifests_order(
    tmp_path: Path,
    solver: Path,
    server: tuple[str, list[GitHub]],
    prism: tuple[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    person: Path,
) -> None:
    address, pull = prism
    names = (PROFILING, *TRIO)
    world = make_world(tmp_path, solver, names)
    github = ready(world, GitHub(tmp_path / "remotes", pull), server, address, monkeypatch, person, names)
    assert world.run(*BOTH) == 0
    created = [path.split("/")[3] for method, path in github.requests if method == "POST"]
    assert created == [*TRIO, PROFILING]
    depends = re.findall(r"^Depends-On: (\S+)$", github.bodies()[PROFILING], re.MULTILINE)
    assert depends == [url_of(github, name) for name in TRIO]
    assert github.pulls[PROFILING][0]["title"].startswith("The library's own solver in the solver study")


def test_new_numbers_update_the_texts_and_keep_what_people_wrote(world: World, github: GitHub) -> None:
    assert world.run(*BOTH) == 0
    pull = github.pulls[TEST][0]
    ticked = pull["body"].replace("- [ ] The gates above", "- [x] The gates above")
    assert ticked != pull["body"]
    # As the forge's page sends a text back.
    pull["body"] = f"Mine, above.\n\n{ticked}\n\nMine, below.".replace("\n", "\r\n")
    pull["title"] = "A title of mine"
    (world.tree(TEST) / "note.txt").write_text("mine\n")
    run_git(world.tree(TEST), "add", "note.txt")
    run_git(world.tree(TEST), "commit", "--quiet", "-m", "a note")
    assert world.run(*BOTH) == 0
    assert world.pushed(TEST) == world.head(TEST)
    assert_all_said(github)
    body = github.bodies()[TEST]
    assert body.startswith("Mine, above.\n\n<!-- nnls-matrix: begin")
    assert body.endswith("end. What is written below stays. -->\n\nMine, below.")
    assert "- a note\n" in body
    assert "- [x] The gates above" in body
    assert pull["title"] == "A title of mine"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_of_three_is_refused_and_the_next_run_goes_on(
    world: World, github: GitHub, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "Resource not accessible by personal access token"
    refusal = {"message": words, "documentation_url": "https://docs.github.com/rest"}
    github.faults.append(Fault("POST", TRIO[place], 403, refusal))
    assert world.run(*BOTH) == 3
    said = capsys.readouterr()
    assert words in said.err
    assert "Pull requests: read and write" in said.err
    assert [name for name in TRIO if github.pulls.get(name)] == list(TRIO[:place])
    for name in TRIO[:place]:
        assert github.pulls[name][0]["body"].count("**no pull request yet**") > 0
    for name in TRIO:
        assert (world.out / f"{name}.md").read_text().count("**no pull request yet**") == 3 - place
    assert world.run(*BOTH) == 0
    assert_all_said(github)


def test_text_that_cannot_be_changed_is_changed_by_the_next_run(world: World, github: GitHub) -> None:
    github.faults.append(Fault("PATCH", LIBRARY, 403, {"message": "no", "documentation_url": "https://d"}))
    assert world.run(*BOTH) == 3
    assert "**no pull request yet**" in github.bodies()[LIBRARY]
    assert world.run(*BOTH) == 0
    assert_all_said(github)


def test_refusal_of_the_content_is_repeated_in_words(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    fault = {"resource": "PullRequest", "code": "custom", "message": f"body is too long {TOKEN}"}
    body = {"message": "Validation Failed", "documentation_url": "https://d", "errors": [fault]}
    github.faults.append(Fault("POST", DEVELOPER, 422, body))
    assert world.run(*BOTH) == 2
    assert "says no: Validation Failed; body is too long ***." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("GET", DEVELOPER, 401, {"message": "Bad credentials"}), "does not accept the token"),
        (Fault("GET", DEVELOPER, 404, {"message": "Not Found"}), "does not let the token do that"),
        (
            Fault(
                "GET",
                DEVELOPER,
                403,
                {"message": "API rate limit exceeded"},
                {"x-ratelimit-reset": "1795600000"},
            ),
            r"rate limit, until \d\d:\d\d:\d\d",
        ),
        (
            Fault("GET", DEVELOPER, 429, {"message": "slow down"}, {"Retry-After": "60"}),
            "rate limit, for 60 s",
        ),
        (Fault("GET", DEVELOPER, 200, "<html>Sign in to the network</html>"), "its answer is not a forge's"),
        (Fault("GET", DEVELOPER, 200, [{"number": "x"}]), "its answer is not a forge's"),
    ],
)
def test_all_are_asked_before_anything_is_pushed_or_opened(
    world: World, direct: GitHub, fault: Fault, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    direct.faults.append(fault)
    assert world.run(*BOTH) == 3
    assert re.search(f"{OWNER}/{DEVELOPER}: .*{says}", capsys.readouterr().err)
    assert tips(world) == dict.fromkeys(TRIO, "")
    assert direct.writes() == []
    assert world.run(*BOTH) == 0
    assert_all_said(direct)


def test_rate_limit_halfway(world: World, direct: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    body = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    direct.faults.append(Fault("POST", DEVELOPER, 403, body, {"Retry-After": "30"}))
    assert world.run(*BOTH) == 3
    assert "wants fewer requests (rate limit, for 30 s)" in capsys.readouterr().err
    assert world.run(*BOTH) == 0
    assert_all_said(direct)


@pytest.mark.parametrize("status", [None, 502])
@pytest.mark.parametrize("done", [False, True])
def test_answer_that_is_lost(world: World, direct: GitHub, status: int | None, done: bool) -> None:
    """Whether the request arrived is not known: it is not sent again, and the next run looks."""
    direct.faults.append(Fault("POST", DEVELOPER, status, {"message": "Bad Gateway"}, done=done))
    assert world.run(*BOTH) == 3
    assert len(direct.pulls[DEVELOPER]) == done
    assert world.run(*BOTH) == 0
    assert_all_said(direct)
    assert sum(method == "POST" for method, _ in direct.requests) == (3 if done else 4)


def test_lost_answer_to_a_question_is_asked_for_again(world: World, direct: GitHub) -> None:
    direct.faults += [Fault("GET", LIBRARY, 502, {"message": "Bad Gateway"}), Fault("GET", TEST, None)]
    assert world.run(*BOTH) == 0
    assert_all_said(direct)


def test_killed_between_any_two_steps(world: World, github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill right after each thing that leaves a trace; then the same command again."""
    survived = 0
    for steps in range(100):
        reset(world, github)
        with monkeypatch.context() as patch:
            clock = Dying(steps)
            for owner, name in (
                (publish, "push"),
                (publish, "write_state"),
                (forge_module.Forge, "open"),
                (forge_module.Forge, "rewrite"),
            ):
                patch.setattr(owner, name, clock.after(getattr(owner, name)))
            code = world.run(*BOTH)
        if code == 0:
            break
        assert code == 3
        survived += 1
        assert world.run(*BOTH) == 0
        assert_all_said(github)
        assert tips(world) == {name: world.head(name) for name in TRIO}
    # Three pushes, three pull requests, each written down; three texts.
    assert survived == 3 * 5


class Dying:
    """Counts steps, and interrupts the program when as many as it was told have been made."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def after(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*words: Any) -> Any:
            done = step(*words)
            if self.left == 0:
                raise KeyboardInterrupt
            self.left -= 1
            return done

        return stepping


def reset(world: World, github: GitHub) -> None:
    """As before the first push: no branch at the remotes, no pull request, nothing written down."""
    github.pulls.clear()
    (world.root / "trio" / "state.json").unlink(missing_ok=True)
    for name in TRIO:
        run_git(world.remote(name), "update-ref", "-d", f"refs/heads/{BRANCH}")


def test_pull_request_that_a_person_opened_is_taken_over(world: World, github: GitHub) -> None:
    assert world.run("--push") == 0
    tip = world.head(LIBRARY)
    pull = {"number": 7, "state": "open", "head": BRANCH, "base": "main", "merged_at": None, "sha": tip}
    github.pulls[LIBRARY] = [{**pull, "title": "By hand", "body": "See the matrix."}]
    assert world.run("--open-prs") == 0
    assert_all_said(github)
    assert github.bodies()[LIBRARY].startswith("See the matrix.\n\n<!-- nnls-matrix: begin")


def test_pull_request_needs_its_branch(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run("--open-prs") == 2
    assert "Give --push beside --open-prs" in capsys.readouterr().err
    assert github.writes() == []


def test_somebody_elses_commit_stops_everything(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(*BOTH) == 0
    writes = github.writes()
    theirs = world.commit_at_remote(TEST, BRANCH, "theirs.txt")
    assert world.run(*BOTH) == 2
    assert "which is not part of our branch" in capsys.readouterr().err
    assert world.pushed(TEST) == theirs
    assert github.writes() == writes


def test_closed_by_a_person_is_not_opened_again(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(*BOTH) == 0
    github.close(DEVELOPER, merged=False)
    writes = github.writes()
    for forget in (False, True):
        if forget:
            (world.root / "trio" / "state.json").unlink()
        assert world.run(*BOTH) == 2
        assert "was closed without being merged" in capsys.readouterr().err
        assert github.writes() == writes


def test_merged_is_done_and_the_others_say_so(
    world: World, github: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world.run(*BOTH) == 0
    merged = github.pulls[LIBRARY][0]["body"]
    github.close(LIBRARY, merged=True)
    for words in (BOTH, ("--push",)):
        assert world.run(*words) == 0
    assert f"{url_of(github, LIBRARY)}, merged" in github.bodies()[TEST]
    assert github.bodies()[LIBRARY] == merged
    (world.tree(TEST) / "note.txt").write_text("mine\n")
    run_git(world.tree(TEST), "add", "note.txt")
    run_git(world.tree(TEST), "commit", "--quiet", "-m", "a note")
    github.close(TEST, merged=True)
    capsys.readouterr()
    assert world.run(*BOTH) == 2
    assert "other commits since" in capsys.readouterr().err


def test_another_base_is_refused(world: World, github: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert world.run(*BOTH) == 0
    github.pulls[TEST][0]["base"] = "develop"
    run_git(world.remote(TEST), "branch", "develop", "main")
    assert world.run(*BOTH) == 2
    assert "goes to develop, the manifest says main" in capsys.readouterr().err


def test_without_a_token_nothing_starts(
    world: World, direct: GitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GH_TOKEN")
    assert world.run(*BOTH) == 2
    assert "put it into GH_TOKEN" in capsys.readouterr().err
    assert tips(world) == dict.fromkeys(TRIO, "")
    assert direct.requests == []


@pytest.mark.parametrize(
    ("address", "says"),
    [("http://forge.example.org/api/v3", "over https alone"), ("ftp://127.0.0.1/", "over https alone")],
)
def test_token_does_not_travel_in_the_clear(
    world: World,
    direct: GitHub,
    address: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GITHUB_API_URL", address)
    assert world.run(*BOTH) == 2
    assert says in capsys.readouterr().err
    assert direct.requests == []


def test_remote_that_no_forge_has(world: World, direct: GitHub, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest(world.folder, {name: f"file://{world.remote(name)}" for name in TRIO})
    assert world.run(*BOTH) == 2
    assert "is not a repository on a forge" in capsys.readouterr().err
    assert direct.requests == []


def test_embedded_stand_ins_are_no_pull_requests(
    world: World, direct: GitHub, capsys: pytest.CaptureFixture[str]
) -> None:
    world.plan.model_copy(update={"source": "embedded"}).write()
    assert world.run(*BOTH) == 2
    assert "embedded stand-ins" in capsys.readouterr().err
    assert direct.requests == []


def test_token_is_in_no_file_and_no_word(
    world: World,
    direct: GitHub,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    direct.faults.append(Fault("POST", TEST, 401, {"message": f"Bad credentials: {TOKEN}"}))
    assert world.run(*BOTH) == 3
    assert world.run(*BOTH) == 0
    said = capsys.readouterr()
    assert TOKEN not in said.out + said.err + caplog.text
    kept = [path for path in world.folder.rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if TOKEN.encode() in path.read_bytes()]


def test_ours_alone_is_replaced() -> None:
    first = with_ours("", "- [ ] one\n- [ ] two")
    assert first == f"{BEGIN}\n\n- [ ] one\n- [ ] two\n\n{END}"
    ticked = f"before\n{first.replace('- [ ] one', '- [X] one')}\nafter"
    assert (
        with_ours(ticked, "- [ ] one\n- [ ] three")
        == f"before\n{BEGIN}\n\n- [x] one\n- [ ] three\n\n{END}\nafter"
    )
    assert with_ours(ticked, "- [ ] one\n- [ ] two") == ticked.replace("[X]", "[x]")
