"""A probe as a picture: each program one bar of its steps."""

from collections.abc import Sequence

from matplotlib import colormaps

from matrix.diagnose.probe.record import ProbeRecord, ProgramProbe
from matrix.diagnose.probe.steps import TITLES
from matrix.ground.figures import Figure, png

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
