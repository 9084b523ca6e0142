"""What each repository's branch changes, and how that falls into commits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from matrix.ground.errors import UsageError
from matrix.ground.files import inside, write_text
from matrix.prepare.change import chooses_solver, drop_dependency, packaging_files, plan_vendoring, write_step
from matrix.prepare.change.assertions import SCRIPT, switch_import, with_cases
from matrix.prepare.constants import read_constant, rewrite_constant
from matrix.records.cell import Record
from matrix.refresh.artifacts.drift import Drift
from matrix.refresh.artifacts.results import RESULTS, Written, write_results
from matrix.refresh.artifacts.runtime import PIPELINE, write_runtime
from matrix.refresh.branches import study
from matrix.refresh.branches.repository import Commit, Edit
from matrix.run.plan import Plan

_IMPORT = """Take the positive-only solver from autoarray in the NNLS assertions

The solver is part of the library now, and jaxnnls need not be installed."""

_CANDIDATE = f"""Add the library's own solver to the solver study, as {study.NAME}

Composed of library functions alone ({study.FUNCTION}), with its row in the table of candidates.
What the study measures of it, the study's own program writes."""

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


@dataclass(frozen=True)
class Notes:
    """What readers of a branch should know, filled in as it is built.

    Attributes
    ----------
    left_out
        What the branch does not have, and why.
    to_look_at
        What a person should measure again, or remove.
    """

    left_out: list[str] = field(default_factory=list)
    to_look_at: list[str] = field(default_factory=list)

    def add(self, written: Written) -> None:
        """Take over what was noted as files were written."""
        self.left_out.extend(written.left_out)
        self.to_look_at.extend(written.notes)


def library_edit(solver: Path) -> Edit:
    """Vendor the solver: one commit per step of the series."""

    def edit(tree: Path) -> Iterator[Commit]:
        for step in plan_vendoring(tree, solver):
            write_step(tree, step)
            yield Commit(f"{step.title}\n\n{step.message}", tuple(sorted(step.writes)))

    return edit


def developer_edit(content: Content, notes: Notes) -> Edit:
    """Write the constants that moved, and the result files where the workspace keeps them.

    What readers should know is added to `notes`.
    """
    plan = content.plan

    def edit(tree: Path) -> Iterator[Commit]:
        if inside(tree, RESULTS).is_dir():
            written = write_results(tree, content.results, content.steps)
            notes.add(written)
            yield Commit(_results_message(plan, content.results), _below(tree, written.paths))
        else:
            notes.left_out.append(
                f"result files: this ref keeps none in {RESULTS.as_posix()}; since July 2026 they go to "
                "autolens_profiling (`role: profiling` in the manifest)"
            )
        moved = [drift for drift in content.drifts if _rewritten(tree, drift)]
        scripts = tuple(drift.constant.script for drift in moved)
        yield Commit(_constants_message(plan, moved), scripts)

    return edit


def profiling_edit(content: Content, notes: Notes) -> Edit:
    """Make our solver a candidate of the solver study, and write the run-time results that both have.

    What is left out, and what readers should know, is added to `notes`.
    """

    def edit(tree: Path) -> Iterator[Commit]:
        registry, readme = inside(tree, study.REGISTRY), inside(tree, study.README)
        if not content.plan.change.vendor:
            notes.left_out.append("the candidate of the solver study: this change vendors no solver")
        elif registry.is_file():
            candidate = study.with_candidate(_text(registry))
            row = study.with_row(_text(readme))
            write_text(registry, candidate)
            write_text(readme, row)
            yield Commit(_CANDIDATE, (study.REGISTRY, study.README))
        else:
            notes.left_out.append(f"the candidate: this ref has no solver study ({study.REGISTRY})")
        results = content.results.get(PIPELINE, {})
        written = write_runtime(tree, results)
        notes.add(written)
        yield Commit(_runtime_message(content.plan, results), _below(tree, written.paths))

    return edit


def _below(tree: Path, paths: Iterable[Path]) -> tuple[str, ...]:
    return tuple(path.relative_to(tree).as_posix() for path in paths)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"there is no {path}: is the checkout's ref one that holds it?") from error


def _rewritten(tree: Path, drift: Drift) -> bool:
    """Give the tree's constant the value it should have, be it the base's again; whether that changed it."""
    value = drift.new if drift.rewrites else drift.constant.value
    if value is None or read_constant(tree, drift.pipeline, "production").value == value:
        return False
    script = inside(tree, drift.constant.script)
    script.write_bytes(rewrite_constant(script, drift.constant.name, value))
    return True


def assertions_edit(library: Path) -> Edit:
    """Switch the assertion script to the library's solver, then append the matrix of cases.

    `library` is the library's tree as its branch has it: where its call site takes the solver's name, the
    script names ours.
    """

    def edit(tree: Path) -> Iterator[Commit]:
        path = inside(tree, SCRIPT)
        named = chooses_solver(library)
        switched = switch_import(_text(path), named)
        write_text(path, switched)
        yield Commit(_IMPORT, (SCRIPT,))
        write_text(path, with_cases(switched, named))
        yield Commit(_CASES, (SCRIPT,))

    return edit


def dependency_edit(tree: Path) -> Iterator[Commit]:
    """Drop the requirement on jaxnnls wherever another package of the stack declares it."""
    paths = packaging_files(tree)
    for name in paths:
        path = inside(tree, name)
        before = path.read_bytes().decode("utf-8")
        after = drop_dependency(name, before)
        if after != before:
            write_text(path, after)
    yield Commit("Drop the requirement on jaxnnls\n\nPyAutoArray brings its own solver.", tuple(paths))


def _results_message(plan: Plan, results: Mapping[str, Mapping[str, Record]]) -> str:
    configs = sorted({config for by_config in results.values() for config in by_config})
    kind = "NNLS result" if plan.change.vendor else "result"
    return (
        f"Refresh the {kind} files: {', '.join(configs)}\n\n"
        f"From validation run {plan.run}: PyAuto release {_measured(plan)}\n"
        "Comparisons are made anew from every config that is there."
    )


def _runtime_message(plan: Plan, results: Mapping[str, Record]) -> str:
    solver = " with the library's own solver" if plan.change.vendor else ""
    return (
        f"Run-time results of imaging/mge{solver}: {', '.join(sorted(results))}\n\n"
        f"From validation run {plan.run}: PyAuto release {_measured(plan)}\n"
        "The other likelihoods of the two repositories differ. Comparisons and tables are left to the\n"
        "repository's own programs."
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


def _measured(plan: Plan) -> str:
    """The release, and what of it was measured, to the end of the sentence."""
    if not plan.change.vendor:
        return f"{plan.release}. {plan.difference}"
    library = next(checkout for checkout in plan.checkouts if checkout.role == "library")
    return f"{plan.release}, {library.name} {library.commit[:12]} with the solver of its own."
