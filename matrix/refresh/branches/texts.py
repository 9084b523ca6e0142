"""The pull requests' texts, from the numbers of one run and the state of the branches."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.gates import CHANGE, Outcome
from matrix.ground.files import write_text
from matrix.prepare.manifest import Repository, Role, SourceKind
from matrix.refresh.artifacts.drift import Drift
from matrix.refresh.artifacts.runs import RefreshedRun
from matrix.refresh.branches.hosting import hosted
from matrix.refresh.branches.repository import BranchRepository
from matrix.refresh.branches.state import BranchState
from matrix.refresh.branches.steps import Notes
from matrix.refresh.branches.trio import Branch, Tried
from matrix.report.headlines import moved, named_open, speed
from matrix.report.markdown import markdown_table
from matrix.report.rows import CAPTION, HEADINGS, overall, table_rows
from matrix.run.plan import Plan

TITLES: Mapping[Role, str] = {
    Role.LIBRARY: "A non-negative least squares solver of our own, in place of jaxnnls",
    Role.DEVELOPER: "NNLS result files and recorded log evidences, refreshed",
    Role.TEST: "NNLS assertions: the library's own solver, on a matrix of cases",
    Role.PROFILING: "The library's own solver in the solver study and the run-time results",
    Role.DEPENDENCY: "Drop the requirement on jaxnnls",
}

# What is said otherwise where the library lets its callers choose a solver, as since release 2026.9.26.1.
CHOICE_TITLES: Mapping[Role, str] = {
    **TITLES,
    Role.LIBRARY: "A third positive-only solver: non-negative least squares with a certificate",
    Role.DEPENDENCY: "Require jaxnnls only where it is chosen",
}

ISSUE = "[PyAutoArray#307](https://github.com/PyAutoLabs/PyAutoArray/issues/307)"
FOLD = "<details><summary>What was measured and judged, and how to reproduce it</summary>"
_OF_THE_SOLVER = (Role.LIBRARY, Role.PROFILING)

# Of a change of refs, which vendors nothing.
REFS_TITLES: Mapping[Role, str] = {
    Role.DEVELOPER: "Recorded log evidences and result files, refreshed for {refs}",
    Role.PROFILING: "Run-time results, refreshed for {refs}",
}

# Where the developer workspace keeps no result files; the second of a change of refs.
CONSTANTS_TITLE = "Recorded log evidences of the NNLS pipelines, refreshed"
CONSTANTS_REFS_TITLE = "Recorded log evidences, refreshed for {refs}"

# Why each has its place, by role.
_ORDER: Mapping[Role, str] = {
    Role.LIBRARY: "First: the others use what it adds. It needs none of them.",
    Role.DEVELOPER: "After the library, since its numbers are that code's. Nothing depends on it.",
    Role.TEST: "After the library: the script imports `autoarray.inversion.nnls`, which is not there before.",
    Role.PROFILING: "After the library, whose new module the candidate imports. Nothing depends on it.",
    Role.DEPENDENCY: "Last: older releases of the library still import jaxnnls.",
}

_AFTER_THE_CODE = "After the code, since its numbers are that code's. Nothing depends on it."

_TEMPLATES = Path(__file__).parent / "templates"

_DECISIONS: Mapping[Role, tuple[str, ...]] = {
    Role.LIBRARY: (
        "The new keys of `general.yaml` (`nnls_algorithm`, `nnls_max_iter`, `nnls_solver_tol`, "
        "`nnls_forward_only`) and their defaults are wanted as they are.",
        "Whether PyAutoConf's requirement on jaxnnls goes now or with a later release.",
        "The licence notices in `autoarray/inversion/nnls/LICENSE.txt` are in order.",
    ),
    Role.DEVELOPER: ("The machines in the comparisons are the ones to publish.",),
    Role.TEST: ("Whether `nnls.py` should be listed in `smoke_tests.txt`.",),
    Role.PROFILING: (
        "Whether the candidate stays beside the pre-registered set, or is judged by its rule.",
        "The machine behind the run-time results is one to publish.",
    ),
    Role.DEPENDENCY: ("Which release of PyAutoArray must be out before this is merged.",),
}

_CHOICE_DECISIONS: Mapping[Role, tuple[str, ...]] = {
    **_DECISIONS,
    Role.LIBRARY: (
        "Whether `nnls` becomes the default, or the series stops before that commit.",
        "Whether autonerves' requirement on jaxnnls goes now or with a later release.",
        "The licence notices in `autoarray/inversion/nnls/LICENSE.txt` are in order.",
    ),
}

# Programs of the profiling repository that measure, or write pages from results; none is run by us.
_PROGRAMS = {
    "scripts/lens/solver/accuracy.py": "the candidate's rows in the study",
    "scripts/misc/likelihood_runtime/aggregate.py": "comparisons of run times",
    "scripts/misc/tooling/build_readme.py": "tables of the README files",
    "scripts/misc/tooling/build_catalogue.py": "the catalogue",
    "scripts/misc/tooling/build_setup_wiki.py": "pages of the wiki",
    "scripts/misc/tooling/build_dashboard.py": "the dashboard",
}


@dataclass(frozen=True)
class Texts:
    """The texts of one run's pull requests; what they say of their progress is read off `state` each time.

    Attributes
    ----------
    run
        The numbers.
    branches
        In merge order.
    state
        What was pushed and opened; the texts say what is not there yet.
    drifts
        The constants.
    notes
        By role, what readers of a branch should know.
    without_steps
        The result files that have no step timings, as `PIPELINE CONFIG`.
    choice
        Whether the library lets its callers choose a solver, so that ours is one more and replaces none.
    measured
        What records beside the run's own say of the solvers, in paragraphs; empty where there are none.
    code
        What a change of refs is about; empty where the solver is vendored.
    """

    run: RefreshedRun
    branches: Sequence[Branch]
    state: BranchState
    drifts: Sequence[Drift]
    notes: Mapping[Role, Notes]
    without_steps: Sequence[str]
    choice: bool
    measured: Sequence[str]
    code: Sequence[Tried]

    @property
    def _there(self) -> list[Branch]:
        return [branch for branch in self.branches if branch.at.commits]

    def title(self, branch: Branch) -> str:
        """Title of a branch's pull request."""
        role = branch.repository.role
        alone = self._has_constants_alone(role)
        if not self.run.plan.change.vendor:
            refs = ", ".join(f"{tried.repository.name} {tried.ref}" for tried in self.code)
            return (CONSTANTS_REFS_TITLE if alone else REFS_TITLES[role]).format(refs=refs)
        if alone:
            return CONSTANTS_TITLE
        return (CHOICE_TITLES if self.choice else TITLES)[role]

    def body(self, branch: Branch) -> str:
        """Text of a branch's pull request, in Markdown."""
        role, plan = branch.repository.role, self.run.plan
        purpose = f"For {ISSUE}: production speed, and science that has not moved."
        shown = [
            self._verdict(),
            purpose if plan.change.vendor else plan.difference,
            self._wording(role),
            self._merge_order(branch),
            _commits(branch.at),
            *_listed("Left out", self.notes[role].left_out),
            self._decisions(role),
        ]
        return "\n\n".join([*shown, FOLD, *self._evidence(branch), "</details>"]) + "\n"

    def _merge_order(self, branch: Branch) -> str:
        """What comes before a branch and why, and how far each is on its way."""
        code = [
            f"{number}. {_slug(tried.repository)}, `{tried.ref}`: the code that was measured, at "
            f"`{tried.commit[:12]}`"
            for number, tried in enumerate(self.code, start=1)
        ]
        lines = ["## Merge order", "", *code]
        for number, other in enumerate(self._there, start=1 + len(code)):
            here = " ← this one" if other is branch else ""
            place = f"{_slug(other.repository)}, branch `{other.at.branch}`"
            lines.append(f"{number}. {place}: {_progress(other, self.state)}{here}")
            lines.append(f"   {_AFTER_THE_CODE if code else _ORDER[other.repository.role]}")
        before = self._there[: self._there.index(branch)]
        pages = [_page(one.repository, one.ref) for one in self.code if one.ref != one.repository.base]
        depends = [f"Depends-On: {page}" for page in (*pages, *(_link(one, self.state) for one in before))]
        undo = "To undo them, revert in the opposite order."
        return "\n".join([*lines, "", undo, *([""] if depends else []), *depends])

    def _evidence(self, branch: Branch) -> list[str]:
        """What the verdict rests on, for who unfolds it."""
        role, plan = branch.repository.role, self.run.plan
        since = [_wording("since"), *self.measured] if self.choice and role in _OF_THE_SOLVER else []
        return [
            *self._judged(),
            _numbers(self.run),
            *since,
            *(self._result_files() if role is Role.DEVELOPER else ()),
            *(_programs(branch.at.worktree) if role is Role.PROFILING else ()),
            f"## Why it is safe\n\n{_wording('why_safe' if plan.change.vendor else 'why_safe_refs')}",
            _all_verdicts(self.run),
            *(_residual(plan) if role in (Role.LIBRARY, Role.DEPENDENCY) else ()),
            _reproduce(plan, branch.at),
        ]

    def write(self, folder: Path) -> list[Path]:
        """Write one Markdown file per branch that has commits, its title on the first line."""
        paths = []
        for branch in self._there:
            path = folder / f"{branch.repository.name}.md"
            write_text(path, f"# {self.title(branch)}\n\n{self.body(branch)}")
            paths.append(path)
        return paths

    def _verdict(self) -> str:
        """The verdict in two lines."""
        run, plan = self.run, self.run.plan
        largest = max(self.drifts, key=lambda drift: drift.relative_change)
        left = named_open(plan, run.records, run.verdicts) or {"Not run": "nothing"}
        lines = (
            f"**{overall(plan, run.records, run.verdicts)}** on {len(plan.pipelines)} likelihoods, PyAuto "
            f"release {plan.release}. Speed: {speed(run.verdicts, run.pairs)}.",
            f"Moved: {moved(run.verdicts)}"
            f"{f', accepted because: {largest.because}' if largest.because else ''}. "
            + " ".join(f"{name}: {gates}." for name, gates in left.items()),
        )
        # Two spaces at the end of a line are Markdown's line break.
        return "  \n".join(lines)

    def _has_constants_alone(self, role: Role) -> bool:
        """Whether it is the branch of a workspace that keeps no result files."""
        return role is Role.DEVELOPER and bool(self.notes[role].left_out)

    def _wording(self, role: Role) -> str:
        if not self.run.plan.change.vendor:
            return _wording(f"{role.value}_refs")
        if self._has_constants_alone(role):
            return _wording("developer_constants")
        of_choice = self.choice and role in (Role.LIBRARY, Role.DEPENDENCY)
        return _wording(f"{role.value}_choice" if of_choice else role.value)

    def _result_files(self) -> list[str]:
        """What a reader of the developer workspace's files should know."""
        parts = ["## Recorded log evidences", drift_table(self.drifts)]
        parts.append(
            "`new` and `baseline` are the NumPy path's values of what the constant records. eager, jit and "
            "vmap are the candidate's figure of merit, which for the two MGE likelihoods is another quantity."
        )
        if self.without_steps and not self._has_constants_alone(Role.DEVELOPER):
            parts.append(f"No step timings, for want of a probe: {', '.join(self.without_steps)}.")
        notes = self.notes[Role.DEVELOPER].to_look_at
        return [*parts, *_listed("Not from this run, and to be looked at", notes)]

    def _judged(self) -> list[str]:
        """What was found gate by gate of the change, then whatever else is no pass."""
        verdicts = self.run.verdicts
        change = [
            (verdict.gate, str(verdict.outcome), verdict.message)
            for verdict in verdicts
            if verdict.pipeline == CHANGE
        ]
        others = [
            f"- {verdict.pipeline} {verdict.gate} ({verdict.side or 'both'}): **{verdict.outcome}**, "
            f"{verdict.message}"
            for verdict in verdicts
            if verdict.pipeline != CHANGE and verdict.outcome is not Outcome.PASS
        ]
        return [
            *([markdown_table(("gate", "verdict", "what was found"), change)] if change else []),
            *(["\n".join(others)] if others else []),
        ]

    def _decisions(self, role: Role) -> str:
        items = list((_CHOICE_DECISIONS if self.choice else _DECISIONS)[role])
        if self._has_constants_alone(role):
            items.clear()
        if role is Role.DEVELOPER:
            items += [
                f"`{drift.constant.name}` of {drift.pipeline} moves by {drift.relative_change:.1e}"
                + (f", because: {drift.because}." if drift.because else ", within the tolerance.")
                for drift in self.drifts
                if drift.rewrites
            ]
        items += [f"Measure again, or remove: {note}." for note in self.notes[role].to_look_at]
        items.append("The gates above have been read, and those that did not run may stay so.")
        return "\n".join(["## For a person to decide", "", *(f"- [ ] {item}" for item in items)])


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


