"""A bisection of a real history, its runs made up: the culprit is named, with the size of the step."""

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from matrix.commands import bisect
from matrix.ground.errors import EnvironmentFailure, NetworkError
from matrix.ground.layout import MANIFEST
from matrix.prepare.checkout import history
from matrix.prepare.manifest import load_manifest
from matrix.prepare.sides import SideOptions
from matrix.records import typed_json
from matrix.records.bisect import BisectRecord
from matrix.records.cell import write_record
from matrix.run.kept import kept_record, write_failure
from matrix.run.plan import Plan, PlannedCell, PlannedPair, read_plan, run_folders
from tests.factory import EVIDENCE, evaluation, make_pair, make_plan, make_record
from tests.prepare.checkout.helpers import make_history, make_repository, run_git

PIPELINE = "imaging-pixelization"
MOVED = EVIDENCE * (1.0 + 2e-3)
RELEASES = ("2026.9.19.1", "2026.9.26.1", "2026.10.2.1", "2026.10.7.1", "2026.10.26.1")


@dataclasses.dataclass
class Bench:
    """Stands where runs are made.

    Attributes
    ----------
    clone
        The repository whose commits are measured.
    bad
        Commits or releases whose evidence has moved, and whose times are a fifth longer.
    unbuildable, crashing
        Those of which no environment is made, and whose cell leaves no record.
    measured
        Those that a cell was run for, in that order.
    sides
        How often a cell was run for each side.
    content
        What a commit has the content of, where that is another one's.
    stop_at
        Interrupted when so many have been measured.
    commits
        By a run's name the candidate's.
    """

    folder: Path
    clone: Path
    bad: set[str] = dataclasses.field(default_factory=set)
    unbuildable: dict[str, Exception] = dataclasses.field(default_factory=dict)
    crashing: set[str] = dataclasses.field(default_factory=set)
    noisy: set[str] = dataclasses.field(default_factory=set)
    measured: list[str] = dataclasses.field(default_factory=list)
    sides: Counter[str] = dataclasses.field(default_factory=Counter)
    stop_at: int = 99
    content: dict[str, str] = dataclasses.field(default_factory=dict)
    commits: dict[str, str] = dataclasses.field(default_factory=dict)

    def plan(self, _: Console, options: SideOptions) -> Plan:
        assert options.change is not None
        (good,), (commit,) = (
            side.refs.values() for side in (options.change.baseline, options.change.candidate)
        )
        assert good in (self.sha("c0"), RELEASES[0])
        assert options.source in ("mirror", "embedded")
        if commit in self.unbuildable:
            raise self.unbuildable[commit]
        seconds = options.pair_seconds
        facts = {"pipeline": PIPELINE, "precision": "fp64", "scale": "production", "key": "k"}
        pairs = (PlannedPair(**facts, seconds=seconds),) if seconds else ()
        content = {"baseline": good, "candidate": self.content.get(commit, commit)}
        name = f"run-{commit.replace('.', '-')}" + f"-{len(self.measured)}" * options.fresh
        folder = self.folder / ".matrix" / "runs" / name
        plan = make_plan(folder, key=content["candidate"], pairs=pairs, run=name)
        cells = (cell.model_copy(update={"key": f"{cell.side} {content[cell.side]}"}) for cell in plan.cells)
        # Each run is of its own commits, as a real one is.
        (checkout,) = plan.checkouts
        checkouts = (checkout.model_copy(update={"commit": commit}),)
        plan = plan.model_copy(update={"cells": tuple(cells), "checkouts": checkouts})
        self.commits[name] = commit
        plan.write()
        return plan

    def run(self, _: Console, plan: Plan) -> int:
        commit = self.commits[plan.run]
        baseline, candidate = (plan.cell(PIPELINE, side) for side in ("baseline", "candidate"))
        if len(self.measured) == self.stop_at:
            raise KeyboardInterrupt
        if not kept_record(plan, baseline):
            self.measure(plan, baseline, EVIDENCE)
        bad = commit in self.bad
        if not kept_record(plan, candidate):
            self.measured.append(commit)
            if commit in self.crashing:
                write_failure(plan.cell_folder(candidate), "killed (signal 9)")
                return 1
            self.measure(plan, candidate, MOVED if bad else EVIDENCE)
        for pair in plan.pairs:
            seconds = 1.2 if bad else 1.048 if commit in self.noisy else 1.0
            typed_json.write(plan.pair_path(pair), make_pair(baseline=1.0, candidate=seconds, key=pair.key))
        return 1 if bad else 0

    def measure(self, plan: Plan, cell: PlannedCell, evidence: float) -> None:
        self.sides[cell.side] += 1
        made = make_record(side=cell.side, key=cell.key, evaluations={"jit": evaluation(evidence)})
        driver = {"run": plan.run, "checkouts": [one.model_dump() for one in plan.checkouts]}
        record = dataclasses.replace(made, provenance=dataclasses.replace(made.provenance, driver=driver))
        write_record(plan.record_path(cell), record)

    def sha(self, name: str) -> str:
        return run_git(self.clone, "rev-parse", name)

    def culprit(self, name: str) -> None:
        """Let a commit and all that has it be bad."""
        after = run_git(self.clone, "rev-list", "--ancestry-path", f"{name}..main").split()
        self.bad = {self.sha(name), *after}

    def record(self) -> BisectRecord:
        (path,) = (self.folder / ".matrix" / "bisect").glob("*/bisect.json")
        return typed_json.read(path, BisectRecord)

    def page(self) -> str:
        (path,) = (self.folder / ".matrix" / "bisect").glob("*/bisect.html")
        return path.read_text()


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clones of all repositories, the library's of nine commits; nothing here writes to them."""
    folder = tmp_path_factory.mktemp("mirror")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("AUTHOR", "COMMITTER"):
            environment.setenv(f"GIT_{name}_NAME", "A Person")
            environment.setenv(f"GIT_{name}_EMAIL", "person@example.org")
        for repository in load_manifest(MANIFEST).repositories:
            make = make_history if repository.name == "PyAutoArray" else make_repository
            make(folder / repository.name)
    return folder


