"""How good an answer is in upstream's terms: the metrics of autolens_profiling's study of solvers."""

from dataclasses import dataclass

import numpy as np

# Columns above this part of the largest are significant, the others inactive.
SIGNIFICANT = 1e-6


@dataclass(frozen=True)
class Metrics:
    """An answer against the reference; infinite where it is not finite.

    Attributes
    ----------
    significant
        Largest relative error of a column that is significant in the reference.
    source_flux
        |Σx - Σx'| / Σx' over the source's columns.
    inactive_flux
        Σ|x| over the columns that are inactive in the reference, relative to the reference's sum over all.
    kkt
        The largest of max(-x, 0) / X, max(-g, 0) / c and max|x g| / (X c), with g = Qx - q, X = max|x| and
        c = max|q|. Not scaled by diag(Q).
    """

    significant: float
    source_flux: float
    inactive_flux: float
    kkt: float


def metrics_of(
    Q: np.ndarray, q: np.ndarray, x: np.ndarray, reference: np.ndarray, lens_columns: int
) -> Metrics:
    """Judge x (K,) by a reference (K,); the source's are all columns from `lens_columns` on."""
    if not np.isfinite(x).all():
        return Metrics(*4 * (np.inf,))
    active = reference > SIGNIFICANT * reference.max()
    source = slice(lens_columns, None)
    # A diverged answer may be so large that its squares are not finite: then so is what is made of them.
    with np.errstate(over="ignore", invalid="ignore"):
        return Metrics(
            significant=float(np.max(np.abs(x - reference)[active] / reference[active])),
            source_flux=float(np.abs(np.sum(x[source] - reference[source]) / np.sum(reference[source]))),
            inactive_flux=float(np.abs(x[~active]).sum() / reference.sum()),
            kkt=_kkt(Q, q, x),
        )


def _kkt(Q: np.ndarray, q: np.ndarray, x: np.ndarray) -> float:
    gradient = Q @ x - q
    y, g = x / (np.abs(x).max() or 1.0), gradient / np.abs(q).max()
    return float(np.nan_to_num(np.max([-y, -g, np.abs(y * g)], initial=0.0), nan=np.inf))


def reference_of(Q: np.ndarray, q: np.ndarray) -> tuple[np.ndarray, int]:
    """The library's `fnnls_cholesky` from the signs of the unconstrained solution, and its outer steps."""
    from autoarray.util.fnnls import fnnls_cholesky

    stats: dict[str, int] = {}
    x = fnnls_cholesky(Q, q, P_initial=np.linalg.solve(Q, q) > 0, stats=stats)
    return np.asarray(x), int(stats["outer_iterations"])
