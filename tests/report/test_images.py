"""Values end up at the right place of a picture, and in the right colour."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from matrix.report.html.images import (
    ColourScale,
    Field,
    Window,
    bright_square,
    difference_scale,
    dirty_scale,
    image_from,
    on_nearest,
    on_rectangles,
    on_triangles,
    panel,
)
from matrix.report.html.pictures import _in_noise


def test_pixels_lie_row_by_row_from_the_top_and_the_frame_is_cut() -> None:
    mask = np.ones((4, 5), dtype=bool)
    mask[1:3, 1:4] = False
    mask[1, 1] = True
    image = image_from(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), mask)
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
    made = panel("t", "a", np.array([[0.0, 1.0, np.nan]]), ColourScale("gray", 0.0, 1.0), "")
    image = Image.open(io.BytesIO(base64.b64decode(made.uri.partition(",")[2]))).convert("RGBA")
    assert [image.getpixel((x, 0)) for x in range(2)] == [(0, 0, 0, 255), (254, 254, 254, 255)]
    assert image.getpixel((2, 0))[3] == 0  # type: ignore[index]


def test_scale_of_a_dirty_image_is_symmetric_and_holds_its_lowest_value() -> None:
    scale = dirty_scale(np.array([[-46223.0, 30000.0, np.nan]]))
    assert (scale.low, scale.high) == (-46223.0, 46223.0)
    np.testing.assert_allclose(scale.fractions(np.array([-46223.0, 0.0, 46223.0])), [0.0, 0.5, 1.0])


def test_window_is_about_the_light_and_no_haze_or_stray_pixel_moves_it() -> None:
    steps = np.linspace(-2.0, 2.0, 401)
    window = Window(y=-steps, x=steps)
    y, x = np.meshgrid(window.y, window.x, indexing="ij")
    source = np.exp(-((y - 0.5) ** 2 + (x + 0.25) ** 2) / (2 * 0.1**2))
    alone = bright_square(source, window)
    assert (alone.y, alone.x) == pytest.approx((0.5, -0.25), abs=0.01)
    # Squared it is a Gaussian of 0.1 / √2; 80 % of it are within 1.617 of that, where erf(z / √2)² = 0.8.
    assert alone.half == pytest.approx(2.5 * 1.617 * 0.1 / np.sqrt(2), rel=0.05)
    spoilt = source + 0.02
    spoilt[10, 390] = 0.9
    hazy = bright_square(spoilt, window)
    assert (hazy.y, hazy.x) == pytest.approx((0.5, -0.25), abs=0.02)
    assert hazy.half < 1.6 * alone.half
    assert alone.window(0.3).field.width == pytest.approx(0.6)


def test_ticks_are_round_and_lie_inside() -> None:
    field = Field(-3.5, 3.5, -0.34, 0.34)
    assert field.ticks_x == [(-2.0, "−2″"), (0.0, "0″"), (2.0, "2″")]
    assert [words for _, words in field.ticks_y] == ["−0.2″", "0″", "0.2″"]


def test_a_pixel_without_a_known_error_is_left_blank() -> None:
    with np.errstate(all="raise"):
        found = _in_noise(np.array([2.0, 0.0, 1.0, 3.0]), np.array([4.0, 0.0, np.nan, -1.0]))
    np.testing.assert_array_equal(found, [0.5, np.nan, np.nan, np.nan])
