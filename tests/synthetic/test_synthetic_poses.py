from __future__ import annotations

import numpy as np
import pytest

from handbench.hand import chirality
from handbench.synthetic.anatomy import (
    ANGLE_MAX,
    ANGLE_MIN,
    MEAN_SHAPE,
    HandPose,
    forward_kinematics,
    sample_shape,
    within_limits,
)
from handbench.synthetic.poses import HOLDING, KEY_POSES, sample_pose


def keypoints(name: str) -> np.ndarray:
    return forward_kinematics(within_limits(HandPose.from_vector(KEY_POSES[name][1]))).keypoints


@pytest.fixture(scope="module")
def drawn() -> list[tuple[HandPose, np.ndarray]]:
    rng = np.random.default_rng(11)
    out = []
    for _ in range(200):
        shape = sample_shape(rng)
        pose, _ = sample_pose(rng, shape)
        out.append((pose, forward_kinematics(pose, shape).keypoints))
    return out


@pytest.mark.parametrize("name", KEY_POSES)
def test_key_poses_are_possible(name: str) -> None:
    vector = KEY_POSES[name][1]
    allowed = within_limits(HandPose.from_vector(vector)).to_vector()
    np.testing.assert_allclose(vector, allowed, atol=3.0)


@pytest.mark.parametrize(
    ("name", "tip"),
    [("pinch index", 8), ("pinch middle", 12), ("pinch ring", 16), ("pinch pinky", 20)],
)
def test_pinches_touch(name: str, tip: int) -> None:
    joints = keypoints(name)
    assert np.linalg.norm(joints[4] - joints[tip]) < 0.017


def test_a_fist_is_closed_and_an_open_hand_is_not() -> None:
    fist, open_hand = keypoints("fist"), keypoints("open")
    tips, knuckles = [8, 12, 16, 20], [5, 9, 13, 17]
    reach = lambda j: np.linalg.norm(j[tips] - j[knuckles], axis=-1).mean()  # noqa: E731
    assert reach(fist) < 0.5 * reach(open_hand)


def test_pointing_stretches_the_index_alone() -> None:
    joints = keypoints("pointing")
    stretched = np.linalg.norm(joints[[8, 12, 16, 20]] - joints[[5, 9, 13, 17]], axis=-1)
    assert stretched[0] > 1.8 * stretched[1:].max()


def test_drawn_poses_keep_the_joint_limits(drawn: list[tuple[HandPose, np.ndarray]]) -> None:
    vectors = np.array([pose.to_vector() for pose, _ in drawn])
    assert (vectors >= ANGLE_MIN - 1e-9).all()
    assert (vectors <= ANGLE_MAX + 1e-9).all()


def test_outer_joints_follow_the_middle_ones(drawn: list[tuple[HandPose, np.ndarray]]) -> None:
    vectors = np.array([pose.to_vector() for pose, _ in drawn])
    middle, outer = vectors[:, 4:15:3].ravel(), vectors[:, 5:15:3].ravel()
    assert np.corrcoef(middle, outer)[0, 1] > 0.85


def test_drawn_hands_are_right_hands(drawn: list[tuple[HandPose, np.ndarray]]) -> None:
    signs = chirality(np.array([joints for _, joints in drawn])) > 0
    assert signs.mean() > 0.9


def test_drawn_poses_differ(drawn: list[tuple[HandPose, np.ndarray]]) -> None:
    flexion = np.array([pose.flexion[1:, 1] for pose, _ in drawn])
    assert (flexion.std(0) > 20.0).all()
    assert (flexion.min(0) < 12.0).all()
    assert (flexion.max(0) > 85.0).all()


def test_bones_of_different_fingers_keep_apart(drawn: list[tuple[HandPose, np.ndarray]]) -> None:
    steps = np.linspace(0.0, 1.0, 9)[:, None]
    gaps = []
    for _, joints in drawn:
        chains = [
            np.concatenate(
                [joints[j] + steps * (joints[j + 1] - joints[j]) for j in (a + 1, a + 2)]
            )
            for a in (1, 5, 9, 13, 17)
        ]
        gaps += [
            np.linalg.norm(chains[a][:, None] - chains[b][None], axis=-1).min()
            for a in range(5)
            for b in range(a)
        ]
    assert np.quantile(gaps, 0.01) > 5e-3


def test_the_same_seed_gives_the_same_pose() -> None:
    first, second = (sample_pose(np.random.default_rng(4), MEAN_SHAPE) for _ in range(2))
    np.testing.assert_array_equal(first[0].to_vector(), second[0].to_vector())
    assert first[1] == second[1]


def test_objects_are_held_by_poses_that_exist() -> None:
    assert set(HOLDING) <= set(KEY_POSES)
