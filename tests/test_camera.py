from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench import camera as cam

BOXES = st.tuples(
    st.floats(-300, 600), st.floats(-300, 600), st.floats(5, 900), st.floats(5, 900)
).map(np.array)
PADDINGS = st.floats(0.5, 3.0)
SIZES = st.integers(16, 512)
SEEDS = st.integers(0, 2**32 - 1)


def a_camera(rng: np.random.Generator) -> np.ndarray:
    fx, fy = rng.uniform(200, 1500, 2)
    return np.array(
        [[fx, rng.uniform(-3, 3), rng.uniform(0, 640)], [0, fy, rng.uniform(0, 480)], [0, 0, 1]]
    )


def some_points(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform([-0.3, -0.3, 0.3], [0.3, 0.3, 1.5], (21, 3))


def test_projection_by_hand():
    camera = [[500.0, 2.0, 112.0], [0.0, 400.0, 100.0], [0.0, 0.0, 1.0]]
    # 500·0.2 + 2·0.1 + 112·2 over 2, and 400·0.1 + 100·2 over 2
    found = cam.project([[0.2, 0.1, 2.0]], camera)
    assert found.tolist() == [[(100 + 0.2 + 224) / 2, (40 + 200) / 2]]


def test_projection_broadcasts_one_camera_over_many_hands():
    rng = np.random.default_rng(0)
    hands, camera = np.stack([some_points(rng) for _ in range(4)]), a_camera(rng)
    all_at_once = cam.project(hands, camera)
    assert all_at_once.shape == (4, 21, 2)
    assert np.array_equal(all_at_once[2], cam.project(hands[2], camera))


def test_unlabelled_points_stay_nan_without_a_warning():
    points = np.full((2, 21, 3), np.nan)
    assert np.isnan(cam.project(points, np.eye(3))).all()
    assert np.isnan(cam.transform_points(np.eye(3), points[..., :2])).all()
    assert np.isnan(cam.project([[0.0, 0.0, 0.0]], np.eye(3))).all()


@given(BOXES, PADDINGS, SIZES, SEEDS)
def test_projecting_after_the_crop_is_cropping_after_the_projection(box, padding, size, seed):
    rng = np.random.default_rng(seed)
    points, camera = some_points(rng), a_camera(rng)
    crop = cam.crop_matrix(box, padding, size)
    cropped = cam.transform_points(crop, cam.project(points, camera))
    projected = cam.project(points, cam.crop_intrinsics(crop, camera))
    assert np.abs(cropped - projected).max() < 1e-4


@given(BOXES, PADDINGS, SIZES)
def test_a_crop_is_the_square_about_the_box_edge_to_edge(box, padding, size):
    crop = cam.crop_matrix(box, padding, size)
    centre, side = box[:2] + box[2:] / 2, padding * max(box[2:])
    corners = np.stack([centre - side / 2, centre + side / 2])
    moved = cam.transform_points(crop, corners)
    assert moved == pytest.approx(np.array([[-0.5] * 2, [size - 0.5] * 2]), abs=1e-9 * size * 300)


@given(BOXES, PADDINGS, SIZES)
def test_a_crop_neither_turns_nor_stretches(box, padding, size):
    crop = cam.crop_matrix(box, padding, size)
    assert crop[0, 1] == crop[1, 0] == 0
    assert crop[0, 0] == crop[1, 1] > 0
    assert cam.crop_scale(crop) == pytest.approx(size / (padding * max(box[2:])))


@given(BOXES, BOXES, PADDINGS, SIZES, SIZES, SEEDS)
def test_a_crop_of_a_crop_is_one_crop(first, second, padding, size, smaller, seed):
    points = np.random.default_rng(seed).uniform(-100, 700, (21, 2))
    one = cam.crop_matrix(first, padding, size)
    two = cam.crop_matrix(second, 1.0, smaller)
    step_by_step = cam.transform_points(two, cam.transform_points(one, points))
    at_once = cam.transform_points(two @ one, points)
    assert step_by_step == pytest.approx(at_once, rel=1e-9, abs=1e-6)
    assert cam.crop_scale(two @ one) == pytest.approx(cam.crop_scale(one) * cam.crop_scale(two))


def test_resizing_keeps_edges_not_centres():
    # 100 px to 50 px: x' = (x + 1/2) / 2 - 1/2, so pixel centre 0 goes to -1/4.
    crop = cam.crop_matrix([-0.5, -0.5, 100, 100], 1.0, 50)
    assert cam.transform_points(crop, [[0.0, 99.0]])[0].tolist() == [-0.25, 49.25]


def test_crops_come_in_batches():
    boxes = np.array([[0, 0, 10, 20], [5, 5, 30, 10.0]])
    batch = cam.crop_matrix(boxes, 1.5, 64)
    assert batch.shape == (2, 3, 3)
    for box, crop in zip(boxes, batch):
        assert np.array_equal(crop, cam.crop_matrix(box, 1.5, 64))


@given(SEEDS, st.integers(1, 1000))
def test_flipping_twice_is_the_identity(seed, width):
    rng = np.random.default_rng(seed)
    flip = cam.flip_matrix(width)
    assert np.array_equal(flip @ flip, np.eye(3))
    camera, points = a_camera(rng), some_points(rng)
    twice = cam.flip_camera(cam.flip_camera(camera, width), width)
    assert twice == pytest.approx(camera, abs=1e-9)
    assert np.array_equal(cam.flip_points_3d(cam.flip_points_3d(points)), points)


@given(SEEDS, st.integers(1, 1000))
def test_flipped_points_project_to_flipped_pixels(seed, width):
    rng = np.random.default_rng(seed)
    camera, points = a_camera(rng), some_points(rng)
    flipped = cam.project(cam.flip_points_3d(points), cam.flip_camera(camera, width))
    expected = cam.project(points, camera)
    expected[:, 0] = width - 1 - expected[:, 0]
    assert flipped == pytest.approx(expected, abs=1e-6)
    assert cam.flip_camera(camera, width)[0, 0] > 0


def test_the_scale_of_a_mirrored_crop_is_positive():
    crop = cam.flip_matrix(64) @ cam.crop_matrix([0, 0, 128, 128], 1.0, 64)
    assert cam.crop_scale(crop) == pytest.approx(0.5)


def test_keypoint_box_uses_labelled_points_only():
    points = np.array([[[1.0, 2.0], [5.0, 8.0], [100.0, -100.0], [np.nan, np.nan]]])
    valid = np.array([[True, True, False, False]])
    assert cam.keypoint_box(points, valid).tolist() == [[1, 2, 4, 6]]
    assert np.isnan(cam.keypoint_box(points, np.zeros((1, 4), bool))).all()


def test_image_box_makes_the_identity_crop():
    box = cam.image_box(np.array([224]), np.array([224]))
    assert box.tolist() == [[-0.5, -0.5, 224, 224]]
    assert np.array_equal(cam.crop_matrix(box, 1.0, 224)[0], np.eye(3))
