"""A sweep as a picture: what each setting of the solver costs and moves."""

from collections.abc import Callable, Sequence

from matrix.diagnose.sweep.record import SweepPoint
from matrix.diagnose.sweep.verdict import Sweep
from matrix.ground.figures import Axes, Figure, png

DRIFT_FLOOR = 1e-16


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
    below.legend(loc="best", fontsize="small")
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
