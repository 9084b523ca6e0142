"""The main job, in order: manifest, checkout, vendor, environments, cells, gates, report."""

import datetime
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from pydantic import ValidationError
from rich.console import Console

from matrix.artifacts import read_constant
from matrix.checkout import (
    Checkout,
    Source,
    build_origins,
    candidate_of,
    commit_candidate,
    prepare,
    resolve_source,
)
from matrix.environments import Recipe, SideEnvironment, side_environment, stock_environment, tree_hash
from matrix.errors import EnvironmentFailure, UsageError
from matrix.execute.local import float64_records, kept_failure, kept_record
from matrix.execute.reservations import usable_cores, workers_that_fit
from matrix.gates import judge
from matrix.layout import REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.manifest import Manifest, Role, SourceKind, load_manifest, override
from matrix.plan import (
    CheckedOut,
    Plan,
    PlannedCell,
    PlannedEnvironment,
    Side,
    Tolerances,
    read_plan,
)
from matrix.process import run
from matrix.report import write_report
from matrix.report.progress import Progress
from matrix.vendor import residual_dependencies, vendor_library

SEED = 20260511
GATE_FAILED = 1
SUITE = REPOSITORY_ROOT / "matrix" / "suite"
EMBEDDED = REPOSITORY_ROOT / "matrix" / "embedded"

# The longest first: with several workers the whole takes no longer than its longest part.
PIPELINES = (
    "imaging-delaunay",
    "imaging-pixelization",
    "imaging-mge",
    "interferometer-delaunay",
    "interferometer-pixelization",
    "interferometer-mge",
)

# What a cell's numbers depend on in this repository, besides solver/ itself.
CELL_CODE = ("matrix/cell.py", "matrix/record.py", "matrix/precision.py", "matrix/pipelines")


@dataclass(frozen=True)
class Options:
    """What the command line said; None where the manifest decides."""

    precision: str
    manifest: Path
    root: Path
    source: str | None
    mirror: Path | None
    release: str | None
    refs: Mapping[str, str]
    scale: str
    only: tuple[str, ...]
    fresh: bool
    base_python: Path | None
    accelerator: str
    cell_timeout: float
    pytest_arguments: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """Everything that must exist before the first cell can start."""

    manifest: Manifest
    source: Source
    checkouts: tuple[Checkout, ...]
    environments: Mapping[Side, SideEnvironment]
    solver_tree: str
    residual_dependencies: tuple[str, ...]

    @property
    def workspace(self) -> Checkout:
        """The developer workspace: datasets and recorded constants."""
        return next(checkout for checkout in self.checkouts if checkout.role is Role.DEVELOPER)


def run_matrix(options: Options) -> int:
    """Run the matrix as `options` say and return the exit code."""
    console = Console(highlight=False, soft_wrap=True)
    manifest = override(
        load_manifest(options.manifest),
        release=options.release,
        source=options.source,
        mirror=options.mirror,
        refs=options.refs,
    )
    _check_pytest_arguments(options.pytest_arguments)
    layout = open_layout(options.root)
    plan = _plan(layout, _prepare(console, layout, manifest, options), options)
    with _locked(console, plan):
        plan.write()
        kept = sum(kept_record(plan, cell) is not None for cell in plan.cells)
        goes_on = (
            f" (goes on: {kept} of {len(plan.cells)} cells are kept, --fresh starts over)" if kept else ""
        )
        console.print(f"run         {plan.folder}{goes_on}")
        exit_code = _run_suite(console, plan, options)
        _conclude(console, plan)
    return exit_code


def _check_pytest_arguments(arguments: tuple[str, ...]) -> None:
    """Refuse a mistyped option now: the suite itself starts only when environments are built."""
    with tempfile.TemporaryDirectory() as empty:
        words = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", *arguments]
        done = run(words, cwd=Path(empty), check=False)
    if done.exit_code == pytest.ExitCode.USAGE_ERROR:
        raise UsageError(f"neither the matrix nor pytest knows this:\n{done.stderr.strip()}")