@pytest.fixture
def bench(tmp_path: Path, mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Nothing is bad yet."""
    bench = Bench(tmp_path, mirror / "PyAutoArray")
    monkeypatch.setattr(bisect, "plan_matrix", bench.plan)
    monkeypatch.setattr(bisect, "carry_out", bench.run)
    monkeypatch.setattr(history, "released_versions", lambda _: RELEASES)
    return bench


Say = Callable[..., tuple[int, str]]


@pytest.fixture
def say(bench: Bench, capsys: pytest.CaptureFixture[str]) -> Say:
    """Start a bisection; its exit code, and what it said."""

    def start(*words: str, only: str = PIPELINE, source: str = "mirror") -> tuple[int, str]:
        given = words if len(words) >= 3 else ("PyAutoArray", "c0", "main", *words)
        ours = ("--mirror", str(bench.clone.parent), "--root", str(bench.folder / ".matrix"))
        code = bisect.main([*given, "--only", only, "--source", source, "--release", "2026.7.9.1", *ours])
        said = capsys.readouterr()
        return code, said.out + said.err

    return start


@pytest.mark.parametrize("of", ["evidence", "time"])
def test_culprit_on_a_branch_is_named_with_the_size_of_its_step(bench: Bench, say: Say, of: str) -> None:
    bench.culprit("s2")
    bench.unbuildable[bench.sha("m")] = EnvironmentFailure("uv could not finish: no wheel")
    code, said = say("--of", of)
    assert code == 0, said
    assert "7 commits lie between GOOD and BAD: about 4 runs of" in said
    assert f"The first bad one is {bench.sha('s2')}, s2: log evidence 24746.105672 at" in said
    assert f"24795.597884 at {bench.sha('s2')[:12]}, relative difference 2.0e-03" in said
    assert ("it takes 1.20 (1.19–1.21) times as long as GOOD" in said) is (of == "time")
    record = bench.record()
    assert record.suspects == (bench.sha("s2"),)
    assert record.limit == (1e-4 if of == "evidence" else 1.05)
    assert len(record.history) == 9
    figures = {step.name: (step.state, step.evidence, step.milliseconds) for step in record.steps}
    # Of the pair a third of a batch, where there is one; else of the cell.
    fast, slow = (1000.0 / 3, 400.0) if of == "time" else (750.0, 750.0)
    assert figures[bench.sha("c0")] == ("good", EVIDENCE, pytest.approx(fast))
    assert figures[bench.sha("s2")] == ("bad", MOVED, pytest.approx(slow))
    assert figures[bench.sha("s1")][0] == "good"
    assert [name for name in record.history if name in figures] == [step.name for step in record.steps]
    page = bench.page()
    assert page.count('<svg class="chart"') == 2
    assert "could not be drawn" not in page
    assert "24795.597884" in page
    assert f"The first bad one is {bench.sha('s2')}, s2" in page


def test_skipped_commits_are_named_with_their_reasons(bench: Bench, say: Say) -> None:
    bench.culprit("c3")
    bench.unbuildable[bench.sha("m")] = EnvironmentFailure("uv could not finish: no wheel")
    code, said = say()
    assert code == 0
    assert "among these 2" in said
    assert "m (skipped: it could not be built: uv could not finish: no wheel)" in said
    assert set(bench.record().suspects) == {bench.sha("m"), bench.sha("c3")}
    bench.unbuildable.clear()
    bench.crashing = {bench.sha("m")}
    assert "m (skipped: no candidate record: killed (signal 9))" in say()[1]


def test_a_time_that_cannot_be_told_from_the_limit_is_skipped(bench: Bench, say: Say) -> None:
    bench.culprit("c3")
    bench.noisy = {bench.sha("m")}
    code, said = say("--of", "time")
    assert code == 0
    assert set(bench.record().suspects) == {bench.sha("m"), bench.sha("c3")}
    assert "m (skipped: " in said
    assert "it cannot be told whether it takes more than 1.05 times as long" in said


def test_an_interrupted_bisection_goes_on_and_a_second_one_measures_nothing(bench: Bench, say: Say) -> None:
    bench.culprit("s1")
    bench.stop_at = 2
    code, said = say()
    assert (code, len(bench.measured)) == (3, 2)
    assert "start it again" in said
    assert len(bench.record().suspects) > 1
    bench.stop_at = 99
    assert say()[0] == 0
    assert bench.record().suspects == (bench.sha("s1"),)
    measured = list(bench.measured)
    assert len(measured) == len(set(measured)) > 2
    assert say()[0] == 0
    assert bench.measured == measured


def test_good_is_measured_once_and_each_commit_once_whatever_bad_was(bench: Bench, say: Say) -> None:
    bench.culprit("s2")
    assert say()[0] == 0
    steps = len(bench.measured)
    assert steps > 3
    assert bench.sides == {"baseline": 1, "candidate": steps}
    # Of another question, so that no step answers it, but the records do.
    assert say("--of", "time")[0] == 0
    assert bench.sides["baseline"] == 1
    assert len(bench.measured) == len(set(bench.measured))
    # The copy is of this run's commits, and says which run measured it.
    runs = [read_plan(folder) for folder in run_folders(bench.folder / ".matrix" / "runs")]
    records = [record for plan in runs if (record := kept_record(plan, plan.cell(PIPELINE, "baseline")))]
    assert len(records) == len(runs)
    assert {record.provenance.driver["run"] for record in records} == {f"run-{bench.sha('main')}"}


def test_a_fresh_bisection_measures_good_once_more(bench: Bench, say: Say) -> None:
    bench.culprit("s2")
    assert say()[0] == 0
    steps = len(bench.measured)
    assert say("--fresh")[0] == 0
    assert bench.sides == {"baseline": 2, "candidate": 2 * steps}


def test_commits_of_one_content_are_measured_once(bench: Bench, say: Say) -> None:
    bench.culprit("s2")
    after = [bench.sha(name) for name in ("c5", "c4", "c3", "m", "s2")]
    bench.content = dict.fromkeys(after, after[0])
    assert say()[0] == 0
    assert bench.record().suspects == (bench.sha("s2"),)
    assert [commit for commit in bench.measured if commit in after] == [bench.sha("c5")]
    measured = list(bench.measured)
    for folder in (bench.folder / ".matrix" / "runs").iterdir():
        shutil.rmtree(folder)
    assert say()[0] == 0
    assert bench.measured == measured
    assert bench.record().steps[0].evidence == EVIDENCE
    assert say("--fresh")[0] == 0
    assert len(bench.measured) > len(measured)
    measured = list(bench.measured)
    assert say("PyAutoArray", "c0", "c4")[0] == 0
    assert bench.measured == measured


def test_releases_are_bisected_where_there_is_no_history(bench: Bench, say: Say) -> None:
    bench.bad = set(RELEASES[3:])
    bench.unbuildable[RELEASES[1]] = EnvironmentFailure("no wheel")
    code, said = say("PyAutoArray", RELEASES[0], RELEASES[-1], source="embedded")
    assert code == 0, said
    assert "3 releases lie between" in said
    assert (
        "The first bad one is 2026.10.7.1, release 2026.10.7.1: log evidence 24746.105672 at 2026.10.2.1"
        in said
    )
    assert bench.record().suspects == (RELEASES[3],)


@pytest.mark.parametrize("of", ["evidence", "time"])
def test_nothing_that_moved_is_said_with_the_figures(bench: Bench, say: Say, of: str) -> None:
    code, said = say("--of", of)
    assert code == 2
    assert "Nothing moved between GOOD and BAD" in said
    assert "log evidence 24746.105672 at" in said
    assert bench.measured == [bench.sha("main")]
    assert bench.record().suspects == ()


def test_a_network_that_fails_is_no_commits_fault(bench: Bench, say: Say) -> None:
    bench.culprit("c3")
    for commit in run_git(bench.clone, "rev-list", "c0..c5~1").split():
        bench.unbuildable[commit] = NetworkError("no answer")
    code, said = say()
    assert (code, "no answer" in said) == (3, True)
    assert [step.state for step in bench.record().steps] == ["good", "bad"]


@pytest.mark.parametrize("why", ["unbuildable", "crashing"])
def test_without_bad_there_is_nothing_to_halve(bench: Bench, say: Say, why: str) -> None:
    if why == "crashing":
        bench.crashing = {bench.sha("main")}
    else:
        bench.unbuildable[bench.sha("main")] = EnvironmentFailure("killed (signal 9)")
    code, said = say()
    assert (code, "killed (signal 9)" in said) == (3, True)
    assert len(bench.measured) <= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("PyAutoArry", "c0", "main"), "no such repository. Did you mean 'PyAutoArray'"),
        (("PyAutoArray", "c0", "mian"), "Did you mean 'main'"),
        (("PyAutoArray", "main", "c0"), "the other way round"),
        (("PyAutoArray", "c0", "./PyAutoArray"), "a folder has no history"),
        (("PyAutoArray", "c0", "main", "--only", "imaging-mge"), "one pipeline"),
        (("PyAutoArray", "c0", "main", "--shard", "1/1"), "one pipeline"),
        (("PyAutoArray", "c0", "main", "--sacle"), "Did you mean '--scale'?"),
        (("PyAutoArray", "c0", "main", "--of", "time", "--scale", "smoke"), "needs times"),
        (("PyAutoArray", "c0", "main", "--candidate", "PyAutoArray=c1"), "there twice"),
        (
            ("PyAutoArray", "c0", "main", "--expect-drift", f"{PIPELINE}=1", "--because", "x"),
            "asks where it did",
        ),
    ],
)
def test_wrong_use_is_refused_before_anything_is_measured(
    bench: Bench, say: Say, words: tuple[str, ...], said: str
) -> None:
    code, told = say(*words)
    assert code == 2, told
    assert said in told
    assert bench.measured == []


def test_a_mistyped_pipeline_or_order_is_answered(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        say(only="imaging-pixelisation")
    assert "Did you mean 'imaging-pixelization'" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        say("--of", "time", "PyAutoArray", "c0", "main")
    assert "REPOSITORY GOOD BAD first" in capsys.readouterr().err


def test_record_is_json_of_its_own_schema(bench: Bench, say: Say) -> None:
    bench.culprit("c5")
    assert say()[0] == 0
    (path,) = (bench.folder / ".matrix" / "bisect").glob("*/bisect.json")
    document = json.loads(path.read_text())
    assert (document["schema"], document["version"]) == ("nnls-matrix/bisect-record", 1)
    assert document["repository"] == "PyAutoArray"
