"""The plan of a run: its cells and checks, the keys of all that they depend on, and kept runs of the same."""

import datetime
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from matrix.catalogue.checks import ALL_CHECKS, CHECKS, ON_DEMAND
from matrix.execute.reservations import usable_cores, workers_that_fit
from matrix.ground.hashing import code_hash, digest
from matrix.ground.layout import Layout
from matrix.prepare.checkout import Checkout
from matrix.prepare.constants import read_constant
from matrix.prepare.manifest import Role, SourceKind
from matrix.prepare.sides import Options, Prepared
from matrix.run.plan import (
    CheckedOut,
    Constant,
    Plan,
    PlanError,
    PlannedCell,
    PlannedCheck,
    PlannedEnvironment,
    Side,
    Tolerances,
    platform_of,
    read_plan,
    run_folders,
)

SEED = 20260511

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
CELL_CODE = (
    "matrix/pipelines/cell.py",
    "matrix/records/cell.py",
    "matrix/records/typed_json.py",
    "matrix/records/arrays.py",
    "matrix/records/precision.py",
    "matrix/ground/machine.py",
    "matrix/catalogue/releases.py",
    "matrix/pipelines",
    "matrix/catalogue/pipelines.py",
    # The variables that a process is started with: precision, XLA's flags, threads.
    "matrix/execute/local.py",
)

# What a check's items depend on in this repository, besides solver/ itself.
_CHECK_CODE = (
    "matrix/checks",
    "matrix/catalogue",
    "matrix/records/check.py",
    "matrix/pipelines/cell.py",
    "matrix/execute/local.py",
    "matrix/pipelines/kkt.py",
    "matrix/prepare/change/assertions.py",
    "matrix/prepare/change/templates",
)


def planned_checks(
    environments: Mapping[Side, PlannedEnvironment],
    libraries: Mapping[Side, Path],
    commits: Iterable[str],
    scale: str,
) -> tuple[PlannedCheck, ...]:
    """Every check on each of its sides, with the key of all that its items depend on.

    Parameters
    ----------
    environments, libraries
        Of both sides; a library's folder is named after its content.
    commits
        Of the workspaces.
    scale
        Which grid of assertions, and which size of our stand-in scripts.
    """
    shared = (scale, *commits, code_hash(_CHECK_CODE))
    return tuple(
        PlannedCheck(
            check=name,
            side=side,
            scale=scale,
            key=digest((name, side, environments[side].key, libraries[side].name, *shared)),
        )
        for name, check in CHECKS.items()
        for side in check.sides
    )


def selected_checks(only: tuple[str, ...], checks: tuple[str, ...], with_scripts: bool) -> tuple[str, ...]:
    """The checks to run: those named; else, unless pipelines are named, all but those that run on demand."""
    if (checks or only) and ALL_CHECKS not in checks:
        return tuple(dict.fromkeys((*checks, *(ON_DEMAND if with_scripts else ()))))
    return tuple(name for name in CHECKS if with_scripts or name not in ON_DEMAND)


