"""Every command in README and docs is taken by what it calls; nothing they name is missing."""

import argparse
import dataclasses
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import pytest

pytest.importorskip("nox", reason="the noxfile cannot be read without nox")
pytest.importorskip("markdown_it", reason="markdown-it-py is not installed")

from matrix.commands import compare, trend
from matrix.commands import report as merge
from matrix.commands.hpc import sessions_from
from matrix.gates import CHANGE_GATES, PAIR_GATES, SIDE_GATES, change_gate_name
from matrix.ground.errors import UsageError
from matrix.ground.layout import REPOSITORY_ROOT
from matrix.hpc.profile import load_profile
from matrix.records.cell import SIDES, Record
from run import nox_words
from tests.docs.commands import (
    PAGES,
    Command,
    commands,
    handed_over,
    load_noxfile,
    main_of,
    other_blocks,
    parsed,
    shell_blocks,
    spans,
)
from tests.factory import make_plan, make_record
from tests.report.made_up import write_run

NOXFILE, SESSIONS = load_noxfile()
COMMANDS = [command for page in PAGES for command in commands(page, tuple(SESSIONS))]
NAMED = {page.name: page for page in PAGES}
# Quick ones, which are run and not only parsed, on made-up runs.
RUN = {
    "matrix.commands.report": merge.main,
    "matrix.commands.compare": compare.main,
    "matrix.commands.trend": trend.main,
}
PIPELINES = ("imaging-pixelization", "imaging-delaunay", "imaging-mge")


def calls_of(command: Command) -> list[list[str]]:
    """The modules of this project that a command starts, each with its words."""
    words = command.words
    if words[1:2] == ["run.py"]:
        words = ["nox", *nox_words(words[2:])]
    if Path(words[0]).name == "nox" and words[1:2] in (["-s"], ["--session"]):
        split = words.index("--") if "--" in words else len(words)
        names, rest = words[2:split], words[split + 1 :]
        unknown = [name for name in names if name not in SESSIONS]
        assert not unknown, f"no such session: {unknown}"
        return [call for name in names for call in handed_over(NOXFILE, SESSIONS[name], rest)]
    if re.fullmatch(r"python[\d.]*", Path(words[0]).name) and words[1:2] == ["-m"]:
        return [words[2:]]
    return []


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_command_is_taken(command: Command) -> None:
    for module, *words in calls_of(command):
        if module.partition(".")[0] not in ("matrix", "tests"):
            continue
        accepted = parsed(module, words)
        rest = accepted.rest
        if module == "matrix.commands.hpc":
            load_profile(accepted.options.config, accepted.options.profile)
            if accepted.options.verb == "push":
                rest = parsed("matrix", rest).rest
            elif accepted.options.verb == "submit" and rest:
                rest = rest if not sessions_from(rest, "now") else []
            assert accepted.options.verb == "push" or rest == []
        if module in ("matrix.commands.pack", "matrix.commands.bisect"):
            rest = parsed("matrix", ["fp64", *rest]).rest
        if module == "tests.coverage":
            rest = [word for word in rest if not (REPOSITORY_ROOT / word).exists()]
        if rest:
            assert_pytest_takes(rest)


