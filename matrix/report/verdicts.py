"""`verdicts.json`: what the gates said, for programs."""

import dataclasses
import math
from collections.abc import Sequence

from matrix.gates import Verdict
from matrix.ground.files import write_json
from matrix.run.plan import Plan

SCHEMA = "nnls-matrix/verdicts"
VERSION = 1


def write_verdicts(plan: Plan, verdicts: Sequence[Verdict]) -> None:
    """Write the verdicts into the run's folder; numbers that are not finite become text."""
    document = {
        "schema": SCHEMA,
        "version": VERSION,
        "run": plan.run,
        "verdicts": [
            {
                **dataclasses.asdict(verdict),
                "numbers": {
                    name: value if math.isfinite(value) else str(value)
                    for name, value in verdict.numbers.items()
                },
            }
            for verdict in verdicts
        ],
    }
    write_json(plan.folder / "verdicts.json", document)
