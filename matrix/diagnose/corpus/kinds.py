"""The kinds of systems that the corpus consists of; pure data."""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

from matrix.catalogue.pipelines import Gaussians, Pipeline, Rectangular, pipeline_named
from matrix.diagnose.systems.variation import Variation
from matrix.records.cell import Scale

Family = Literal["slam", "gaussians", "mixed", "mapper", "interferometer"]

# Lens models of PyAutoArray#571: its recipe has two bases of 20 Gaussians for the lens and 20 for the source.
SLAM = "slam-571"
SLAM_LENS_GAUSSIANS = 40


@dataclasses.dataclass(frozen=True)
class SystemKind:
    """One likelihood whose systems are taken.

    Attributes
    ----------
    family
        `slam`: the lens models of PyAutoArray#571. `gaussians`: no mesh. `mixed`: a mesh behind linear lens
        light, as production has it. `mapper`: a mesh alone. `interferometer`: a mesh behind visibilities.
    pipeline
        Whose data and model.
    mesh
        The library's class of the rectangular mesh; None for the pipeline's own.
    lens_light
        Whether the pipeline's linear lens light stays.
    """

    name: str
    family: Family
    pipeline: str
    mesh: str | None = None
    lens_light: bool = True

    def applied(self, scale: Scale) -> Pipeline:
        """The pipeline with what differs."""
        pipeline = pipeline_named(self.pipeline)
        settings = Variation(gaussians=None if self.lens_light else 0).applied(pipeline.settings[scale])
        if isinstance(settings.source, Rectangular) and self.mesh:
            mesh: dict[str, Any] = {"mesh": self.mesh}
            settings = dataclasses.replace(settings, source=dataclasses.replace(settings.source, **mesh))
        return dataclasses.replace(pipeline, settings={scale: settings})

    def columns_of_lens(self, scale: Scale) -> int:
        """How many columns come before the source's."""
        return (
            SLAM_LENS_GAUSSIANS
            if self.family == "slam"
            else self.applied(scale).settings[scale].lens_gaussians
        )

    def dense(self, scale: Scale, K: int) -> tuple[int, ...]:
        """The collinear columns: all linear light, so all there are where the source has no mesh."""
        source = self.applied(scale).settings[scale].source
        return tuple(range(K if isinstance(source, Gaussians) else self.columns_of_lens(scale)))


BILINEAR, RTU = "RectangularBilinearAdaptDensity", "RectangularRTUAdaptDensity"

KINDS: Mapping[str, SystemKind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            SystemKind(SLAM, "slam", "imaging-mge"),
            SystemKind("imaging-mge", "gaussians", "imaging-mge"),
            SystemKind("interferometer-mge", "gaussians", "interferometer-mge"),
            SystemKind("delaunay", "mixed", "imaging-delaunay"),
            SystemKind("bilinear", "mixed", "imaging-pixelization", BILINEAR),
            SystemKind("rtu", "mixed", "imaging-pixelization", RTU),
            SystemKind("delaunay-mapper", "mapper", "imaging-delaunay", lens_light=False),
            SystemKind("bilinear-mapper", "mapper", "imaging-pixelization", BILINEAR, lens_light=False),
            SystemKind("rtu-mapper", "mapper", "imaging-pixelization", RTU, lens_light=False),
            SystemKind("interferometer-delaunay", "interferometer", "interferometer-delaunay"),
            SystemKind("interferometer-pixelization", "interferometer", "interferometer-pixelization"),
        )
    }
)