def assert_pytest_takes(words: Sequence[str]) -> None:
    """What the matrix hands on is an option of pytest, or of pytest-xdist."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", *words, str(REPOSITORY_ROOT / "docs")],
        cwd=REPOSITORY_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED, done.stderr


@pytest.mark.parametrize("command", [c for c in COMMANDS if not calls_of(c)], ids=str)
def test_other_program_is_known_to_a_shell(command: Command) -> None:
    program = Path(command.words[0]).name
    if re.fullmatch(r"python3\.\d+", program):
        program = "python3"
    if program in ("nox", "pip", "pre-commit"):
        return
    known = subprocess.run(["bash", "-c", f"type {program}"], capture_output=True, check=False)
    assert known.returncode == 0
    for word in command.words[1:]:
        if word.endswith(".py"):
            assert list(REPOSITORY_ROOT.glob(f"matrix/**/{Path(word).name}")), f"no {word} in this project"


@pytest.mark.parametrize("command", [c for c in COMMANDS if any(m in RUN for m, *_ in calls_of(c))], ids=str)
def test_quick_command_runs(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    ((module, *words),) = calls_of(command)
    make_runs(module, [word for word in words if not word.startswith("-")], tmp_path)
    assert RUN[module](words) == 0, capsys.readouterr().err


def make_runs(module: str, names: Sequence[str], here: Path) -> None:
    """Make the runs that a page calls by `names`: whole ones, or for `report` one of the shards each."""
    if module == "matrix.commands.report":
        # Of a run that lends its times to another, the same pipelines.
        lent = "GPU-RUN" in names
        pipelines = PIPELINES[:1] if lent else PIPELINES[: len(names)]
        for name, pipeline in zip(names, pipelines * 2 if lent else pipelines, strict=True):
            records = [of_planned_commits(make_record(pipeline=pipeline, side=side)) for side in SIDES]
            write_run(here / name, records, pipelines=pipelines)
        return
    if module == "matrix.commands.trend" and names:
        (history,) = names
        write_run(here / history / "run")
        return
    for name in names or ["run"]:
        write_run(here / ".matrix" / "runs" / name)


def of_planned_commits(record: Record) -> Record:
    """The record as a cell of `make_plan` leaves it, with the commits it ran from."""
    commits = [checkout.model_dump() for checkout in make_plan(REPOSITORY_ROOT).checkouts]
    notes = dataclasses.replace(record.provenance, driver={"checkouts": commits})
    return dataclasses.replace(record, provenance=notes)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_in_shell_blocks_that_a_shell_can_read(page: Path) -> None:
    for language, content in other_blocks(page):
        hidden = re.findall(r"^[ $]*(?:\S*/)?(?:nox|python3?|git|pip) .*", content, flags=re.MULTILINE)
        assert language == "diff" or not hidden, "belongs into a block marked sh"
    for block in shell_blocks(page):
        read = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert read.returncode == 0, read.stderr


def options_of(module: str, *words: str) -> set[str]:
    """Every option of the parser that a module has, or that its first words choose."""
    found: set[str] = set()

    def stop(parser: argparse.ArgumentParser, *_: object) -> None:
        found.update(parser._option_string_actions)
        raise SystemExit

    with mock.patch.object(argparse.ArgumentParser, "parse_known_args", stop), pytest.raises(SystemExit):
        main_of(module)(list(words))
    return found


def options_of_pytest() -> set[str]:
    """Every option of pytest and its plugins, which the matrix hands on."""
    asked = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], capture_output=True, text=True, check=True
    )
    return set(re.findall(r"--[a-z][\w-]*", asked.stdout))


def test_every_option_that_is_named_exists() -> None:
    calls = [call for session in SESSIONS.values() for call in handed_over(NOXFILE, session, [])]
    ours = [call for call in calls if call[0].partition(".")[0] in ("matrix", "tests")]
    known = options_of_pytest().union(*(options_of(*call) for call in ours))
    named = {
        (page.name, option)
        for page in PAGES
        for span in spans(page)
        if not re.match(r"(git|ssh|python\S*|nox|sbatch:) |XLA_FLAGS=", span)
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)
    }
    assert {pair for pair in named if pair[1] not in known} == set()
    assert len(named) > 20


def test_every_session_is_on_its_page_and_in_a_group() -> None:
    shown = {word for span in spans(NAMED["sessions.md"]) for word in re.split(r"[ ,]", span)}
    assert set(SESSIONS) - shown == set()
    assert [name for name, session in SESSIONS.items() if len(session.tags) != 1] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_inside_the_project_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    for target, anchor in targets:
        path = page.parent / target if target else page
        if target.startswith("../../actions/"):
            # GitHub's own page of a workflow.
            workflow = target.removeprefix("../../actions/").removesuffix("/badge.svg")
            path = REPOSITORY_ROOT / ".github" / workflow
        assert path.exists(), f"{target} is not there"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{target} has no heading {anchor}"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("nox -s no-such-session", AssertionError),
        ("python3 run.py no-such-session", AssertionError),
        ("nox -s matrix-fp64 -- --only no-such-pipeline", SystemExit),
        ("nox -s matrix-fp64 -- --no-such-option", AssertionError),
        ("nox -s trend -- --no-such-option", SystemExit),
        ("nox -s hpc -- push --profile a100 fp64 --scale tiny", SystemExit),
        ("nox -s hpc -- check --profile no-such-profile", UsageError),
        ("python -m matrix fp32", SystemExit),
    ],
)
def test_wrong_command_would_be_noticed(wrong: str, complaint: type[BaseException]) -> None:
    with pytest.raises(complaint):
        test_command_is_taken(Command("made up", wrong))


def test_gate_reference_says_of_every_gate_what_it_does_not_prove() -> None:
    page = NAMED["gates.md"].read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    for gate in (*SIDE_GATES, *PAIR_GATES):
        assert any(line.startswith(f"| `{gate}`") for line in rows), gate
    for gate in map(change_gate_name, CHANGE_GATES):
        assert any(line.startswith(f"| {gate.removesuffix(': likelihood scripts')} |") for line in rows), gate
    assert not [line for line in rows if line.endswith("| |")]
