"""The pull requests' texts, from the numbers of one run and the state of the branches."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matrix.artifacts.drift import Drift
from matrix.artifacts.runs import Run
from matrix.branches.repository import BranchRepository
from matrix.branches.state import State
from matrix.branches.trio import Branch
from matrix.files import write_text
from matrix.manifest import Repository, Role, SourceKind
from matrix.plan import Plan
from matrix.report.rows import CAPTION, HEADINGS, table_rows

TITLES: Mapping[Role, str] = {
    Role.LIBRARY: "A non-negative least squares solver of our own, in place of jaxnnls",
    Role.DEVELOPER: "NNLS result files and recorded log evidences, refreshed",
    Role.TEST: "NNLS assertions: the library's own solver, on a matrix of cases",
    Role.DEPENDENCY: "Drop the requirement on jaxnnls",
}

_TEMPLATES = Path(__file__).parent / "templates"

_DECISIONS: Mapping[Role, tuple[str, ...]] = {
    Role.LIBRARY: (
        "The new keys of `general.yaml` and their defaults are wanted as they are.",
        "Whether PyAutoConf's requirement on jaxnnls goes now or with a later release.",
        "The licence notices in `autoarray/inversion/nnls/LICENSE.txt` are in order.",
    ),
    Role.DEVELOPER: ("The machines in the comparisons are the ones to publish.",),
    Role.TEST: ("Whether `nnls.py` should be listed in `smoke_tests.txt`.",),
    Role.DEPENDENCY: ("Which release of PyAutoArray must be out before this is merged.",),
}


def write_texts(
    folder: Path,
    run: Run,
    branches: Sequence[Branch],
    state: State,
    drifts: Sequence[Drift],
    notes: Sequence[str],
) -> list[Path]:
    """Write one Markdown file per branch that has commits, its title on the first line.

    Parameters
    ----------
    folder
        Where to.
    run
        The numbers.
    branches
        In merge order.
    state
        What was pushed; the texts say what is not there yet.
    drifts, notes
        The constants, and what readers of the result files should know.
    """
    there = [branch for branch in branches if branch.at.commits]
    paths = []
    for branch in there:
        role = branch.repository.role
        parts = [
            f"# {TITLES[role]}",
            _wording(role.value),
            *(_constants(drifts, notes) if role is Role.DEVELOPER else ()),
            *(_residual(run.plan) if role is Role.LIBRARY else ()),
            _merge_order(branch, there, state),
            f"## Why it is safe\n\n{_wording('why_safe')}",
            _numbers(run),
            _gates(run),
            _reproduce(run.plan, branch.at),
            _decisions(branch.repository, drifts, notes),
        ]
        path = folder / f"{branch.repository.name}.md"
        write_text(path, "\n\n".join(parts) + "\n")
        paths.append(path)
    return paths


def drift_table(drifts: Sequence[Drift]) -> str:
    """The constants against this run, as Markdown."""
    headings = (
        *("pipeline", "constant", "old", "new", "relative"),
        *("baseline", "eager", "jit", "vmap", "agree with eager", "ruling"),
    )
    rows = [
        (
            drift.pipeline,
            f"`{drift.constant.name}`",
            repr(drift.constant.value),
            repr(drift.new),
            f"{drift.relative_change:.1e}",
            repr(drift.baseline),
            repr(drift.eager),
            repr(drift.jit),
            repr(drift.vmap),
            ", ".join(drift.agree) or "none",
            f"{drift.ruling}: {drift.reason}",
        )
        for drift in drifts
    ]
    return markdown_table(headings, rows)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows of text as a Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _wording(name: str) -> str:
    return (_TEMPLATES / f"{name}.md").read_text(encoding="utf-8").strip()


def _constants(drifts: Sequence[Drift], notes: Sequence[str]) -> list[str]:
    parts = ["## Recorded log evidences", drift_table(drifts)]
    parts.append(
        "`new` and `baseline` are the NumPy path's values of what the constant records. eager, jit and vmap "
        "are the candidate's figure of merit, which for the two MGE likelihoods is another quantity."
    )
    if notes:
        parts += ["Not from this run, and to be looked at:", "\n".join(f"- {note}" for note in notes)]
    return parts


def _residual(plan: Plan) -> list[str]:
    """Where jaxnnls is still asked for, outside the library."""
    if not plan.residual_dependencies:
        return []
    listed = "\n".join(f"- {line}" for line in plan.residual_dependencies)
    return [
        f"Still declared elsewhere, so that jaxnnls is still installed, though nothing uses it:\n\n{listed}"
    ]


def _merge_order(branch: Branch, branches: Sequence[Branch], state: State) -> str:
    """Which branches come before this one, and how far each is on its way."""
    lines = ["## Merge order", ""]
    position = branches.index(branch)
    for number, other in enumerate(branches, start=1):
        here = " ← this one" if other is branch else ""
        place = f"{_slug(other.repository)}, branch `{other.at.branch}`"
        lines.append(f"{number}. {place}: {_progress(other, state)}{here}")
    depends = [f"Depends-On: {_link(other)}" for other in branches[:position]]
    return "\n".join([*lines, *([""] if depends else []), *depends])


def _progress(branch: Branch, state: State) -> str:
    pushed = state.pushed(branch.repository.name)
    if pushed is None:
        return "**not pushed yet**"
    if pushed.commit != branch.at.head:
        return f"pushed at `{pushed.commit[:12]}`, **not yet brought up to date**"
    return f"pushed to {pushed.address} at `{pushed.commit[:12]}`"


def _slug(repository: Repository) -> str:
    parts = repository.url.removesuffix(".git").rstrip("/").split("/")
    return "/".join(parts[-2:]) if repository.url.startswith("http") else repository.name


def _link(branch: Branch) -> str:
    url = branch.repository.url.removesuffix(".git").rstrip("/")
    return (
        f"{url}/tree/{branch.at.branch}" if url.startswith("http") else f"{branch.at.name} {branch.at.branch}"
    )


def _numbers(run: Run) -> str:
    rows = (row.cells for row in table_rows(run.plan, run.records, run.verdicts))
    return f"{markdown_table(HEADINGS, rows)}\n\n{CAPTION}."


def _gates(run: Run) -> str:
    rows = [
        (verdict.pipeline, verdict.gate, verdict.side or "both", str(verdict.outcome), verdict.message)
        for verdict in run.verdicts
    ]
    table = markdown_table(("pipeline", "gate", "side", "verdict", "what was found"), rows)
    return f"<details><summary>All {len(rows)} verdicts</summary>\n\n{table}\n\n</details>"


def _reproduce(plan: Plan, at: BranchRepository) -> str:
    commits = "\n".join(f"- {c.name}, {c.purpose}: `{c.commit}` ({c.ref})" for c in plan.checkouts)
    refs = " ".join(f"--ref {c.name}={c.commit}" for c in plan.checkouts if c.purpose == "baseline")
    # Of a mirror it names a folder of this machine, which is nobody else's business.
    meaning = "" if plan.source == SourceKind.MIRROR else f"{plan.source_meaning}\n\n"
    source = "--source embedded" if plan.source == SourceKind.EMBEDDED else f"--release {plan.release} {refs}"
    return (
        f"## How to reproduce\n\n{meaning}"
        f"PyAuto release {plan.release}, run `{plan.run}`, commits:\n\n"
        f"{commits}\n\nIn a clone of the validation matrix:\n\n"
        f"```\nnox -s matrix-fp64 -- {source}\n```\n\n"
        f"This branch grows from `{at.start}` and has {len(at.commits)} commits."
    )


def _decisions(repository: Repository, drifts: Sequence[Drift], notes: Sequence[str]) -> str:
    items = list(_DECISIONS[repository.role])
    if repository.role is Role.DEVELOPER:
        items += [
            f"`{drift.constant.name}` of {drift.pipeline} moves by {drift.relative_change:.1e}"
            + (f", because: {drift.because}." if drift.because else ", within the tolerance.")
            for drift in drifts
            if drift.rewrites
        ]
        items += [f"Measure again, or remove: {note}." for note in notes]
    items.append("The gate table above has been read.")
    return "\n".join(["## For a person to decide", "", *(f"- [ ] {item}" for item in items)])
