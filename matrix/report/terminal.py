"""The final table in the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from matrix.gates import Outcome, Verdict
from matrix.plan import Plan
from matrix.record import Record
from matrix.report.change import HEADINGS as CHANGE_HEADINGS
from matrix.report.change import change_rows
from matrix.report.rows import HEADINGS, caption, failures, overall, table_rows

STYLES = {Outcome.PASS: "green", Outcome.FAIL: "bold red", Outcome.NOT_RUN: "yellow"}
LEFT_ALIGNED = (HEADINGS[0], HEADINGS[-1])


def print_report(
    console: Console, plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]
) -> None:
    """Print the table, each failure in a sentence, and where the files are."""
    console.print()
    console.print(_table(console, plan, records, verdicts))
    console.print(_change_table(console, verdicts))
    for verdict in failures(verdicts):
        where = f"{verdict.pipeline} {verdict.side or ''}".strip()
        blame = f" \\[{verdict.blame}]" if verdict.blame else ""
        console.print(f"[red]{verdict.gate}[/red] {where}{blame}: {escape(verdict.message)}")
    console.print(f"\n{plan.source_meaning}")
    console.print(f"[bold]{overall(plan, records, verdicts)}[/bold]")
    console.print(f"records, junit.xml, summary.md: {plan.folder}\nto look at: {plan.folder / 'report.html'}")


def _table(console: Console, plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> Table:
    title = f"{plan.heading}, release {plan.release}"
    # A log file or a pipe has no width of its own: give the table what it needs there.
    table = Table(title=title, caption=caption(plan, records), width=None if console.is_terminal else 140)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in LEFT_ALIGNED else "right")
    for row in table_rows(plan, records, verdicts):
        style = STYLES[row.outcome]
        table.add_row(*map(escape, row.cells[:-1]), f"[{style}]{escape(row.cells[-1])}[/{style}]")
    return table


def _change_table(console: Console, verdicts: Sequence[Verdict]) -> Table:
    table = Table(*CHANGE_HEADINGS, width=None if console.is_terminal else 140)
    for cells, outcome in change_rows(verdicts):
        style = STYLES[outcome]
        name, word, found = map(escape, cells)
        table.add_row(name, f"[{style}]{word}[/{style}]", found)
    return table
