from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from generators.scored import make_truth

from handbench.scores.floor import mean_pose_3d
from handbench.scores.floor_scores import NAME, score_mean_pose
from handbench.scores.protocols import HANDBENCH, MMPOSE, find_protocol

RIGHT = np.ones(2, dtype=np.int8)


def two_hands() -> tuple[np.ndarray, np.ndarray]:
    """Two hands whose index tips are 1 and 3 cm to the right of their wrists."""
    points = np.zeros((2, 21, 3)) + np.array([[[0.1, 0.2, 0.5]], [[-0.3, 0.0, 0.7]]])
    points[0, 8, 0] += 0.01
    points[1, 8, 0] += 0.03
    return points, np.ones((2, 21), dtype=bool)


def test_the_mean_in_3d_is_from_the_wrist() -> None:
    mean = mean_pose_3d(*two_hands(), RIGHT)
    np.testing.assert_allclose(mean[0, 8], [0.02, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(mean[:, 0], 0.0)


def test_left_hands_in_3d_are_mirrored_and_mirrored_back() -> None:
    points, valid = two_hands()
    points[1, :, 0] *= -1
    mean = mean_pose_3d(points, valid, np.array([1, 0], dtype=np.int8))
    np.testing.assert_allclose(mean[:, 8, 0], [0.02, -0.02])


def test_hands_without_a_labelled_wrist_do_not_count_in_3d() -> None:
    points, valid = two_hands()
    valid[0, 0] = False
    mean = mean_pose_3d(points, valid, RIGHT)
    np.testing.assert_allclose(mean[:, 8, 0], 0.03)
    valid[1, 8] = False
    assert np.isnan(mean_pose_3d(points, valid, RIGHT)[:, 8]).all()


def test_equal_hands_leave_nothing_to_err() -> None:
    truth = make_truth(8)
    assert truth.keypoints_3d is not None
    same = replace(
        truth,
        keypoints=np.repeat(truth.keypoints[:1], 8, axis=0),
        bbox=np.repeat(truth.bbox[:1], 8, axis=0),
        # Elsewhere in space, which nobody can know.
        keypoints_3d=truth.keypoints_3d[:1] + np.linspace(0, 1, 8)[:, None, None],
    )
    metrics = score_mean_pose(same, [HANDBENCH]).results[0].metrics
    for name in ("EPE[px]", "MPJPE[mm,root=0]", "PA-MPJPE[mm]"):
        assert metrics[name].value == pytest.approx(0.0, abs=1e-6)
    assert metrics["AUC@0-0.2[tight,rule=exact]"].value == pytest.approx(1.0)
    assert metrics["MPJPE[mm,cam]"].value is None
    assert "frame_3d" in metrics["MPJPE[mm,cam]"].definition


def test_it_is_the_floor_that_the_protocol_reports() -> None:
    truth = make_truth(30)
    metrics = score_mean_pose(truth, [HANDBENCH]).results[0].metrics
    floors = [name for name in metrics if name.endswith(",of=mean-pose]")]
    assert floors
    for name in floors:
        plain = name.replace(",of=mean-pose", "")
        assert metrics[plain].value == pytest.approx(metrics[name].value)


def test_a_box_without_area_is_left_out() -> None:
    truth = make_truth(10)
    bbox = truth.bbox.copy()
    bbox[3, 2] = 0.0
    found = score_mean_pose(replace(truth, bbox=bbox), [MMPOSE]).results[0]
    assert found.samples["expected"] == found.samples["predicted"] == 9


def test_curves_and_other_protocols_have_it_too() -> None:
    truth = make_truth(10)
    evaluation = score_mean_pose(truth, [MMPOSE, find_protocol("freihand")])
    assert evaluation.errors.about["model"]["name"] == NAME
    assert set(evaluation.results[0].curves) == {"PCK[px,cmp=lt]"}
    assert set(evaluation.results[1].curves) == {
        "PCK[mm,pa-reflect]",
        "PCK[mm,pa]",
        "PCK[mm,root=0]",
    }