def _prepare(console: Console, layout: Layout, manifest: Manifest, options: Options) -> Prepared:
    source = resolve_source(manifest)
    console.print(source.meaning)
    recipe = Recipe(manifest.release, options.accelerator)
    if source.kind is SourceKind.EMBEDDED:
        source = source.at(_embedded_origins(console, layout, manifest, recipe, options))
    checkouts = prepare(manifest, source, layout.root)
    baseline = checkouts[manifest.of_role(Role.LIBRARY).name]
    environments: dict[Side, SideEnvironment] = {}
    with candidate_of(baseline) as tree:
        solver_tree = tree_hash(SOLVER)
        vendor_library(tree.path, SOLVER)
        candidate = commit_candidate(tree, manifest.branch, "Vendor the NNLS solver")
        sides: dict[Side, Checkout] = {"baseline": baseline, "candidate": candidate}
        for side, checkout in sides.items():
            _say(console, checkout)
            with console.status(f"building the {side} environment (about a minute the first time)"):
                made = side_environment(layout, recipe, side, checkout.path, options.base_python)
            console.print(f"environment {side}: {made.python}")
            environments[side] = made
    workspaces = [checkout for checkout in checkouts.values() if checkout.role is not Role.LIBRARY]
    for checkout in workspaces:
        _say(console, checkout)
    residual = tuple(
        f"{found.requirement} ({found.where})"
        for found in residual_dependencies(environments["candidate"].python)
    )
    for line in residual:
        console.print(f"note        declared elsewhere in the stack, no longer used by the library: {line}")
    checkouts_made = (baseline, candidate, *workspaces)
    return Prepared(manifest, source, checkouts_made, environments, solver_tree, residual)


def _embedded_origins(
    console: Console, layout: Layout, manifest: Manifest, recipe: Recipe, options: Options
) -> dict[str, Path]:
    def simulate(workspace: Path) -> None:
        with console.status("simulating the embedded datasets (once, about a minute)"):
            python = options.base_python or stock_environment(layout, recipe).python
            variables = {
                **os.environ,
                "PYTHONPATH": str(REPOSITORY_ROOT),
                "NUMBA_CACHE_DIR": str(layout.cache / "numba" / "stock"),
                "MPLCONFIGDIR": str(layout.cache / "matplotlib"),
            }
            run([python, "-m", "matrix.embedded.datasets", "--workspace", workspace], env=variables)

    simulator = (EMBEDDED / "datasets.py").read_text()
    made_from = _digest((*recipe.requirements, simulator))
    return build_origins(manifest, layout.root, templates=EMBEDDED, simulate=simulate, recipe=made_from)


def _say(console: Console, checkout: Checkout) -> None:
    notes = [checkout.ref]
    if checkout.dirty:
        notes.append("the clone's uncommitted changes are not part of it")
    if checkout.absent:
        notes.append(f"{len(checkout.absent)} files are missing in the clone: {', '.join(checkout.absent)}")
    commit = checkout.commit[:12]
    console.print(f"checkout    {checkout.name} {checkout.purpose} {commit} ({'; '.join(notes)})")


