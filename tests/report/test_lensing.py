"""Critical curves and caustics of lenses whose curves are known in closed form."""

import numpy as np
import pytest

from matrix.report.html.lensing import critical_curves

EXTENT = np.array([-3.0, 3.0, -2.0, 2.0])


def traced(b: float, shear: float, core: float) -> np.ndarray:
    """A softened isothermal sphere with external shear on an 80 × 120 grid, row 0 on top."""
    y = np.linspace(2.0, -2.0, 81)[:-1] - 0.025
    x = np.linspace(-3.0, 3.0, 121)[:-1] + 0.025
    y, x = np.meshgrid(y, x, indexing="ij")
    r = np.sqrt(x**2 + y**2 + core**2)
    return np.stack([y - b * y / r - shear * y, x - b * x / r + shear * x], axis=-1)


def test_isothermal_sphere_has_its_einstein_ring_and_a_point_behind_it() -> None:
    """β = θ (1 − b / |θ|): the ring |θ| = b, taken to the point β = 0."""
    (curve,), (caustic,) = critical_curves(traced(1.2, 0.0, 0.0), EXTENT)
    np.testing.assert_allclose(np.hypot(*curve.T), 1.2, atol=0.01)
    np.testing.assert_allclose(caustic, 0.0, atol=0.02)


def test_shear_moves_the_curve_outwards_along_its_axis_and_opens_the_caustic() -> None:
    """On the axes det A = (1 ± γ)(1 ∓ γ − b / r): r = b / (1 ∓ γ), and cusps at 2 b γ / (1 ± γ)."""
    b, gamma = 1.0, 0.1
    (curve,), (caustic,) = critical_curves(traced(b, gamma, 0.0), EXTENT)
    assert np.abs(curve[:, 1]).max() == pytest.approx(b / (1 - gamma), rel=0.1)
    assert np.abs(caustic[:, 0]).max() == pytest.approx(2 * b * gamma / (1 + gamma), rel=0.1)
    assert np.abs(caustic[:, 1]).max() == pytest.approx(2 * b * gamma / (1 - gamma), rel=0.1)


@pytest.mark.parametrize("nothing", [np.zeros((0, 0, 2)), np.zeros((1, 5, 2))])
def test_nothing_traced_has_no_curves(nothing: np.ndarray) -> None:
    assert critical_curves(nothing, EXTENT) == ([], [])