def _wording(name: str) -> str:
    return (_TEMPLATES / f"{name}.md").read_text(encoding="utf-8").strip()


def _listed(heading: str, items: Sequence[str]) -> list[str]:
    return [f"{heading}:", "\n".join(f"- {item}" for item in items)] if items else []


def _programs(repository: Path) -> list[str]:
    """Which of the profiling repository's own programs a person should run after taking the branch."""
    there = [f"`{name}`: {what}" for name, what in _PROGRAMS.items() if (repository / name).is_file()]
    return _listed("To be run by a person afterwards, since they are programs of this repository", there)


def _residual(plan: Plan) -> list[str]:
    """Where jaxnnls is still asked for, outside the library."""
    if not plan.residual_dependencies:
        return []
    listed = "\n".join(f"- {line}" for line in plan.residual_dependencies)
    return [
        f"Still declared elsewhere, so that jaxnnls is still installed, though nothing uses it:\n\n{listed}"
    ]


def _progress(branch: Branch, state: BranchState) -> str:
    opened = state.opened(branch.at.name, branch.at.branch)
    if opened is not None:
        return f"{opened.url}, merged" if opened.merged else opened.url
    pushed = state.pushed(branch.at.name, branch.at.branch)
    if pushed is None:
        return "**not pushed yet**"
    if pushed.commit != branch.at.head:
        return f"pushed at `{pushed.commit[:12]}`, **not yet brought up to date**"
    return f"pushed at `{pushed.commit[:12]}`, **no pull request yet**"


