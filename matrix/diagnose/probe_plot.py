"""Pictures of the diagnoses: stacked bars of steps, batch curves, sweeps."""

from collections.abc import Callable, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from matrix.artifacts.plots import png
from matrix.diagnose.batch_record import BatchRecord
from matrix.diagnose.probe_record import ProbeRecord, ProgramProbe
from matrix.diagnose.probe_steps import TITLES
from matrix.diagnose.sweep_record import SweepPoint
from matrix.diagnose.sweep_verdict import Sweep

DRIFT_FLOOR = 1e-16
SIDE_COLOURS = {"baseline": "tab:blue", "candidate": "tab:orange"}
_UNEXPLAINED = "#bbbbbb"


def stacked_bars(records: Sequence[ProbeRecord]) -> bytes:
    """Draw each program as one bar of its steps, in ms per lane, what they do not explain in grey.

    Parameters
    ----------
    records
        One pipeline's probes, one per side.

    Returns
    -------
    bytes
        A PNG.
    """
    bars = [
        (f"{record.cell.side}\n{word}", program)
        for record in records
        for word, program in (
            ("single", record.single),
            (f"vmap {record.batch.lanes}, per lane", record.batch),
        )
    ]
    figure = Figure(figsize=(11, 2.4 + 0.75 * len(bars)), layout="constrained")
    axes = figure.subplots()
    labels = [label for label, _ in bars]
    left = [0.0] * len(bars)
    colours = colormaps["tab20"].colors  # type: ignore[attr-defined]
    for place, (step, title) in enumerate(TITLES.items()):
        widths = [_milliseconds(program, step) for _, program in bars]
        if any(widths):
            axes.barh(labels, widths, left=left, color=colours[place], label=title)
            left = [start + width for start, width in zip(left, widths, strict=True)]
    totals = [1e3 * program.traced_s / program.lanes for _, program in bars]
    rest = [max(0.0, total - start) for total, start in zip(totals, left, strict=True)]
    container = axes.barh(labels, rest, left=left, color=_UNEXPLAINED, label="not explained by steps")
    axes.bar_label(container, labels=[f"{total:.1f} ms" for total in totals], padding=4)
    axes.invert_yaxis()
    axes.set_xlim(0.0, 1.12 * max(totals))
    axes.set_xlabel("ms per likelihood, in the whole program")
    cell = records[0].cell
    axes.set_title(f"{cell.pipeline}, {cell.precision}, {cell.scale} scale")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize="small")
    return png(figure)


def _milliseconds(program: ProgramProbe, step: str) -> float:
    return sum(1e3 * each.in_program_s / program.lanes for each in program.steps if each.step == step)


def batch_curves(records: Sequence[BatchRecord]) -> bytes:
    """Draw time per lane and temporary memory against the batch size, where each side stops gaining marked.

    Returns
    -------
    bytes
        A PNG.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    time, memory = figure.subplots(1, 2)
    for record in records:
        lanes = [point.lanes for point in record.run]
        times = [1e3 * point.lane_s for point in record.run]
        colour = SIDE_COLOURS[record.cell.side]
        time.plot(lanes, times, marker="o", label=record.cell.side, color=colour)
        if record.stops_gaining is not None:
            place = lanes.index(record.stops_gaining)
            time.plot(lanes[place], times[place], "o", ms=13, mfc="none", color=colour)
        sized = [(point.lanes, point.temporary_bytes) for point in record.points if point.temporary_bytes]
        # Both sides need all but the same: dashes let the other show through.
        memory.plot([n for n, _ in sized], [size / 1024**2 for _, size in sized], "o--", color=colour)
    time.set_ylim(bottom=0.0)
    time.set_ylabel("ms per lane (ring: stops gaining)")
    memory.set_ylim(bottom=0.0)
    memory.set_ylabel("temporary memory of the program, MiB")
    for axes in (time, memory):
        axes.set_xlabel("lanes")
        axes.set_xticks([point.lanes for point in records[0].points])
    time.legend()
    cell = records[0].cell
    figure.suptitle(f"{cell.pipeline}, {cell.precision}, {cell.scale} scale")
    return png(figure)


def sweep_curves(sweep: Sweep, tolerance: float) -> bytes:
    """Draw what each setting costs and moves: log evidence above, reconstruction below, against wall time.

    The ring is the inflection: the fastest setting of an algorithm whose evidence stays within `tolerance`.

    Returns
    -------
    bytes
        A PNG.
    """
    figure = Figure(figsize=(10, 8.5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    colours = iter(("tab:blue", "tab:orange", "tab:green"))
    # So that labels of rings at the same place do not hide each other.
    heights = iter((10, -4, -18))
    for algorithm in dict.fromkeys(point.setting.algorithm for point in sweep.points):
        own = [point for point in sweep.points if point.setting.algorithm == algorithm]
        colour = next(colours)
        for kind, marker in (("max_iter", "v"), ("solver_tol", "o")):
            chosen = [p for p in own if p.setting.is_default or getattr(p.setting, kind) is not None]
            label = f"{algorithm}, {kind}"
            _moves(above, sweep, chosen, sweep.drift, (colour, marker, label))
            _moves(below, sweep, chosen, lambda point: point.l2, (colour, marker, label))
        best = sweep.fastest_within(own, tolerance)
        if best is not None:
            time, height = 1e3 * sweep.call_s(best), max(sweep.drift(best) or 0.0, DRIFT_FLOOR)
            above.plot(time, height, "o", ms=14, mfc="none", mec="black")
            above.annotate(
                best.setting.label, (time, height), (11, next(heights)), textcoords="offset points"
            )
    above.axhline(tolerance, color="grey", linestyle="--")
    for axes in (above, below):
        axes.axvline(1e3 * sweep.rest_s, color="grey", linestyle=":", label="all but the solve")
        axes.set_yscale("log")
    above.set_ylabel("relative drift of the log evidence")
    below.set_ylabel("relative L2 of the reconstruction")
    below.set_xlabel("ms per likelihood")
    above.set_title(f"{sweep.baseline.cell.pipeline}: ring, the fastest setting within {tolerance:.0e}")
    below.legend(fontsize="small")
    return png(figure)


def _moves(
    axes: Axes,
    sweep: Sweep,
    points: Sequence[SweepPoint],
    height: Callable[[SweepPoint], float | None],
    style: tuple[str, str, str],
) -> None:
    drawn = [(1e3 * sweep.call_s(p), max(y, DRIFT_FLOOR)) for p in points if (y := height(p)) is not None]
    colour, marker, label = style
    axes.plot(*zip(*drawn, strict=True), marker, color=colour, label=label, alpha=0.8)
