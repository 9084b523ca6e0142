"""How a likelihood may differ from its pipeline's settings, so that solvers meet other systems than those."""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from matrix.catalogue.pipelines import Gaussians, Rectangular, Settings, SourceModel
from matrix.ground.errors import UsageError
from matrix.records.typed_json import closed

_TYPES: Mapping[str, Callable[[str], Any]] = {
    "mesh": int,
    "gaussians": int,
    "coefficient": float,
    "radius": float,
}


@closed
class Variation:
    """What differs; None for what stays.

    Attributes
    ----------
    mesh
        Pixels along a side of the rectangular mesh, or of the overlay that Delaunay vertices come from.
    gaussians
        Linear Gaussians of the lens light.
    coefficient
        Of the regularisation.
    radius
        Of the mask, in arcsec.
    """

    mesh: int | None = None
    gaussians: int | None = None
    coefficient: float | None = None
    radius: float | None = None

    @property
    def label(self) -> str:
        """As in file names; empty where nothing differs."""
        differing = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        return "-".join(f"{name}{value:g}" for name, value in differing.items())

    def applied(self, settings: Settings) -> Settings:
        """`settings` with what differs.

        Raises
        ------
        UsageError
            The source has no mesh to vary.
        """
        changes: dict[str, Any] = {"lens_gaussians": self.gaussians, "mask_radius": self.radius}
        given = {name: value for name, value in changes.items() if value is not None}
        return dataclasses.replace(settings, source=self._source(settings.source), **given)

    def _source(self, source: SourceModel) -> SourceModel:
        if isinstance(source, Gaussians):
            if self.mesh is not None or self.coefficient is not None:
                raise UsageError("a source of Gaussians has no mesh and no regularisation to vary.")
            return source
        if self.coefficient is not None:
            source = dataclasses.replace(source, coefficient=self.coefficient)
        if self.mesh is None:
            return source
        shape = (self.mesh, self.mesh)
        if isinstance(source, Rectangular):
            return dataclasses.replace(source, shape=shape)
        return dataclasses.replace(source, overlay=shape)


def variation_from(words: str) -> Variation:
    """Read `mesh=30,gaussians=80,coefficient=0.1,radius=2.5`, any part of it; empty for no difference.

    Raises
    ------
    UsageError
        A name is not known, stands there twice, or its value is no positive number (gaussians may be zero).
    """
    found: dict[str, Any] = {}
    for word in filter(None, re.split(r"[,\s]+", words)):
        name, _, text = word.partition("=")
        if name not in _TYPES or name in found:
            raise UsageError(
                f"--vary {words}: {name!r} is {'there twice' if name in found else 'not known'}; "
                f"choose from: {', '.join(_TYPES)}."
            )
        try:
            value = _TYPES[name](text)
        except ValueError:
            value = -1
        if not 0 <= value < math.inf or (value == 0 and name != "gaussians"):
            raise UsageError(f"--vary {words}: {name} needs a positive number, not {text!r}.")
        found[name] = value
    return Variation(**found)
