"""Families of systems that a user's model may lead to, on none of which a solver should be slow."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from matrix.checks.inside.systems import system_from
from matrix.diagnose.systems.stored import System

PRODUCTION_SIZES = (300, 600, 1261)
SIZES = (20, 40, 100, 300, 600, 1261)
SOME_SIZES = (40, 300, 600)
STRENGTHS = tuple(10.0**-power for power in range(7))
CONDITIONS = (1e2, 1e6, 1e9, 1e13)
FREE = (0.01, 0.1, 0.9, 0.99)
NOISES = (0.0, 1e-6, 1e-3)
_GAUSSIANS = 60
_PIXELS = 70
_NOISE = 0.3


class Case(NamedTuple):
    """Systems to solve together, and the columns that ours is told are collinear; None if it is not told."""

    systems: tuple[System, ...]
    told: tuple[int, ...] | None

    @property
    def name(self) -> str:
        """The family, and after a comma which of it."""
        return self.systems[0].name


def families(sizes: Sequence[int] | None = None) -> Iterator[Case]:
    """Every family at its own sizes, or all of them at these."""
    for K in sizes or PRODUCTION_SIZES:
        yield from (_alone(production(K, strength)) for strength in STRENGTHS)
    for K in sizes or SIZES:
        yield from _without_structure(K)
    for K in sizes or SOME_SIZES:
        yield from (_alone(system) for system in _unusual(K))
        yield from _hints(K)
        yield from (_alone(system) for system in _single(K))
        yield from _batches(K)


def production(K: int, strength: float, seed: int = 0, lights: int = 1) -> System:
    """Concentric Gaussians and source pixels on scattered points, whose neighbours are tied together.

    Parameters
    ----------
    strength
        Of the regularisation; at 1 it is a thousandth of the largest curvature of the source.
    lights
        How many blocks of concentric Gaussians there are, each about a centre of its own.
    """
    rng = np.random.default_rng(seed)
    gaussians = min(_GAUSSIANS, K // 3) // lights * lights
    source = K - gaussians
    y, x = (axis.ravel() for axis in np.meshgrid(*2 * (np.linspace(-1, 1, _PIXELS),), indexing="ij"))
    points = rng.uniform(-0.9, 0.9, (source, 2))
    columns = [
        np.exp(-0.5 * (np.hypot(x - centre, y - centre)[:, None] / widths) ** 2)
        for centre in np.linspace(0.0, 0.4, lights)
        for widths in (np.geomspace(0.02, 1.5, gaussians // lights),)
    ]
    distance = np.hypot(x[:, None] - points[:, 0], y[:, None] - points[:, 1])
    A = np.concatenate([*columns, np.exp(-0.5 * (distance * np.sqrt(source) / 0.9) ** 2)], axis=1)
    light = rng.uniform(0, 1, gaussians) * (rng.uniform(size=gaussians) < 0.5)
    brightness = 3 * np.exp(-8 * np.sum((points - (0.2, -0.1)) ** 2, axis=1)) - 0.05
    data = A @ np.concatenate([light, np.maximum(brightness, 0)]) + rng.normal(0, _NOISE, len(A))
    Q = A.T @ A / _NOISE**2
    block = Q[gaussians:, gaussians:]
    block += 1e-3 * strength * np.linalg.norm(block, 2) * (_ties(points) + 1e-8 * np.eye(source))
    Q[:gaussians, :gaussians] += 1e-8 * np.eye(gaussians)
    return System(f"production, strength {strength:.0e}", Q, A.T @ data / _NOISE**2, tuple(range(gaussians)))


def _ties(points: np.ndarray) -> np.ndarray:
    """The sum of (x_a - x_b)² over neighbours a, b of a triangulation, as a matrix."""
    from scipy.spatial import Delaunay

    corners = Delaunay(points).simplices
    pairs = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
    first, second = np.unique(np.sort(pairs, axis=1), axis=0).T
    incidence = np.zeros((len(first), len(points)))
    edges = np.arange(len(first))
    incidence[edges, first], incidence[edges, second] = 1, -1
    return incidence.T @ incidence


def without_structure(K: int, condition: float, kind: str = "ill", free: float = 0.5) -> System:
    """A system of a known spectrum whose duals are as small as its weakest curvature allows."""
    made = system_from(kind, K, condition, free=free, dual=condition**-0.5)
    return System(f"no structure, {kind}, {condition:.0e}, {free:.0%} free", made.Q, made.q, ())


def _without_structure(K: int) -> Iterator[Case]:
    for condition in CONDITIONS:
        yield from (_alone(without_structure(K, condition, kind)) for kind in ("ill", "degenerate"))
    for condition in (1e3, 1e9):
        yield from (_alone(without_structure(K, condition, free=free)) for free in FREE)


def duplicated(K: int, noise: float) -> System:
    """A tenth of the columns occurs twice, the second time with relative noise."""
    rng = np.random.default_rng(K)
    copies = max(1, K // 10)
    made = without_structure(K - copies, 1e3)
    root = np.linalg.cholesky(made.Q).T
    twice = root[:, rng.choice(K - copies, copies, replace=False)]
    disturbed = rng.normal(size=twice.shape) * np.linalg.norm(twice, axis=0) / np.sqrt(len(root))
    A = np.concatenate([root, twice + noise * disturbed], axis=1)
    return System(f"duplicates, noise {noise:.0e}", A.T @ A, A.T @ np.linalg.solve(root.T, made.q), ())


def rank_deficient(K: int, share: float) -> System:
    """Fewer data than unknowns, and no regularisation: the optimum is not unique."""
    rng = np.random.default_rng(K)
    A = rng.normal(size=(max(1, int(share * K)), K))
    truth = np.maximum(rng.normal(size=K), 0)
    data = A @ truth + rng.normal(size=len(A))
    return System(f"rank deficient, {share:.0%}", A.T @ A, A.T @ data, ())


def with_empty_rows(system: System) -> System:
    """Every tenth unknown has no data and no regularisation: its row, its column and its q are zero."""
    kept = np.arange(system.K) % 10 != 9
    return System("empty rows", system.Q * np.outer(kept, kept), system.q * kept, system.dense)


def in_other_units(system: System, decades: float) -> System:
    """Columns scaled by up to so many powers of ten, up or down."""
    units = 10 ** np.random.default_rng(system.K).uniform(-decades, decades, system.K)
    return system._replace(
        name=f"units, 1e±{decades:g}", Q=system.Q * np.outer(units, units), q=system.q * units
    )


def _unusual(K: int) -> Iterator[System]:
    yield from (duplicated(K, noise) for noise in NOISES)
    yield from (
        production(K, strength, lights=2)._replace(name=f"two lights, strength {strength:.0e}")
        for strength in (1.0, 1e-3)
    )
    yield with_empty_rows(production(K, 1.0))
    yield from (rank_deficient(K, share) for share in (0.5, 0.9))
    yield in_other_units(without_structure(K, 1e3), 8)


def _hints(K: int) -> Iterator[Case]:
    system = production(K, 1.0)
    count = len(system.dense)
    hints = {
        "missing": None,
        "none": (),
        "half": tuple(range(count // 2)),
        "wrong": tuple(range(count, 2 * count)),
    }
    for word, told in hints.items():
        yield Case((system._replace(name=f"hint, {word}"),), told)


def _single(K: int) -> Iterator[System]:
    for condition in (1e2, 1e4):
        made = without_structure(K, condition)
        single = made.Q.astype(np.float32), made.q.astype(np.float32)
        yield System(f"float32, no structure, {condition:.0e}", *single, ())


def _batches(K: int) -> Iterator[Case]:
    """Three lanes, the last of which is not like the others."""
    good = [production(K, 1.0, seed) for seed in range(3)]
    hopeless = without_structure(K, 1e13, "degenerate")
    odd = {
        "alike": good[2],
        "hopeless": hopeless._replace(dense=good[0].dense),
        "nan": good[2]._replace(q=np.full(K, np.nan)),
        "inf": good[2]._replace(Q=np.full((K, K), np.inf)),
    }
    for word, lane in odd.items():
        lanes = (*good[:2], lane)
        yield Case(tuple(one._replace(name=f"batch, last lane {word}") for one in lanes), good[0].dense)


def _alone(system: System) -> Case:
    return Case((system,), system.dense)
