"""The lens models whose systems the corpus has, as numbers; the library is not needed to name them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Half the side of the box about the prior medians, in the unit cube, that models near the truth come from.
NEAR = 0.05
# Of PyAutoArray#571.
POINTS = 48
VARIED_POINTS = range(0, POINTS, 8)


@dataclass(frozen=True)
class WantedPoints:
    """How many lens models near the truth and of the whole prior, and where their systems are kept."""

    near: int
    whole: int
    seed: int
    folder: Path

    def units(self, parameters: int) -> dict[str, np.ndarray]:
        """By name, points of the priors' unit cube: the medians and others near them, then any."""
        generator = np.random.default_rng(self.seed)
        near = 0.5 + NEAR * generator.uniform(-1, 1, (self.near, parameters))
        near[:1] = 0.5
        whole = generator.random((self.whole, parameters))
        return {
            f"{name}_{number}": unit
            for name, drawn in (("near", near), ("whole", whole))
            for number, unit in enumerate(drawn)
        }


@dataclass(frozen=True)
class Factors:
    """How some systems of PyAutoArray#571 differ: factors of the noise map and of the smallest width."""

    label: str
    noise: float = 1.0
    width: float = 1.0

    @property
    def points(self) -> range:
        """Which of the points it has."""
        return range(POINTS) if self.noise == self.width == 1 else VARIED_POINTS


CHANGES = (
    Factors("slam48"),
    Factors("noise_x0.3", noise=0.3),
    Factors("noise_x3", noise=3.0),
    Factors("sigma_x0.5", width=0.5),
    Factors("sigma_x2", width=2.0),
)


def slam_vectors(
    medians: Sequence[float] | np.ndarray, points: range
) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Number and physical parameters of the points: near the medians, a little off in each parameter."""
    centre = np.array(medians) + 0.013 * np.sin(np.arange(len(medians)) + 1)
    generator = np.random.default_rng(1)
    for number in range(POINTS):
        drawn = centre + 0.01 * (generator.random(len(medians)) - 0.5)
        if number in points:
            yield number, tuple(map(float, drawn))
