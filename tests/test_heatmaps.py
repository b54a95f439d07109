from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench import heatmaps
from handbench.errors import HandbenchError

ALL = np.ones((1, 1), dtype=bool)


def one(x: float, y: float) -> np.ndarray:
    return np.array([[[x, y]]])


def test_center_grid_puts_cell_0_between_its_pixels() -> None:
    # Four pixels 0…3 have their middle at 1.5; cell 10 spans pixels 40…43.
    np.testing.assert_array_equal(heatmaps.to_pixels(np.array([0.0, 10.0]), 4), [1.5, 41.5])


def test_corner_grid_puts_cell_i_at_i_strides() -> None:
    np.testing.assert_array_equal(heatmaps.to_pixels(np.array([0.0, 10.0]), 4, "corner"), [0, 40])


@given(st.floats(-500, 500), st.sampled_from([1, 2, 4, 8]), st.sampled_from(heatmaps.GRIDS))
def test_to_pixels_inverts_to_grid(pixel: float, stride: int, grid: heatmaps.Grid) -> None:
    there = heatmaps.to_grid(np.array([pixel]), stride, grid)
    assert heatmaps.to_pixels(there, stride, grid) == pytest.approx([pixel])


def test_targets_are_the_formula_at_the_unrounded_centre() -> None:
    x, y = 20.3, 30.8
    centre = heatmaps.to_pixels(one(x, y), 4)
    maps = heatmaps.gaussian_targets(centre, ALL, (224, 224))
    rows, columns = np.mgrid[:56, :56]
    expected = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 2.0**2))
    assert maps.shape == (1, 1, 56, 56)
    assert maps.dtype == np.float32
    np.testing.assert_allclose(maps[0, 0], expected, atol=1e-6)
    assert np.unravel_index(maps[0, 0].argmax(), (56, 56)) == (31, 20)


def test_rows_are_y_and_columns_are_x() -> None:
    maps = heatmaps.gaussian_targets(one(8.0, 40.0), ALL, (64, 32), stride=1, sigma=1.0)
    assert maps.shape == (1, 1, 64, 32)
    assert maps[0, 0, 40, 8] == 1.0


def test_mirrored_points_give_mirrored_maps_on_the_center_grid() -> None:
    points = np.array([[[37.2, 90.0], [200.9, 11.1]]])
    valid = np.ones((1, 2), dtype=bool)
    mirrored = points * [-1, 1] + [223, 0]
    maps = heatmaps.gaussian_targets(points, valid, (224, 224))
    flipped = heatmaps.gaussian_targets(mirrored, valid, (224, 224))
    np.testing.assert_allclose(flipped, maps[..., ::-1], atol=1e-6)


def test_unlabelled_joints_have_empty_maps_and_no_weight() -> None:
    points = np.array([[[40.0, 40.0], [np.nan, np.nan], [40.0, 40.0]]])
    valid = np.array([[True, True, False]])
    maps = heatmaps.gaussian_targets(points, valid, (64, 64))
    weights = heatmaps.target_weights(points, valid, (64, 64))
    np.testing.assert_array_equal(weights, [[1, 0, 0]])
    assert maps[0, 0].max() > 0.9
    assert not maps[0, 1:].any()


def test_a_gaussian_weighs_until_it_leaves_the_map() -> None:
    # Sigma 2 at stride 4: three sigma are 6 cells. The last cell of 16 is number 15.
    cells = np.array([[[-6.0, 5.0], [-6.1, 5.0], [21.0, 5.0], [21.1, 5.0], [5.0, 21.1]]])
    points = heatmaps.to_pixels(cells, 4)
    valid = np.ones((1, 5), dtype=bool)
    weights = heatmaps.target_weights(points, valid, (64, 64))
    np.testing.assert_array_equal(weights, [[1, 0, 1, 0, 0]])
    maps = heatmaps.gaussian_targets(points, valid, (64, 64))
    np.testing.assert_array_equal(maps.any(axis=(2, 3)), weights > 0)


def test_far_cells_are_exactly_zero() -> None:
    maps = heatmaps.gaussian_targets(one(20.0, 20.0), ALL, (224, 224))
    assert (maps == 0).mean() > 0.8
    assert maps[maps > 0].min() > np.finfo(np.float32).tiny


def test_sides_must_be_whole_cells() -> None:
    with pytest.raises(HandbenchError, match="multiples of 4, found 226×224"):
        heatmaps.gaussian_targets(one(1.0, 1.0), ALL, (226, 224))


def test_an_unknown_grid_is_refused() -> None:
    with pytest.raises(HandbenchError, match="center, corner, found 'middle'"):
        heatmaps.to_grid(one(1.0, 1.0), 4, "middle")  # type: ignore[arg-type]
