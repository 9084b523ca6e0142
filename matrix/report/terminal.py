"""The final table in the terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from matrix.gates import Outcome, Verdict
from matrix.records.cell import Record
from matrix.report.change import HEADINGS as CHANGE_HEADINGS
from matrix.report.change import change_rows
from matrix.report.headlines import headlines
from matrix.report.pairs import CAPTION as PAIR_CAPTION
from matrix.report.pairs import HEADINGS as PAIR_HEADINGS
from matrix.report.pairs import Pairs, pair_rows
from matrix.report.rows import HEADINGS, NO_PAIRS, caption, failures, overall, table_rows
from matrix.run.plan import Plan

STYLES = {
    Outcome.PASS: "green",
    Outcome.FAIL: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.NOT_RUN: "yellow",
}
LEFT_ALIGNED = (HEADINGS[0], HEADINGS[-1])


def print_report(
    console: Console,
    plan: Plan,
    records: Mapping[str, Record],
    verdicts: Sequence[Verdict],
    pairs: Pairs = NO_PAIRS,
) -> None:
    """Print the table, each failure in a sentence, and where the files are."""
    console.print()
    console.print(_table(console, plan, records, verdicts, pairs))
    if pairs:
        console.print(_pair_table(console, plan, pairs))
    console.print(_change_table(console, verdicts))
    for verdict in failures(verdicts):
        where = f"{verdict.pipeline} {verdict.side or ''}".strip()
        blame = f" [{verdict.blame}]" if verdict.blame else ""
        console.print(Text.assemble((verdict.gate, "red"), f" {where}{blame}: {verdict.message}"))
    console.print(Text(f"\n{plan.source_meaning}"))
    lines = headlines(plan, records, verdicts, pairs)
    width = max(map(len, lines)) + 2
    for name, text in lines.items():
        console.print(Text(f"{name.lower():<{width}}{text}"))
    console.print(Text(overall(plan, records, verdicts), "bold"))
    where = f"records, junit.xml, summary.md: {plan.folder}\nto look at: {plan.folder / 'report.html'}"
    console.print(Text(where))


def _table(
    console: Console, plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict], pairs: Pairs
) -> Table:
    title = f"{plan.heading}, release {plan.release}"
    # A log file or a pipe has no width of its own: give the table what it needs there.
    table = Table(title=title, caption=caption(plan, records), width=None if console.is_terminal else 140)
    for heading in HEADINGS:
        table.add_column(heading, justify="left" if heading in LEFT_ALIGNED else "right")
    for row in table_rows(plan, records, verdicts, pairs):
        table.add_row(*map(Text, row.cells[:-1]), Text(row.cells[-1], STYLES[row.outcome]))
    return table


def _pair_table(console: Console, plan: Plan, pairs: Pairs) -> Table:
    table = Table(*PAIR_HEADINGS, caption=PAIR_CAPTION, width=None if console.is_terminal else 140)
    for row in pair_rows(plan, pairs):
        table.add_row(*map(Text, row))
    return table


def _change_table(console: Console, verdicts: Sequence[Verdict]) -> Table:
    table = Table(*CHANGE_HEADINGS, width=None if console.is_terminal else 140)
    for cells, outcome in change_rows(verdicts):
        name, word, found = cells
        table.add_row(Text(name), Text(word, STYLES[outcome]), Text(found))
    return table
