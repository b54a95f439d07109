from __future__ import annotations

import numpy as np
import pytest
from generators.tiny_hdf5 import template
from hypothesis import given
from hypothesis import strategies as st

from handbench.camera import flip_points_3d
from handbench.scores.hand_geometry import (
    direction_deg,
    joints_occluded,
    joints_outside,
    view_deg,
)
from handbench.synthetic.anatomy import HandPose, forward_kinematics, rotation

ALL = np.ones((1, 21), dtype=bool)
# A relaxed right hand in the camera's axes: fingers down in the picture, palm to the camera.
RELAXED = forward_kinematics(
    HandPose(np.full((5, 3), 20.0), np.array([-5.0, 0.0, 5.0, 10.0]), np.zeros(2), 0.0, np.zeros(2))
).keypoints


def turned(axis: tuple[float, float, float], degrees: float) -> np.ndarray:
    return RELAXED @ rotation(np.array(axis), degrees).T


def centred(points: np.ndarray, centre: tuple[float, float, float]) -> np.ndarray:
    """The hand with the centre of its palm at `centre`."""
    return points - points[[0, 5, 9, 13, 17]].mean(axis=0) + np.array(centre)


@pytest.mark.parametrize(
    ("degrees", "expected"), [(0, 0.0), (90, 90.0), (180, 180.0), (-90, 270.0), (-45, 315.0)]
)
def test_direction_is_clockwise_from_up(degrees: float, expected: float) -> None:
    hand = np.zeros((1, 21, 2))
    a = np.radians(degrees)
    # Clockwise as seen on a screen, where y points down.
    hand[0, 9] = 40.0 * np.array([np.sin(a), -np.cos(a)])
    assert direction_deg(hand + 7.0, ALL) == pytest.approx(expected)


@given(degrees=st.floats(0.0, 359.0), size=st.floats(1.0, 500.0))
def test_turning_the_picture_turns_the_direction(degrees: float, size: float) -> None:
    hand = size * template()
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    start = direction_deg(hand[None], ALL)[0]
    after = direction_deg((hand @ turn.T)[None], ALL)[0]
    assert np.cos(np.radians(after - start - degrees)) == pytest.approx(1.0)


def test_direction_needs_wrist_and_middle_knuckle() -> None:
    hands = np.tile(template(), (4, 1, 1))
    valid = np.ones((4, 21), dtype=bool)
    valid[0, 0] = valid[1, 9] = False
    hands[0, 0] = np.nan
    hands[2] = 5.0
    assert np.isnan(direction_deg(hands, valid)).tolist() == [True, True, True, False]


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize(
    ("axis", "degrees", "expected"),
    [
        ((0.0, 1.0, 0.0), 0.0, 0.0),
        ((0.0, 1.0, 0.0), 180.0, 180.0),
        ((0.0, 1.0, 0.0), 90.0, 90.0),
        ((1.0, 0.0, 0.0), 50.0, 50.0),
        ((0.0, 0.0, 1.0), 130.0, 0.0),  # turning in the picture changes no view
    ],
)
def test_view_of_both_hands(
    axis: tuple[float, float, float], degrees: float, expected: float, left: bool
) -> None:
    hand = centred(turned(axis, degrees), (0.0, 0.0, 0.5))[None]
    if left:
        hand = flip_points_3d(hand)
    # The palm of the skeleton is plane to within a few degrees.
    assert view_deg(hand, ALL, [0 if left else 1])[0] == pytest.approx(expected, abs=6.0)
    assert view_deg(hand, ALL, [1 if left else 0])[0] == pytest.approx(180 - expected, abs=6.0)


def test_view_is_judged_along_the_ray_to_the_hand() -> None:
    straight = view_deg(centred(RELAXED, (0.0, 0.0, 0.5))[None], ALL, [1])[0]
    aside = view_deg(centred(RELAXED, (0.0, 0.5, 0.5))[None], ALL, [1])[0]
    # Parallel to the picture, but 45° off the axis.
    assert abs(aside - 45.0) <= straight + 1e-6
    # Turned towards the camera again.
    towards = rotation(np.array([1.0, 0.0, 0.0]), -45.0)
    again = view_deg((centred(RELAXED, (0.0, 0.0, 0.7)) @ towards.T)[None], ALL, [1])[0]
    assert again == pytest.approx(straight)


def test_view_is_unknown_where_the_labels_do_not_say() -> None:
    hands = np.tile(centred(RELAXED, (0.0, 0.0, 0.5)), (6, 1, 1))
    valid, side = np.ones((6, 21), dtype=bool), np.array([1, -1, 1, 1, 1, 1])
    valid[2, 13] = False
    hands[3] -= hands[3, 0]  # relative to the wrist: no camera to look from
    hands[3, :, 2] -= 0.1
    hands[4] = (0.0, 0.0, 0.5)
    hands[5] = np.nan
    valid[5] = False
    assert np.isnan(view_deg(hands, valid, side)).tolist() == [False, True, True, True, True, True]
    assert np.isnan(view_deg(None, valid, side)).all()


def test_joints_outside_the_image() -> None:
    hands = np.full((4, 21, 2), 10.0)
    valid = np.ones((4, 21), dtype=bool)
    hands[0, :3] = (-0.5, 39.5)  # on the edge of 30 wide, 40 high
    hands[1, :3] = [(-0.6, 5.0), (29.6, 5.0), (5.0, 39.6)]
    hands[2, :5] = (100.0, 100.0)
    valid[2, :2] = False
    hands[2, :2] = np.nan
    valid[3] = False
    counts = joints_outside(hands, valid, np.tile([40, 30], (4, 1)))
    np.testing.assert_array_equal(counts, [0, 3, 3, np.nan])


def test_joints_occluded() -> None:
    codes = np.full((5, 21), 2, dtype=np.uint8)
    codes[1, :7] = 1
    codes[2, :7] = 0
    codes[2, 7:9] = 1
    codes[3, :7] = 1
    codes[3, 20] = 255
    codes[4] = 0
    np.testing.assert_array_equal(joints_occluded(codes), [0, 7, 2, np.nan, np.nan])
