"""What people see of a run: reads records and verdicts, decides nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from matrix.gates import Verdict
from matrix.records.cell import Record
from matrix.report.html import write_html
from matrix.report.pairs import Pairs
from matrix.report.rows import NO_PAIRS
from matrix.report.summary import write_summary
from matrix.report.terminal import print_report
from matrix.report.verdicts import write_verdicts
from matrix.run.plan import Plan


def write_report(
    console: Console,
    plan: Plan,
    records: Mapping[str, Record],
    verdicts: Sequence[Verdict],
    pairs: Pairs = NO_PAIRS,
) -> None:
    """Write the report's files into the run's folder and print the table."""
    write_files(plan, records, verdicts, pairs)
    print_report(console, plan, records, verdicts, pairs)


def write_files(
    plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs = NO_PAIRS
) -> Path:
    """Write `verdicts.json`, `summary.md` and `report.html` into the run's folder; return the page."""
    write_verdicts(plan, verdicts)
    write_summary(plan, records, verdicts, pairs)
    return write_html(plan, records, verdicts, pairs)


__all__ = ["write_files", "write_report"]
