"""What failed in a run, nearest to its cause first, with its log and the command that runs it again."""

import itertools
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.checks import CHECKS
from matrix.catalogue.pipelines import pipeline_named
from matrix.execute.local import log_tail
from matrix.gates import CHANGE, CHANGE_GATES, PAIR_GATES, SIDE_GATES, Blame, Verdict, change_gate_name
from matrix.report.headlines import named_or_counted
from matrix.report.rows import failures
from matrix.run.plan import Plan

# Where several gates fail together, the earlier one here usually explains the later ones.
NEAREST_TO_THE_CAUSE = ("finished", "precision", "finite", "solver", "lanes_agree")
# What a failure usually means. Not a verdict: it says where to look first.
READINGS = {
    "finished": "The cell ended without a record; its log says why. No other gate can say anything of it.",
    "precision": "Float32 got in. Every number after it is good to seven digits at most.",
    "finite": "Something upstream of the evidence is not a number; the evidence is a symptom.",
    "solver": "The solver: its options and how it converged, under Solver below. Evidences are symptoms.",
    "constant": "The evidence moved. A change that means to move it says so by --expect-drift, and why.",
    "lanes_agree": "Equal lanes give unequal answers: look at what the solver does under vmap.",
    "parity": "Compiled and exact NumPy path part: look at the solver, then at what it is given.",
    "candidate_vs_baseline": "The sides part: look at the solver, then at what the call site hands to it. "
    "A change that means to move that says so by --expect-drift.",
}


@dataclass(frozen=True)
class Failure:
    """What fails on one pipeline, or of the change: what to look at first, and its log."""

    first: Verdict
    others: tuple[Verdict, ...]
    log_path: Path | None

    @property
    def log(self) -> str:
        """The end of the log; empty where there is none."""
        return log_tail(self.log_path) if self.log_path else ""


@dataclass(frozen=True)
class ProblemCard:
    """The same failure of one or several pipelines, or one of the change, and how to see it again.

    Attributes
    ----------
    failures
        One per pipeline. The first verdicts of all are of the same gate and side.
    meaning
        What the gate asks, in its own words.
    reading
        What such a failure usually comes from; empty where the message says all.
    command
        How to run it again; empty where nothing can be run.
    """

    failures: tuple[Failure, ...]
    meaning: str
    reading: str
    command: str

    @property
    def first(self) -> Verdict:
        """The verdict that all of them share, of the first pipeline."""
        return self.failures[0].first

    @property
    def pipelines(self) -> tuple[str, ...]:
        """Whose failure it is."""
        return tuple(failure.first.pipeline for failure in self.failures)

    @property
    def messages(self) -> dict[str, list[str]]:
        """What was found, and on which pipelines."""
        found: dict[str, list[str]] = {}
        for failure in self.failures:
            found.setdefault(failure.first.message, []).append(failure.first.pipeline)
        return found

    @property
    def others(self) -> list[Verdict]:
        """What else fails there."""
        return [verdict for failure in self.failures for verdict in failure.others]


def problems_of(plan: Plan, verdicts: Sequence[Verdict]) -> list[ProblemCard]:
    """Failures by what is nearest to their cause: regressions first, the change last."""
    by_pipeline: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in failures(verdicts):
        group = (verdict.pipeline, verdict.gate if verdict.pipeline == CHANGE else "")
        by_pipeline.setdefault(group, []).append(verdict)
    alike: dict[tuple[object, ...], list[Failure]] = {}
    for failed in by_pipeline.values():
        failure = _failure(plan, failed)
        first = failure.first
        group_of = (first.gate, first.side, first.blame, first.pipeline == CHANGE)
        alike.setdefault(group_of, []).append(failure)
    problems = [_problem(plan, group) for group in alike.values()]
    return sorted(
        problems,
        key=lambda problem: (
            problem.first.pipeline == CHANGE,
            problem.first.blame is not Blame.REGRESSED,
        ),
    )


def named(problems: Sequence[ProblemCard], most: int = 3) -> str:
    """The first of the problems in a few words each, and how many more there are."""
    words = ", ".join(
        f"{problem.first.gate} on {named_or_counted(problem.pipelines)}" for problem in problems[:most]
    )
    return words + (f" and {len(problems) - most} more" if len(problems) > most else "")


