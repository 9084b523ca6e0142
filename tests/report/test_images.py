"""Values end up at the right place of a picture, and in the right colour."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from matrix.report.html.images import (
    Scale,
    Window,
    difference_scale,
    laid_out,
    on_nearest,
    on_rectangles,
    on_triangles,
    panel,
)


def test_pixels_lie_row_by_row_from_the_top_and_the_frame_is_cut() -> None:
    mask = np.ones((4, 5), dtype=bool)
    mask[1:3, 1:4] = False
    mask[1, 1] = True
    image = laid_out(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), mask)
    np.testing.assert_array_equal(image, [[np.nan, 1.0, 2.0], [3.0, 4.0, 5.0]])


def test_rectangles_are_sampled_where_they_are() -> None:
    window = Window(y=np.array([0.9, 0.1, -0.9, -2.0]), x=np.array([-2.0, -0.9, 0.5]))
    sampled = on_rectangles(np.array([1.0, 0.0, -1.0]), np.array([-1.0, 0.0, 1.0]), np.arange(4.0), window)
    nan = np.nan
    np.testing.assert_array_equal(sampled, [[nan, 0, 1], [nan, 0, 1], [nan, 2, 3], [nan, nan, nan]])


def test_triangles_reproduce_a_plane_and_end_at_the_hull() -> None:
    points = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    values = 2.0 * points[:, 0] - 3.0 * points[:, 1]
    window = Window(y=np.array([0.7, 2.0]), x=np.array([0.2]))
    np.testing.assert_allclose(on_triangles(points, values, window)[0, 0], 2 * 0.7 - 3 * 0.2)
    assert np.isnan(on_triangles(points, values, window)[1, 0])
    np.testing.assert_array_equal(on_nearest(points, np.arange(4), window)[:, 0], [2, 2])


@pytest.mark.parametrize(("widest", "limit"), [(1e-9, 0.01), (0.5, 0.5)])
def test_difference_scale_hides_rounding_but_no_difference(widest: float, limit: float) -> None:
    scale = difference_scale(np.array([-widest, 0.0, np.nan]), 0.01)
    assert (scale.low, scale.high) == (-limit, limit)


def test_png_has_the_colours_of_the_scale_and_lets_nan_through() -> None:
    made = panel("t", "a", np.array([[0.0, 1.0, np.nan]]), Scale("gray", 0.0, 1.0), "")
    image = Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGBA")
    assert [image.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0, 255), (254, 254, 254, 255)]
    assert image.getpixel((2, 0))[3] == 0  # type: ignore[index]
