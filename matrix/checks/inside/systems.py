"""Positive-only systems whose optimum is known, because it was chosen first, and so its gradient."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

CLASSES = ("well", "ill", "degenerate", "collinear-block")
ALL_CONDITIONS = tuple(10.0**power for power in range(1, 15))
FEW_CONDITIONS = (1e1, 1e7, 1e14)
# Conditions by size; large systems are few because their gradients take a second each.
GRIDS: Mapping[str, Mapping[int, tuple[float, ...]]] = {
    "production": {8: ALL_CONDITIONS, 40: ALL_CONDITIONS, 200: FEW_CONDITIONS, 1300: FEW_CONDITIONS},
    "smoke": {8: ALL_CONDITIONS, 40: FEW_CONDITIONS},
}
_LARGEST_BLOCK = 60
_UNITS_FROM_CONDITION = 10.0


@dataclass(frozen=True)
class KnownSystem:
    """Minimise ½ xᵀQx - qᵀx, x >= 0, with everything known about its optimum.

    Attributes
    ----------
    Q, q
        (K, K) and (K,).
    x
        (K,) the optimum.
    positive
        (K,) of bool, the unknowns that are not at the bound.
    weights
        (K,) the function weightsᵀx is differentiated.
    scale
        (K,) diag(Q)^(1/2): scale · x are the unknowns of the system with unit diagonal.
    condition
        As asked for.
    scaled_condition
        Condition number of the system with unit diagonal: how far two right answers may be apart.
    """

    name: str
    kind: str
    Q: np.ndarray
    q: np.ndarray
    x: np.ndarray
    positive: np.ndarray
    weights: np.ndarray
    scale: np.ndarray
    condition: float
    scaled_condition: float

    @property
    def strictly_complementary(self) -> bool:
        """Whether the optimum is differentiable: no unknown is at the bound with zero dual."""
        return self.kind != "degenerate"

    def gradients(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of weightsᵀx with respect to q (K,) and Q (K, K), the latter symmetrised.

        On the positive unknowns Q x = q holds, so with Q_FF u_F = weights_F and u zero elsewhere they are
        u and -(u xᵀ + x uᵀ) / 2 (implicit function theorem).
        """
        u = np.zeros(len(self.q))
        free = np.flatnonzero(self.positive)
        scale = self.scale[free]
        block = self.Q[np.ix_(free, free)] / np.outer(scale, scale)
        u[free] = np.linalg.solve(block, self.weights[free] / scale) / scale
        outer = np.outer(u, self.x)
        return u, -0.5 * (outer + outer.T)


def known_systems(size: int, conditions: tuple[float, ...]) -> Iterator[KnownSystem]:
    """Every class at every condition number."""
    for kind in CLASSES:
        for condition in conditions:
            yield system_from(kind, size, condition)


def system_from(kind: str, size: int, condition: float, free: float = 0.5, dual: float = 1.0) -> KnownSystem:
    """Build one system backwards: choose x and the dual z, complementary to each other, then q = Qx - z.

    Parameters
    ----------
    kind
        "well": the condition number comes from the units of the unknowns and is gone after scaling to a
        unit diagonal. "ill": it comes from the spectrum and stays. "degenerate": so too, and half of the
        unknowns at the bound have zero dual. "collinear-block": a quarter of the columns, at most 60, are
        nearly the same.
    size, condition
        K, and the condition number of Q.
    free
        Share of the unknowns that are not at the bound, rounded up.
    dual
        Size of the duals of those at the bound, relative to the largest curvature.
    """
    generator = np.random.default_rng([CLASSES.index(kind), size])
    basis, _ = np.linalg.qr(generator.standard_normal((size, size)))
    positive = generator.permutation(size) < math.ceil(free * size)
    if kind == "collinear-block":
        # Two columns of the block at least, or nothing of it is left in the answer.
        positive[:2] = True
    solution = np.where(positive, generator.uniform(0.5, 1.5, size), 0.0)
    duals = dual * np.where(positive, 0.0, generator.uniform(0.5, 1.5, size))
    weights = generator.uniform(0.5, 1.5, size)
    units = generator.permutation(np.geomspace(1.0, np.sqrt(_UNITS_FROM_CONDITION / condition), size))
    if kind == "degenerate":
        at_bound = np.flatnonzero(~positive)
        duals[at_bound[::2]] = 0.0
    matrix = _collinear(basis, condition) if kind == "collinear-block" else _spectral(basis, kind, condition)
    units = units if kind == "well" else np.ones(size)
    Q = matrix * np.outer(units, units)
    # Chosen in the units of the system, where every unknown counts the same.
    x, z = solution / units, duals * units * np.max(np.diag(matrix))
    # In extended precision, so that the rounding of q is all that stands between x and the optimum.
    q = (Q.astype(np.longdouble) @ x.astype(np.longdouble) - z).astype(np.float64)
    scale = np.sqrt(np.diag(Q))
    eigenvalues = np.linalg.eigvalsh(Q / np.outer(scale, scale))
    return KnownSystem(
        name=f"{kind}, condition {condition:.0e}, size {size}",
        kind=kind,
        Q=Q,
        q=q,
        x=x,
        positive=positive,
        weights=weights * scale,
        scale=scale,
        condition=condition,
        scaled_condition=float(eigenvalues[-1] / max(eigenvalues[0], np.finfo(float).tiny)),
    )


def _spectral(basis: np.ndarray, kind: str, condition: float) -> np.ndarray:
    """A symmetric matrix with geometrically spaced eigenvalues, the largest 1."""
    ratio = _UNITS_FROM_CONDITION if kind == "well" else condition
    matrix = (basis * np.geomspace(1.0, 1.0 / ratio, len(basis))) @ basis.T
    return 0.5 * (matrix + matrix.T)


def _collinear(basis: np.ndarray, condition: float) -> np.ndarray:
    """AᵀA: the first m columns of A are one direction but for sqrt(m / condition), the others not."""
    size = len(basis)
    block = max(2, min(_LARGEST_BLOCK, size // 4))
    columns = basis.copy()
    columns[:, block:] += 0.3 * basis[:, :1]
    columns[:, :block] = basis[:, :1] + np.sqrt(block / condition) * basis[:, :block]
    matrix = columns.T @ columns
    return 0.5 * (matrix + matrix.T)
