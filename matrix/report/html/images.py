"""Arrays to small pictures inside the page: palette PNGs; scale, axes and caption are text and lines."""

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from PIL import Image

from matrix.ground.figures import LinearTriInterpolator, Triangulation

_TRANSPARENT = 255
_RASTER = 220
# Of the brightness within a window, and the margin around it.
_WITHIN = 0.8
_MARGIN = 2.5
_LEAST_HALF = 0.1


@dataclass(frozen=True)
class ColourScale:
    """How values become colours.

    Parameters
    ----------
    colours
        Name of a Matplotlib colour map.
    low, high
        Values of its ends.
    softening
        Zero for a linear scale. Otherwise that of an asinh scale, which shows faint and bright parts at once.
    """

    colours: str
    low: float
    high: float
    softening: float = 0.0

    def fractions(self, values: np.ndarray) -> np.ndarray:
        """Where values lie between the ends, 0 to 1; nan stays nan."""
        low, high = self._stretched(np.array([self.low, self.high]))
        width = high - low if high > low else 1.0
        return np.clip((self._stretched(values) - low) / width, 0.0, 1.0)

    @property
    def gradient(self) -> str:
        """The colours from low to high as a CSS gradient."""
        stops = (to_hex(matplotlib.colormaps[self.colours](part)) for part in np.linspace(0.0, 1.0, 9))
        return f"linear-gradient(to right, {', '.join(stops)})"

    def _stretched(self, values: np.ndarray) -> np.ndarray:
        return np.arcsinh(values / self.softening) if self.softening else values


@dataclass(frozen=True)
class Field:
    """A rectangle of the sky or of the source plane, and lines drawn on it.

    Parameters
    ----------
    left, right, bottom, top
        Its edges in arcsec.
    curves
        (n, 2) y and x in arcsec of each line.
    """

    left: float
    right: float
    bottom: float
    top: float
    curves: Sequence[np.ndarray] = ()

    @property
    def width(self) -> float:
        """In arcsec."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """In arcsec."""
        return self.top - self.bottom

    @property
    def paths(self) -> list[str]:
        """The lines as SVG paths, whose y falls."""
        return [
            "M" + " ".join(f"{x:.4g},{-y:.4g}" for y, x in curve) for curve in self.curves if len(curve) > 1
        ]

    def ticks(self, low: float, high: float) -> list[tuple[float, str]]:
        """Round values between two edges, away from the corners, with their words: arcsec."""
        rough = (high - low) / 4
        unit = 10.0 ** math.floor(math.log10(rough))
        step = next(unit * part for part in (1, 2, 5, 10) if unit * part >= rough)
        inset = 0.12 * (high - low)
        first, last = math.ceil((low + inset) / step), math.floor((high - inset) / step)
        return [
            (number * step, f"{number * step:.4g}″".replace("-", "−")) for number in range(first, last + 1)
        ]

    @property
    def ticks_x(self) -> list[tuple[float, str]]:
        """Along the bottom."""
        return self.ticks(self.left, self.right)

    @property
    def ticks_y(self) -> list[tuple[float, str]]:
        """Along the left."""
        return self.ticks(self.bottom, self.top)


@dataclass(frozen=True)
class Panel:
    """One picture with its words. Where `scale` is None the colours are named in the caption's legend.

    `field` is where on the sky it lies; None for what does not lie anywhere.
    """

    title: str
    alternative: str
    uri: str
    scale: ColourScale | None
    unit: str
    field: Field | None = None


def panel(
    title: str,
    alternative: str,
    values: np.ndarray,
    scale: ColourScale,
    unit: str,
    field: Field | None = None,
) -> Panel:
    """Draw (rows, columns) `values`, row 0 on top; nan is transparent."""
    fractions = scale.fractions(values)
    colours = np.full(values.shape, _TRANSPARENT, dtype=np.uint8)
    seen = np.isfinite(fractions)
    colours[seen] = np.round(fractions[seen] * (_TRANSPARENT - 1)).astype(np.uint8)
    return Panel(title, alternative, _png(colours, _palette(scale.colours)), scale, unit, field)


def category_panel(
    title: str,
    alternative: str,
    categories: np.ndarray,
    colours: tuple[tuple[int, int, int], ...],
    field: Field | None = None,
) -> Panel:
    """Draw (rows, columns) integer categories in their RGB colours; negative ones are transparent."""
    indices = np.where(categories < 0, _TRANSPARENT, categories).astype(np.uint8)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    return Panel(title, alternative, _png(indices, palette), None, "", field)


def brightness_scale(*images: np.ndarray) -> ColourScale:
    """One asinh scale for images that are to be compared, its ends those of the first."""
    first = images[0][np.isfinite(images[0])]
    high = float(np.max(first, initial=0.0)) or 1.0
    return ColourScale(
        "inferno", max(float(np.min(first, initial=0.0)), -0.02 * high), high, softening=0.05 * high
    )


def dirty_scale(image: np.ndarray) -> ColourScale:
    """An asinh scale symmetric about zero: a dirty image is as often negative as positive."""
    widest = float(np.max(np.abs(image[np.isfinite(image)]), initial=0.0)) or 1.0
    return ColourScale("RdBu_r", -widest, widest, softening=0.05 * widest)


def difference_scale(values: np.ndarray, least: float) -> ColourScale:
    """A scale symmetric about zero, wide enough for all values, and no narrower than `least`."""
    widest = float(np.max(np.abs(values[np.isfinite(values)]), initial=least))
    return ColourScale("RdBu_r", -widest, widest)


def image_from(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Lay the values of the unmasked pixels into their (ny, nx) image, cut to what is not masked."""
    image = np.full(mask.shape, np.nan)
    image[~mask] = values
    rows, columns = np.flatnonzero(~mask.all(axis=1)), np.flatnonzero(~mask.all(axis=0))
    return image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@dataclass(frozen=True)