def _plan(layout: Layout, prepared: Prepared, options: Options) -> Plan:
    manifest = prepared.manifest
    workspace = prepared.workspace.path
    cells = _cells(prepared, options, options.precision)
    folder = (None if options.fresh else _kept_run(layout, cells)) or _new_run(layout, cells)
    mixed = options.precision == "mp"
    return Plan(
        run=folder.name,
        key=_run_key(cells),
        folder=folder,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        release=manifest.release,
        source=prepared.source.kind,
        source_meaning=prepared.source.meaning,
        scale=options.scale,
        precision=options.precision,
        accelerator=options.accelerator,
        checkouts=tuple(_checked_out(checkout) for checkout in prepared.checkouts),
        solver_tree=prepared.solver_tree,
        environments={
            side: PlannedEnvironment(python=made.python, pythonpath=made.pythonpath, key=made.key)
            for side, made in prepared.environments.items()
        },
        workspace=workspace,
        constants={pipeline: read_constant(workspace, pipeline, options.scale) for pipeline in PIPELINES},
        tolerances=Tolerances(
            evidence=manifest.tolerances.mp if mixed else manifest.tolerances.fp64,
            parity=manifest.tolerances.parity,
        ),
        residual_dependencies=prepared.residual_dependencies,
        cells=cells,
        float64_run=_kept_run(layout, _cells(prepared, options, "fp64")) if mixed else None,
        selected=options.only or PIPELINES,
        cell_timeout=options.cell_timeout,
        threads=max(1, len(usable_cores()) // workers_that_fit(options.scale)),
        seed=SEED,
        locks=layout.locks,
        cache=layout.cache,
    )


def _cells(prepared: Prepared, options: Options, precision: str) -> tuple[PlannedCell, ...]:
    code = _digest(
        tree_hash(path) if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (REPOSITORY_ROOT / name for name in CELL_CODE)
    )
    # The key is a hash of everything the numbers depend on: a kept record answers only for exactly that.
    shared = (precision, options.scale, prepared.workspace.commit, str(SEED), code)
    return tuple(
        PlannedCell(
            pipeline=pipeline,
            precision=precision,
            side=side,
            scale=options.scale,
            key=_digest((pipeline, side, environment.key, *shared)),
        )
        for pipeline in PIPELINES
        for side, environment in prepared.environments.items()
    )


def _run_key(cells: tuple[PlannedCell, ...]) -> str:
    return _digest(cell.key for cell in cells)


def _kept_run(layout: Layout, cells: tuple[PlannedCell, ...]) -> Path | None:
    """The newest run of exactly these cells."""
    for folder in sorted(layout.runs.iterdir(), reverse=True):
        # A plan of another version of this program is no plan of these cells.
        with suppress(FileNotFoundError, NotADirectoryError, ValidationError):
            if read_plan(folder).key == _run_key(cells):
                return folder
    return None


def _new_run(layout: Layout, cells: tuple[PlannedCell, ...]) -> Path:
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return layout.runs / f"{stamp}-{cells[0].precision}-{_run_key(cells)[:6]}"


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


def _run_suite(console: Console, plan: Plan, options: Options) -> int:
    workers = min(workers_that_fit(options.scale), len(plan.selected))
    arguments = [
        f"--rootdir={SUITE}",
        f"--confcutdir={SUITE}",
        f"--matrix-run={plan.folder}",
        f"--junitxml={plan.folder / 'junit.xml'}",
        "--override-ini=testpaths=",
        f"--override-ini=cache_dir={plan.cache / 'pytest'}",
        f"-n{workers}",
        "--dist=loadscope",
        *options.pytest_arguments,
        str(SUITE),
    ]
    progress = Progress(console, plan)
    code = pytest.main(arguments, plugins=[progress])
    if progress.failed:
        # Also where `-x` broke the suite off, which pytest calls interrupted.
        return GATE_FAILED
    match code:
        case pytest.ExitCode.USAGE_ERROR:
            raise UsageError("pytest did not understand its arguments (see above)")
        case pytest.ExitCode.NO_TESTS_COLLECTED:
            raise UsageError("the selection is empty: no cell and no gate matches it")
        case pytest.ExitCode.INTERNAL_ERROR:
            raise EnvironmentFailure("the test runner broke (see above); finished cells are kept, run again")
        case pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
    return int(code)


def _conclude(console: Console, plan: Plan) -> None:
    records = {cell.name: record for cell in plan.cells if (record := kept_record(plan, cell)) is not None}
    failures = {cell.name: reason for cell in plan.cells if (reason := kept_failure(plan, cell)) is not None}
    verdicts = judge(plan, records, failures, float64_records(plan))
    write_report(console, plan, records, verdicts)


def _checked_out(checkout: Checkout) -> CheckedOut:
    return CheckedOut(
        name=checkout.name,
        role=checkout.role,
        purpose=checkout.purpose,
        ref=checkout.ref,
        commit=checkout.commit,
        dirty=checkout.dirty,
    )


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
