"""The main job, in order: preparation, plan, cells, gates, report."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from filelock import FileLock, Timeout
from rich.console import Console

from matrix.execute.reservations import threads_per_worker, workers_that_fit
from matrix.gates.judging import judge_run
from matrix.ground.console import open_console
from matrix.ground.errors import EnvironmentFailure, MatrixError, UsageError
from matrix.ground.files import inside
from matrix.ground.layout import REPOSITORY_ROOT, open_layout
from matrix.ground.redaction import OF_AN_INDEX, secrets_set_aside
from matrix.ground.shell import without
from matrix.prepare.datasets import check_given
from matrix.prepare.planning import make_plan
from matrix.prepare.sides import SideOptions, announced_release, announced_source, manifest_for, prepare_sides
from matrix.report import write_files, write_report
from matrix.report.ci import annotate, folded
from matrix.report.progress import Progress
from matrix.report.rows import Ending, ending
from matrix.run.kept import kept_record
from matrix.run.plan import Plan, platform_of

SUITE = REPOSITORY_ROOT / "matrix" / "suite"

# Of pytest, which takes them too: then neither preparation nor what goes well is worth a line.
QUIET = frozenset(("-q", "-qq", "--quiet"))


def run_matrix(options: SideOptions) -> int:
    """Run the matrix as `options` say and return the exit code."""
    console = open_console()
    return carry_out(console, plan_matrix(console, options), options.pytest_arguments)


def carry_out(console: Console, plan: Plan, pytest_arguments: tuple[str, ...] = ()) -> int:
    """Run what a plan selects and has no record of, judge it, write its report; return the exit code."""
    with _locked(console, plan):
        plan.write()
        kept = sum(kept_record(plan, cell) is not None for cell in plan.cells)
        goes_on = (
            f" (goes on: {kept} of {len(plan.cells)} cells are kept, --fresh starts over)" if kept else ""
        )
        console.print(f"run         {plan.folder}{goes_on}")
        console.print(f"change      {plan.difference}")
        for name, expected in plan.expected.items():
            console.print(f"expected    {name} {expected.value}, because: {expected.because}")
        try:
            progress = _run_suite(console, plan, pytest_arguments)
        except KeyboardInterrupt:
            judged = judge_run(plan)
            console.print(f"so far      {write_files(plan, judged.records, judged.verdicts, judged.pairs)}")
            raise
        # What the run's folder says later is what this call was about.
        plan = progress.narrowed(plan)
        plan.write()
        ended = conclude(console, plan)
    if ended is not Ending.FAIL and (progress.broken or progress.failed):
        raise MatrixError(
            "the machine or an error of ours broke the suite in "
            f"{', '.join(progress.broken) or 'a test, and the report knows of no failure'} (see above). What "
            "is judged is right, but not all was; finished cells are kept: start the same command again."
        )
    return ended.exit_code


def plan_matrix(console: Console, options: SideOptions) -> Plan:
    """Make everything a run needs, and its plan, which is not written yet."""
    check_given(options.datasets, options.pipelines)
    manifest = manifest_for(options)
    layout = open_layout(options.root)
    # Before the fold, which would hide it: the first line says where the repositories come from.
    source = announced_source(console, manifest)
    announced_release(console, manifest, options)
    with folded(console, "checkouts and environments"):
        told = open_console(quiet=True) if QUIET.intersection(options.pytest_arguments) else console
        prepared = prepare_sides(told, layout, manifest, source, options)
    threads = threads_per_worker(options.scale, platform_of(options.accelerator))
    return make_plan(layout, prepared, options, threads)


@contextmanager
def _locked(console: Console, plan: Plan) -> Iterator[None]:
    """Keep a second call on the same run waiting: it then finds the first one's records."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(plan.locks / f"run-{plan.run}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"waiting     the same run is going on in another process ({plan.folder})")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _run_suite(console: Console, plan: Plan, pytest_arguments: tuple[str, ...]) -> Progress:
    workers = min(workers_that_fit(plan.scale, plan.platform), len(plan.selected) + len(plan.selected_checks))
    arguments = [
        f"--rootdir={SUITE}",
        f"--confcutdir={SUITE}",
        f"--matrix-run={plan.folder}",
        f"--junitxml={inside(plan.folder, 'junit.xml')}",
        "--override-ini=testpaths=",
        # The suite needs no temporary folder; pytest's own, which it also clears, is all their tests' in one.
        "-pno:tmpdir",
        f"--override-ini=cache_dir={plan.cache / 'pytest'}",
        f"-n{workers}",
        "--dist=loadscope",
        *pytest_arguments,
        str(SUITE),
    ]
    progress = Progress(console, plan)
    # A worker starts cells, which are other people's code, and may have to ask an index itself.
    # A person's own options for pytest are for their tests.
    with secrets_set_aside(OF_AN_INDEX), without("PYTEST_"):
        code = pytest.main(arguments, plugins=[progress])
    if progress.failed or progress.broken:
        # Also where `-x` broke the suite off, which pytest calls interrupted.
        return progress
    match code:
        case pytest.ExitCode.USAGE_ERROR:
            raise UsageError("pytest did not understand its arguments (see above)")
        case pytest.ExitCode.INTERNAL_ERROR:
            raise EnvironmentFailure("the test runner broke (see above); finished cells are kept, run again")
        case pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
    if not progress.ran:
        raise UsageError("nothing was run: no cell, no check and no gate is in the selection")
    return progress


def conclude(console: Console, plan: Plan) -> Ending:
    """Judge what records the run has, write its report and return how it ended."""
    judged = judge_run(plan)
    write_report(console, plan, judged.records, judged.verdicts, judged.pairs)
    # What a shard failed is said by the report, which has all shards.
    if not plan.whole:
        annotate(console, judged.verdicts)
    return ending(plan, judged.records, judged.verdicts)
