"""Arrays to small pictures inside the page: palette PNGs without axes, whose scale and caption are text."""

import base64
import io
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, to_hex
from PIL import Image

_TRANSPARENT = 255
_RASTER = 220


@dataclass(frozen=True)
class Scale:
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
class Panel:
    """One picture with its words. Where `scale` is None the colours are named in the caption's legend."""

    title: str
    alternative: str
    uri: str
    scale: Scale | None
    unit: str


def panel(title: str, alternative: str, values: np.ndarray, scale: Scale, unit: str) -> Panel:
    """Draw (rows, columns) `values`, row 0 on top; nan is transparent."""
    fractions = scale.fractions(values)
    colours = np.full(values.shape, _TRANSPARENT, dtype=np.uint8)
    seen = np.isfinite(fractions)
    colours[seen] = np.round(fractions[seen] * (_TRANSPARENT - 1)).astype(np.uint8)
    palette = _palette(matplotlib.colormaps[scale.colours])
    return Panel(title, alternative, _png(colours, palette), scale, unit)


def category_panel(
    title: str, alternative: str, categories: np.ndarray, colours: tuple[tuple[int, int, int], ...]
) -> Panel:
    """Draw (rows, columns) integer categories in their RGB colours; negative ones are transparent."""
    indices = np.where(categories < 0, _TRANSPARENT, categories).astype(np.uint8)
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    return Panel(title, alternative, _png(indices, palette), None, "")


def brightness_scale(*images: np.ndarray) -> Scale:
    """One asinh scale for images that are to be compared, its ends those of the first."""
    first = images[0][np.isfinite(images[0])]
    high = float(np.max(first, initial=0.0)) or 1.0
    return Scale("inferno", max(float(np.min(first, initial=0.0)), -0.02 * high), high, softening=0.05 * high)


def difference_scale(values: np.ndarray, least: float) -> Scale:
    """A scale symmetric about zero, wide enough for all values, and no narrower than `least`."""
    widest = float(np.max(np.abs(values[np.isfinite(values)]), initial=least))
    return Scale("RdBu_r", -widest, widest)


def laid_out(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
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
    def width(self) -> float:
        """Side of the square in arcsec."""
        return float(self.x[-1] - self.x[0])


def window_on(points: np.ndarray, values: np.ndarray) -> Window:
    """The square in which the source is seen: all above 3 % of the brightest, and a margin."""
    bright = points[np.abs(values) > 0.03 * np.max(np.abs(values), initial=0.0)]
    if not len(bright):
        bright = points
    lower, upper = bright.min(axis=0), bright.max(axis=0)
    everything = float(np.max(np.ptp(points, axis=0))) / 2
    centre, half = (lower + upper) / 2, min(max(0.65 * float(np.max(upper - lower)), 0.1), everything)
    steps = np.linspace(-half, half, _RASTER)
    return Window(y=centre[0] - steps, x=centre[1] + steps)


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
    from matplotlib.tri import LinearTriInterpolator, Triangulation

    y, x = np.meshgrid(window.y, window.x, indexing="ij")
    interpolate = LinearTriInterpolator(Triangulation(points[:, 1], points[:, 0]), values)
    return np.ma.filled(interpolate(x, y), np.nan)


def on_nearest(points: np.ndarray, values: np.ndarray, window: Window) -> np.ndarray:
    """Give each raster point the value of the nearest vertex."""
    across = (window.x[:, None] - points[None, :, 1]) ** 2
    nearest = [np.argmin(across + (y - points[None, :, 0]) ** 2, axis=1) for y in window.y]
    return np.asarray(values)[np.array(nearest)]


def _palette(colours: Colormap) -> np.ndarray:
    # One entry more than there are colours: the transparent one.
    return np.round(colours(np.linspace(0.0, 1.0, _TRANSPARENT + 1))[:, :3] * 255).astype(np.uint8)


def _png(indices: np.ndarray, palette: np.ndarray) -> str:
    image = Image.fromarray(indices, mode="P")
    image.putpalette(palette.tobytes())
    stream = io.BytesIO()
    image.save(stream, format="PNG", transparency=_TRANSPARENT, optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
