"""`nox -s trend`: evidence and time of all kept runs, one class of machine at a time."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup
from rich.console import Console
from rich.table import Table

from matrix.ground.console import open_console
from matrix.ground.errors import MatrixError, UsageError, exit_code_of
from matrix.ground.options import SessionParser, add_root
from matrix.records.cell import SIDES, Record
from matrix.report.html.charts import chart_or_reason, trend_chart
from matrix.report.html.rendering import write_page
from matrix.report.pairs import candidate_ratio
from matrix.report.runs import Run, load_run, machine_class, tried_commit, verdict_of
from matrix.run.plan import run_folders

HEADINGS = ("pipeline", "side", "run", "solver", "log evidence", "vmap ms/lane", "ratio")
_NUMBERS = HEADINGS[4:]


@dataclass(frozen=True)
class Point:
    """One cell of one run; `ratio` is of a candidate against its baseline, in words.

    `commit` is what the run says that it tried, in a history; nothing elsewhere.
    """

    run: str
    commit: str
    record: Record
    ratio: str

    @property
    def label(self) -> str:
        """What the run is called in tables."""
        return self.commit or self.run


@dataclass(frozen=True)
class Series:
    """Kept cells of one class of machine, precision and scale, oldest first: only these are one series.

    `tolerance` is the newest run's, for the relative drift of an evidence.
    """

    machine: str
    precision: str
    scale: str
    tolerance: float
    points: tuple[Point, ...]

    @property
    def runs(self) -> dict[str, str]:
        """The runs in the order of the chart, and the commit that each tried; nothing where it says none."""
        return {point.run: point.commit for point in self.points}

    @property
    def chart(self) -> Markup:
        """Times and evidences over the runs."""
        points = [(point.run, point.record) for point in self.points]
        commits = {run: commit.rpartition(" ")[2] for run, commit in self.runs.items()}
        return chart_or_reason(lambda: trend_chart(points, commits, self.tolerance))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """One row per point, in the order of `HEADINGS`."""
        ordered = sorted(
            self.points, key=lambda p: (p.record.cell.pipeline, SIDES.index(p.record.cell.side), p.run)
        )
        return [
            (
                point.record.cell.pipeline,
                point.record.cell.side,
                point.label,
                point.record.solver.said,
                f"{point.record.evaluations.jit.values[0]:.6f}",
                f"{point.record.timings.vmap_lane_s * 1e3:.1f}",
                point.ratio,
            )
            for point in ordered
        ]


def series_of(runs: Sequence[Run]) -> list[Series]:
    """Sort the records of `runs`, oldest first, into what may be compared, each measurement once."""
    groups: dict[tuple[str, str, str], list[Point]] = {}
    tolerances: dict[tuple[str, str, str], float] = {}
    seen: set[tuple[str, str, str]] = set()
    for run in runs:
        for record in run.records.values():
            made = (record.key, record.provenance.cpu, record.provenance.started)
            if made in seen:
                continue
            seen.add(made)
            group = (machine_class(record), record.cell.precision, record.cell.scale)
            groups.setdefault(group, []).append(
                Point(run.plan.run, tried_commit(run), record, candidate_ratio(run.pairs, record))
            )
            tolerances[group] = run.plan.tolerances.evidence
    return [Series(*group, tolerances[group], tuple(points)) for group, points in groups.items()]


def kept_runs(runs: Path) -> tuple[list[Run], list[str]]:
    """Read every run of the workspace's data in `runs`, oldest first; others are named with the reason.

    Raises
    ------
    UsageError
        There is no run that can be read.
    """
    found, unreadable = [], []
    for folder in run_folders(runs):
        try:
            run = load_run(folder)
        except MatrixError as error:
            unreadable.append(str(error))
            continue
        if run.plan.has_persons_data:
            unreadable.append(f"{run.plan.run}, with {'; '.join(run.plan.own_data)}")
        else:
            found.append(run)
    if not any(run.records for run in found):
        raise UsageError(f"no finished cell in {runs}; `nox -s matrix-fp64` makes some.")
    return found, unreadable


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the series and write `trend.html`; 0, or 2 where there is no run."""
    parser = SessionParser(
        "trend", "Show evidence and time of all kept runs, one class of machine at a time."
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="holds the runs, as a clone of a history's branch; else ROOT/runs",
    )
    add_root(parser)
    options = parser.parse_args(arguments)
    return exit_code_of(lambda: _trend(options.root, options.folder or options.root / "runs"))


def _trend(root: Path, folder: Path) -> int:
    runs, unreadable = kept_runs(folder)
    series = series_of(runs)
    path = root / "trend.html"
    verdicts = [(run.plan.run, tried_commit(run), verdict_of(run)) for run in runs]
    write_page(path, "trend.html.j2", title="Kept runs", series=series, headings=HEADINGS, verdicts=verdicts)
    console = open_console()
    for one in series:
        console.print(_table(console, one))
    for line in unreadable:
        console.print(f"left out: {line}")
    console.print(f"to look at: {path}")
    return 0


def _table(console: Console, series: Series) -> Table:
    title = f"{series.machine}: {series.precision}, {series.scale} scale"
    table = Table(title=title, width=None if console.is_terminal else 140)
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in _NUMBERS else "left")
    for row in series.rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    sys.exit(main())
