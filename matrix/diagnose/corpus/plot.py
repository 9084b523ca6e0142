"""The corpus as a picture: the error of every system's worst column, and the time per lane."""

from pathlib import Path

from matrix.diagnose.bench.release import FALLBACK, JACOBI, OURS, RAW
from matrix.diagnose.corpus.record import CorpusRecord, KindRecord
from matrix.diagnose.corpus.rule import SIGNIFICANT, on
from matrix.ground.figures import Axes, Figure, png

COLOURS = {
    OURS: "#4C72B0",
    JACOBI: "#C44E52",
    RAW: "#DD8452",
    "certified, 16 passes": "#55A868",
    FALLBACK: "#8172B3",
}
# Beyond these an error is drawn at the edge.
LEAST, MOST = 1e-16, 1e3


def corpus_plot(record: CorpusRecord, path: Path) -> None:
    """Draw both, one row of points and of bars for each kind, to a PNG."""
    kinds = [kind for kind in record.kinds if kind.systems]
    figure = Figure(figsize=(13, 2 + 0.75 * len(kinds)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for place, (solver, colour) in enumerate(COLOURS.items()):
        offset = 0.8 * (place / (len(COLOURS) - 1) - 0.5)
        _errors(left, kinds, solver, colour, offset)
        _bars(right, kinds, solver, colour, offset)
    left.axvline(SIGNIFICANT, color="0.4", linewidth=1, linestyle="--")
    left.set_xscale("log")
    left.set_xlim(LEAST / 2, MOST * 2)
    left.set_xlabel(f"largest relative error of a significant column (upstream's rule: {SIGNIFICANT:g})")
    left.set_yticks(range(len(kinds)), [f"{kind.kind}, {len(kind.systems)}" for kind in kinds])
    left.invert_yaxis()
    right.set_xlabel("time per lane of one vmap, over ours")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    path.write_bytes(png(figure))


def _errors(axes: Axes, kinds: list[KindRecord], solver: str, colour: str, offset: float) -> None:
    for row, kind in enumerate(kinds):
        values = [min(max(on(s, solver).metrics.significant, LEAST), MOST) for s in kind.systems]
        axes.plot(values, [row + offset] * len(values), "o", color=colour, markersize=4, alpha=0.6)


def _bars(axes: Axes, kinds: list[KindRecord], solver: str, colour: str, offset: float) -> None:
    found = [
        (row, time.times_ours)
        for row, kind in enumerate(kinds)
        for time in kind.times
        if time.solver == solver and time.lanes == max(other.lanes for other in kind.times)
    ]
    rows, ratios = [row + offset for row, _ in found], [ratio for _, ratio in found]
    axes.barh(rows, ratios, 0.16, color=colour, label=solver)
