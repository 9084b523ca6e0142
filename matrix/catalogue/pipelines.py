"""The pipelines: what each is, and all that follows from its data and its source; pure data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Literal

from matrix.ground.errors import UsageError
from matrix.ground.machine import GIB
from matrix.ground.suggestions import known_names
from matrix.records.cell import Quantity, Scale

# In the batch that is timed; other sizes are evaluated on request.
LANES = 3

Data = Literal["imaging", "interferometer"]

# The library's class that turns images into visibilities: the exact one, which the constants were made with.
TRANSFORMER = "TransformerDFT"


@dataclass(frozen=True)
class Gaussians:
    """A source of light made of linear Gaussians (MGE): `total` widths from 1e-4 arcsec to the mask radius.

    The shared centre has Gaussian priors about `centre` of width `centre_sigma`, both in arcsec.
    """

    total: int
    centre: tuple[float, float] = (0.0, 0.0)
    centre_sigma: float = 0.3


@dataclass(frozen=True)
class Rectangular:
    """A source on a rectangular mesh of `shape` pixels, `mesh` being the library's name of the class."""

    mesh: Literal["RectangularAdaptDensity", "RectangularUniform"]
    shape: tuple[int, int]
    coefficient: float = 1.0


@dataclass(frozen=True)
class Delaunay:
    """A source on a Delaunay mesh: an image-plane overlay plus a circle of edge points held at zero."""

    overlay: tuple[int, int]
    edge_points: int
    coefficient: float = 1.0


Source = Gaussians | Rectangular | Delaunay


@dataclass(frozen=True)
class Settings:
    """What sets the size of one likelihood.

    Attributes
    ----------
    mask_radius
        Radius of the circular mask, in arcsec.
    source
        How the source galaxy is modelled.
    lens_gaussians
        Number of linear Gaussians of the lens light, 0 for none.
    free_mass
        Whether the lens mass has free parameters, instead of the simulation's truth.
    real_space_shape
        Interferometer only: pixels of the real-space grid.
    """

    mask_radius: float
    source: Source
    lens_gaussians: int = 0
    free_mass: bool = True
    real_space_shape: tuple[int, int] | None = None


@dataclass(frozen=True)
class Cost:
    """What a cell takes at production scale on a CPU in float64.

    Attributes
    ----------
    seconds
        On one core: a first guess, after the first run the measured times count.
    peak_bytes
        Resident memory at most, measured and rounded up.
    """

    seconds: float
    peak_bytes: int


COSTS: Mapping[tuple[Data, type[Source]], Cost] = MappingProxyType(
    {
        ("imaging", Gaussians): Cost(60.0, 2 * GIB),
        ("imaging", Rectangular): Cost(170.0, 6 * GIB),
        ("imaging", Delaunay): Cost(170.0, 6 * GIB),
        ("interferometer", Gaussians): Cost(20.0, GIB),
        ("interferometer", Rectangular): Cost(30.0, GIB),
        ("interferometer", Delaunay): Cost(30.0, GIB),
    }
)


@dataclass(frozen=True)
class Pipeline:
    """One likelihood.

    Attributes
    ----------
    name
        `<data>-<source>`, as in file names and on the command line.
    data, source
        Kind of dataset, and what the source is called in the workspace's folders.
    instrument
        The dataset's name in the workspace.
    pixel_scale
        Of the image, or of the real-space grid, in arcsec per pixel.
    quantity
        Which eager quantity the recorded constant is for.
    settings
        By scale.
    """

    name: str
    data: Data
    source: str
    instrument: str
    pixel_scale: float
    quantity: Quantity
    settings: Mapping[Scale, Settings]

    @property
    def source_type(self) -> type[Source]:
        """How the source is modelled, at whatever scale."""
        return type(self.settings["production"].source)

    @property
    def cost(self) -> Cost:
        """What a cell takes at production scale."""
        return COSTS[self.data, self.source_type]

    @property
    def script(self) -> PurePosixPath:
        """The workspace script that holds this pipeline's constant."""
        return PurePosixPath("jax_profiling", "jit", self.data, f"{self.source}.py")

    @property
    def dataset(self) -> PurePosixPath:
        """The workspace folder of the dataset."""
        return PurePosixPath("jax_profiling", "dataset", self.data, self.instrument)

    @property
    def data_files(self) -> tuple[str, ...]:
        """Names of the files that are read from the dataset's folder."""
        third = "psf.fits" if self.data == "imaging" else "uv_wavelengths.fits"
        return ("data.fits", "noise_map.fits", third)


def _pipeline(data: Data, source: str, production: Settings, smoke: Settings) -> Pipeline:
    instrument, pixel_scale = ("hst", 0.05) if data == "imaging" else ("sma", 0.1)
    linear = isinstance(production.source, Gaussians)
    quantity: Quantity = "log_likelihood" if linear else "figure_of_merit"
    settings: Mapping[Scale, Settings] = MappingProxyType({"production": production, "smoke": smoke})
    return Pipeline(f"{data}-{source}", data, source, instrument, pixel_scale, quantity, settings)


_SMA_SHAPE = (256, 256)
_SMA_SMOKE_SHAPE = (64, 64)
_SMA_CENTRE = (0.1, 0.1)

_ENTRIES = (
    _pipeline(
        "imaging",
        "delaunay",
        Settings(3.5, Delaunay((39, 39), 30), lens_gaussians=60),
        Settings(2.0, Delaunay((10, 10), 10), lens_gaussians=10),
    ),
    _pipeline(
        "imaging",
        "pixelization",
        Settings(3.5, Rectangular("RectangularAdaptDensity", (35, 35)), lens_gaussians=60),
        Settings(2.0, Rectangular("RectangularAdaptDensity", (10, 10)), lens_gaussians=10),
    ),
    _pipeline(
        "imaging",
        "mge",
        Settings(3.5, Gaussians(20), lens_gaussians=20, free_mass=False),
        Settings(2.0, Gaussians(6), lens_gaussians=10, free_mass=False),
    ),
    _pipeline(
        "interferometer",
        "delaunay",
        Settings(3.0, Delaunay((26, 26), 30), real_space_shape=_SMA_SHAPE),
        Settings(3.0, Delaunay((10, 10), 10), real_space_shape=_SMA_SMOKE_SHAPE),
    ),
    _pipeline(
        "interferometer",
        "pixelization",
        Settings(3.0, Rectangular("RectangularUniform", (28, 28)), real_space_shape=_SMA_SHAPE),
        Settings(3.0, Rectangular("RectangularUniform", (10, 10)), real_space_shape=_SMA_SMOKE_SHAPE),
    ),
    _pipeline(
        "interferometer",
        "mge",
        Settings(3.0, Gaussians(20, _SMA_CENTRE, 0.005), real_space_shape=_SMA_SHAPE),
        Settings(3.0, Gaussians(6, _SMA_CENTRE, 0.005), real_space_shape=_SMA_SMOKE_SHAPE),
    ),
)

# The longest first: with several workers the whole takes no longer than its longest part.
PIPELINES: Mapping[str, Pipeline] = MappingProxyType(
    {each.name: each for each in sorted(_ENTRIES, key=lambda each: -each.cost.seconds)}
)


def pipeline_named(name: str) -> Pipeline:
    """Look up a pipeline.

    Raises
    ------
    UsageError
        There is no pipeline of that name.
    """
    try:
        return PIPELINES[name]
    except KeyError:
        raise UsageError(f"there is no pipeline {name!r}.{known_names(name, PIPELINES)}") from None
