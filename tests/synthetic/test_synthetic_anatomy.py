from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handbench.hand import FINGERS, bone_lengths, chirality
from handbench.synthetic.anatomy import (
    ANGLE_MAX,
    ANGLE_MIN,
    MEAN_SHAPE,
    NUM_ANGLES,
    HandPose,
    forward_kinematics,
    rest_joints,
    rotation,
    sample_shape,
    within_limits,
)

seeds = st.integers(0, 2**31)


def pose_of(**angles: float) -> HandPose:
    vector = np.zeros(NUM_ANGLES)
    for index, value in angles.items():
        vector[int(index[1:])] = value
    return HandPose.from_vector(vector)


def random_pose(rng: np.random.Generator) -> HandPose:
    return HandPose.from_vector(rng.uniform(ANGLE_MIN, ANGLE_MAX))


@given(seeds)
@settings(max_examples=20, derandomize=True, deadline=None)
def test_phalanges_keep_their_length_in_every_pose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = sample_shape(rng)
    posed = forward_kinematics(random_pose(rng), shape).keypoints
    rest, _ = rest_joints(shape)
    phalanges = [4 * finger + k for finger in range(5) for k in (1, 2, 3)]
    np.testing.assert_allclose(
        bone_lengths(posed)[phalanges], bone_lengths(rest)[phalanges], atol=1e-12
    )


@given(seeds)
@settings(max_examples=30, derandomize=True, deadline=None)
def test_drawn_hands_have_human_proportions(seed: int) -> None:
    rest, _ = rest_joints(sample_shape(np.random.default_rng(seed)))
    lengths = bone_lengths(rest) * 1e3
    assert 79.0 <= lengths[8] <= 95.5  # wrist to middle MCP
    assert 19.7 <= lengths[9] <= 35.0  # middle proximal phalanx, FreiHAND's `scale`
    tips = np.array([lengths[4 * f + 1 : 4 * f + 4].sum() for f in range(1, 5)])
    assert tips.argmax() == 1  # the middle finger is the longest
    assert tips.argmin() == 3  # the little finger the shortest


def test_bones_turn_without_stretching() -> None:
    skeleton = forward_kinematics(random_pose(np.random.default_rng(3)))
    R = skeleton.rotations
    np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.tile(np.eye(3), (21, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(R), 1.0)


@pytest.mark.parametrize("finger", [1, 2, 3, 4])
@pytest.mark.parametrize("joint", [0, 1, 2])
def test_flexion_moves_the_tip_towards_the_palm(finger: int, joint: int) -> None:
    straight = forward_kinematics(pose_of()).keypoints
    bent = forward_kinematics(pose_of(**{f"_{3 * finger + joint}": 40.0})).keypoints
    tip = 4 * finger + 4
    assert bent[tip, 2] < straight[tip, 2] - 5e-3  # the palm faces -z
    unmoved = 4 * finger + 1 + joint
    np.testing.assert_allclose(bent[: unmoved + 1], straight[: unmoved + 1])


def test_spread_leads_towards_the_little_finger() -> None:
    straight = forward_kinematics(pose_of()).keypoints
    spread = forward_kinematics(pose_of(_15=8.0)).keypoints
    assert spread[8, 0] > straight[8, 0]
    direction = straight[8] - straight[5]
    assert abs(np.arctan2(direction[0], direction[1])) < np.deg2rad(1.0)  # 0 means along +y


def test_thumb_comes_out_of_the_palm_and_across_it() -> None:
    straight = forward_kinematics(pose_of()).keypoints
    across = forward_kinematics(pose_of(_0=30.0)).keypoints
    out = forward_kinematics(pose_of(_19=40.0)).keypoints
    assert across[4, 0] > straight[4, 0] + 0.02
    assert out[4, 2] < straight[4, 2] - 0.02


def test_wrist_bends_the_arm_and_leaves_the_hand() -> None:
    straight, bent = (forward_kinematics(pose_of(_22=angle)) for angle in (0.0, 50.0))
    np.testing.assert_array_equal(straight.keypoints, bent.keypoints)
    elbow = bent.rotations[0] @ np.array([0.0, -0.2, 0.0]) + bent.translations[0]
    assert elbow[2] < -0.1  # towards the palm's side


def test_a_bent_hand_is_a_right_hand() -> None:
    curled = np.zeros(NUM_ANGLES)
    curled[3:15] = 40.0
    assert chirality(forward_kinematics(HandPose.from_vector(curled)).keypoints) > 0


def test_fingers_lie_from_thumb_to_little_finger() -> None:
    rest, _ = rest_joints(MEAN_SHAPE)
    tips = [rest[joints[3], 0] for joints in FINGERS.values()]
    assert tips == sorted(tips)


def test_angles_survive_the_vector() -> None:
    vector = np.arange(NUM_ANGLES, dtype=np.float64)
    np.testing.assert_array_equal(HandPose.from_vector(vector).to_vector(), vector)


@given(seeds)
@settings(max_examples=30, derandomize=True, deadline=None)
def test_limits_hold_and_change_nothing_twice(seed: int) -> None:
    wild = HandPose.from_vector(np.random.default_rng(seed).normal(0.0, 90.0, NUM_ANGLES))
    once = within_limits(wild)
    vector = once.to_vector()
    tolerance = 1e-9
    assert (vector >= ANGLE_MIN - tolerance).all()
    assert (vector <= ANGLE_MAX + tolerance).all()
    np.testing.assert_allclose(within_limits(once).to_vector(), vector)


def test_bent_knuckles_cannot_spread() -> None:
    vector = np.zeros(NUM_ANGLES)
    vector[15:19] = (-24.0, -14.0, 16.0, 36.0)
    open_hand = within_limits(HandPose.from_vector(vector)).spread
    vector[3:15:3] = 85.0
    fist = within_limits(HandPose.from_vector(vector)).spread
    assert np.ptp(fist) < 0.5 * np.ptp(open_hand)


def test_rotation_follows_the_right_hand_rule() -> None:
    turned = rotation(np.array([0.0, 0.0, 1.0]), 90.0) @ np.array([1.0, 0.0, 0.0])
    np.testing.assert_allclose(turned, [0.0, 1.0, 0.0], atol=1e-15)
