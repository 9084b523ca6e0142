"""How well an answer satisfies the optimality (KKT) conditions of a positive-only solve, in NumPy float64."""

import numpy as np

_AT_BOUND = 1e-9


def kkt_residuals(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> tuple[float, float, float, int]:
    """Relative residuals of the optimality conditions of min ½xᵀQx - qᵀx, x >= 0, and the number of zeros.

    In Jacobi-scaled variables, so that they do not depend on the units of the unknowns. With
    D = diag(Q)^(-1/2), y = x/D, g = D(Qx - q), Y = max|y| and c = max(Dq): max(-y)+ / Y; max(-g)+ / c; and
    the largest over i of min(|y_i| / Y, |g_i| / c), zero where each is at its bound or has no gradient.

    Parameters
    ----------
    Q
        (K, K) symmetric positive definite.
    q, x
        (K,) right-hand side and answer.

    Returns
    -------
    tuple
        Primal infeasibility, dual infeasibility, complementarity; unknowns at most 1e-9 of the largest.
    """
    Q, q, x = (np.asarray(array, dtype=np.float64) for array in (Q, q, x))
    scale = 1.0 / np.sqrt(np.diagonal(Q))
    size = x / scale
    gradient = scale * (Q @ x - q)
    size = size / _positive_or_one(np.max(np.abs(size)))
    gradient = gradient / _positive_or_one(np.max(scale * q))
    return (
        float(np.max(np.maximum(-size, 0.0))),
        float(np.max(np.maximum(-gradient, 0.0))),
        float(np.max(np.minimum(np.abs(size), np.abs(gradient)))),
        int(np.count_nonzero(at_bound(Q, x))),
    )


def scaled_norms(Q: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Norms of DQD (Frobenius) and Dq with D = diag(Q)^(-1/2), which no scaling of the unknowns changes."""
    Q, q = np.asarray(Q, dtype=np.float64), np.asarray(q, dtype=np.float64)
    scale = 1.0 / np.sqrt(np.diagonal(Q))
    return float(np.linalg.norm(Q * scale[:, None] * scale[None, :])), float(np.linalg.norm(scale * q))


def at_bound(Q: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(K,) bool, which unknowns are at their bound: at most 1e-9 of the largest, Jacobi-scaled."""
    Q, x = np.asarray(Q, dtype=np.float64), np.asarray(x, dtype=np.float64)
    size = x * np.sqrt(np.diagonal(Q))
    return np.asarray(size <= _AT_BOUND * _positive_or_one(np.max(np.abs(size))))


def _positive_or_one(value: float) -> float:
    return 1.0 if value <= 0.0 else value
