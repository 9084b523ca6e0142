"""The plan of a run: its cells and checks, the keys of all that they depend on, and kept runs of the same."""

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from matrix.catalogue import pipelines as catalogue
from matrix.catalogue.checks import ALL_CHECKS, ON_DEMAND, checks_of
from matrix.catalogue.pipelines import PIPELINES, pipeline_named, planned_pipelines
from matrix.ground.errors import UsageError
from matrix.ground.hashing import digest, file_hash
from matrix.ground.imports import definitions_in, files_behind
from matrix.ground.layout import REPOSITORY_ROOT, Layout
from matrix.ground.redaction import redact
from matrix.prepare.checkout import Checkout
from matrix.prepare.constants import of_other_data, read_constant
from matrix.prepare.manifest import Role, SourceKind
from matrix.prepare.sides import Prepared, SideOptions
from matrix.records.cell import Side
from matrix.run.plan import (
    CheckedOut,
    Constant,
    Plan,
    PlanError,
    PlannedCell,
    PlannedCheck,
    PlannedEnvironment,
    PlannedPair,
    Tolerances,
    read_plan,
    run_folders,
)

SEED = 20260511

# What runs a cell, and what its process is started with; besides solver/ itself, which a side's key knows.
_CELL = ("matrix.pipelines.cell", "matrix.execute.variables")
# What a pair's times depend on beside what its cells do: the statistic, and who takes and asks for the times.
_PAIR = ("matrix.records.pair", "matrix.pipelines.serve")
_ASKING = REPOSITORY_ROOT / "matrix" / "execute" / "pairs.py"
# What makes the checks.
_CHECKS = ("matrix.checks.run",)


def cell_codes(names: Iterable[str]) -> dict[str, str]:
    """Digest of what each pipeline's numbers depend on here, of settings its own alone."""
    table = Path(catalogue.__file__)
    files = [path for path in files_behind(_CELL) if path != table]
    shared = (file_hash(files), definitions_in(table, "PIPELINES", "INSTRUMENTS", "OWN_INSTRUMENT"))
    return {name: digest((*shared, repr(catalogue.pipeline_named(name)))) for name in names}


def program_code() -> str:
    """Digest of this repository's part in the numbers of all pipelines."""
    return digest(cell_codes(PIPELINES).values())


def planned_pairs(cells: Sequence[PlannedCell], seconds: float) -> tuple[PlannedPair, ...]:
    """The pair of each pipeline; none where it is given no time.

    Parameters
    ----------
    cells
        Both sides of each pipeline.
    seconds
        For the rounds of each pair of processes.
    """
    code = file_hash((*files_behind(_PAIR), _ASKING))
    sides = {(cell.pipeline, cell.side): cell for cell in cells}
    return tuple(
        PlannedPair(
            pipeline=cell.pipeline,
            precision=cell.precision,
            scale=cell.scale,
            key=digest((cell.key, sides[cell.pipeline, "candidate"].key, str(seconds), code)),
            seconds=seconds,
        )
        for cell in cells
        if cell.side == "baseline" and seconds > 0
    )


def planned_checks(
    environments: Mapping[Side, PlannedEnvironment],
    libraries: Mapping[Side, Path],
    commits: Iterable[str],
    scale: str,
    *,
    vendors: bool = True,
) -> tuple[PlannedCheck, ...]:
    """Every check of the change on each of its sides, with the key of all that its items depend on.

    Parameters
    ----------
    environments, libraries
        Of both sides; a library's folder is named after its content.
    commits
        Of the workspaces.
    scale
        Which grid of assertions, and which size of our stand-in scripts.
    vendors
        Whether the change vendors the solver: any other has fewer checks.
    """
    shared = (scale, *commits, file_hash(files_behind(_CHECKS)))
    return tuple(
        PlannedCheck(
            check=name,
            side=side,
            scale=scale,
            key=digest((name, side, environments[side].key, libraries[side].name, *shared)),
        )
        for name, check in checks_of(vendors).items()
        for side in check.sides
    )


