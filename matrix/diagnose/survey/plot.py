"""How each algorithm comes to the optimum: residual against cost, one panel per system."""

from collections.abc import Sequence
from pathlib import Path

from matrix.diagnose.survey.record import CurvePoint
from matrix.diagnose.survey.table import CERTIFIED
from matrix.ground.figures import Axes, Figure, png

SERIES = {
    ("schur", "given"): ("schur, block given", "#4C72B0", "D"),
    ("schur", "found"): ("schur, block found", "#64B5CD", "D"),
    ("pdip", None): ("pdip", "#55A868", "o"),
    ("jaxnnls", None): ("jaxnnls (today)", "#C44E52", "o"),
    ("admm", None): ("admm, ρ = 0.1", "#8172B3", "s"),
    ("fista", None): ("fista", "#937860", "^"),
}
FLOOR = 1e-17


def survey_plot(points: Sequence[CurvePoint], path: Path) -> None:
    """Draw every system's curves beside each other, to a PNG."""
    systems = list(dict.fromkeys(point.system for point in points))
    figure = Figure(figsize=(6.2 * len(systems), 5.2), layout="constrained")
    panels = figure.subplots(1, len(systems), squeeze=False, sharey=True)[0]
    for axes, system in zip(panels, systems, strict=True):
        _panel(axes, [point for point in points if point.system == system])
    panels[0].set_ylabel("largest relative KKT residual")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    path.write_bytes(png(figure))


def _panel(axes: Axes, points: Sequence[CurvePoint]) -> None:
    for (algorithm, block), (label, colour, marker) in SERIES.items():
        mine = sorted(
            (p for p in points if (p.choice.algorithm, p.choice.block) == (algorithm, block)),
            key=lambda p: p.choice.max_iter or 10**9,
        )
        costs = [point.cholesky_equivalents for point in mine]
        residuals = [max(point.residual, FLOOR) for point in mine]
        axes.plot(costs, residuals, marker=marker, markersize=5, linewidth=1.5, color=colour, label=label)
    axes.axhline(CERTIFIED, color="0.4", linewidth=1, linestyle="--")
    axes.text(0.99, CERTIFIED * 1.6, "certified below", ha="right", fontsize=8, color="0.4",
              transform=axes.get_yaxis_transform())  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], labels=["1", "2", "5", "10", "20", "50", "100"])
    axes.minorticks_off()
    axes.set_xlabel("Cholesky equivalents")
    first = points[0]
    block = f"{first.dense} collinear columns" if first.dense else "no collinear block"
    axes.set_title(f"{first.system}, K = {first.K}, {block}", fontsize=10)
    axes.grid(color="0.92")
    axes.spines[["top", "right"]].set_visible(False)
