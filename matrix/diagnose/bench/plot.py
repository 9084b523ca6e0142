"""The benchmark as a picture, one panel for each part."""

from collections.abc import Callable, Sequence
from pathlib import Path

from matrix.diagnose.bench.families import Pair, pairs
from matrix.diagnose.bench.record import Ablated, BenchRow, Compiled, Measured
from matrix.ground.figures import Axes, Figure, png

COLOURS = {
    "ours": "#4C72B0",
    "jaxnnls": "#C44E52",
    "scipy nnls": "#55A868",
    "library fnnls": "#8172B3",
    "osqp": "#937860",
}


# Parts that have a bar for each system.
_BARS = ("systems", "gradient")


def bench_plot(rows: Sequence[Measured], path: Path) -> None:
    """Draw the parts that were measured, beside each other, to a PNG."""
    panels: list[tuple[str, Callable[..., None]]] = [
        (part, draw)
        for part, draw in (
            ("systems", _systems),
            ("gradient", _systems),
            ("scaling", _scaling),
            ("batch", _batch),
            ("conditions", _conditions),
            ("families", _families),
            ("compile", _compile),
            ("factorisation", _factorisation),
            ("ablation", _ablation),
        )
        if any(row.part == part for row in rows)
    ]
    drawn = [row for row in rows if isinstance(row, BenchRow) and row.solver == "ours"]
    bars = max(sum(row.part == part for row in drawn) for part in _BARS)
    figure = Figure(figsize=(6.5 * len(panels), max(5, 1 + 0.15 * bars)), layout="constrained")
    for axes, (part, draw) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        draw(axes, [row for row in rows if row.part == part])
    path.write_bytes(png(figure))


def _systems(axes: Axes, rows: Sequence[BenchRow]) -> None:
    labels = [f"{row.system}, {row.lanes} lane(s)" for row in rows if row.solver == "ours"]
    for offset, name in ((-0.2, "ours"), (0.2, "jaxnnls")):
        values = [row.cholesky_equivalents for row in rows if row.solver == name]
        places = [index + offset for index in range(len(values))]
        axes.barh(places, values, height=0.4, color=COLOURS.get(name), label=name)
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("Cholesky equivalents per lane")
    # Room for the legend beside the longest bars.
    axes.set_xlim(right=1.3 * max(row.cholesky_equivalents for row in rows))
    gradient = ", with gradients" if rows[0].part == "gradient" else ""
    axes.set_title(f"real systems{gradient}")
    axes.legend(loc="best")


def _scaling(axes: Axes, rows: Sequence[BenchRow]) -> None:
    _lines(axes, rows, lambda row: row.K, lambda row: row.milliseconds)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("unknowns K")
    axes.set_ylabel("milliseconds")
    axes.set_title("size, synthetic systems")


def _batch(axes: Axes, rows: Sequence[BenchRow]) -> None:
    _lines(axes, rows, lambda row: row.lanes, lambda row: row.cholesky_equivalents)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("lanes of one vmap")
    axes.set_ylabel("Cholesky equivalents per lane")
    axes.set_title(f"batch, K = {rows[0].K}")


def _conditions(axes: Axes, rows: Sequence[BenchRow]) -> None:
    for system in dict.fromkeys(row.system for row in rows):
        theirs = [row for row in rows if row.system == system and row.solver == "jaxnnls"]
        style = "o--" if system.startswith("degenerate") else "o-"
        axes.plot([row.K for row in theirs], [row.times_ours for row in theirs], style, label=system)
    axes.axhline(1, color="0.5")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("unknowns K")
    axes.set_ylabel("time of jaxnnls over ours")
    axes.set_title("no structure")
    axes.legend(loc="best", fontsize=7)


