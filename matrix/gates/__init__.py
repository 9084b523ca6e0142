"""The only place that decides pass or fail: pure functions from records to verdicts."""

from matrix.gates.change import (
    CHANGE_GATES,
    ChangeEvidence,
    TimedElsewhere,
    change_gate_name,
    judge_change,
    judge_change_gate,
)
from matrix.gates.compiled import in_sampling_path
from matrix.gates.distances import agree, differences, furthest, relative
from matrix.gates.pipelines import (
    PAIR_GATES,
    SIDE_GATES,
    apply,
    evidence_for,
    judge,
    judged_in,
)
from matrix.gates.times import TIME, time
from matrix.gates.verdict import CHANGE, Blame, Outcome, Verdict

__all__ = [
    "CHANGE",
    "CHANGE_GATES",
    "PAIR_GATES",
    "SIDE_GATES",
    "TIME",
    "Blame",
    "ChangeEvidence",
    "Outcome",
    "TimedElsewhere",
    "Verdict",
    "agree",
    "apply",
    "change_gate_name",
    "differences",
    "evidence_for",
    "furthest",
    "in_sampling_path",
    "judge",
    "judge_change",
    "judge_change_gate",
    "judged_in",
    "relative",
    "time",
]