class Window:
    """A square of the source plane, in arcsec, and the raster it is drawn on."""

    y: np.ndarray
    x: np.ndarray

    @property
    def field(self) -> Field:
        """The square itself."""
        return Field(float(self.x[0]), float(self.x[-1]), float(self.y[-1]), float(self.y[0]))


@dataclass(frozen=True)
class Square:
    """A square of the source plane, in arcsec."""

    y: float
    x: float
    half: float

    def window(self, half: float) -> Window:
        """The raster of a square of another half width about the same middle."""
        steps = np.linspace(-half, half, _RASTER)
        return Window(y=self.y - steps, x=self.x + steps)


def bright_square(image: np.ndarray, window: Window) -> Square:
    """The square about a source in which most of its light is.

    Its middle is the median of the light, and its half width 2.5 times that within which 80 % of it are.
    Pixels are weighted by the square of their brightness: a wide faint haze counts little.

    Parameters
    ----------
    image
        (rows, columns) brightness on the raster of `window`; nan where there is none.
    """
    weights = np.nan_to_num(image) ** 2
    total = float(weights.sum())
    if not total > 0.0:
        weights, total = np.ones_like(weights), float(weights.size)
    y, x = (
        float(along[np.searchsorted(np.cumsum(weights.sum(axis=axis)), total / 2)])
        for along, axis in ((window.y, 1), (window.x, 0))
    )
    reach = np.maximum(np.abs(window.y - y)[:, None], np.abs(window.x - x)[None, :]).ravel()
    order = np.argsort(reach)
    enclosed = np.cumsum(weights.ravel()[order]) / total
    within = float(reach[order][np.searchsorted(enclosed, _WITHIN)])
    return Square(y, x, max(_MARGIN * within, _LEAST_HALF))


def whole_window(points: np.ndarray) -> Window:
    """The square around all of some (n, 2) positions."""
    lower, upper = points.min(axis=0), points.max(axis=0)
    centre = (lower + upper) / 2
    return Square(float(centre[0]), float(centre[1]), 0.0).window(float(np.max(upper - lower)) / 2)


def on_rectangles(y_edges: np.ndarray, x_edges: np.ndarray, values: np.ndarray, window: Window) -> np.ndarray:
    """Sample rectangles, their values row by row with y falling, on the window's raster."""
    rows = np.searchsorted(-y_edges, -window.y, side="right") - 1
    columns = np.searchsorted(x_edges, window.x, side="right") - 1
    shape = len(y_edges) - 1, len(x_edges) - 1
    table = np.asarray(values, dtype=float).reshape(shape)
    sampled = table[np.clip(rows, 0, shape[0] - 1)[:, None], np.clip(columns, 0, shape[1] - 1)[None, :]]
    outside_y = (rows < 0) | (rows >= shape[0])
    outside_x = (columns < 0) | (columns >= shape[1])
    sampled[outside_y] = np.nan
    sampled[:, outside_x] = np.nan
    return sampled


def on_triangles(points: np.ndarray, values: np.ndarray, window: Window) -> np.ndarray:
    """Interpolate linearly within Delaunay triangles on the window's raster; nan outside."""
    y, x = np.meshgrid(window.y, window.x, indexing="ij")
    interpolate = LinearTriInterpolator(Triangulation(points[:, 1], points[:, 0]), values)
    return np.ma.filled(interpolate(x, y), np.nan)


def on_nearest(points: np.ndarray, values: np.ndarray, window: Window) -> np.ndarray:
    """Give each raster point the value of the nearest vertex."""
    across = (window.x[:, None] - points[None, :, 1]) ** 2
    nearest = [np.argmin(across + (y - points[None, :, 0]) ** 2, axis=1) for y in window.y]
    return np.asarray(values)[np.array(nearest)]


def hex_palette(colours: str) -> str:
    """The colours that values become, from low to high, as six hexadecimal digits each."""
    return _palette(colours)[:_TRANSPARENT].astype(np.uint8).tobytes().hex()


def _palette(colours: str) -> np.ndarray:
    # One entry more than there are colours: the transparent one.
    return np.round(
        matplotlib.colormaps[colours](np.linspace(0.0, 1.0, _TRANSPARENT + 1))[:, :3] * 255
    ).astype(np.uint8)


def _png(indices: np.ndarray, palette: np.ndarray) -> str:
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG", transparency=_TRANSPARENT, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
