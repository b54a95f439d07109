from __future__ import annotations

import numpy as np
import pytest

from handbench.synthetic.anatomy import (
    MEAN_SHAPE,
    NUM_ANGLES,
    REST_SPREAD_DEG,
    HandPose,
    finger_bone,
    forward_kinematics,
    rest_joints,
    sample_shape,
)
from handbench.synthetic.field import finger_field, hand_field
from handbench.synthetic.poses import KEY_POSES, sample_pose
from handbench.synthetic.surface import (
    FOREARM_END_MM,
    MASK_END_MM,
    NUM_VERTS,
    forearm_tube,
    skin,
    template,
    vertex_normals,
)


def rest_pose() -> HandPose:
    vector = np.zeros(NUM_ANGLES)
    vector[15:19] = REST_SPREAD_DEG[1:]
    return HandPose.from_vector(vector)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


def winding(point: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> float:
    """How often a mesh surrounds a point (van Oosterom & Strackee, 1983)."""
    a, b, c = (vertices[faces[:, k]] - point for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    triple = np.einsum("ij,ij->i", a, np.cross(b, c))
    below = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return float(2.0 * np.arctan2(triple, below).sum() / (4.0 * np.pi))


def test_every_rest_joint_lies_inside_the_skin() -> None:
    joints, _ = rest_joints(MEAN_SHAPE)
    assert (hand_field(joints * 1e3) < -2.0).all()


def test_fingertips_end_just_beyond_the_tip_keypoint() -> None:
    joints, _ = rest_joints(MEAN_SHAPE)
    for finger in range(5):
        tip, last = joints[4 * finger + 4] * 1e3, joints[4 * finger + 3] * 1e3
        outwards = (tip - last) / np.linalg.norm(tip - last)
        steps = np.linspace(0.0, 12.0, 121)
        inside = finger_field(tip + steps[:, None] * outwards, finger) < 0.0
        assert 2.0 < steps[inside].max() < 8.0


def test_the_template_is_one_skin_open_only_at_the_arm() -> None:
    mesh = template()
    edges = np.sort(mesh.faces[:, [(0, 1), (1, 2), (2, 0)]].reshape(-1, 2), axis=1)
    pairs, uses = np.unique(edges, axis=0, return_counts=True)
    rim = np.unique(pairs[uses == 1])
    np.testing.assert_allclose(mesh.vertices[rim, 1] * 1e3, FOREARM_END_MM, atol=1e-3)
    assert uses.max() == 2
    # V - E + F of a sphere with one hole
    assert len(mesh.vertices) - len(pairs) + len(mesh.faces) == 1
    assert 2.5e-4 < volume(mesh.vertices, mesh.faces) < 5e-4  # cubic metres; outward faces
    away = vertex_normals(mesh.vertices, mesh.faces) - mesh.normals
    np.testing.assert_allclose(away, 0.0, atol=1e-6)


def test_weights_are_shares_and_smooth() -> None:
    mesh = template()
    np.testing.assert_allclose(mesh.weights.sum(-1), 1.0)
    assert (mesh.weights >= 0.0).all()
    jump = np.abs(mesh.weights[mesh.faces[:, 0]] - mesh.weights[mesh.faces[:, 1]]).sum(-1)
    assert np.quantile(jump, 0.999) < 1.0


def test_points_are_distinct_spread_out_and_on_the_hand() -> None:
    mesh = template()
    assert mesh.points.shape == (NUM_VERTS,)
    assert len(np.unique(mesh.points)) == NUM_VERTS
    points = mesh.vertices[mesh.points] * 1e3
    assert points[:, 1].min() > MASK_END_MM
    gap = np.linalg.norm(points[:, None] - points[None], axis=-1)
    np.fill_diagonal(gap, np.inf)
    assert gap.min() > 3.0
    nearest = np.linalg.norm(
        (mesh.vertices[mesh.vertices[:, 1] * 1e3 > MASK_END_MM] * 1e3)[:, None] - points[None],
        axis=-1,
    ).min(1)
    assert nearest.max() < 8.0


def test_rest_pose_and_mean_shape_give_the_template() -> None:
    posed = skin(forward_kinematics(rest_pose()), MEAN_SHAPE)
    np.testing.assert_allclose(posed, template().vertices, atol=1e-9)


def test_a_fingertip_moves_rigidly_with_its_bone() -> None:
    mesh = template()
    skeleton = forward_kinematics(HandPose.from_vector(KEY_POSES["cylinder grasp"][1]))
    posed = skin(skeleton, MEAN_SHAPE)
    for finger in range(5):
        bone = finger_bone(finger, 2 if finger == 0 else 3)
        held = mesh.weights[:, bone] > 0.9999
        assert held.sum() > 50
        expected = mesh.vertices[held] @ skeleton.rotations[bone].T + skeleton.translations[bone]
        np.testing.assert_allclose(posed[held], expected, atol=2e-5)


@pytest.mark.parametrize("name", ["fist", "thumb up", "pinch index", "hook"])
def test_bending_keeps_the_volume(name: str) -> None:
    mesh = template()
    posed = skin(forward_kinematics(HandPose.from_vector(KEY_POSES[name][1])), MEAN_SHAPE)
    assert volume(posed, mesh.faces) == pytest.approx(volume(mesh.vertices, mesh.faces), rel=0.06)


def test_joints_stay_inside_the_skin_in_drawn_poses() -> None:
    rng = np.random.default_rng(8)
    mesh = template()
    for _ in range(6):
        shape = sample_shape(rng)
        pose, _ = sample_pose(rng, shape)
        skeleton = forward_kinematics(pose, shape)
        posed = skin(skeleton, shape)
        around = [winding(joint, posed, mesh.faces) for joint in skeleton.keypoints]
        # The open arm takes a little from 1; where fingers press into each other it is 2.
        assert min(around) > 0.8


def test_a_longer_phalanx_moves_skin_and_joint_alike() -> None:
    rng = np.random.default_rng(2)
    shape = sample_shape(rng)
    skeleton = forward_kinematics(rest_pose(), shape)
    posed = skin(skeleton, shape)
    tips, _ = rest_joints(MEAN_SHAPE)
    for tip in (4, 8, 12, 16, 20):
        nearest = np.linalg.norm(template().vertices - tips[tip], axis=-1).argsort()[:8]
        moved = np.linalg.norm(posed[nearest] - skeleton.keypoints[tip], axis=-1)
        before = np.linalg.norm(template().vertices[nearest] - tips[tip], axis=-1)
        np.testing.assert_allclose(moved, before, atol=1.5e-3)


def test_the_arm_continues_the_template() -> None:
    skeleton = forward_kinematics(HandPose.from_vector(KEY_POSES["open"][1]))
    tube, faces, rest = forearm_tube(skeleton, MEAN_SHAPE)
    assert len(tube) == len(rest) == faces.max() + 1
    rim = np.abs(template().vertices[:, 1] * 1e3 - FOREARM_END_MM) < 1e-3
    hand = skin(skeleton, MEAN_SHAPE)[rim]
    gap = np.linalg.norm(hand[:, None] - tube[None], axis=-1).min(1)
    assert gap.max() < 5e-3
    centre = tube.mean(0)
    outwards = (vertex_normals(tube, faces) * (tube - centre)).sum(-1)
    assert (outwards > 0).mean() > 0.95
