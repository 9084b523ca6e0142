"""What each repository's branch changes, and how that falls into commits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.artifacts.constants import read_constant, rewrite_constant
from matrix.artifacts.drift import Drift
from matrix.artifacts.results import write_results
from matrix.branches.assertions import SCRIPT, switch_import, with_cases
from matrix.branches.repository import Commit, Edit
from matrix.errors import UsageError
from matrix.files import write_text
from matrix.plan import Plan
from matrix.record import Record
from matrix.vendor import drop_dependency, packaging_files, vendor_library
from matrix.vendor.package import MANIFEST, PACKAGE

ATTRIBUTION = (
    "The interface is that of jaxnnls by Coleman Krawczyk; differentiating through relaxed optimality\n"
    "conditions follows qpax by Kevin Tracy. LICENSE.txt in the package has their notices."
)

_PACKAGE = f"""Add a non-negative least squares solver: autoarray.inversion.nnls

The solver behind positive-only inversions becomes part of the library. It depends on JAX alone.

{ATTRIBUTION}"""

_CALL_SITE = """Solve positive-only systems with autoarray.inversion.nnls

reconstruction_positive_only_from calls the solver that is part of the library. Its options are read
from general.yaml, with the same defaults in code for workspaces that bring a general.yaml of their own.
The docstring describes both array backends: the NumPy path is Bro and Jong's active-set method, the JAX
path is not."""

_DEPENDENCY = """Drop the dependency on jaxnnls

Nothing in the library imports it any more."""

_TESTS = "Test autoarray.inversion.nnls"

_IMPORT = """Take the positive-only solver from autoarray in the NNLS assertions

The solver is part of the library now, and jaxnnls need not be installed."""

_CASES = """Assert the positive-only solver on a matrix of cases

Sizes, condition numbers, units of the columns and active sets, each against an answer known without the
solver: SciPy's active set, construction, or the KKT conditions."""


@dataclass(frozen=True)
class Content:
    """What goes into the branches.

    Attributes
    ----------
    plan
        Of the run; its commits are where the branches start.
    results
        Pipeline to config name to record, this run's own config first.
    steps
        Seconds by step label, of each pipeline and config that was probed.
    drifts
        One per pipeline, none refused.
    solver
        The folder of the solver.
    """

    plan: Plan
    results: Mapping[str, Mapping[str, Record]]
    steps: Mapping[tuple[str, str], Mapping[str, float]]
    drifts: Sequence[Drift]
    solver: Path


def library_edit(solver: Path) -> Edit:
    """Vendor the solver: package, call site with configuration and docs, dependency, tests."""

    def edit(tree: Path) -> Iterator[Commit]:
        report = vendor_library(tree, solver)
        touched = {*report.changed, *report.added, *report.removed}
        package = {path for path in touched if path.startswith(f"{PACKAGE}/") or path == MANIFEST}
        tests = {path for path in touched if path.startswith("test_autoarray/")}
        packaging = touched & set(packaging_files(tree))
        yield Commit(_PACKAGE, tuple(sorted(package)))
        yield Commit(_CALL_SITE, tuple(sorted(touched - package - tests - packaging)))
        yield Commit(_DEPENDENCY, tuple(sorted(packaging - package)))
        yield Commit(_TESTS, tuple(sorted(tests)))

    return edit


def developer_edit(content: Content, notes: list[str]) -> Edit:
    """Write the result files and the constants that moved; what readers should know is added to `notes`."""
    plan = content.plan

    def edit(tree: Path) -> Iterator[Commit]:
        written = write_results(tree, content.results, content.steps)
        notes.extend(written.notes)
        paths = tuple(path.relative_to(tree).as_posix() for path in written.paths)
        yield Commit(_results_message(plan, content.results), paths)
        moved = [drift for drift in content.drifts if _rewritten(tree, drift)]
        scripts = tuple(drift.constant.script for drift in moved)
        yield Commit(_constants_message(plan, moved), scripts)

    return edit


def _rewritten(tree: Path, drift: Drift) -> bool:
    """Give the tree's constant the value it should have, be it the base's again; whether that changed it."""
    value = drift.new if drift.rewrites else drift.constant.value
    if value is None or read_constant(tree, drift.pipeline, "production").value == value:
        return False
    script = tree / drift.constant.script
    script.write_bytes(rewrite_constant(script, drift.constant.name, value))
    return True


def assertions_edit(tree: Path) -> Iterator[Commit]:
    """Switch the assertion script to the library's solver, then append the matrix of cases."""
    path = tree / SCRIPT
    try:
        script = path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"the test workspace has no {SCRIPT}: is its ref one that holds it?") from error
    switched = switch_import(script)
    write_text(path, switched)
    yield Commit(_IMPORT, (SCRIPT,))
    write_text(path, with_cases(switched))
    yield Commit(_CASES, (SCRIPT,))


def dependency_edit(tree: Path) -> Iterator[Commit]:
    """Drop the requirement on jaxnnls wherever another package of the stack declares it."""
    paths = packaging_files(tree)
    for name in paths:
        before = (tree / name).read_bytes().decode("utf-8")
        after = drop_dependency(name, before)
        if after != before:
            write_text(tree / name, after)
    yield Commit("Drop the requirement on jaxnnls\n\nPyAutoArray brings its own solver.", tuple(paths))


def _results_message(plan: Plan, results: Mapping[str, Mapping[str, Record]]) -> str:
    configs = sorted({config for by_config in results.values() for config in by_config})
    return (
        f"Refresh the NNLS result files: {', '.join(configs)}\n\n"
        f"From validation run {plan.run}: PyAuto release {plan.release}, {_commit(plan)}.\n"
        "Comparisons are made anew from every config that is there."
    )


def _constants_message(plan: Plan, moved: Sequence[Drift]) -> str:
    lines = []
    for drift in moved:
        lines.append(
            f"{drift.constant.script}: {drift.constant.name}, {drift.constant.value} at the base, measured "
            f"{drift.new} (relative {drift.relative_change:.1e}): {drift.ruling}"
        )
        if drift.because:
            lines.append(f"Accepted because: {drift.because}")
    listed = "\n".join(lines)
    return (
        "Set recorded log evidences to what was measured\n\n"
        f"NumPy path, compiled likelihood and batch agree on each (validation run {plan.run}).\n\n"
        f"{listed}"
    )


def _commit(plan: Plan) -> str:
    library = next(checkout for checkout in plan.checkouts if checkout.role == "library")
    return f"{library.name} {library.commit[:12]} with the solver of its own"
