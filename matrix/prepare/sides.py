"""From the command line to two sides one can run: manifest, checkouts, vendoring, environments."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock
from rich.console import Console

from matrix.catalogue.pipelines import PIPELINES, planned_pipelines
from matrix.catalogue.releases import AUTO, LATEST, ReleaseChoice, newest_known, package_of
from matrix.ground.errors import UsageError
from matrix.ground.hashing import digest, tree_hash
from matrix.ground.layout import REPOSITORY_ROOT, SOLVER, Layout
from matrix.ground.process import run
from matrix.ground.settings import check_settings, said
from matrix.ground.shell import inherited
from matrix.prepare.change import residual_dependencies, vendor_library
from matrix.prepare.checkout import (
    Checkout,
    Source,
    build_origins,
    candidate_of,
    commit_candidate,
    prepare,
    resolve_source,
)
from matrix.prepare.datasets import (
    LikelihoodData,
    check_contents,
    check_there,
    lay_out_data,
    pipelines_without_data,
    simulated,
)
from matrix.prepare.difference import difference_of, moved_packages, trees_of
from matrix.prepare.embedded.generations import Generation, generation_of, write_generation
from matrix.prepare.environments import (
    Recipe,
    SideEnvironment,
    interpreter_of,
    newest_release,
    packages_of,
    recipe_for,
    side_environment,
    stock_environment,
    with_packages,
)
from matrix.prepare.interpreters import interpreters
from matrix.prepare.manifest import Manifest, Role, SourceKind, load_manifest, override
from matrix.records.cell import SIDES, Side
from matrix.run.change import LIBRARY_PACKAGE, Change, Expected
from matrix.run.plan import NOTHING_VENDORED

EMBEDDED = REPOSITORY_ROOT / "matrix" / "prepare" / "embedded"
DEVELOPER = "autolens_workspace_developer"

# Of this Python the library warns in a frame, in every process.
WARNED_OF = "3.11"


@dataclass(frozen=True)
class SideOptions:
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
    checks: tuple[str, ...]
    algorithm: str | None
    change: Change | None
    expected: Mapping[str, Expected]
    lanes: tuple[int, ...]
    datasets: Mapping[str, Path]
    with_scripts: bool
    fresh: bool
    base_python: Path | None
    accelerator: str
    newest: bool
    cell_timeout: float
    pair_seconds: float
    pytest_arguments: tuple[str, ...]
    # Of a shard what all shards together run.
    whole: tuple[str, ...] = ()
    whole_checks: tuple[str, ...] = ()

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Every pipeline that is run, of a shard by all shards together."""
        return self.whole or self.only or (() if self.checks else tuple(PIPELINES))


@dataclass(frozen=True)
class Prepared:
    """Everything that must exist before the first cell can start."""

    manifest: Manifest
    source: Source
    checkouts: tuple[Checkout, ...]
    environments: Mapping[Side, SideEnvironment]
    libraries: Mapping[Side, Path]
    solver_tree: str
    residual_dependencies: tuple[str, ...]
    difference: str
    moved: Mapping[str, Mapping[Side, str | None]]
    data: LikelihoodData

    @property
    def workspace(self) -> Checkout:
        """The developer workspace: datasets and recorded constants."""
        return self.of_role(Role.DEVELOPER)

    def of_role(self, role: Role) -> Checkout:
        """The first checkout of a role."""
        return next(checkout for checkout in self.checkouts if checkout.role is role)


def announced_source(console: Console, manifest: Manifest) -> Source:
    """Decide where the repositories come from, and say what that means."""
    source = resolve_source(manifest)
    console.print(source.meaning)
    return source


def check_out(
    console: Console, layout: Layout, manifest: Manifest, source: Source, recipe: Recipe, options: SideOptions
) -> tuple[Source, dict[str, Checkout]]:
    """Check the repositories out; the source comes back with its urls complete."""
    if source.kind is SourceKind.EMBEDDED:
        source = source.at(_embedded_origins(console, layout, manifest, recipe, options))
    return source, prepare(manifest, source, layout.root)


def announced_recipe(console: Console, layout: Layout, manifest: Manifest, options: SideOptions) -> Recipe:
    """What all environments of the run are made of, and where that comes from."""
    if options.base_python is not None:
        return Recipe(manifest.release, options.accelerator)
    with console.status("resolving the stack, where it is not locked"):
        recipe = recipe_for(layout, manifest.release, options.accelerator, newest=options.newest)
    console.print(f"packages    {recipe.lock.meaning}")
    return recipe


