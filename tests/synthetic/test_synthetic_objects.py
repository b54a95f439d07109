from __future__ import annotations

import numpy as np
import pytest

from handbench.synthetic.anatomy import MEAN_SHAPE, HandPose, forward_kinematics
from handbench.synthetic.objects import Solid, held_object, occluder
from handbench.synthetic.poses import HOLDING, KEY_POSES


def check(solid: Solid) -> None:
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    centre = solid.vertices.mean(0)
    volume = np.einsum("ij,ij->i", a - centre, np.cross(b - centre, c - centre)).sum() / 6.0
    assert volume > 0.0
    np.testing.assert_allclose(np.linalg.norm(solid.normals, axis=-1), 1.0, atol=0.02)
    assert ((solid.vertices - centre) * solid.normals).sum(-1).min() > -1e-9
    assert (solid.colors > 0.0).all()
    assert (solid.colors <= 1.0).all()


@pytest.mark.parametrize("name", HOLDING)
def test_key_poses_hold_their_object(name: str) -> None:
    joints = forward_kinematics(HandPose.from_vector(KEY_POSES[name][1]), MEAN_SHAPE).keypoints
    held = held_object(np.random.default_rng(1), HOLDING[name], joints)
    assert held is not None
    check(held)
    # It is within reach of thumb and fingers, and no joint is buried in its middle.
    gap = np.linalg.norm(held.vertices[:, None] - joints[[4, 8, 12]][None], axis=-1).min(0)
    assert gap.min() < 0.03


def test_a_closed_hand_has_no_room_for_a_ball() -> None:
    joints = forward_kinematics(HandPose.from_vector(KEY_POSES["fist"][1])).keypoints
    assert held_object(np.random.default_rng(0), "ball", joints) is None


@pytest.mark.parametrize("seed", range(6))
def test_occluders_stand_between_camera_and_hand(seed: int) -> None:
    joints = forward_kinematics(HandPose.from_vector(KEY_POSES["open"][1])).keypoints
    joints = joints * (1.0, -1.0, -1.0) + (0.0, 0.09, 0.6)
    solid = occluder(np.random.default_rng(seed), joints)
    check(solid)
    assert solid.vertices.mean(0)[2] < joints[:, 2].min()


def test_moving_a_solid_moves_its_normals() -> None:
    joints = forward_kinematics(HandPose.from_vector(KEY_POSES["fist"][1])).keypoints
    solid = held_object(np.random.default_rng(0), "stick", joints)
    assert solid is not None
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    moved = solid.moved(turn, np.array([0.0, 0.0, 2.0]))
    np.testing.assert_allclose(moved.vertices, solid.vertices @ turn.T + (0.0, 0.0, 2.0))
    np.testing.assert_allclose(moved.normals, solid.normals @ turn.T)
