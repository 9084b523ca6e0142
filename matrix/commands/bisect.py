"""`nox -s bisect -- REPOSITORY GOOD BAD --only PIPELINE`: which commit moved a log evidence, or a time."""

import argparse
import datetime
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from matrix.catalogue.pipelines import pipeline_named
from matrix.commands.flow import carry_out, plan_matrix
from matrix.commands.matrix import matrix_options
from matrix.gates import TIME as TIME_GATE
from matrix.gates import Outcome, agree, relative
from matrix.gates.judging import Run, judge_run
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, NetworkError, UsageError, exit_code_of
from matrix.ground.hashing import digest
from matrix.ground.layout import open_layout
from matrix.ground.options import SessionParser
from matrix.prepare.checkout import (
    Bisection,
    Revision,
    Source,
    commits_between,
    releases_between,
    resolve_source,
)
from matrix.prepare.manifest import SourceKind
from matrix.prepare.sides import SideOptions, manifest_for
from matrix.records import typed_json
from matrix.records.bisect import (
    EVIDENCE,
    TIME,
    BisectRecord,
    TriedRevision,
    short_name,
)
from matrix.records.cell import SIDES, Side
from matrix.records.pair import BATCH, SLOWEST
from matrix.records.typed_json import RecordError
from matrix.report.html.bisect import write_bisect_page
from matrix.run.change import is_folder
from matrix.run.kept import kept_failure, take_over_records
from matrix.run.plan import Plan, PlanError, read_plan, run_folders

EPILOG = "Further options are those of matrix-fp64, as --source, --scale, --release, --candidate-package."

# Checkout, wheel and environment of a commit that was not built before.
_BUILD_SECONDS = 120.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Find it; 0, or 2 on wrong use and where nothing moved, or 3 where the machine failed."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return exit_code_of(lambda: _bisect(words), "interrupted; what was measured is kept: start it again")


@dataclass
class _Search:
    """A bisection under way: what is asked, what is known."""

    console: Console
    known: argparse.Namespace
    passed: Sequence[str]
    source: Source
    options: SideOptions
    release: str
    revisions: Sequence[Revision]
    steps: dict[str, TriedRevision] = field(default_factory=dict)
    limit: float = SLOWEST
    kept: Sequence[TriedRevision] = ()
    # Folders of runs that answer for nothing here: with --fresh all that lay there before.
    disregarded: Sequence[Path] = ()

    def measure(self, revision: Revision) -> TriedRevision:
        """Run the matrix on a revision against GOOD; what cannot be built or run is skipped."""
        good = self.revisions[0]
        asked = _options(self.known, self.passed, good.name, revision.name)
        # Asked once: a network that fails later must not turn commits into releases.
        asked = replace(asked, source=self.source.kind.value)
        try:
            plan = plan_matrix(self.console, asked)
        except (EnvironmentFailure, UsageError) as error:
            # Without BAD there is nothing to halve; without a network no commit is to blame.
            if revision is self.revisions[-1] or isinstance(error, NetworkError):
                raise
            return TriedRevision(revision.name, revision.subject, "skip", f"it could not be built: {error}")
        if self.known.of == EVIDENCE:
            self.limit = plan.tolerances.evidence
        asked_of = (self.known.of, self.options.only[0], str(self.limit))
        key = digest((plan.key, *(pair.key for pair in plan.pairs), *asked_of))
        # A merge often has the content of the branch that it merges.
        found = [step for step in (*self.steps.values(), *self.kept) if step.key == key]
        same = next((step for step in found if step.state != "skip" and step.name != good.name), None)
        if same is not None:
            self.steps |= {step.name: step for step in found if step.name == good.name}
            return replace(same, name=revision.name, subject=revision.subject)
        self._take_over(plan)
        carry_out(self.console, plan)
        run = judge_run(plan)
        self._learn(run, good, key)
        return replace(self._judged(run, revision), key=key)

    def _take_over(self, plan: Plan) -> None:
        """Let a side that an earlier run measured not be measured again: GOOD is one of every run."""
        for folder in reversed(run_folders(plan.folder.parent)):
            if folder not in self.disregarded:
                with suppress(PlanError):
                    take_over_records(plan, read_plan(folder))

    def _learn(self, run: Run, good: Revision, key: str) -> None:
        """Take GOOD's own figures from a run that has them."""
        step = TriedRevision(good.name, good.subject, "good", "as given", run.plan.run, key)
        if good.name not in self.steps and (found := _figures(run, step, "baseline")).evidence is not None:
            self.steps[good.name] = found

    def _judged(self, run: Run, revision: Revision) -> TriedRevision:
        plan, (pipeline,) = run.plan, self.options.only
        step = _figures(
            run, TriedRevision(revision.name, revision.subject, "skip", "", plan.run), "candidate"
        )
        cells = [plan.cell(pipeline, side) for side in SIDES]
        missing = [cell for cell in cells if cell.name not in run.records]
        if missing:
            reason = kept_failure(plan, missing[0]) or "it was not run"
            return replace(step, said=f"no {missing[0].side} record: {reason}")
        if self.known.of == TIME:
            verdict = next(v for v in run.verdicts if (v.pipeline, v.gate) == (pipeline, TIME_GATE))
            state = {Outcome.PASS: "good", Outcome.FAIL: "bad"}.get(verdict.outcome, "skip")
            return replace(step, state=state, said=verdict.message)  # type: ignore[arg-type]
        baseline, candidate = (run.records[cell.name] for cell in cells)
        alike, how_far = agree(candidate, baseline, self.limit)
        return replace(step, state="good" if alike else "bad", said=f"against GOOD: {how_far}")

    def record(self, suspects: Sequence[str]) -> BisectRecord:
        """What is known by now."""
        names = tuple(revision.name for revision in self.revisions)
        return BisectRecord(
            repository=self.known.repository,
            pipeline=self.options.only[0],
            of=self.known.of,
            scale=self.options.scale,
            release=self.release,
            source=self.source.kind.value,
            limit=self.limit,
            history=names,
            steps=tuple(self.steps[name] for name in names if name in self.steps),
            suspects=tuple(suspects),
            taken=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )

    @property
    def folder(self) -> Path:
        """Where the record and the page are."""
        ends = "-".join(short_name(self.revisions[end].name) for end in (0, -1))
        name = f"{self.known.repository}-{ends}-{self.options.only[0]}-{self.known.of}-{self.options.scale}"
        return open_layout(self.options.root).root / "bisect" / name

    def conclude(self, suspects: Sequence[str], found: str) -> str:
        """Write record and page; return what was found and where they are, for people."""
        record, page = self.folder / "bisect.json", self.folder / "bisect.html"
        typed_json.write(record, self.record(suspects))
        write_bisect_page(page, self.record(suspects), found)
        return f"{found}\npage        {page}\nrecord      {record}"


