"""A pipeline's pictures: data, both sides' reconstructions, and how far these are apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from matrix.records.arrays import Arrays, arrays_path, read_arrays
from matrix.records.cell import SIDES, Record, Side
from matrix.report.html.images import (
    ColourScale,
    Field,
    Panel,
    Square,
    Window,
    bright_square,
    brightness_scale,
    category_panel,
    difference_scale,
    dirty_scale,
    image_from,
    on_nearest,
    on_rectangles,
    on_triangles,
    panel,
    whole_window,
)
from matrix.report.html.lensing import critical_curves
from matrix.run.plan import Plan

RESIDUAL_LIMIT = 5.0
# A difference that stays below this is a blank picture; the number beside it says how small it is.
_SIGMA_SHOWN = 0.01

# Zero on both sides, positive on both, positive on one only: in words and order of their colours.
PATTERN = (
    "zero on both sides",
    "positive on both",
    "positive on baseline only",
    "positive on candidate only",
)
PATTERN_COLOURS = ((205, 210, 217), (47, 125, 225), (194, 112, 28), (200, 40, 120))


@dataclass(frozen=True)
class Figure:
    """A picture of what both sides share, or one of each side to slide between."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Group:
    """Figures that belong side by side."""

    title: str
    note: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Pattern:
    """Which unknowns are positive: a strip of all of them, and how many of each kind there are."""

    strip: Panel
    counts: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Pictures:
    """All pictures of one pipeline.

    `apart` says how far the sides' pictures are apart; `missing` why there are fewer pictures. Both are empty
    where there is nothing to say.
    """

    groups: tuple[Group, ...]
    pattern: Pattern | None
    apart: str
    missing: str


@dataclass(frozen=True)
class _Kept:
    """The arrays that a pipeline left, by side, and why a side left none."""

    arrays: Mapping[Side, Arrays]
    missing: tuple[str, ...]


def gallery(plan: Plan, pipelines: Sequence[str], records: Mapping[str, Record]) -> dict[str, Pictures]:
    """Draw some pipelines of a run, as far as their arrays are there; all source planes are equally wide."""
    kept = {pipeline: _kept(plan, pipeline, records) for pipeline in pipelines}
    squares = {pipeline: _source_square(each.arrays) for pipeline, each in kept.items()}
    # The middle one: a single source with stray light far away must not make all others small.
    half = float(np.median([square.half for square in squares.values() if square] or [0.0]))
    return {pipeline: _pictures(pipeline, each, squares[pipeline], half) for pipeline, each in kept.items()}


def _kept(plan: Plan, pipeline: str, records: Mapping[str, Record]) -> _Kept:
    found: dict[Side, Arrays] = {}
    missing = []
    for side in SIDES:
        cell = plan.cell(pipeline, side)
        path = arrays_path(plan.record_path(cell))
        arrays = read_arrays(path, cell.key) if cell.name in records else None
        if arrays is not None:
            found[side] = arrays
        elif cell.name not in records:
            missing.append(f"The {side} cell has no record.")
        elif path.exists():
            missing.append(
                f"The {side} cell left no arrays to draw: arrays/{path.name} is damaged or of another record."
            )
        else:
            missing.append(
                f"The {side} cell left no arrays to draw: its record is older than the pictures, or its log "
                "says what went wrong."
            )
    return _Kept(found, tuple(missing))


def _source_square(found: Mapping[Side, Arrays]) -> Square | None:
    """Where a pipeline's source is; None where it cannot be told."""
    first = next(iter(found.values()), None)
    if first is None:
        return None
    try:
        window = whole_window(_positions(first))
        return bright_square(_on_raster(first, first.source, window), window)
    except Exception:
        # What is wrong with them is said where they are drawn.
        return None


def _pictures(pipeline: str, kept: _Kept, square: Square | None, half: float) -> Pictures:
    found, missing = kept.arrays, list(kept.missing)
    groups: tuple[Group, ...] = ()
    pattern, apart = None, ""
    try:
        if found:
            differences = _differences(found)
            window = (square or Square(0.0, 0.0, half)).window(half)
            groups = (
                _image_plane(pipeline, found, differences),
                _source_plane(pipeline, found, differences, window),
            )
            pattern, apart = _pattern(pipeline, found), _apart(differences)
    except Exception as error:
        # Whatever is wrong with a picture, the verdicts beside it do not depend on it.
        groups, pattern = (), None
        missing.append(f"The pictures could not be drawn: {type(error).__name__}: {error}.")
    return Pictures(groups, pattern, apart, " ".join(missing))


