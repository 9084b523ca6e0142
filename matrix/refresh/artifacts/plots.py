"""The pictures beside the result files: bars of seconds, drawn from the result files' own numbers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from matrix.ground.figures import Axes, Figure, png

STEP = "#4C72B0"
SINGLE = "#C44E52"
BATCHED = "#55A868"


@dataclass(frozen=True)
class Heading:
    """What stands above a picture: its title and one line of facts."""

    title: str
    facts: str


def seconds_per_call(document: Mapping[str, Any]) -> float | None:
    """Seconds per call of the compiled likelihood, under either name the result files have for it."""
    time = document.get("full_pipeline_per_call", document.get("full_pipeline_single_jit"))
    return float(time) if isinstance(time, int | float) else None


def seconds_per_lane(document: Mapping[str, Any]) -> float | None:
    """Seconds per lane of the batched likelihood; None where the batch was skipped."""
    vmap = document.get("vmap")
    return float(vmap["per_call"]) if isinstance(vmap, dict) and "per_call" in vmap else None


def draw_config(heading: Heading, document: Mapping[str, Any]) -> bytes:
    """Draw one config: the compiled likelihood, and the batch per lane.

    Where the document has steps these are the bars, and the two times are lines across them.

    Returns
    -------
    bytes
        A PNG, the same for the same numbers.
    """
    if "steps" in document:
        return _with_steps(heading, document)
    figure = Figure(figsize=(10, 5), layout="tight")
    axes = figure.subplots()
    bars = {"full pipeline (single JIT)": (seconds_per_call(document), SINGLE)}
    bars["vmap, per lane"] = (seconds_per_lane(document), BATCHED)
    drawn = {label: (time, colour) for label, (time, colour) in bars.items() if time is not None}
    times = [time for time, _ in drawn.values()]
    container = axes.barh(list(drawn), times, color=[colour for _, colour in drawn.values()])
    axes.bar_label(container, labels=[f"{time:.6f} s" for time in times], padding=4)
    axes.set_xlim(0.0, 1.25 * max(times))
    axes.invert_yaxis()
    axes.set_xlabel("seconds per likelihood")
    axes.set_title(heading.facts, fontsize="small")
    figure.suptitle(heading.title)
    return png(figure)


def _with_steps(heading: Heading, document: Mapping[str, Any]) -> bytes:
    figure = Figure(figsize=(10, 6), layout="tight")
    axes = figure.subplots()
    steps: Mapping[str, float] = document["steps"]
    container = axes.barh(list(steps), list(steps.values()), color=STEP)
    axes.bar_label(container, labels=[f"{time:.6f} s" for time in steps.values()], padding=4)
    lines = {"full pipeline (single JIT)": (seconds_per_call(document), SINGLE)}
    lines["vmap, per lane"] = (seconds_per_lane(document), BATCHED)
    drawn = {label: (time, colour) for label, (time, colour) in lines.items() if time is not None}
    for label, (time, colour) in drawn.items():
        axes.axvline(time, color=colour, linestyle="--", label=f"{label}: {time:.6f} s")
    axes.set_xlim(0.0, 1.25 * max([*steps.values(), *(time for time, _ in drawn.values())]))
    axes.invert_yaxis()
    axes.set_xlabel("seconds per likelihood")
    axes.set_title(heading.facts, fontsize="small")
    axes.legend(loc="best")
    figure.suptitle(heading.title)
    return png(figure)


def draw_comparison(
    title: str, documents: Mapping[str, Mapping[str, Any]], float32: Collection[str] = ()
) -> bytes:
    """Draw all configs of a pipeline: the two times of each, in ms on a logarithmic axis.

    Parameters
    ----------
    title
        Above the picture.
    documents
        Result files by config.
    float32
        Configs whose numbers were computed in float32, marked so.

    Returns
    -------
    bytes
        A PNG, the same for the same numbers.
    """
    figure = Figure(figsize=(10, max(3.0, 1.2 + 0.7 * len(documents))), layout="tight")
    axes = figure.subplots()
    places = {config: float(place) for place, config in enumerate(documents)}
    single = {places[name]: seconds_per_call(document) for name, document in documents.items()}
    batched = {places[name]: seconds_per_lane(document) for name, document in documents.items()}
    _row(axes, single, -0.2, SINGLE, "full pipeline (single JIT)")
    _row(axes, batched, 0.2, BATCHED, "vmap, per lane")
    axes.set_yticks(
        list(places.values()), [f"{name} (in float32)" if name in float32 else name for name in places]
    )
    axes.set_xscale("log")
    axes.set_xlabel("ms per likelihood")
    axes.margins(x=0.2)
    axes.invert_yaxis()
    axes.legend(loc="best")
    figure.suptitle(f"{title} - all configs")
    return png(figure)


def _row(axes: Axes, times: Mapping[float, float | None], offset: float, colour: str, label: str) -> None:
    drawn = {place + offset: 1e3 * time for place, time in times.items() if time is not None}
    container = axes.barh(list(drawn), list(drawn.values()), height=0.38, color=colour, label=label)
    axes.bar_label(
        container, labels=[f"{time:.2f} ms" for time in drawn.values()], padding=4, fontsize="small"
    )