def whose(verdicts: Sequence[Verdict]) -> str:
    """Whether the failures are new with the candidate, in words; empty where no gate can tell."""
    failed = failures(verdicts)
    new = sum(verdict.blame is Blame.REGRESSED for verdict in failed)
    if new:
        return f"{new} of {len(failed)} failures are new with the candidate"
    if failed and all(v.blame is Blame.BASELINE_TOO or v.side == "baseline" for v in failed):
        return "the baseline fails as well"
    return ""


def rerun_command(plan: Plan, *more: str) -> str:
    """The nox call that runs `more` of this run again, from the same commits."""
    words = [*more, "--scale", plan.scale, "--release", plan.release, "--source", plan.source]
    if plan.source == "mirror":
        words += ["--mirror", "FOLDER-OF-CLONES"]
    if plan.source != "embedded":
        for checkout in plan.checkouts:
            if checkout.purpose != "candidate" and checkout.name not in plan.change.repositories:
                words += ["--ref", f"{checkout.name}={checkout.commit[:12]}"]
    if plan.algorithm is not None:
        words += ["--algorithm", plan.algorithm]
    words += plan.change.words
    for name, expected in plan.expected.items():
        words += ["--expect-drift", f"{name}={expected.value!r}", "--because", expected.because]
    asked = [word for option, word in itertools.pairwise(more) if option == "--only"]
    for name in dict.fromkeys(pipeline_named(word).instrument for word in asked):
        own = plan.datasets.get(name)
        words += ["--dataset", f"{name}={own.given}"] if own and not own.simulated else []
    if plan.lanes:
        words += ["--lanes", ",".join(map(str, plan.lanes))]
    return f"nox -s matrix-{plan.precision} -- {shlex.join(words)}"


def _failure(plan: Plan, failed: Sequence[Verdict]) -> Failure:
    first, *others = sorted(failed, key=_closeness)
    log = _log_of_change(plan, first) if first.pipeline == CHANGE else _log_of_cell(plan, first)
    return Failure(first, tuple(others), log)


def _problem(plan: Plan, alike: Sequence[Failure]) -> ProblemCard:
    first = alike[0].first
    return ProblemCard(
        tuple(alike),
        _meaning(first.gate),
        READINGS.get(first.gate, ""),
        _command(plan, first.gate, [failure.first.pipeline for failure in alike]),
    )


def _closeness(verdict: Verdict) -> tuple[bool, int]:
    order = NEAREST_TO_THE_CAUSE
    place = order.index(verdict.gate) if verdict.gate in order else len(order)
    return verdict.blame is not Blame.REGRESSED, place


def _meaning(gate: str) -> str:
    of_change = {change_gate_name(key): judge for key, (_, judge) in CHANGE_GATES.items()}
    gates = {**SIDE_GATES, **PAIR_GATES, **of_change}
    return (gates[gate].__doc__ or "") if gate in gates else ""


def _command(plan: Plan, gate: str, pipelines: Iterable[str]) -> str:
    if CHANGE not in pipelines:
        return rerun_command(plan, *_repeated("--only", pipelines), "--fresh")
    checks = _checks_of(gate)
    return rerun_command(plan, *_repeated("--check", checks), "--fresh") if checks else ""


def _repeated(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _checks_of(gate: str) -> list[str]:
    """The checks that a gate of the change is judged on; one that only sums up the pipelines has none."""
    key = next((key for key in CHANGE_GATES if change_gate_name(key) == gate), "")
    return [check.name for check in CHECKS.values() if check.gate == key]


def _log_of_cell(plan: Plan, verdict: Verdict) -> Path:
    return plan.cell_folder(plan.cell(verdict.pipeline, verdict.side or "candidate")) / "log.txt"


def _log_of_change(plan: Plan, verdict: Verdict) -> Path | None:
    """The log of the check that the message names, else of the last one that left any."""
    checks = _checks_of(verdict.gate)
    logs = [plan.check_folder(check) / "log.txt" for check in plan.checks if check.check in checks]
    meant = [log for log in logs if log.exists() and log.parent.name.rpartition("-")[0] in verdict.message]
    return next(iter(meant or [log for log in reversed(logs) if log.exists()]), None)
