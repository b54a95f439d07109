from __future__ import annotations

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.scores.floor import mean_pose
from handbench.scores.protocols import HANDBENCH
from handbench.scores.scoring import score

RIGHT = np.ones(2, dtype=np.int8)


def two_hands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One joint at a quarter and at three quarters of its box; all others in the middle."""
    boxes = np.array([[0.0, 0.0, 100.0, 50.0], [200.0, 100.0, 40.0, 80.0]])
    inside = np.full((2, 21, 2), 0.5)
    inside[0, 4] = [0.25, 0.5]
    inside[1, 4] = [0.75, 0.0]
    points = boxes[:, None, :2] + inside * boxes[:, None, 2:]
    return points, np.ones((2, 21), dtype=bool), boxes


def test_the_mean_of_two_hands_is_placed_in_each_box() -> None:
    points, valid, boxes = two_hands()
    placed = mean_pose(points, valid, boxes, RIGHT)
    np.testing.assert_allclose(placed[0, 4], [50.0, 12.5])
    np.testing.assert_allclose(placed[1, 4], [220.0, 120.0])
    np.testing.assert_allclose(placed[:, 0], [[50.0, 25.0], [220.0, 140.0]])


def test_left_hands_are_averaged_as_right_ones_and_mirrored_back() -> None:
    points, valid, boxes = two_hands()
    placed = mean_pose(points, valid, boxes, np.array([1, 0], dtype=np.int8))
    np.testing.assert_allclose(placed[0, 4], [25.0, 12.5])
    np.testing.assert_allclose(placed[1, 4], [230.0, 120.0])


def test_unlabelled_joints_and_empty_boxes_do_not_count() -> None:
    points, valid, boxes = two_hands()
    points[0, 4] = np.nan
    valid[0, 4] = valid[0, 7] = valid[1, 7] = False
    placed = mean_pose(points, valid, boxes, RIGHT)
    np.testing.assert_allclose(placed[0, 4], [75.0, 0.0])
    assert np.isnan(placed[:, 7]).all()
    boxes[1, 2] = 0.0
    placed = mean_pose(points, valid, boxes, RIGHT)
    assert np.isnan(placed[1]).all()


def test_the_floor_does_not_depend_on_the_model() -> None:
    truth = make_truth(15)
    names = [name for name in map(str, HANDBENCH.metrics_2d) if "of=mean-pose" in name]
    good = score(make_predictions(truth, 1.0), truth, [HANDBENCH]).results[0].metrics
    bad = score(make_predictions(truth, 30.0, rows=slice(3, 9)), truth, [HANDBENCH]).results[0]
    assert len(names) == 11
    for name in names:
        assert good[name].value == pytest.approx(bad.metrics[name].value)
        assert good[name].value is not None
