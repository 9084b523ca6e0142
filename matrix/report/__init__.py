"""What people see of a run: reads records and verdicts, decides nothing."""

from collections.abc import Mapping, Sequence

from rich.console import Console

from matrix.gates import Verdict
from matrix.plan import Plan
from matrix.record import Record
from matrix.report.summary import write_summary
from matrix.report.terminal import print_report
from matrix.report.verdicts import write_verdicts


def write_report(
    console: Console, plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]
) -> None:
    """Write `verdicts.json` and `summary.md` into the run's folder and print the table."""
    write_verdicts(plan, verdicts)
    write_summary(plan, records, verdicts)
    print_report(console, plan, records, verdicts)


__all__ = ["write_report"]
