"""Problems with a known optimum, and judges that share nothing with the solver."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.optimize


class Problem(NamedTuple):
    """Minimise ½ xᵀQx - qᵀx, x >= 0, with its optimum if that is unique and known."""

    Q: np.ndarray
    q: np.ndarray
    x: np.ndarray


def with_known_optimum(
    rng: np.random.Generator, K: int, condition: float = 100.0, free: float = 0.5, scatter: float = 0.0
) -> Problem:
    """A strictly complementary problem built backwards: choose x and the dual z, then q = Qx - z.

    Parameters
    ----------
    condition
        Condition number of Q before its columns are rescaled.
    free
        Fraction of positive variables.
    scatter
        Decades over which column scales scatter.
    """
    U, _ = np.linalg.qr(rng.normal(size=(K, K)))
    Q = (U * np.geomspace(1, 1 / condition, K)) @ U.T
    scale = 10 ** rng.uniform(-scatter, scatter, K)
    Q = (Q + Q.T) / 2 * scale[:, None] * scale[None, :]
    positive = rng.uniform(size=K) < free
    x = np.where(positive, rng.uniform(0.5, 2, K), 0) / scale
    z = np.where(positive, 0, rng.uniform(0.5, 2, K)) * scale * np.sqrt(1 / condition)
    return Problem(Q, Q @ x - z, x)


def lens_like(rng: np.random.Generator, dense: int = 20, source: int = 140, pixels: int = 900) -> Problem:
    """A system of the production's shape: concentric Gaussians, almost collinear, then regularised pixels."""
    side = int(np.sqrt(pixels))
    y, x = np.meshgrid(*2 * (np.linspace(-1, 1, side),), indexing="ij")
    radius = np.hypot(x, y).ravel()
    light = np.stack([np.exp(-0.5 * (radius / s) ** 2) for s in np.geomspace(0.05, 1.5, dense)], axis=1)
    centres = rng.uniform(-0.9, 0.9, (source, 2))
    distance = np.hypot(x.ravel()[:, None] - centres[:, 0], y.ravel()[:, None] - centres[:, 1])
    A = np.concatenate([light, np.exp(-0.5 * (distance / 0.12) ** 2)], axis=1)
    truth = np.concatenate([rng.uniform(0, 2, dense), np.maximum(rng.normal(0.5, 1, source), 0)])
    data = A @ truth + rng.normal(0, 0.3, A.shape[0])
    Q = A.T @ A / 0.09
    diagonal = np.concatenate([np.full(dense, 1e-3), np.full(source, 5.0)])
    Q = Q + np.diag(diagonal)
    return Problem(Q, A.T @ data / 0.09, np.full(dense + source, np.nan))


def rounding(K: int, condition: float = 1.0, dtype: type = np.float64) -> float:
    """The relative error that rounding may leave in the solution of a linear system of order K.

    A Cholesky solution is exact for a matrix that differs by (3K + 1) eps / 2, relative (N. Higham, Accuracy
    and Stability of Numerical Algorithms, theorem 10.4); the condition number turns that into an error.
    """
    return float(4 * K * np.finfo(dtype).eps * condition)


def scipy_optimum(Q: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The optimum by SciPy's active-set NNLS on the Cholesky factor: ‖Lᵀx - L⁻¹q‖ is the same objective."""
    L = np.linalg.cholesky(Q)
    return scipy.optimize.nnls(L.T, np.linalg.solve(L, q), maxiter=100 * q.shape[0])[0]


def objective(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """½ xᵀQx - qᵀx."""
    return float(0.5 * x @ Q @ x - q @ x)


def kkt_violation(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    """Largest violation of x >= 0, Qx - q >= 0 and x∘(Qx - q) = 0, each relative, in Jacobi scaling."""
    scale = 1 / np.sqrt(np.diag(Q))
    scaled = x / scale
    gradient = scale * (Q @ x - q)
    size = scaled / max(np.abs(scaled).max(), np.finfo(float).tiny)
    slope = gradient / max((scale * q).max(), np.finfo(float).tiny)
    return float(max((-size).max(), (-slope).max(), np.minimum(np.abs(size), np.abs(slope)).max(), 0))


def real_system(path: Path) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Q (K, K), q (K,) and the dense columns of a stored system."""
    stored = np.load(path)
    q = stored["q"]
    Q = np.zeros((q.shape[0], q.shape[0]))
    Q[np.tril_indices(q.shape[0])] = stored["Q_lower"]
    return Q + np.tril(Q, -1).T, q, tuple(int(i) for i in stored["dense"])
