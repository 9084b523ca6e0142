"""A pipeline's pictures: data, both sides' reconstructions, and how far these are apart."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from matrix.records.arrays import Arrays, arrays_path, read_arrays
from matrix.records.cell import SIDES, Record, Side
from matrix.report.html.images import (
    Panel,
    Scale,
    Window,
    brightness_scale,
    category_panel,
    difference_scale,
    laid_out,
    on_nearest,
    on_rectangles,
    on_triangles,
    panel,
    window_on,
)
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
class Group:
    """Pictures that belong side by side."""

    title: str
    note: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Pattern:
    """Which unknowns are positive: a strip of all of them, and how many of each kind there are."""

    strip: Panel
    counts: tuple[tuple[str, str, int], ...]


@dataclass(frozen=True)
class Pictures:
    """All pictures of one pipeline; `missing` says why there are fewer, and is empty otherwise."""

    groups: tuple[Group, ...]
    pattern: Pattern | None
    missing: str


def pictures_of(plan: Plan, pipeline: str, records: Mapping[str, Record]) -> Pictures:
    """Draw one pipeline of a run, as far as its arrays are there."""
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
    try:
        groups, pattern = _drawn(pipeline, found)
    except Exception as error:
        # Whatever is wrong with a picture, the verdicts beside it do not depend on it.
        groups, pattern = (), None
        missing.append(f"The pictures could not be drawn: {type(error).__name__}: {error}.")
    return Pictures(groups, pattern, " ".join(missing))


def _drawn(pipeline: str, found: Mapping[Side, Arrays]) -> tuple[tuple[Group, ...], Pattern | None]:
    if not found:
        return (), None
    groups = (_image_plane(pipeline, found), _residuals(pipeline, found), _source_plane(pipeline, found))
    return groups, _pattern(pipeline, found)


def _image_plane(pipeline: str, found: Mapping[Side, Arrays]) -> Group:
    first = next(iter(found.values()))
    dirty = pipeline.startswith("interferometer")
    data = laid_out(first.data, first.mask)
    scale = brightness_scale(data)
    unit = "dirty image, units of the data" if dirty else "units of the data"
    panels = [panel("data", f"{pipeline}: the data", data, scale, unit)]
    for side, arrays in found.items():
        model = laid_out(arrays.model, arrays.mask)
        title = f"{side} reconstruction"
        panels.append(panel(title, f"{pipeline}: the {title} of the image", model, scale, unit))
    if len(found) == len(SIDES):
        apart = (found["candidate"].model - found["baseline"].model) / first.noise
        panels.append(_difference(pipeline, "image", laid_out(apart, first.mask)))
    note = "Dirty images: what the visibilities give without deconvolution. " if dirty else ""
    height, width = (side * scale for side, scale in zip(data.shape, _pixel_scales(first), strict=True))
    field = f"A field of {height:.2f} × {width:.2f} arcsec. "
    return Group(
        "Image plane", f"{note}{field}Brightness on an asinh scale, the same for all three.", tuple(panels)
    )


def _pixel_scales(arrays: Arrays) -> tuple[float, float]:
    """Height and width of an image pixel in arcsec."""
    left, right, bottom, top = map(float, arrays.extent)
    return (top - bottom) / arrays.mask.shape[0], (right - left) / arrays.mask.shape[1]


def _residuals(pipeline: str, found: Mapping[Side, Arrays]) -> Group:
    scale = Scale("RdBu_r", -RESIDUAL_LIMIT, RESIDUAL_LIMIT)
    panels = []
    for side, arrays in found.items():
        residual = laid_out((arrays.data - arrays.model) / arrays.noise, arrays.mask)
        spread = float(np.nanstd(residual))
        alternative = f"{pipeline}: {side} residuals, data minus model, standard deviation {spread:.2f} sigma"
        panels.append(panel(f"{side} residuals, rms {spread:.2f} σ", alternative, residual, scale, "σ"))
    return Group("Residuals", "(data − model) / noise", tuple(panels))


def _source_plane(pipeline: str, found: Mapping[Side, Arrays]) -> Group:
    first = next(iter(found.values()))
    window = window_on(_positions(first), first.source)
    images = {side: _on_raster(arrays, arrays.source, window) for side, arrays in found.items()}
    scale = brightness_scale(*images.values())
    panels = [
        panel(f"{side} source", f"{pipeline}: source galaxy, {side}", image, scale, "source-plane brightness")
        for side, image in images.items()
    ]
    if len(found) == len(SIDES):
        apart = found["candidate"].source - found["baseline"].source
        # A pixel whose error is not known or zero says nothing in units of it.
        noise = np.where(first.source_noise > 0.0, first.source_noise, np.nan)
        panels.append(_difference(pipeline, "source", _on_raster(first, apart / noise, window)))
        if len(first.source_positive):
            panels.append(_source_pattern(pipeline, found, window))
    note = (
        f"A square of {window.width:.2f} arcsec, asinh scale. σ is the error of each source pixel were "
        "positivity not imposed, from the inverse of the linear system's matrix."
    )
    return Group("Source plane", note, tuple(panels))


def _difference(pipeline: str, plane: str, values: np.ndarray) -> Panel:
    largest = float(np.max(np.abs(values[np.isfinite(values)]), initial=0.0))
    alternative = f"{pipeline}: candidate minus baseline in the {plane} plane, at most {largest:.1e} sigma"
    scale = difference_scale(values, _SIGMA_SHOWN)
    return panel(f"difference, at most {largest:.1e} σ", alternative, values, scale, "σ")


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


def _source_pattern(pipeline: str, found: Mapping[Side, Arrays], window: Window) -> Panel:
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
        "zero and positive pixels (colours below)", alternative, image.astype(int), PATTERN_COLOURS
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
