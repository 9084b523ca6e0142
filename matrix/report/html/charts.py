"""Charts as inline SVG: drifts on a logarithmic axis, and times with their spread."""

import io
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.ticker import MaxNLocator

from matrix.gates import Verdict, relative
from matrix.ground.figures import Axes, Figure
from matrix.records.bisect import EVIDENCE, TIME, BisectRecord, TriedRevision, short_name
from matrix.records.cell import SIDES, Record, Side
from matrix.run.plan import Plan

# At least 3:1 against the page's light and its dark background; told apart by shape and place as well.
COLOURS: Mapping[Side, str] = {"baseline": "#c2701c", "candidate": "#2f7de1"}
MARKERS: Mapping[Side, str] = {"baseline": "o", "candidate": "D"}
FAILED = "#d64545"
# Stands for the page's own text colour, which is not known when the chart is made.
_INK = "#010203"
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
}
_LINE: Any = {"linestyle": "-", "linewidth": 1, "markersize": 4}
# So that 9 points in a chart are the page's small text.
_PIXELS_PER_INCH = 122
# Of the runs of a trend not more are named on its axis.
_TICKS = 16
# Where a difference of exactly zero is drawn: below everything float64 can tell apart.
_ZERO = 1e-18
_ENDS = (3e-19, 3.0)
_FLOOR, _CURVE_TOP = 1e-17, 10.0


def chart_or_reason(draw: Callable[[], Markup]) -> Markup:
    """The chart, or why there is none: what it would show is in the tables too."""
    try:
        return draw()
    except Exception as error:
        words = f"{type(error).__name__}: {error}"
        return Markup("<p>This chart could not be drawn: {}.</p>").format(words)


def drift_chart(plan: Plan, verdicts: Sequence[Verdict]) -> Markup:
    """Drift of every path from its constant, and the candidate's difference from the baseline.

    Parameters
    ----------
    plan
        Names the pipelines, one row each.
    verdicts
        Whose numbers are drawn; a gate without numbers leaves its row empty.
    """
    return _charts(
        _drift_panel(plan, verdicts, "drift from the recorded constant", _constant_row),
        _drift_panel(plan, verdicts, "candidate against baseline", _pair_row),
    )


def _drift_panel(
    plan: Plan,
    verdicts: Sequence[Verdict],
    title: str,
    draw_row: Callable[[Axes, int, Sequence[Verdict]], None],
) -> Markup:
    with _chart(title, 4.7, 0.5 * len(plan.pipelines) + 0.9) as (figure, axes):
        for row, pipeline in enumerate(plan.pipelines):
            draw_row(axes, row, [verdict for verdict in verdicts if verdict.pipeline == pipeline])
        _drift_axis(axes, title, plan)
        return _svg(
            figure, f"{title}: relative differences of the pipelines, logarithmic, with the tolerance"
        )


