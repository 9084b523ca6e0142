"""NNLS systems to measure solvers on: from real likelihoods, and synthetic ones of their shape."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from matrix.ground.errors import UsageError


class System(NamedTuple):
    """Minimise ½ xᵀQx - qᵀx, x >= 0: Q (K, K), q (K,), and the columns of the collinear block."""

    name: str
    Q: np.ndarray
    q: np.ndarray
    dense: tuple[int, ...]

    @property
    def K(self) -> int:
        """Number of unknowns."""
        return int(self.q.shape[0])

    def objective(self, x: np.ndarray) -> float:
        """½ xᵀQx - qᵀx for x of shape (K,)."""
        Q, q, x = (np.asarray(part, float) for part in (self.Q, self.q, x))
        return float(0.5 * x @ Q @ x - q @ x)

    def residual(self, x: np.ndarray) -> float:
        """Largest relative KKT residual of an answer (K,), by the solver's certificate in float64."""
        import jax.numpy as jnp

        import solver

        return float(solver.certificate(*(jnp.asarray(part, float) for part in (self.Q, self.q, x))).worst)


def stored_systems(folder: Path) -> list[System]:
    """Systems from `*.npz` files, at any depth, with `Q_lower` (the lower triangle, by rows), `q`, `dense`.

    Raises
    ------
    UsageError
        If the folder holds none, or a file is no system.
    """
    systems = [read_system(path) for path in sorted(folder.rglob("*.npz"))]
    if not systems:
        raise UsageError(f"{folder} holds no systems: expected *.npz files with Q_lower, q and dense")
    return systems


def read_system(path: Path) -> System:
    """One system, as `write_system` writes it.

    Raises
    ------
    UsageError
        If the file is no system.
    """
    try:
        # Opened here, since NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            lower, q, dense = (np.asarray(stored[name]) for name in ("Q_lower", "q", "dense"))
        return _system(path.stem, lower, q, dense)
    except Exception as error:
        # A damaged file breaks its reader in as many ways as there are layers: zip, deflate, header, array.
        raise UsageError(
            f"{path} is no system, with Q_lower (K (K + 1) / 2 numbers), q (K) and dense (columns): {error}"
        ) from error


def _system(name: str, lower: np.ndarray, q: np.ndarray, dense: np.ndarray) -> System:
    for array in (lower, q):
        if array.dtype.kind not in "iuf" or array.ndim != 1 or not np.all(np.isfinite(array)):
            raise ValueError(
                f"{array.dtype} of shape {array.shape}, where finite real numbers in a row are asked"
            )
    K = len(q)
    if K == 0 or lower.size != K * (K + 1) // 2:
        raise ValueError(f"{lower.size} numbers in Q_lower do not belong to {K} in q")
    columns = dense.astype(np.int64, casting="same_kind") if dense.size else np.zeros(0, dtype=np.int64)
    if columns.ndim != 1 or np.any((columns < 0) | (columns >= K)) or len(set(columns)) != len(columns):
        raise ValueError(f"dense names columns that are not among the {K}, or one twice")
    Q = np.zeros((K, K))
    Q[np.tril_indices(K)] = lower
    if not np.all(np.diagonal(Q) > 0.0):
        raise ValueError("the diagonal of Q is not positive, so no optimum exists")
    return System(name, Q + np.tril(Q, -1).T, q.astype(np.float64), tuple(map(int, columns)))


def write_system(path: Path, system: System) -> None:
    """Write a system as `stored_systems` reads it; the file's name is the system's."""
    K = system.K
    np.savez_compressed(
        path, Q_lower=system.Q[np.tril_indices(K)], q=system.q, dense=np.array(system.dense, dtype=np.int64)
    )


def synthetic_system(K: int, seed: int = 0) -> System:
    """A system of the production's shape: concentric Gaussians (at most 60), then regularised source pixels.

    Parameters
    ----------
    K
        Unknowns; below 100 all of them are Gaussians.
    """
    rng = np.random.default_rng(seed)
    gaussians = K if K < 100 else 60
    source = K - gaussians
    side = max(40, int(1.6 * np.sqrt(K)))
    y, x = (axis.ravel() for axis in np.meshgrid(*2 * (np.linspace(-3.5, 3.5, side),), indexing="ij"))
    radius = np.hypot(x, y)
    light = np.exp(-0.5 * (radius[:, None] / np.geomspace(0.05, 3.5, gaussians)) ** 2)
    centres = rng.uniform(-3, 3, (source, 2))
    width = 4 / np.sqrt(max(source, 1))
    pixels = np.exp(-0.5 * ((x[:, None] - centres[:, 0]) ** 2 + (y[:, None] - centres[:, 1]) ** 2) / width**2)
    A = np.concatenate([light, pixels], axis=1)
    truth = np.concatenate([rng.uniform(0, 2, gaussians), np.maximum(rng.normal(0.3, 1, source), 0)])
    noise = 0.1
    data = A @ truth + rng.normal(0, noise, A.shape[0])
    regularisation = np.concatenate([np.full(gaussians, 1e-3), np.full(source, 1.0 / noise)])
    Q = A.T @ A / noise**2 + np.diag(regularisation)
    return System(f"synthetic-{K}", Q, A.T @ data / noise**2, tuple(range(gaussians)))


def leading(system: System, columns: int) -> System:
    """The system of the first columns alone: the dense block of a lens light, and a smaller source."""
    dense = tuple(index for index in system.dense if index < columns)
    return System(
        f"{system.name}, {columns} columns", system.Q[:columns, :columns], system.q[:columns], dense
    )


def lanes_of(systems: Sequence[System], lanes: int) -> list[tuple[System, ...]]:
    """Batches of `lanes` different systems that share size and dense block."""
    families: dict[tuple[int, tuple[int, ...]], list[System]] = {}
    for system in systems:
        families.setdefault((system.K, system.dense), []).append(system)
    return [tuple(family[:lanes]) for family in families.values() if len(family) >= lanes]
