"""What failed in a run, nearest to its cause first, with its log and the command that runs it again."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matrix.catalogue.checks import CHECKS
from matrix.execute.local import log_tail
from matrix.gates import CHANGE, CHANGE_GATES, PAIR_GATES, SIDE_GATES, Blame, Verdict, change_gate_name
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
    "lanes_agree": "Equal lanes give unequal answers: look at what the solver does under vmap.",
    "parity": "Compiled and exact NumPy path part: look at the solver, then at what it is given.",
    "candidate_vs_baseline": "The sides part: look at the solver, then at what the call site hands to it.",
}


@dataclass(frozen=True)
class Problem:
    """One pipeline's failure, or one of the change: what to look at first, and how to see it again.

    Attributes
    ----------
    meaning
        What the gate asks, in its own words.
    reading
        What such a failure usually comes from; empty where the message says all.
    command, log_path
        How to run it again, and its log; empty and None where there is none.
    """

    title: str
    first: Verdict
    others: tuple[Verdict, ...]
    meaning: str
    reading: str
    command: str
    log: str
    log_path: Path | None


def problems_of(plan: Plan, verdicts: Sequence[Verdict]) -> list[Problem]:
    """One problem per failing pipeline or gate of the change: regressions first, the change last."""
    groups: dict[tuple[str, str], list[Verdict]] = {}
    for verdict in failures(verdicts):
        group = (verdict.pipeline, verdict.gate if verdict.pipeline == CHANGE else "")
        groups.setdefault(group, []).append(verdict)
    problems = [_problem(plan, failed) for failed in groups.values()]
    return sorted(
        problems,
        key=lambda problem: (
            problem.first.pipeline == CHANGE,
            problem.first.blame is not Blame.REGRESSED,
        ),
    )


def named(problems: Sequence[Problem], most: int = 3) -> str:
    """The first of the problems in a few words each, and how many more there are."""
    words = ", ".join(f"{problem.first.gate} on {problem.first.pipeline}" for problem in problems[:most])
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


def session_command(plan: Plan, *more: str) -> str:
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
    if plan.lanes:
        words += ["--lanes", ",".join(map(str, plan.lanes))]
    return f"nox -s matrix-{plan.precision} -- {shlex.join(words)}"


def _problem(plan: Plan, failed: Sequence[Verdict]) -> Problem:
    first, *others = sorted(failed, key=_closeness)
    title = first.pipeline + (f", {first.side}" if first.side else "")
    command, log = _of_change(plan, first) if first.pipeline == CHANGE else _of_pipeline(plan, first)
    return Problem(
        title,
        first,
        tuple(others),
        _meaning(first.gate),
        READINGS.get(first.gate, ""),
        command,
        log_tail(log) if log else "",
        log,
    )


def _closeness(verdict: Verdict) -> tuple[bool, int]:
    order = NEAREST_TO_THE_CAUSE
    place = order.index(verdict.gate) if verdict.gate in order else len(order)
    return verdict.blame is not Blame.REGRESSED, place


def _meaning(gate: str) -> str:
    of_change = {change_gate_name(key): judge for key, (_, judge) in CHANGE_GATES.items()}
    gates = {**SIDE_GATES, **PAIR_GATES, **of_change}
    return (gates[gate].__doc__ or "") if gate in gates else ""


def _of_pipeline(plan: Plan, verdict: Verdict) -> tuple[str, Path | None]:
    cell = plan.cell(verdict.pipeline, verdict.side or "candidate")
    command = session_command(plan, "--only", verdict.pipeline, "--fresh")
    return command, plan.cell_folder(cell) / "log.txt"


def _of_change(plan: Plan, verdict: Verdict) -> tuple[str, Path | None]:
    """The checks that the gate is judged on; a gate that only sums up the pipelines has none."""
    key = next((key for key in CHANGE_GATES if change_gate_name(key) == verdict.gate), "")
    checks = [check.name for check in CHECKS.values() if check.gate == key]
    if not checks:
        return "", None
    command = session_command(plan, *(word for name in checks for word in ("--check", name)), "--fresh")
    logs = [plan.check_folder(check) / "log.txt" for check in plan.checks if check.check in checks]
    named = [log for log in logs if log.exists() and log.parent.name.rpartition("-")[0] in verdict.message]
    return command, next(iter(named or [log for log in reversed(logs) if log.exists()]), None)