def make_plan(layout: Layout, prepared: Prepared, options: Options) -> Plan:
    """Write down what a run of the prepared sides is going to do; the newest run of the same goes on."""
    manifest = prepared.manifest
    workspace = prepared.workspace.path
    test_workspace = prepared.of_role(Role.TEST)
    environments = {
        side: PlannedEnvironment(
            python=made.python, pythonpath=made.pythonpath, key=made.key, settings=options.settings[side]
        )
        for side, made in prepared.environments.items()
    }
    commits = (prepared.workspace.commit, test_workspace.commit)
    cells = _cells(prepared, options, options.precision)
    folder = (None if options.fresh else kept_run(layout, cells)) or new_run(layout, cells)
    mixed = options.precision == "mp"
    workers = workers_that_fit(options.scale, platform_of(options.accelerator))
    return Plan(
        run=folder.name,
        key=run_key(cells),
        folder=folder,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        release=manifest.release,
        source=prepared.source.kind,
        source_meaning=prepared.source.meaning,
        scale=options.scale,
        precision=options.precision,
        accelerator=options.accelerator,
        algorithm=options.algorithm,
        checkouts=tuple(_checked_out(checkout) for checkout in prepared.checkouts),
        solver_tree=prepared.solver_tree,
        code=code_hash(CELL_CODE),
        environments=environments,
        workspace=workspace,
        constants=_constants(prepared, options.scale),
        tolerances=Tolerances(
            evidence=manifest.tolerances.mp if mixed else manifest.tolerances.fp64,
            parity=manifest.tolerances.parity,
        ),
        targets=manifest.targets,
        residual_dependencies=prepared.residual_dependencies,
        cells=cells,
        checks=planned_checks(environments, prepared.libraries, commits, options.scale),
        libraries=prepared.libraries,
        test_workspace=test_workspace.path,
        float64_run=fullest_run(layout, _cells(prepared, options, "fp64")) if mixed else None,
        selected=options.only or (() if options.checks else PIPELINES),
        selected_checks=selected_checks(options.only, options.checks, options.with_scripts),
        whole=options.whole,
        whole_checks=options.whole_checks,
        cell_timeout=options.cell_timeout,
        threads=max(1, len(usable_cores()) // workers),
        seed=SEED,
        locks=layout.locks,
        cache=layout.cache,
    )


def _constants(prepared: Prepared, scale: str) -> dict[str, Constant]:
    stand_in = prepared.source.kind is SourceKind.EMBEDDED
    return {
        pipeline: read_constant(prepared.workspace.path, pipeline, scale, stand_in=stand_in)
        for pipeline in PIPELINES
    }


def _cells(prepared: Prepared, options: Options, precision: str) -> tuple[PlannedCell, ...]:
    code = code_hash(CELL_CODE)
    # The key is a hash of everything the numbers depend on: a kept record answers only for exactly that.
    shared = (precision, options.scale, prepared.workspace.commit, str(SEED), code)
    return tuple(
        PlannedCell(
            pipeline=pipeline,
            precision=precision,
            side=side,
            scale=options.scale,
            key=digest((pipeline, side, environment.key, *shared)),
        )
        for pipeline in PIPELINES
        for side, environment in prepared.environments.items()
    )


def run_key(cells: tuple[PlannedCell, ...]) -> str:
    """What a run is recognised by: the content keys of all its cells."""
    return digest(cell.key for cell in cells)


def kept_run(layout: Layout, cells: tuple[PlannedCell, ...]) -> Path | None:
    """The newest run of exactly these cells."""
    return next(_runs_of(layout, cells), None)


def fullest_run(layout: Layout, cells: tuple[PlannedCell, ...]) -> Path | None:
    """Of the runs of exactly these cells the one with most records, the newest of several."""

    def records(folder: Path) -> int:
        plan = read_plan(folder)
        return sum(plan.record_path(cell).is_file() for cell in plan.cells)

    return max(_runs_of(layout, cells), key=records, default=None)


def _runs_of(layout: Layout, cells: tuple[PlannedCell, ...]) -> Iterator[Path]:
    """The runs of exactly these cells, the newest first."""
    for folder in reversed(run_folders(layout.runs)):
        # A plan of another version of this program is no plan of these cells.
        with suppress(PlanError):
            if read_plan(folder).key == run_key(cells):
                yield folder


def new_run(layout: Layout, cells: tuple[PlannedCell, ...]) -> Path:
    """The folder of a new run of these cells, by the clock."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    return layout.runs / f"{stamp}-{cells[0].precision}-{run_key(cells)[:6]}"


def _checked_out(checkout: Checkout) -> CheckedOut:
    return CheckedOut(
        name=checkout.name,
        role=checkout.role,
        purpose=checkout.purpose,
        ref=checkout.ref,
        commit=checkout.commit,
        dirty=checkout.dirty,
    )