def _bisect(words: Sequence[str]) -> int:
    parser = _parser()
    known, passed = parser.parse_known_args(words)
    if list(words[:3]) != [known.repository, known.good, known.bad]:
        parser.error("write REPOSITORY GOOD BAD first, and then the options")
    search = _prepared(open_console(), known, passed)
    if search.options.fresh:
        search.disregarded = run_folders(open_layout(search.options.root).runs)
    else:
        search.kept = tuple(_kept(search.folder.parent))
    _announce(search)
    *_, last = search.revisions
    step = search.steps[last.name] = search.measure(last)
    _check_ends(search, step)
    with tempfile.TemporaryDirectory() as scratch:
        bisection = Bisection(Path(scratch), search.revisions)
        revisions = {revision.name: revision for revision in search.revisions}
        while (name := bisection.next) is not None:
            # Before each, which takes minutes: whoever stops it keeps what there is.
            typed_json.write(search.folder / "bisect.json", search.record(bisection.suspects))
            step = search.steps[name] = search.measure(revisions[name])
            _say(search.console, step)
            bisection.mark(step.state, name)
        suspects = bisection.suspects
    search.console.print(search.conclude(suspects, _found(search, suspects)))
    return 0


def _parser() -> SessionParser:
    parser = SessionParser(
        "bisect",
        "Find the commit that moved a log evidence, or made a likelihood slower, by git bisect over runs.",
        "PyAutoArray GOOD BAD --only imaging-pixelization",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("repository", metavar="REPOSITORY", help="PyAutoArray, or another one of the stack")
    add("good", metavar="GOOD", help="a branch, tag or commit where all was well; embedded: a release")
    add("bad", metavar="BAD", help="a later one where it is not")
    add("--of", choices=(EVIDENCE, TIME), default=EVIDENCE, help="what moved (default: the log evidence)")
    return parser


def _options(known: argparse.Namespace, passed: Sequence[str], good: str, bad: str) -> SideOptions:
    """What a run of BAD against GOOD is told.

    Raises
    ------
    UsageError
        An option is of no use here, or one is missing.
    """
    times = () if known.of == TIME else ("--pair-seconds", "0")
    sides = ("--baseline", f"{known.repository}={good}", "--candidate", f"{known.repository}={bad}")
    options = matrix_options(["fp64", *times, *passed, *sides])
    if len(options.only) != 1 or options.checks or options.whole or options.with_scripts:
        raise UsageError("bisect follows one pipeline: give --only PIPELINE once, and no check or shard.")
    if options.pytest_arguments:
        raise UsageError(f"neither bisect nor the matrix knows {options.pytest_arguments[0]!r}.")
    if options.expected:
        raise UsageError("--expect-drift says that an evidence may move, and bisect asks where it did.")
    if known.of == TIME and (options.scale != "production" or not options.pair_seconds):
        raise UsageError("--of time needs times: leave out --scale smoke and --pair-seconds 0.")
    if is_folder(good) or is_folder(bad):
        raise UsageError("GOOD and BAD are branches, tags, commits or releases: a folder has no history.")
    return options


def _prepared(console: Console, known: argparse.Namespace, passed: Sequence[str]) -> _Search:
    options = _options(known, passed, known.good, known.bad)
    manifest = manifest_for(options)
    (repository,) = (one for one in manifest.changed if one.name == known.repository)
    source = resolve_source(manifest)
    if source.kind is SourceKind.EMBEDDED:
        revisions = releases_between(repository.package, known.good, known.bad)
    else:
        location = source.locations[known.repository]
        revisions = commits_between(known.repository, location, known.good, known.bad)
    return _Search(console, known, passed, source, options, manifest.release, revisions)


def _kept(folder: Path) -> Iterator[TriedRevision]:
    """The steps of all earlier bisections."""
    for path in sorted(folder.glob("*/bisect.json")):
        with suppress(RecordError):
            yield from typed_json.read(path, BisectRecord).steps


def _announce(search: _Search) -> None:
    between, options = len(search.revisions) - 2, search.options
    # BAD itself with GOOD, then a halving each, with GOOD's record.
    runs = 1 + math.ceil(math.log2(between + 1))
    cost = pipeline_named(options.only[0]).cost.seconds
    each = _BUILD_SECONDS + cost + 2.0 * options.pair_seconds
    kind = "releases" if search.source.kind is SourceKind.EMBEDDED else "commits"
    search.console.print(
        f"bisect      {between} {kind} lie between GOOD and BAD: about {runs} runs of {each / 60:.0f} "
        f"minutes at most, {(cost + runs * each) / 60:.0f} minutes in all; what is kept is not measured again"
    )


def _check_ends(search: _Search, step: TriedRevision) -> None:
    """End it where BAD could not be measured, or nothing moved between GOOD and BAD."""
    _say(search.console, step)
    good = search.steps.get(search.revisions[0].name)
    if step.state == "skip" or good is None:
        raise EnvironmentFailure(
            f"BAD itself could not be measured, so there is nothing to halve: {step.said}"
        )
    if step.state == "good":
        limit = f"beyond the limit of {search.limit:g}"
        found = f"Nothing moved between GOOD and BAD {limit}: {_step(good, step)}; {step.said}."
        raise UsageError(search.conclude((), found))


def _say(console: Console, step: TriedRevision) -> None:
    console.print(f"{step.state:11s} {short_name(step.name)} {step.subject}: {step.said}")


def _found(search: _Search, suspects: Sequence[str]) -> str:
    """What it came to, for people."""
    names = {revision.name: revision for revision in search.revisions}
    first = names[suspects[0]]
    if len(suspects) == 1:
        good = search.steps[search.revisions[0].name]
        parents = [search.steps[name] for name in first.parents if name in search.steps]
        before = next((step for step in parents if step.state == "good"), good)
        size = _step(before, search.steps[first.name])
        return f"The first bad one is {first.name}, {first.subject}: {size}."
    listed = "; ".join(
        f"{short_name(name)} {names[name].subject}"
        + (f" (skipped: {search.steps[name].said})" if search.steps[name].state == "skip" else "")
        for name in suspects
    )
    return f"The first bad one is among these {len(suspects)}, which could not be told apart: {listed}."


def _step(before: TriedRevision, after: TriedRevision) -> str:
    """How far two measured revisions are apart, in words."""
    assert before.evidence is not None and after.evidence is not None
    said = (
        f"log evidence {before.evidence:.6f} at {short_name(before.name)}, {after.evidence:.6f} at "
        f"{short_name(after.name)}, relative difference {relative(after.evidence, before.evidence):.1e}"
    )
    if after.ratio is not None:
        slower = (1.0 / value for value in (after.ratio.value, after.ratio.high, after.ratio.low))
        said += "; it takes {:.2f} ({:.2f}–{:.2f}) times as long as GOOD".format(*slower)
    return said


def _figures(run: Run, step: TriedRevision, side: Side) -> TriedRevision:
    """The step with what a run's records of one side say."""
    (pipeline,) = run.plan.selected
    record, pair = run.records.get(run.plan.cell(pipeline, side).name), run.pairs.get(pipeline)
    if record is None:
        return step
    lane = record.timings.vmap_lane_s if pair is None else pair.seconds(BATCH, side)
    ratio = pair.finding(BATCH).ratio if pair is not None and side == "candidate" else None
    evidence = record.evaluations.jit.values[0]
    return replace(step, evidence=evidence, milliseconds=1e3 * lane, ratio=ratio)


if __name__ == "__main__":
    sys.exit(main())
