"""The pipelines and the instruments that they run on: what each is, and what follows from it; pure data."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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

# Stands between a pipeline's name and that of an instrument which is not its own.
AT = "@"
# Pixels beside the mask of the real-space grid at smoke scale.
_MARGIN = 4

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


SourceModel = Gaussians | Rectangular | Delaunay


@dataclass(frozen=True)
class Instrument:
    """A dataset of the workspace, and what its scripts set for it.

    Attributes
    ----------
    data
        Kind of dataset.
    pixel_scale
        Of the image, or of the real-space grid, in arcsec per pixel.
    mask_radius
        In arcsec; None where the pipeline's own holds.
    real_space_shape
        Interferometer only: pixels of the real-space grid; None where the pipeline's own holds.
    in_repository
        Whether the workspace's repository has the data. Its scripts simulate those that it has not.
    """

    data: Data
    pixel_scale: float
    mask_radius: float | None = None
    real_space_shape: tuple[int, int] | None = None
    in_repository: bool = False


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
    source: SourceModel
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


COSTS: Mapping[tuple[Data, type[SourceModel]], Cost] = MappingProxyType(
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
        `<data>-<source>`, as in file names and on the command line; with `@<instrument>` behind it on another
        instrument than its own.
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
    def source_type(self) -> type[SourceModel]:
        """How the source is modelled, at whatever scale."""
        return type(self.settings["production"].source)

    @property
    def is_on_its_own_instrument(self) -> bool:
        """Whether the instrument is the one that the pipeline is defined with."""
        return AT not in self.name

    @property
    def cost(self) -> Cost:
        """What a cell takes at production scale; of an image with finer pixels by their number."""
        usual = COSTS[self.data, self.source_type]
        own = INSTRUMENTS[OWN_INSTRUMENT[self.data]].pixel_scale
        times = max(1.0, (own / self.pixel_scale) ** 2) if self.data == "imaging" else 1.0
        return Cost(usual.seconds * times, round(usual.peak_bytes * times))

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

    @property
    def simulator(self) -> PurePosixPath:
        """The workspace script that simulates the dataset where it is missing."""
        return PurePosixPath("jax_profiling", "dataset_setup", f"{self.data}.py")


INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        "hst": Instrument("imaging", 0.05, in_repository=True),
        "euclid": Instrument("imaging", 0.1),
        "jwst": Instrument("imaging", 0.03),
        "ao": Instrument("imaging", 0.01),
        "sma": Instrument("interferometer", 0.1, in_repository=True),
        "alma": Instrument("interferometer", 0.05),
        "hannah": Instrument("interferometer", 0.125, 2.3, (40, 40), in_repository=True),
    }
)

# The one that a pipeline is defined with, and its constant recorded.
OWN_INSTRUMENT: Mapping[Data, str] = MappingProxyType({"imaging": "hst", "interferometer": "sma"})


def _pipeline(data: Data, source: str, production: Settings, smoke: Settings) -> Pipeline:
    instrument = OWN_INSTRUMENT[data]
    pixel_scale = INSTRUMENTS[instrument].pixel_scale
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
    """Look up a pipeline, on another instrument where the name says so, as `imaging-mge@euclid`.

    Raises
    ------
    UsageError
        There is no pipeline of that name, or no such instrument for its kind of data.
    """
    plain, at, instrument = name.partition(AT)
    pipeline = PIPELINES.get(plain)
    if pipeline is None:
        raise UsageError(f"there is no pipeline {plain!r}.{known_names(plain, PIPELINES)}")
    known = [word for word, one in INSTRUMENTS.items() if one.data == pipeline.data]
    if at and instrument not in known:
        raise UsageError(
            f"there is no {pipeline.data} instrument {instrument!r}.{known_names(instrument, known)}"
        )
    return on_instrument(pipeline, instrument) if at else pipeline


def planned_pipelines(selected: Iterable[str]) -> tuple[str, ...]:
    """What a run plans, the longest first: all on their own instrument, and what else is selected."""
    names = dict.fromkeys((*PIPELINES, *selected))
    return tuple(sorted(names, key=lambda name: -pipeline_named(name).cost.seconds))


def on_instrument(pipeline: Pipeline, name: str) -> Pipeline:
    """The pipeline on an instrument of its kind of data; itself on its own."""
    if name == pipeline.instrument:
        return pipeline
    instrument = INSTRUMENTS[name]
    settings: Mapping[Scale, Settings] = MappingProxyType(
        {
            "production": masked(pipeline.settings["production"], instrument),
            "smoke": _small(pipeline.settings["smoke"], instrument),
        }
    )
    return replace(
        pipeline,
        name=f"{pipeline.name}{AT}{name}",
        instrument=name,
        pixel_scale=instrument.pixel_scale,
        settings=settings,
    )


def masked(settings: Settings, instrument: Instrument) -> Settings:
    """The settings with the instrument's mask and real-space grid, where it has them."""
    return replace(
        settings,
        mask_radius=instrument.mask_radius or settings.mask_radius,
        real_space_shape=instrument.real_space_shape or settings.real_space_shape,
    )


def _small(settings: Settings, instrument: Instrument) -> Settings:
    """The settings of smoke scale: a mask that is no larger, and a grid that just holds it."""
    radius = min(settings.mask_radius, instrument.mask_radius or settings.mask_radius)
    if settings.real_space_shape is None:
        return replace(settings, mask_radius=radius)
    holds = math.ceil(2 * radius / instrument.pixel_scale) + _MARGIN
    side = min(holds, *(instrument.real_space_shape or (holds,)))
    return replace(settings, mask_radius=radius, real_space_shape=(side, side))
