from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.scores.evidence import Hands, find, metres, sampled
from handbench.scores.matching import Matched, match
from handbench.scores.slips_3d import mirror_repairs, wrong_axes, wrong_root, wrong_unit

TRUTH = make_truth(30)
assert TRUTH.keypoints_3d is not None
POINTS = TRUTH.keypoints_3d


def sample_of(points: np.ndarray, frame_3d: str = "camera", **more: Any) -> tuple[Matched, Hands]:
    predictions = make_predictions(
        TRUTH, 0.0, keypoints=None, keypoints_3d=points, frame_3d=frame_3d, **more
    )
    sample = sampled(match(predictions, TRUTH))
    hands = metres(sample)
    assert hands is not None
    return sample, hands


def from_root(joint: int) -> np.ndarray:
    return POINTS - POINTS[:, [joint]]


# --- units ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("factor", "what", "advice"),
    [
        (1000, "in millimetres", 'divide by 1,000 or set "unit": "mm" (or --assume unit=mm'),
        (100, "in centimetres", "divide by 100"),
        (0.001, "divided by 1,000 once too often", 'multiply by 1,000 or set "unit": "m"'),
    ],
)
def test_units_are_told_with_the_size_that_was_found(factor: float, what: str, advice: str) -> None:
    said = wrong_unit(sample_of(factor * POINTS)[1])
    assert said is not None
    across = np.median(np.linalg.norm(np.ptp(POINTS, axis=1), axis=-1))
    assert said.startswith(
        f"3D keypoints seem to be {what}: expected hands {across:.2f} m across as in the truth, "
        f"found {factor * across:.3g} m; "
    )
    assert advice in said


@pytest.mark.parametrize("factor", [0.3, 0.7, 1.0, 1.5, 4.0])
def test_hands_of_about_the_right_size_have_no_unit_to_doubt(factor: float) -> None:
    assert wrong_unit(sample_of(factor * POINTS)[1]) is None


def test_the_right_shape_at_an_impossible_size_is_a_factor_and_noise_is_not() -> None:
    said = wrong_unit(sample_of(from_root(9) / 0.028, "root:middle_mcp")[1])
    assert said is not None
    assert "impossible size" in said
    assert "units of a bone" in said
    noise = np.random.default_rng(0).normal(0, 0.5, POINTS.shape)
    assert wrong_unit(sample_of(POINTS + noise)[1]) is None
    assert wrong_unit(sample_of(1e-9 * noise)[1]) is None


def test_one_labelled_joint_has_no_size() -> None:
    valid = TRUTH.valid_3d.copy()
    valid[:, 1:] = False
    predictions = make_predictions(TRUTH, 0.0, keypoints=None)
    hands = metres(sampled(match(predictions, replace(TRUTH, valid_3d=valid))))
    assert hands is not None
    assert wrong_unit(hands) is None


# --- roots ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved", "where", "root"),
    [
        (from_root(0), "wrist at the origin", "wrist"),
        (from_root(12), "middle_tip at the origin", "middle_tip"),
        (POINTS - POINTS.mean(axis=1, keepdims=True), "the mean of all joints at", "wrist"),
        (POINTS - [0.0, 0.0, 0.62], "no joint at the origin", "wrist"),
    ],
    ids=["wrist", "fingertip", "mean", "elsewhere"],
)
def test_relative_hands_declared_as_absolute(moved: np.ndarray, where: str, root: str) -> None:
    said = wrong_root(*sample_of(moved))
    assert said is not None
    depth, reach = np.median(POINTS[..., 2]), np.quantile(np.linalg.norm(moved, axis=-1), 0.99)
    assert f"expected hands at a depth of about {depth:.2f} m" in said
    assert f"all joints within {reach:.2f} m of the camera and {where}" in said
    assert f'"frame_3d": "root:{root}"' in said
    assert f"--assume frame_3d=root:{root}" in said


def test_a_joint_at_the_origin_is_told_of_near_hands_too() -> None:
    near = POINTS - [0.0, 0.0, 0.4]
    truth = replace(TRUTH, keypoints_3d=near)
    predictions = make_predictions(truth, 0.0, keypoints=None, keypoints_3d=from_root(0))
    sample = sampled(match(predictions, truth))
    hands = metres(sample)
    assert hands is not None
    said = wrong_root(sample, hands)
    assert said is not None
    assert "wrist at the origin" in said
    honest = sampled(match(make_predictions(truth, keypoints=None), truth))
    honest_hands = metres(honest)
    assert honest_hands is not None
    assert wrong_root(honest, honest_hands) is None


def test_a_mesh_that_stayed_in_camera_space_is_remarked() -> None:
    vertices = np.repeat(POINTS, 2, axis=1)
    truth = replace(TRUTH, vertices=vertices.astype(np.float32))
    for meshes, remarked in ((vertices, True), (vertices - POINTS[:, :1], False)):
        predictions = make_predictions(
            truth, 0.0, keypoints=None, keypoints_3d=from_root(0), vertices=meshes
        )
        sample = sampled(match(predictions, truth))
        hands = metres(sample)
        assert hands is not None
        said = wrong_root(sample, hands)
        assert said is not None
        assert said.endswith(
            "the vertices are in camera space, as in files that HaMeR exports"
        ) is (remarked)


def test_hands_relative_to_another_root_than_declared() -> None:
    said = wrong_root(*sample_of(from_root(9), "root:wrist"))
    assert said is not None
    away = np.median(np.linalg.norm(POINTS[:, 0] - POINTS[:, 9], axis=-1))
    assert said == (
        "3D keypoints are declared relative to wrist, so it is expected at the origin, but found "
        f'{away:.2f} m away while middle_mcp is there: set "frame_3d": "root:middle_mcp"'
    )