def _families(axes: Axes, rows: Sequence[BenchRow]) -> None:
    both = pairs(rows)
    names = list(dict.fromkeys(map(_family, both)))
    for colour, reached, label in ((COLOURS["ours"], True, "certified"), (COLOURS["jaxnnls"], False, "not")):
        drawn = [pair for pair in both if pair.ours.certified is reached]
        places = [names.index(_family(pair)) + _shift(pair, both) for pair in drawn]
        values = [pair.theirs.times_ours for pair in drawn]
        axes.plot(values, places, "o", color=colour, markersize=4, label=f"ours {label}")
    axes.axvline(1, color="0.5")
    axes.set_xscale("log")
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time of jaxnnls over ours")
    axes.set_title("families of systems")
    axes.legend(loc="best", fontsize=7)


def _family(pair: Pair) -> str:
    return pair.ours.system.split(",")[0]


def _shift(pair: Pair, both: Sequence[Pair]) -> float:
    """Where in the band of its family a point lies: by size, the smallest above."""
    sizes = sorted({other.ours.K for other in both if _family(other) == _family(pair)})
    return 0.7 * ((sizes.index(pair.ours.K) + 0.5) / len(sizes) - 0.5)


def _compile(axes: Axes, rows: Sequence[Compiled]) -> None:
    labels = [f"{row.system}, K = {row.K}" for row in rows if row.solver == "ours"]
    for offset, name in ((-0.2, "ours"), (0.2, "jaxnnls")):
        mine = [row for row in rows if row.solver == name]
        places = [index + offset for index in range(len(mine))]
        lowering = [row.lowering_s for row in mine]
        colour = COLOURS[name]
        axes.barh(places, lowering, height=0.4, color=colour, alpha=0.5, label=f"{name}, lowering")
        compiling = [row.compiling_s for row in mine]
        axes.barh(places, compiling, left=lowering, height=0.4, color=colour, label=f"{name}, compiling")
    axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.set_title(f"from a function to a program, batch of {rows[0].lanes}")
    axes.legend(loc="best", fontsize=7)


def _factorisation(axes: Axes, rows: Sequence[BenchRow]) -> None:
    styles = dict(zip(dict.fromkeys(row.lanes for row in rows), ("o-", "o--", "o:"), strict=True))
    colours = dict(zip(dict.fromkeys(row.solver for row in rows), COLOURS.values(), strict=False))
    drawn = [row for row in rows if row.system == "float64"]
    for way, lanes in dict.fromkeys((row.solver, row.lanes) for row in drawn):
        mine = [row for row in drawn if (row.solver, row.lanes) == (way, lanes)]
        label = f"{way}, {lanes} lane(s)"
        values = [row.times_ours for row in mine]
        axes.plot([row.K for row in mine], values, styles[lanes], color=colours[way], label=label)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("order K of the matrices")
    axes.set_ylabel("time over that of the batched routine")
    axes.set_title("ways to factorise a batch, float64")
    axes.legend(loc="best", fontsize=7)


def _ablation(axes: Axes, rows: Sequence[Ablated]) -> None:
    parts = list(dict.fromkeys(row.left_out for row in rows))
    sizes = sorted({row.K for row in rows})
    for size, colour in zip(sizes, COLOURS.values(), strict=False):
        mine = [row for row in rows if size == row.K]
        places = [parts.index(row.left_out) + 0.2 * sizes.index(size) - 0.2 for row in mine]
        values = [row.times_ours for row in mine]
        ends = [
            [row.times_ours - row.spread[0] for row in mine],
            [row.spread[1] - row.times_ours for row in mine],
        ]
        axes.errorbar(values, places, xerr=ends, fmt="o", markersize=4, color=colour, label=f"K = {size}")
    axes.axvline(1, color="0.5")
    axes.set_xscale("log")
    axes.set_yticks(range(len(parts)), parts, fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("time without the part over that with it")
    axes.set_title("what each part is worth")
    axes.legend(fontsize=7)


def _lines(
    axes: Axes, rows: Sequence[BenchRow], x: Callable[[BenchRow], float], y: Callable[[BenchRow], float]
) -> None:
    for name in dict.fromkeys(row.solver for row in rows):
        mine = [row for row in rows if row.solver == name]
        axes.plot(list(map(x, mine)), list(map(y, mine)), "o-", color=COLOURS.get(name), label=name)
    axes.legend(loc="best")