def _differences(found: Mapping[Side, Arrays]) -> dict[str, np.ndarray]:
    """Candidate minus baseline in units of the noise, by plane; empty where a side is missing."""
    if len(found) < len(SIDES):
        return {}
    baseline, candidate = (found[side] for side in SIDES)
    return {
        "image": _in_noise(candidate.model - baseline.model, baseline.noise),
        "source": _in_noise(candidate.source - baseline.source, baseline.source_noise),
    }


def _in_noise(values: np.ndarray, noise: np.ndarray) -> np.ndarray:
    # A pixel whose error is not known or zero says nothing in units of it.
    return values / np.where(noise > 0.0, noise, np.nan)


def _largest(values: np.ndarray) -> float:
    return float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))


def _apart(differences: Mapping[str, np.ndarray]) -> str:
    """How far the sides are apart in each plane, in a sentence."""
    if not differences:
        return ""
    said = " and ".join(
        f"{_largest(values):.1e} σ in the {plane} plane" for plane, values in differences.items()
    )
    unseen = all(_largest(values) <= _SIGMA_SHOWN for values in differences.values())
    return f"Candidate minus baseline: at most {said}" + (", too little for a picture." if unseen else ".")


def _image_plane(pipeline: str, found: Mapping[Side, Arrays], differences: Mapping[str, np.ndarray]) -> Group:
    first = next(iter(found.values()))
    dirty = pipeline.startswith("interferometer")
    data = image_from(first.data, first.mask)
    scale = dirty_scale(data) if dirty else brightness_scale(data)
    unit = "dirty image, units of the data" if dirty else "units of the data"
    field = _image_field(first)
    models = {
        side: panel(
            f"{side} reconstruction",
            f"{pipeline}: the {side} reconstruction of the image",
            image_from(arrays.model, arrays.mask),
            scale,
            unit,
            field,
        )
        for side, arrays in found.items()
    }
    figures = [
        Figure("data", (panel("data", f"{pipeline}: the data", data, scale, unit, field),)),
        _slide("reconstruction", models),
        _residuals(pipeline, found, field),
        *_difference(pipeline, "image", differences, lambda values: image_from(values, first.mask), field),
    ]
    notes = [
        "Dirty images: what the visibilities give without deconvolution." if dirty else "",
        f"One asinh scale for data and reconstruction{', symmetric about zero' if dirty else ''}.",
        "The line is the critical curve." if field.curves else "",
    ]
    return Group("Image plane", " ".join(filter(None, notes)), tuple(figures))


def _image_field(arrays: Arrays) -> Field:
    """The part of the image that is not masked out, with the critical curves."""
    left, right, bottom, top = map(float, arrays.extent)
    ny, nx = arrays.mask.shape
    high, wide = (top - bottom) / ny, (right - left) / nx
    rows, columns = (np.flatnonzero(~arrays.mask.all(axis=axis)) for axis in (1, 0))
    curves, _ = critical_curves(arrays.traced, arrays.extent)
    return Field(
        left + float(columns[0]) * wide,
        left + float(columns[-1] + 1) * wide,
        top - float(rows[-1] + 1) * high,
        top - float(rows[0]) * high,
        curves,
    )


def _slide(title: str, panels: Mapping[Side, Panel]) -> Figure:
    """Both sides to slide between; the one there is, where the other is missing."""
    sides = tuple(panels.values())
    return Figure(title if len(sides) > 1 else sides[0].title, sides)


def _residuals(pipeline: str, found: Mapping[Side, Arrays], field: Field) -> Figure:
    scale = ColourScale("RdBu_r", -RESIDUAL_LIMIT, RESIDUAL_LIMIT)
    panels: dict[Side, Panel] = {}
    spreads = []
    for side, arrays in found.items():
        residual = image_from(_in_noise(arrays.data - arrays.model, arrays.noise), arrays.mask)
        spread = float(np.nanstd(residual))
        spreads.append(f"{spread:.2f} σ")
        alternative = f"{pipeline}: {side} residuals, data minus model, standard deviation {spread:.2f} sigma"
        panels[side] = panel(
            f"{side} residuals", alternative, residual, scale, "(data − model) / noise", field
        )
    figure = _slide("residuals", panels)
    return Figure(f"{figure.title}, rms {' and '.join(spreads)}", figure.panels)


