"""Critical curves of a lens model and their caustics, from where it takes points of the image plane."""

import contourpy
import numpy as np

# A line within so many steps of the grid is the model's central singularity, as the grid sees it.
_LEAST_STEPS = 6


def critical_curves(traced: np.ndarray, extent: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Lines on which the magnification is infinite, in the image plane and in the source plane.

    On a critical curve the determinant of the Jacobian of the lens mapping is zero. The mapping takes it to a
    caustic.

    Parameters
    ----------
    traced
        (rows, columns, 2) y and x in arcsec, in the source plane, of the middles of an even grid over the
        image, row 0 on top.
    extent
        (4,) left, right, bottom, top of the image in arcsec.

    Returns
    -------
    tuple of lists
        (n, 2) y and x in arcsec of each critical curve, and of each caustic. Empty where nothing was traced.
    """
    rows, columns = traced.shape[:2]
    if min(rows, columns) < 2:
        return [], []
    left, right, bottom, top = map(float, extent)
    y = top - (top - bottom) * (np.arange(rows) + 0.5) / rows
    x = left + (right - left) * (np.arange(columns) + 0.5) / columns
    dy, dx = np.gradient(traced, y, x, axis=(0, 1))
    determinant = dy[..., 0] * dx[..., 1] - dy[..., 1] * dx[..., 0]
    lines = contourpy.contour_generator(z=determinant).lines(0.0)
    found = [line for each in lines if np.ptp(line := np.asarray(each)[:, ::-1], axis=0).max() > _LEAST_STEPS]
    at = [(np.interp(line[:, 0], range(rows), y), np.interp(line[:, 1], range(columns), x)) for line in found]
    return [np.stack(each, axis=1) for each in at], [_between(traced, line) for line in found]


def _between(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(n, 2) `values` at fractional row and column numbers, linear between grid points."""
    rows, columns = values.shape[:2]
    row = np.clip(places[:, 0].astype(int), 0, rows - 2)
    column = np.clip(places[:, 1].astype(int), 0, columns - 2)
    down, across = (places[:, 0] - row)[:, None], (places[:, 1] - column)[:, None]
    upper = values[row, column] * (1 - across) + values[row, column + 1] * across
    lower = values[row + 1, column] * (1 - across) + values[row + 1, column + 1] * across
    return upper * (1 - down) + lower * down