def manifest_for(options: SideOptions) -> Manifest:
    """The manifest with what the command line replaces, its release a definite one."""
    manifest = override(
        load_manifest(options.manifest),
        release=None if options.release in (AUTO, LATEST) else options.release,
        source=options.source,
        mirror=options.mirror,
        refs=options.refs,
        change=options.change,
    )
    if options.algorithm is not None and not manifest.change.vendor:
        raise UsageError(
            f"--algorithm {options.algorithm} is of the vendored solver, and this change vendors nothing: "
            "leave it out, or add --vendor."
        )
    if options.release == LATEST:
        return override(manifest, release=newest_release())
    if AUTO in (options.release, manifest.release):
        return override(manifest, release=_chosen_release(options).release)
    return manifest


def announced_release(console: Console, manifest: Manifest, options: SideOptions) -> None:
    """Say which release is validated on which Python, and why."""
    asked = options.release or load_manifest(options.manifest).release
    reason = {
        AUTO: _chosen_release(options).reason if asked == AUTO else "",
        LATEST: "the newest on the package index",
    }.get(asked, "as asked for")
    python = options.base_python or f"{(made := interpreter_of(manifest.release)).version} at {made.path}"
    console.print(f"release     {manifest.release} ({reason}), Python {python}")
    if options.base_python is None and made.minor == WARNED_OF:
        console.print(
            "note        upstream recommends Python 3.12 or newer and warns of this one in each process; "
            "it is said here once"
        )


def _chosen_release(options: SideOptions) -> ReleaseChoice:
    if options.base_python is not None and "autolens" in (held := packages_of(options.base_python)):
        return ReleaseChoice(held["autolens"], "what --base-python holds")
    return newest_known(sorted({found.minor for found in interpreters()}))


def prepare_sides(
    console: Console, layout: Layout, manifest: Manifest, source: Source, options: SideOptions
) -> Prepared:
    """Check out, change and build both sides, and say what was made."""
    change = manifest.change
    recipe = announced_recipe(console, layout, manifest, options)
    recipes = {side: _recipe_of(console, layout, recipe, side, change, options) for side in SIDES}
    moved = moved_packages(recipes) if recipes["baseline"] != recipes["candidate"] else {}
    source, checkouts = check_out(console, layout, manifest, source, recipe, options)
    data = _data(console, layout, checkouts[manifest.of_role(Role.DEVELOPER).name], source, recipe, options)
    library = manifest.of_role(Role.LIBRARY).name
    trees = trees_of(manifest, source, checkouts[library], layout.root)
    difference = difference_of(change, trees, moved, manifest.release)
    environments: dict[Side, SideEnvironment] = {}
    libraries: dict[Side, Path] = {}
    with _changed(manifest, trees["candidate"][library], options) as candidate:
        sides: dict[Side, Mapping[str, Checkout]] = {
            "baseline": trees["baseline"],
            "candidate": {**trees["candidate"], library: candidate},
        }
        for side in SIDES:
            check_settings(f"--{side}-setting", change.given(side).settings, sides[side][library].path)
        for side in SIDES:
            for checkout in sides[side].values():
                _say(console, checkout)
            made = _environment(console, layout, recipes[side], side, sides[side], manifest, options)
            console.print(f"environment {side}: {made.python}")
            environments[side] = _with_settings(console, side, made, change.given(side).settings)
            libraries[side] = kept_library(layout, sides[side][library].path)
    check_contents(environments["baseline"].python, data, options.scale, options.pipelines)
    workspaces = [checkout for checkout in checkouts.values() if checkout.role is not Role.LIBRARY]
    for checkout in workspaces:
        _say(console, checkout)
    residual = _residual(console, environments["candidate"].python) if change.vendor else ()
    return Prepared(
        manifest=manifest,
        source=source,
        checkouts=(*sides["baseline"].values(), *sides["candidate"].values(), *workspaces),
        environments=environments,
        libraries=libraries,
        solver_tree=tree_hash(SOLVER) if change.vendor else NOTHING_VENDORED,
        residual_dependencies=residual,
        difference=difference,
        moved=moved,
        data=data,
    )


def _data(
    console: Console,
    layout: Layout,
    workspace: Checkout,
    source: Source,
    recipe: Recipe,
    options: SideOptions,
) -> LikelihoodData:
    """What the pipelines read, which must be there before a side is built."""
    check_there(workspace.path, source.kind, options.pipelines, options.datasets)
    made = {}
    for pipeline in pipelines_without_data(workspace.path, options.pipelines, options.datasets):
        name = pipeline.instrument
        with console.status(f"simulating {name}, which the workspace has no data of"):
            python = options.base_python or stock_environment(layout, recipe).python
            made[name] = simulated(layout, workspace, pipeline, python)
    data = lay_out_data(layout, workspace, planned_pipelines(options.pipelines), options.datasets, made)
    for name, own in data.own.items():
        console.print(f"dataset     {name}: {'simulated by ' * own.simulated}{own.given} ({own.checksum})")
    return data