@pytest.mark.parametrize("declared", ["root:wrist", "root:middle_mcp", "root:centre"])
def test_absolute_hands_declared_as_relative(declared: str) -> None:
    said = wrong_root(*sample_of(POINTS, declared))
    assert said is not None
    assert re.search(r"but found 0\.[56]\d m away: if they are in camera space", said)
    assert said.startswith(f"3D keypoints are declared relative to {declared[5:]}, ")


@pytest.mark.parametrize(
    ("points", "declared"),
    [
        (from_root(0), "root:wrist"),
        (from_root(9), "root:middle_mcp"),
        (POINTS - POINTS.mean(axis=1, keepdims=True), "root:centre"),
        (from_root(0) + np.random.default_rng(0).normal(0, 0.02, POINTS.shape), "root:wrist"),
        (POINTS, "camera"),
        (POINTS + np.random.default_rng(0).normal(0, 0.3, POINTS.shape), "camera"),
        (np.zeros_like(POINTS) + 1e-4 * POINTS, "camera"),
    ],
)
def test_roots_that_are_as_declared(points: np.ndarray, declared: str) -> None:
    assert wrong_root(*sample_of(points, declared)) is None


# --- axes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("noise_m", [0.0, 0.01])
def test_opengl_axes_in_camera_space_and_from_a_root(noise_m: float) -> None:
    noise = np.random.default_rng(0).normal(0, noise_m, POINTS.shape)
    opengl = np.array([1.0, -1.0, -1.0])
    said = wrong_axes(*sample_of((POINTS + noise) * opengl))
    assert said is not None
    before = 1000 * np.linalg.norm((POINTS + noise) * opengl - POINTS, axis=-1).mean()
    after = 1000 * np.linalg.norm(noise, axis=-1).mean()
    assert (
        f"OpenGL axes: MPJPE in camera space goes from {before:.1f} to {after:.1f} mm when y and z "
        "are negated"
    ) in said
    assert 'set "axes": "opengl" (or --assume axes=opengl' in said
    said = wrong_axes(*sample_of((from_root(0) + noise) * opengl, "root:wrist"))
    assert said is not None
    assert "OpenGL axes: MPJPE of centred hands goes from" in said


def test_hands_behind_the_camera_are_in_opengl_axes_however_wrong_their_depth() -> None:
    far = 6 * POINTS
    said = wrong_axes(*sample_of(far * [1.0, -1.0, -1.0]))
    assert said is not None
    assert "seem to be in OpenGL axes" in said
    assert wrong_axes(*sample_of(far)) is None


def test_hands_behind_the_camera_may_lack_one_sign_alone() -> None:
    said = wrong_axes(*sample_of(POINTS * [1.0, 1.0, -1.0]))
    assert said is not None
    depth = np.median(POINTS[..., 2])
    assert said == (
        f"3D hands lie behind the camera: expected z of about {depth:.2f} m, found {-depth:.2f} m; "
        "negate z"
    )


@pytest.mark.parametrize("noise_m", [0.0, 0.02, 0.3])
def test_axes_of_honest_models(noise_m: float) -> None:
    noise = np.random.default_rng(1).normal(0, noise_m, POINTS.shape)
    assert wrong_axes(*sample_of(POINTS + noise)) is None
    assert wrong_axes(*sample_of(from_root(0) + noise, "root:wrist")) is None
    assert wrong_axes(*sample_of(1e-3 * (from_root(0) + noise))) is None


def test_a_truth_behind_the_camera_makes_no_axes_of_the_prediction() -> None:
    """Labels relative to their root have no depth to compare with."""
    truth = replace(TRUTH, keypoints_3d=from_root(0) - [0.0, 0.0, 0.5])
    predictions = make_predictions(truth, 5.0, keypoints=None)
    sample = sampled(match(predictions, truth))
    hands = metres(sample)
    assert hands is not None
    assert wrong_axes(sample, hands) is None


# --- mirror images --------------------------------------------------------------------------------


@pytest.mark.parametrize(("axis", "name"), [(0, "x"), (1, "y"), (2, "z")])
def test_mirror_images_name_the_axis(axis: int, name: str) -> None:
    signs = np.ones(3)
    signs[axis] = -1
    hands = sample_of(from_root(0) * signs, "root:wrist")[1]
    found = find(hands, mirror_repairs(hands))
    assert found is not None
    assert found.repair.what == "mirrored"
    assert found.repair.advice.startswith(f"negate {name}")
    assert ("images flipped" in found.repair.advice) == (name == "x")
    assert found.after == pytest.approx(0, abs=1e-6)


def test_a_mirrored_hand_that_is_also_turned_names_no_axis() -> None:
    angle = np.radians(50)
    turn = np.array(
        [
            [np.cos(angle), 0.0, np.sin(angle)],
            [0.0, 1.0, 0.0],
            [-np.sin(angle), 0.0, np.cos(angle)],
        ]
    )
    hands = sample_of(from_root(0) * [-1.0, 1.0, 1.0] @ turn.T @ turn.T, "root:wrist")[1]
    found = find(hands, mirror_repairs(hands))
    assert found is not None
    assert found.repair.advice.startswith("negate one axis")


@pytest.mark.parametrize("noise_m", [0.0, 0.01, 0.05, 0.2])
def test_noise_is_no_mirror_image(noise_m: float) -> None:
    noise = np.random.default_rng(2).normal(0, noise_m, POINTS.shape)
    hands = sample_of(POINTS + noise)[1]
    assert find(hands, mirror_repairs(hands)) is None


def test_collapsed_hands_have_no_mirror_image() -> None:
    assert mirror_repairs(sample_of(from_root(0) * 0.1 + [0.0, 0.0, 0.6])[1]) == []