def _source_plane(
    pipeline: str, found: Mapping[Side, Arrays], differences: Mapping[str, np.ndarray], window: Window
) -> Group:
    first = next(iter(found.values()))
    _, caustics = critical_curves(first.traced, first.extent)
    field = replace(window.field, curves=caustics)
    images = {side: _on_raster(arrays, arrays.source, window) for side, arrays in found.items()}
    scale = brightness_scale(*images.values())
    panels = {
        side: panel(
            f"{side} source",
            f"{pipeline}: source galaxy, {side}",
            image,
            scale,
            "source-plane brightness",
            field,
        )
        for side, image in images.items()
    }
    figures = [
        _slide("source", panels),
        *_difference(
            pipeline, "source", differences, lambda values: _on_raster(first, values, window), field
        ),
    ]
    if differences and len(first.source_positive):
        pattern = _source_pattern(pipeline, found, window, field)
        figures.append(Figure(pattern.title, (pattern,)))
    notes = [
        f"A square of {field.width:.2f} arcsec about the source, as wide for every pipeline; asinh scale.",
        "σ is the error of each source pixel were positivity not imposed, from the inverse of the linear "
        "system's matrix.",
        "The line is the caustic." if caustics else "",
    ]
    return Group("Source plane", " ".join(filter(None, notes)), tuple(figures))


def _difference(
    pipeline: str,
    plane: str,
    differences: Mapping[str, np.ndarray],
    lay: Callable[[np.ndarray], np.ndarray],
    field: Field,
) -> list[Figure]:
    """The difference in a plane as a picture, unless there would be nothing to see."""
    values = differences.get(plane)
    if values is None or _largest(values) <= _SIGMA_SHOWN:
        return []
    largest = _largest(values)
    alternative = f"{pipeline}: candidate minus baseline in the {plane} plane, at most {largest:.1e} sigma"
    title = f"candidate − baseline, at most {largest:.1e} σ"
    image = lay(values)
    return [
        Figure(title, (panel(title, alternative, image, difference_scale(image, _SIGMA_SHOWN), "σ", field),))
    ]


def _positions(arrays: Arrays) -> np.ndarray:
    """(n, 2) y and x of the vertices, or of the rectangles' middles."""
    if len(arrays.source_points):
        return arrays.source_points
    y = (arrays.source_y_edges[1:] + arrays.source_y_edges[:-1]) / 2
    x = (arrays.source_x_edges[1:] + arrays.source_x_edges[:-1]) / 2
    return np.stack([part.ravel() for part in np.meshgrid(y, x, indexing="ij")], axis=1)


def _on_raster(arrays: Arrays, values: np.ndarray, window: Window) -> np.ndarray:
    if len(arrays.source_points):
        return on_triangles(arrays.source_points, np.nan_to_num(values), window)
    return on_rectangles(arrays.source_y_edges, arrays.source_x_edges, values, window)


def _categories(baseline: np.ndarray, candidate: np.ndarray) -> np.ndarray:
    """Index into `PATTERN` for each unknown."""
    return np.select([baseline & candidate, baseline, candidate], [1, 2, 3], default=0)


def _source_pattern(pipeline: str, found: Mapping[Side, Arrays], window: Window, field: Field) -> Panel:
    baseline = found["baseline"]
    kinds = _categories(baseline.source_positive, found["candidate"].source_positive)
    if len(baseline.source_points):
        outside = np.isnan(on_triangles(baseline.source_points, np.ones(len(kinds)), window))
        image = np.where(outside, -1, on_nearest(baseline.source_points, kinds, window))
    else:
        image = on_rectangles(baseline.source_y_edges, baseline.source_x_edges, kinds, window)
        image = np.where(np.isnan(image), -1, image)
    alternative = f"{pipeline}: which source pixels are zero, which positive, on either side"
    return category_panel(
        "zero and positive pixels (colours below)", alternative, image.astype(int), PATTERN_COLOURS, field
    )


def _pattern(pipeline: str, found: Mapping[Side, Arrays]) -> Pattern | None:
    if len(found) < len(SIDES):
        return None
    kinds = _categories(found["baseline"].positive, found["candidate"].positive)
    light = int(found["baseline"].light)
    title = f"all {len(kinds)} unknowns in their order" + (
        f", Gaussians first ({light})" if 0 < light < len(kinds) else ""
    )
    strip = category_panel(
        title, f"{pipeline}: positive and zero unknowns, one stripe each", kinds[None, :], PATTERN_COLOURS
    )
    counts = [
        (word, "#{:02x}{:02x}{:02x}".format(*colour), int(np.count_nonzero(kinds == kind)))
        for kind, (word, colour) in enumerate(zip(PATTERN, PATTERN_COLOURS, strict=True))
    ]
    return Pattern(strip, tuple(counts))
