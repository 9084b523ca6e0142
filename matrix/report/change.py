"""The gates of the change as rows of text, shared by the terminal and the summary."""

from collections.abc import Sequence

from matrix.gates import CHANGE, Outcome, Verdict

HEADINGS = ("the change", "verdict", "what was found")


def change_rows(verdicts: Sequence[Verdict]) -> list[tuple[tuple[str, str, str], Outcome]]:
    """One row per gate of the change, in their order."""
    words = {
        Outcome.PASS: "pass",
        Outcome.FAIL: "FAIL",
        Outcome.INCONCLUSIVE: "inconclusive",
        Outcome.NOT_RUN: "not run",
    }
    return [
        ((verdict.gate, words[verdict.outcome], verdict.message), verdict.outcome)
        for verdict in verdicts
        if verdict.pipeline == CHANGE
    ]
