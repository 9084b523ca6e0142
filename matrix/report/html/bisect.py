"""The page of a bisection: what was found, the curve over the measured revisions, and the numbers."""

from pathlib import Path

from matrix.records.bisect import BisectRecord, TriedRevision, short_name
from matrix.report.html.charts import bisect_chart, chart_or_reason
from matrix.report.html.rendering import write_page

HEADINGS = ("revision", "subject", "is", "log evidence", "ms per lane", "time of GOOD over its", "why", "run")
_NUMBERS = range(3, 6)


def write_bisect_page(path: Path, record: BisectRecord, found: str) -> None:
    """Write the page.

    Parameters
    ----------
    path
        The HTML file.
    record
        Of the bisection, finished or not.
    found
        What it came to, in words.
    """
    write_page(
        path,
        "bisect.html.j2",
        title=f"Bisection of {record.repository}",
        record=record,
        found=found,
        chart=chart_or_reason(lambda: bisect_chart(record)),
        headings=HEADINGS,
        numbers=_NUMBERS,
        rows=[_row(step) for step in record.steps],
    )


def _row(step: TriedRevision) -> tuple[str, ...]:
    evidence = "" if step.evidence is None else f"{step.evidence:.6f}"
    milliseconds = "" if step.milliseconds is None else f"{step.milliseconds:.1f}"
    ratio = "" if step.ratio is None else str(step.ratio)
    state = "skipped" if step.state == "skip" else step.state
    name = short_name(step.name)
    return (name, step.subject, state, evidence, milliseconds, ratio, step.said, step.run)