def _constant_row(axes: Axes, row: int, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.gate == "constant" and verdict.side is not None:
            drifts = [value for name, value in verdict.numbers.items() if name.startswith("drift_")]
            offset = -0.13 if verdict.side == "baseline" else 0.13
            _dots(axes, drifts, row + offset, verdict.side, verdict.numbers.get("tolerance"))


def _pair_row(axes: Axes, row: int, verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.gate == "candidate_vs_baseline":
            apart = [value for name, value in verdict.numbers.items() if name != "tolerance"]
            _dots(axes, apart, row, "candidate", verdict.numbers.get("tolerance"))


def _dots(axes: Axes, values: Sequence[float], row: float, side: Side, tolerance: float | None) -> None:
    for value in values:
        # A value that is nan or beyond the axis is drawn at its right end: it must not look like agreement.
        shown = min(max(value, _ZERO), 1.0) if value == value else 1.0
        colour = FAILED if tolerance is not None and not value <= tolerance else COLOURS[side]
        axes.plot([shown], [row], **_marker(side, colour))


def _marker(side: Side, colour: str) -> Any:
    fill = "none" if side == "baseline" else colour
    return {
        "marker": MARKERS[side],
        "markersize": 5,
        "markerfacecolor": fill,
        "markeredgecolor": colour,
        "linestyle": "none",
    }


def _drift_axis(axes: Axes, title: str, plan: Plan) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*_ENDS)
    axes.set_xticks([_ZERO, 1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1.0])
    axes.set_xticklabels(["0", "1e-15", "1e-12", "1e-9", "1e-6", "1e-3", "≥ 1"])
    axes.minorticks_off()
    axes.axvspan(plan.tolerances.evidence, _ENDS[1], color=FAILED, alpha=0.12, linewidth=0)
    axes.axvline(plan.tolerances.evidence, color=FAILED, linewidth=1, linestyle="--")
    axes.set_title(title, loc="left")
    axes.set_xlabel(f"relative difference (tolerance {plan.tolerances.evidence:.0e})")
    axes.set_ylim(len(plan.pipelines) - 0.5, -0.5)
    axes.set_yticks(range(len(plan.pipelines)), plan.pipelines)
    axes.grid(axis="y", alpha=0.25)


def timing_chart(plan: Plan, records: Mapping[str, Record]) -> Markup:
    """Median time of each path on both sides, one panel per pipeline, each repeat a stroke."""
    return _charts(*(_timing_panel(plan, pipeline, records) for pipeline in plan.pipelines))


def _timing_panel(plan: Plan, pipeline: str, records: Mapping[str, Record]) -> Markup:
    with _chart(f"times of {pipeline}", 3.0, 1.75) as (figure, axes):
        # Over the labels too, which are longer than the bars.
        figure.suptitle(pipeline, x=0.01, ha="left", fontsize=9, fontweight="bold")
        _time_bars(axes, {side: records.get(plan.cell(pipeline, side).name) for side in SIDES})
        return _svg(figure, f"{pipeline}: times of every path, baseline against candidate")


def _time_bars(axes: Axes, pair: Mapping[Side, Record | None]) -> None:
    names, places = [], []
    for slot, path in enumerate(("JIT", "vmap, per lane")):
        for index, side in enumerate(SIDES):
            record = pair[side]
            place = slot * 2.6 + index
            names.append(f"{path}, {side}")
            places.append(place)
            if record is None:
                axes.text(0.0, place, " not run", va="center")
                continue
            _bar(axes, place, side, milliseconds(record, path))
    axes.set_yticks(places, names, fontsize=8)
    axes.set_ylim(places[-1] + 0.6, places[0] - 0.6)
    axes.set_xlim(left=0.0)
    axes.set_xlabel("ms")


def convergence_chart(plan: Plan, records: Mapping[str, Record], verdicts: Sequence[Verdict]) -> Markup:
    """KKT residual over the iterations of both sides' solvers, one panel per pipeline.

    Parameters
    ----------
    plan, records
        As the report has them; a record without a curve leaves its side out.
    verdicts
        The `solver` gate's tolerance is drawn, which the candidate's last point has to reach.
    """
    tolerances = {
        verdict.pipeline: verdict.numbers["tolerance"]
        for verdict in verdicts
        if (verdict.gate, verdict.side) == ("solver", "candidate") and "tolerance" in verdict.numbers
    }
    return _charts(
        *(
            _convergence_panel(plan, pipeline, records, tolerances.get(pipeline))
            for pipeline in plan.pipelines
        )
    )


def _convergence_panel(
    plan: Plan, pipeline: str, records: Mapping[str, Record], tolerance: float | None
) -> Markup:
    with _chart(f"convergence of {pipeline}", 3.0, 1.9) as (figure, axes):
        axes.set_title(pipeline, loc="left")
        _curves(axes, {side: records.get(plan.cell(pipeline, side).name) for side in SIDES}, tolerance)
        return _svg(
            figure, f"{pipeline}: KKT residual against iterations, baseline against candidate, logarithmic"
        )


def _curves(axes: Axes, pair: Mapping[Side, Record | None], tolerance: float | None) -> None:
    for side, record in pair.items():
        points = record.convergence if record else ()
        # Rounding is the floor: an exact zero is drawn there.
        shown = [max(residual, _FLOOR) for _, residual in points]
        look = {**_marker(side, COLOURS[side]), **_LINE, "color": COLOURS[side]}
        axes.plot([iteration for iteration, _ in points], shown, **look)
        if not points:
            axes.text(
                0.02, 0.08 if side == "baseline" else 0.2, f"{side}: no curve", transform=axes.transAxes
            )
    if tolerance is not None:
        _beyond(axes, tolerance, _CURVE_TOP)
    axes.set_yscale("log")
    axes.set_ylim(_FLOOR / 3, _CURVE_TOP)
    axes.set_yticks([1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 1.0], ["1e-15", "1e-12", "1e-9", "1e-6", "1e-3", "1"])
    axes.minorticks_off()
    axes.set_xlim(0.0, max(1.0, axes.get_xlim()[1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.set_xlabel("iteration")


def _beyond(axes: Axes, tolerance: float, top: float) -> None:
    axes.axhspan(tolerance, top, color=FAILED, alpha=0.1, linewidth=0)
    axes.axhline(tolerance, color=FAILED, linewidth=1, linestyle="--")


def milliseconds(record: Record, path: str) -> list[float]:
    """The repeats of one path in milliseconds; those of the batch per lane."""
    timings = record.timings
    if path == "JIT":
        return [seconds * 1e3 for seconds in timings.jit.steady_s]
    return [seconds * 1e3 / timings.batch for seconds in timings.vmap.steady_s]


def _bar(axes: Axes, place: float, side: Side, times: Sequence[float]) -> None:
    axes.barh(place, statistics.median(times), color=COLOURS[side], alpha=0.85, height=0.85)
    axes.vlines(times, place - 0.3, place + 0.3, color=_INK, linewidth=0.7, alpha=0.6)


def trend_chart(points: Sequence[tuple[str, Record]], commits: Mapping[str, str], tolerance: float) -> Markup:
    """Time per lane, and evidence relative to the first kept run, over runs; one column per pipeline.

    Parameters
    ----------
    points
        Run and record, oldest run first, all of one class of machine.
    commits
        Each run in that order, and the commit that it tried; nothing where it says none.
    tolerance
        Relative change of an evidence from which on it is a drift.
    """
    pipelines = list(dict.fromkeys(record.cell.pipeline for _, record in points))
    return _charts(*(_trend_panel(pipeline, commits, points, tolerance) for pipeline in pipelines))


def _trend_panel(
    pipeline: str, commits: Mapping[str, str], points: Sequence[tuple[str, Record]], tolerance: float
) -> Markup:
    runs = list(commits)
    salt = f"trend {pipeline} {points[0][1].provenance.cpu} {runs}"
    with rc_context({**_STYLE, "svg.hashsalt": salt}):
        figure = Figure(figsize=(3.0, 3.8), layout="constrained")
        times, evidences = figure.subplots(2, 1, sharex=True)
        mine = [(runs.index(run), record) for run, record in points if record.cell.pipeline == pipeline]
        _trend_column(times, evidences, mine)
        _beyond(evidences, tolerance, _ENDS[1])
        times.set_title(pipeline, loc="left", fontsize=8)
        evidences.set_xlim(-0.5, len(runs) - 0.5)
        shown = range(0, len(runs), -(-len(runs) // _TICKS))
        names = [short_name(commits[runs[index]]) or str(index + 1) for index in shown]
        of_commits = any(commits.values())
        evidences.set_xticks(shown, names, rotation=90 if of_commits else 0)
        evidences.set_xlabel("commit" if of_commits else "run")
        times.set_ylabel("vmap, ms per lane")
        evidences.set_ylabel("evidence, relative")
        return _svg(figure, f"{pipeline}: times and evidences of the kept runs, oldest first")


def _trend_column(times: Axes, evidences: Axes, points: Sequence[tuple[int, Record]]) -> None:
    first = points[0][1].evaluations.jit.values[0]
    for side in SIDES:
        mine = [(index, record) for index, record in points if record.cell.side == side]
        places = [index for index, _ in mine]
        look: Any = {"color": COLOURS[side], "marker": MARKERS[side], "markersize": 4, "linewidth": 1}
        times.plot(places, [record.timings.vmap_lane_s * 1e3 for _, record in mine], **look)
        apart = [max(relative(record.evaluations.jit.values[0], first), _ZERO) for _, record in mine]
        evidences.plot(places, apart, **look)
    times.set_ylim(0.0, 1.15 * max(record.timings.vmap_lane_s * 1e3 for _, record in points))
    evidences.set_yscale("log")
    evidences.set_ylim(*_ENDS)
    evidences.set_yticks([_ZERO, 1e-12, 1e-6, 1.0], ["0", "1e-12", "1e-6", "≥ 1"])
    evidences.minorticks_off()


def bisect_chart(record: BisectRecord) -> Markup:
    """Log evidence and milliseconds of the revisions that were measured, in the order of their history."""
    steps = [step for step in record.steps if step.state != "skip"]
    panels = (
        ("log evidence", [step.evidence for step in steps], record.of == EVIDENCE),
        ("vmap, ms per lane", [step.milliseconds for step in steps], record.of == TIME),
    )
    return _charts(*(_bisect_panel(record, steps, *panel) for panel in panels))


def _bisect_panel(
    record: BisectRecord,
    steps: Sequence[TriedRevision],
    label: str,
    values: Sequence[float | None],
    judged: bool,
) -> Markup:
    with _chart(f"bisect {label} {record.history}", 4.7, 3.0) as (figure, axes):
        drawn = [(place, value) for place, value in enumerate(values) if value is not None]
        axes.plot(*zip(*drawn, strict=True), color=_INK, linewidth=0.7, alpha=0.6)
        for place, value in drawn:
            bad = judged and steps[place].state == "bad"
            axes.plot([place], [value], **_marker("candidate", FAILED if bad else COLOURS["candidate"]))
        axes.set_xticks(range(len(steps)), [short_name(step.name) for step in steps], rotation=60)
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.set_title(label, loc="left")
        return _svg(figure, f"{record.pipeline}: {label} over the revisions that were measured, in order")


@contextmanager
def _chart(name: str, width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """A figure of so many inches with one pair of axes; what names inside it depends on its own name."""
    with rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def _charts(*charts: Markup) -> Markup:
    """Charts side by side, as many as there is room for."""
    return Markup('<div class="charts">{}</div>').format(Markup("").join(charts))


def _svg(figure: Figure, description: str) -> Markup:
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    # Several charts share one page: what nothing refers to needs no name, the rest is unique by its salt.
    used = set(re.findall(r"#([\w-]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", text)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    width = round(figure.get_figwidth() * _PIXELS_PER_INCH)
    opening = f'<svg class="chart" style="--width: {width}px" role="img" aria-label="{description}"'
    return Markup(text.replace("<svg", opening, 1))