def _slug(repository: Repository) -> str:
    place = hosted(repository.url)
    return place.slug if place else repository.name


def _link(branch: Branch, state: BranchState) -> str:
    opened = state.opened(branch.at.name, branch.at.branch)
    if opened is not None:
        return opened.url
    return _page(branch.repository, branch.at.branch)


def _page(repository: Repository, ref: str) -> str:
    place = hosted(repository.url)
    return place.branch_page(ref) if place else f"{repository.name} {ref}"


def _commits(at: BranchRepository) -> str:
    listed = "\n".join(f"- {subject}" for subject in at.subjects)
    return f"## What is in it\n\n{listed}\n\nTogether: {at.size}."


def _numbers(run: RefreshedRun) -> str:
    rows = (row.cells for row in table_rows(run.plan, run.records, run.verdicts, run.pairs))
    return f"{markdown_table(HEADINGS, rows)}\n\n{CAPTION}."


def _all_verdicts(run: RefreshedRun) -> str:
    rows = [
        (verdict.pipeline, verdict.gate, verdict.side or "both", str(verdict.outcome), verdict.message)
        for verdict in run.verdicts
    ]
    table = markdown_table(("pipeline", "gate", "side", "verdict", "what was found"), rows)
    return f"<details><summary>All {len(rows)} verdicts</summary>\n\n{table}\n\n</details>"


def _reproduce(plan: Plan, at: BranchRepository) -> str:
    commits = "\n".join(f"- {c.name}, {c.purpose}: `{c.commit}` ({c.ref})" for c in plan.checkouts)
    refs = " ".join(
        f"--ref {c.name}={c.commit}"
        for c in plan.checkouts
        if c.purpose == "baseline" and c.name not in plan.change.baseline.refs
    )
    # Of a mirror it names a folder of this machine, which is nobody else's business.
    meaning = "" if plan.source == SourceKind.MIRROR else f"{plan.source_meaning}\n\n"
    source = "--source embedded" if plan.source == SourceKind.EMBEDDED else f"--release {plan.release} {refs}"
    return (
        f"## How to reproduce\n\n{meaning}"
        f"PyAuto release {plan.release}, run `{plan.run}`, commits:\n\n"
        f"{commits}\n\nIn a clone of the validation matrix:\n\n"
        f"```\nnox -s matrix-fp64 -- {shlex.join([*shlex.split(source), *plan.change.words])}\n```\n\n"
        f"This branch grows from `{at.start}`, which was validated."
    )
