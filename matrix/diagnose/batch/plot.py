"""A batch curve as a picture: time per lane and memory against the number of lanes."""

from collections.abc import Sequence

from matrix.diagnose.batch.record import BatchRecord
from matrix.ground.figures import Figure, png

SIDE_COLOURS = {"baseline": "tab:blue", "candidate": "tab:orange"}


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
    time.legend(loc="best")
    cell = records[0].cell
    figure.suptitle(f"{cell.pipeline}, {cell.precision}, {cell.scale} scale")
    return png(figure)