def _recipe_of(
    console: Console, layout: Layout, recipe: Recipe, side: Side, change: Change, options: SideOptions
) -> Recipe:
    """What a side's environment is made of."""
    packages = change.given(side).packages
    if packages and options.base_python is not None:
        raise UsageError(
            f"--{side}-package {packages[0]}: with --base-python nothing is installed, so no package can be "
            "another. Leave --base-python out."
        )
    with console.status(f"resolving the {side}'s packages"):
        return with_packages(layout, recipe, packages)


def _environment(
    console: Console,
    layout: Layout,
    recipe: Recipe,
    side: Side,
    checkouts: Mapping[str, Checkout],
    manifest: Manifest,
    options: SideOptions,
) -> SideEnvironment:
    """A side's environment, with what its packages' checkouts hold."""
    trees = {package_of(name): checkout.path for name, checkout in checkouts.items()}
    library = trees.pop(manifest.of_role(Role.LIBRARY).package)
    console.print(f"building    {side}: 1–3 min and up to 1.3 GB the first time, then seconds")
    with console.status(f"building the {side} environment"):
        return side_environment(
            layout,
            recipe,
            side,
            library,
            options.base_python,
            others=trees,
            vendored=manifest.change.vendor,
        )


@contextmanager
def _changed(manifest: Manifest, library: Checkout, options: SideOptions) -> Iterator[Checkout]:
    """The candidate's library, with the solver vendored into it where that is the change."""
    if not manifest.change.vendor:
        yield library
        return
    with candidate_of(library) as tree:
        vendor_library(tree.path, SOLVER, options.algorithm)
        yield commit_candidate(tree, manifest.branch, "Vendor the NNLS solver")


def _residual(console: Console, python: Path) -> tuple[str, ...]:
    """Who in the stack still declares what the library no longer uses."""
    found = tuple(f"{one.requirement} ({one.where})" for one in residual_dependencies(python))
    for line in found:
        console.print(f"note        declared elsewhere in the stack, no longer used by the library: {line}")
    return found


def _with_settings(
    console: Console, side: Side, made: SideEnvironment, settings: Mapping[str, str]
) -> SideEnvironment:
    """The environment with a key that knows the settings its processes are given."""
    if not settings:
        return made
    console.print(f"settings    {side}: {said(settings)}")
    return replace(made, key=digest((made.key, said(settings)))[:16])


def _embedded_origins(
    console: Console, layout: Layout, manifest: Manifest, recipe: Recipe, options: SideOptions
) -> dict[str, Path]:
    generation = generation_of(manifest.release)

    def complete(workspace: Path) -> None:
        write_generation(workspace, generation)
        console.print("simulating  the embedded datasets: once, about a minute")
        with console.status("simulating the embedded datasets"):
            python = options.base_python or stock_environment(layout, recipe).python
            variables = {
                **inherited(),
                "PYTHONPATH": str(REPOSITORY_ROOT),
                "NUMBA_CACHE_DIR": str(layout.cache / "numba" / "stock"),
                "MPLCONFIGDIR": str(layout.cache / "matplotlib"),
            }
            run([python, "-m", "matrix.prepare.embedded.datasets", "--workspace", workspace], env=variables)

    return build_origins(
        manifest,
        layout.root,
        templates=EMBEDDED,
        complete=complete,
        recipe=made_of(recipe, generation),
        hashes={LIBRARY_PACKAGE: recipe.lock.hashes_of(LIBRARY_PACKAGE)},
    )


def made_of(recipe: Recipe, generation: Generation) -> str:
    """Hash of what an embedded developer workspace is made of: stack, simulator, and what is written in."""
    simulator = (EMBEDDED / "datasets.py").read_text()
    with tempfile.TemporaryDirectory() as scratch:
        workspace = Path(scratch) / DEVELOPER
        shutil.copytree(EMBEDDED / DEVELOPER, workspace)
        write_generation(workspace, generation)
        return digest((*recipe.requirements, recipe.lock.key, simulator, tree_hash(workspace)))


def _say(console: Console, checkout: Checkout) -> None:
    notes = [checkout.ref]
    if checkout.dirty:
        notes.append("the clone's uncommitted changes are not part of it")
    if checkout.absent:
        notes.append(f"{len(checkout.absent)} files are missing in the clone: {', '.join(checkout.absent)}")
    commit = checkout.commit[:12]
    console.print(f"checkout    {checkout.name} {checkout.purpose} {commit} ({'; '.join(notes)})")


def kept_library(layout: Layout, tree: Path) -> Path:
    """A copy of a library checkout that later runs do not edit, named after its content."""
    folder = layout.cache / "libraries" / tree_hash(tree)[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(layout.locks / f"library-{folder.name}.lock"):
        if not folder.is_dir():
            aside = folder.with_suffix(".new")
            shutil.rmtree(aside, ignore_errors=True)
            shutil.copytree(tree, aside, ignore=shutil.ignore_patterns(".git", "__pycache__"), symlinks=True)
            aside.rename(folder)
    return folder
