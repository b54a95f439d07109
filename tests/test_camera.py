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


# -- perspective crops ---------------------------------------------------------------------------

CAMERA = np.array([[500.0, 0.0, 159.5], [0.0, 500.0, 119.5], [0.0, 0.0, 1.0]])
INSIDE = st.tuples(
    st.floats(-40, 330), st.floats(-40, 250), st.floats(5, 150), st.floats(5, 150)
).map(np.array)


@given(st.floats(2, 300), st.floats(2, 300), PADDINGS, SIZES)
def test_a_perspective_crop_in_the_middle_is_the_affine_one(width, height, padding, size):
    box = np.array([159.5 - width / 2, 119.5 - height / 2, width, height])
    homography, rotation, camera = cam.perspective_crop(box, padding, size, CAMERA)
    affine = cam.crop_matrix(box, padding, size)
    assert rotation == pytest.approx(np.eye(3), abs=1e-12)
    assert homography == pytest.approx(affine, abs=1e-9 * size)
    assert camera == pytest.approx(cam.crop_intrinsics(affine, CAMERA), rel=1e-9, abs=1e-9 * size)


@given(INSIDE, PADDINGS, SIZES, SEEDS)
def test_a_perspective_crop_moves_pixels_as_its_camera_moves_points(box, padding, size, seed):
    rng = np.random.default_rng(seed)
    source, points = a_camera(rng), some_points(rng)
    source[:2, :2] = np.diag(rng.uniform(300, 900, 2))
    homography, rotation, camera = cam.perspective_crop(box, padding, size, source)
    seen = cam.project(points @ rotation.T, camera)
    moved = cam.transform_points(homography, cam.project(points, source))
    assert moved == pytest.approx(seen, rel=1e-6, abs=1e-6)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-12)
    assert np.linalg.det(rotation) == pytest.approx(1)
    assert homography[2] @ [*(box[:2] + box[2:] / 2), 1] > 0


@given(INSIDE, PADDINGS, SIZES)
def test_a_perspective_crop_holds_the_padded_box_and_no_more(box, padding, size):
    homography, _, _ = cam.perspective_crop(box, padding, size, CAMERA)
    x, y, w, h = box
    corners = [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]
    moved = cam.transform_points(homography, [*corners, [x + w / 2, y + h / 2]])
    middle = (size - 1) / 2
    assert moved[4] == pytest.approx([middle, middle], abs=1e-6)
    assert np.abs(moved[:4] - middle).max() == pytest.approx(size / 2 / padding)


def test_the_same_hand_looks_the_same_wherever_it_is():
    # Points on a sphere about the camera, in directions 25° apart: one turned camera each.
    hand = np.random.default_rng(0).normal(0, 0.03, (21, 3))
    views = []
    for angle in (0.0, np.deg2rad(25)):
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
        placed = (hand + np.array([0, 0, 0.8])) @ turn.T
        centre = cam.project([turn @ [0, 0, 0.8]], CAMERA)[0]
        box = np.array([*(centre - 40), 80, 80])
        _, rotation, _ = cam.perspective_crop(box, 1.2, 128, CAMERA)
        views.append(placed @ rotation.T)
    assert views[0] == pytest.approx(views[1], abs=1e-12)


def test_a_box_that_no_plane_image_shows():
    homography, rotation, camera = cam.perspective_crop(
        [[-22.0, 100, 5994, 20], [100, 100, 20, 20]], 1.0, 64, np.tile(CAMERA, (2, 1, 1))
    )
    assert np.isnan(homography[0]).all() and np.isnan(rotation[0]).all()
    assert np.isfinite(homography[1]).all() and np.isfinite(camera[1]).all()


@given(INSIDE, PADDINGS, SIZES, SEEDS)
def test_the_scale_of_a_perspective_crop_is_that_of_small_squares(box, padding, size, seed):
    homography, _, _ = cam.perspective_crop(box, padding, size, CAMERA)
    homography = cam.flip_matrix(size) @ homography * -3.0  # neither sign nor factor matters
    at = np.random.default_rng(seed).uniform(-0.5, size - 0.5, (4, 2))
    back = np.linalg.inv(homography)
    side = 1e-4
    square = at[:, None] + np.array([[0, 0], [side, 0], [0, side]])
    a, b, c = np.moveaxis(cam.transform_points(back, square), 1, 0)
    area = np.abs((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    expected = np.sqrt(side**2 / area)
    assert cam.crop_scale(homography, at) == pytest.approx(expected, rel=1e-3)


def test_scales_of_affine_and_perspective_crops_side_by_side():
    affine = cam.crop_matrix([10, 10, 64, 64], 1.0, 32)
    turned, _, _ = cam.perspective_crop([200, 30, 60, 60], 1.0, 32, CAMERA)
    both = np.stack([affine, turned])
    assert cam.crop_scale(affine) == cam.crop_scale(affine, [3.0, 4.0]) == 0.5
    assert np.isnan(cam.crop_scale(both)).tolist() == [False, True]
    scales = cam.crop_scale(both[:, None], np.zeros((2, 21, 2)))
    assert scales.shape == (2, 21)
    assert (scales[0] == 0.5).all() and np.isfinite(scales[1]).all()