def selected_checks(
    only: tuple[str, ...], checks: tuple[str, ...], with_scripts: bool, *, vendors: bool = True
) -> tuple[str, ...]:
    """The checks to run: those named; else, unless pipelines are named, all but those that run on demand.

    Raises
    ------
    UsageError
        One is named that asks something of the vendored solver, and the change does not vendor it.
    """
    there = checks_of(vendors)
    if (checks or only) and ALL_CHECKS not in checks:
        foreign = [name for name in checks if name not in there]
        if foreign:
            raise UsageError(
                f"--check {foreign[0]} is of the vendored solver, and this change vendors nothing. "
                f"Its checks: {', '.join(there)}."
            )
        return tuple(dict.fromkeys((*checks, *(ON_DEMAND if with_scripts else ()))))
    return tuple(name for name in there if with_scripts or name not in ON_DEMAND)


def make_plan(layout: Layout, prepared: Prepared, options: SideOptions, threads: int) -> Plan:
    """Write down what a run of the prepared sides is going to do; the newest run of the same goes on.

    Parameters
    ----------
    threads
        Cores that one process gets.
    """
    manifest = prepared.manifest
    workspace = prepared.workspace.path
    test_workspace = prepared.of_role(Role.TEST)
    environments = {
        side: PlannedEnvironment(
            python=made.python,
            pythonpath=made.pythonpath,
            key=made.key,
            settings=manifest.change.given(side).settings,
        )
        for side, made in prepared.environments.items()
    }
    commits = (prepared.workspace.commit, test_workspace.commit)
    vendors = manifest.change.vendor
    cells = _cells(prepared, options, options.precision)
    folder = (None if options.fresh else kept_run(layout, cells)) or new_run(layout, cells)
    mixed = options.precision == "mp"
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
        change=manifest.change,
        difference=prepared.difference,
        moved=prepared.moved,
        expected=options.expected,
        lanes=options.lanes,
        checkouts=tuple(_checked_out(checkout) for checkout in prepared.checkouts),
        urls={repository.name: redact(repository.url) for repository in manifest.repositories},
        solver_tree=prepared.solver_tree,
        code=program_code(),
        environments=environments,
        workspace=workspace,
        datasets=prepared.data.own,
        own_workspace=prepared.data.workspace,
        constants=_constants(prepared, options),
        tolerances=Tolerances(
            evidence=manifest.tolerances.mp if mixed else manifest.tolerances.fp64,
            parity=manifest.tolerances.parity,
        ),
        targets=manifest.targets,
        residual_dependencies=prepared.residual_dependencies,
        cells=cells,
        pairs=planned_pairs(cells, options.pair_seconds),
        checks=planned_checks(environments, prepared.libraries, commits, options.scale, vendors=vendors),
        libraries=prepared.libraries,
        test_workspace=test_workspace.path,
        float64_run=fullest_run(layout, _cells(prepared, options, "fp64")) if mixed else None,
        selected=options.only or (() if options.checks else tuple(PIPELINES)),
        selected_checks=selected_checks(options.only, options.checks, options.with_scripts, vendors=vendors),
        whole=options.whole,
        whole_checks=options.whole_checks,
        cell_timeout=options.cell_timeout,
        threads=threads,
        seed=SEED,
        locks=layout.locks,
        cache=layout.cache,
    )


def _constants(prepared: Prepared, options: SideOptions) -> dict[str, Constant]:
    stand_in = prepared.source.kind is SourceKind.EMBEDDED
    names = planned_pipelines(options.pipelines)
    found = {
        name: read_constant(prepared.workspace.path, name, options.scale, stand_in=stand_in) for name in names
    }
    return {
        name: of_other_data(constant, own.given)
        if (own := prepared.data.own.get(pipeline_named(name).instrument)) and not own.simulated
        else constant
        for name, constant in found.items()
    }


def _cells(prepared: Prepared, options: SideOptions, precision: str) -> tuple[PlannedCell, ...]:
    pipelines = planned_pipelines(options.pipelines)
    codes = cell_codes(pipelines)
    # The key is a hash of everything the numbers depend on: a kept record answers only for exactly that.
    lanes = " ".join(map(str, options.lanes))
    shared = (precision, options.scale, prepared.workspace.commit, str(SEED), lanes)
    data = {name: pipeline_named(name).instrument for name in pipelines}
    own = {name: (prepared.data.own[at].checksum,) for name, at in data.items() if at in prepared.data.own}
    return tuple(
        PlannedCell(
            pipeline=pipeline,
            precision=precision,
            side=side,
            scale=options.scale,
            key=digest((pipeline, side, environment.key, codes[pipeline], *shared, *own.get(pipeline, ()))),
        )
        for pipeline in pipelines
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
