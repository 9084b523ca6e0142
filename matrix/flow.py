"""The main job, in order: manifest, checkout, vendor, environments, cells, gates, report."""

import datetime
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock, Timeout
from rich.console import Console

from matrix.artifacts import read_constant
from matrix.checkout import Checkout, Source, commit_candidate, prepare, resolve_source
from matrix.embedded.simulate import simulate_datasets
from matrix.environments import Recipe, SideEnvironment, side_environment, stock_environment, tree_hash
from matrix.errors import EnvironmentFailure, UsageError
from matrix.execute.local import kept_failure, kept_record
from matrix.execute.reservations import usable_cores, workers_that_fit
from matrix.gates import judge
from matrix.layout import REPOSITORY_ROOT, SOLVER, Layout, open_layout
from matrix.manifest import Manifest, load_manifest, override
from matrix.plan import (
    SIDES,
    CheckedOut,
    Plan,
    PlannedCell,
    PlannedEnvironment,
    Side,
    Tolerances,
    plan_path,
    read_plan,
)
from matrix.report import write_report
from matrix.report.progress import Progress
from matrix.vendor import residual_dependencies, vendor_library

SEED = 20260511
GATE_FAILED = 1

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
CELL_CODE = ("matrix/cell.py", "matrix/record.py", "matrix/pipelines")


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
    workspace: Path
    environments: Mapping[Side, SideEnvironment]
    residual_dependencies: tuple[str, ...]


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
    layout = open_layout(options.root)
    prepared = _prepare(console, layout, manifest, options)
    plan = _plan(layout, prepared, options)
    with _run_lock(console, plan):
        plan.write()
        kept = sum(kept_record(plan, cell) is not None for cell in plan.cells)
        console.print(
            f"run        {plan.folder}"
            + (f" (goes on: {kept} of {len(plan.cells)} cells are kept)" if kept else "")
        )
        exit_code = _run_suite(console, plan, options)
        _conclude(console, plan)
    return exit_code


def _prepare(console: Console, layout: Layout, manifest: Manifest, options: Options) -> Prepared:
    source = resolve_source(manifest)
    console.print(f"source     {source.kind}: {source.meaning}")
    recipe = Recipe(manifest.release, options.accelerator)

    def simulate(workspace: Path) -> None:
        console.print("datasets   simulating the embedded datasets (once)")
        python = options.base_python or stock_environment(layout, recipe).python
        simulate_datasets(python, workspace)

    checkouts = prepare(manifest, source, layout.root, simulate=simulate)
    candidate = checkouts["candidate"]
    vendor_library(candidate.path, SOLVER)
    candidate = commit_candidate(candidate, manifest.branch, "Vendor the NNLS solver")
    for checkout in (checkouts["baseline"], candidate, checkouts["developer"], checkouts["test"]):
        console.print(
            f"checkout   {checkout.name} {checkout.purpose} {checkout.commit[:12]} ({checkout.ref})"
        )
    libraries: dict[Side, Path] = {"baseline": checkouts["baseline"].path, "candidate": candidate.path}
    environments: dict[Side, SideEnvironment] = {}
    for side in SIDES:
        with console.status(f"building the {side} environment"):
            environments[side] = side_environment(layout, recipe, side, libraries[side], options.base_python)
        console.print(f"environment {side}: {environments[side].python}")
    residual = residual_dependencies(environments["candidate"].python)
    for requirement in residual:
        console.print(f"note       still declared outside the library: {requirement}")
    return Prepared(
        manifest,
        source,
        (checkouts["baseline"], candidate, checkouts["developer"], checkouts["test"]),
        checkouts["developer"].path,
        environments,
        residual,
    )


def _plan(layout: Layout, prepared: Prepared, options: Options) -> Plan:
    manifest = prepared.manifest
    cells = tuple(
        PlannedCell(
            pipeline=pipeline,
            precision=options.precision,
            side=side,
            scale=options.scale,
            key=_cell_key(prepared, options, pipeline, side),
        )
        for pipeline in PIPELINES
        for side in SIDES
    )
    key = _digest(cell.key for cell in cells)
    folder = _run_folder(layout, key, options)
    workers = workers_that_fit(options.scale)
    return Plan(
        run=folder.name,
        key=key,
        folder=folder,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        release=manifest.release,
        source=prepared.source.kind,
        source_meaning=prepared.source.meaning,
        scale=options.scale,
        precision=options.precision,
        checkouts=tuple(_checked_out(checkout) for checkout in prepared.checkouts),
        solver_tree=tree_hash(SOLVER),
        environments={
            side: PlannedEnvironment(python=made.python, pythonpath=made.pythonpath, key=made.key)
            for side, made in prepared.environments.items()
        },
        workspace=prepared.workspace,
        constants={
            pipeline: read_constant(prepared.workspace, pipeline, options.scale) for pipeline in PIPELINES
        },
        tolerances=Tolerances(
            evidence=getattr(manifest.tolerances, options.precision), parity=manifest.tolerances.parity
        ),
        residual_dependencies=prepared.residual_dependencies,
        cells=cells,
        selected=options.only or PIPELINES,
        cell_timeout=options.cell_timeout,
        threads=max(1, len(usable_cores()) // workers),
        seed=SEED,
        locks=layout.locks,
        cache=layout.cache,
    )


def _cell_key(prepared: Prepared, options: Options, pipeline: str, side: Side) -> str:
    """Hash of everything the cell's numbers depend on: a kept record answers only for exactly that."""
    workspace = next(checkout for checkout in prepared.checkouts if checkout.role == "developer")
    code = (
        tree_hash(path) if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (REPOSITORY_ROOT / name for name in CELL_CODE)
    )
    environment = prepared.environments[side].key
    return _digest(
        (pipeline, options.precision, side, options.scale, environment, workspace.commit, str(SEED), *code)
    )


def _run_folder(layout: Layout, key: str, options: Options) -> Path:
    """The newest run of the same content, to go on with it; a new one with `--fresh` or if there is none."""
    kept = (folder for folder in sorted(layout.runs.iterdir(), reverse=True) if plan_path(folder).exists())
    if not options.fresh:
        for folder in kept:
            if read_plan(folder).key == key:
                return folder
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return layout.runs / f"{stamp}-{options.precision}-{key[:6]}"


def _run_lock(console: Console, plan: Plan) -> FileLock:
    plan.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(plan.locks / f"run-{plan.run}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.print(f"waiting    the same run is going on in another process ({plan.folder})")
        lock.acquire()
    lock.release()
    return lock


def _run_suite(console: Console, plan: Plan, options: Options) -> int:
    workers = workers_that_fit(options.scale)
    arguments = [
        f"--rootdir={REPOSITORY_ROOT / 'matrix' / 'suite'}",
        f"--confcutdir={REPOSITORY_ROOT / 'matrix' / 'suite'}",
        f"--matrix-run={plan.folder}",
        f"--junitxml={plan.folder / 'junit.xml'}",
        "--override-ini=testpaths=",
        f"--override-ini=cache_dir={plan.cache / 'pytest'}",
        "--override-ini=junit_family=xunit2",
        f"-n{min(workers, len(plan.selected))}",
        "--dist=loadgroup",
        *options.pytest_arguments,
        str(REPOSITORY_ROOT / "matrix" / "suite"),
    ]
    progress = Progress(console, plan)
    code = pytest.main(arguments, plugins=[progress])
    if code == pytest.ExitCode.USAGE_ERROR:
        raise UsageError("pytest did not understand its arguments (see above)")
    if code == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise UsageError("the selection is empty: no cell and no gate matches it")
    if code == pytest.ExitCode.INTERNAL_ERROR:
        raise EnvironmentFailure("the test runner broke (see above); finished cells are kept, run again")
    if progress.failed:
        return GATE_FAILED
    if code == pytest.ExitCode.INTERRUPTED:
        raise KeyboardInterrupt
    return int(code)


def _conclude(console: Console, plan: Plan) -> None:
    records = {cell.name: record for cell in plan.cells if (record := kept_record(plan, cell)) is not None}
    failures = {cell.name: reason for cell in plan.cells if (reason := kept_failure(plan, cell)) is not None}
    write_report(console, plan, records, judge(plan, records, failures))


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
