"""Values worked out by hand beforehand: what the references must give before others are compared.

Each answer stands once: what the vectorised functions have to give is worked out in
``tests/test_metrics.py``, and the references are held to these functions here; the decoders' known
answers are in ``tests/models/test_models_heatmaps.py``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from reference import alignment, auc3d, freihand, interhand, mmpose, oks, pixels
from reference.joint_errors import Floats, JointErrors

from handbench import metrics

HANDS = 3


def offset(error: float, dimensions: int) -> tuple[Floats, Floats]:
    """Truth and a prediction that is off by `error` along x everywhere."""
    truth = np.zeros((HANDS, 21, dimensions))
    return truth, truth + np.eye(dimensions)[0] * error


@pytest.mark.parametrize("error", [0, 0.2, 1, 2, 3, 5, 7.3, 10, 20, 29, 31, 33.3, 49, 49.9])
def test_areas_are_those_worked_out_for_the_metrics(error: float) -> None:
    """The answers themselves stand once, in ``tests/test_metrics.py``."""
    same = np.full((HANDS, 21), float(error))
    truth, prediction = offset(error, 2)
    everywhere = np.ones((HANDS, 21), dtype=bool)
    area = metrics.auc(same, 0, 30, rule="left", n=20, cmp="lt")
    assert mmpose.auc(prediction, truth, everywhere) == pytest.approx(area, abs=1e-9)
    assert mmpose.epe(prediction, truth, everywhere) == pytest.approx(error)
    area = metrics.auc(same, 0, 30, rule="trapz", n=20)
    scores = pixels.zb2d(prediction, truth, everywhere)
    assert scores == pytest.approx({"mean": error, "median": error, "auc": area}, abs=1e-9)
    scores = freihand.keypoint_scores(*(list(hands / 1000) for hands in offset(error, 3)))
    assert scores["kp"] == pytest.approx(error)
    assert scores["kp_auc"] == pytest.approx(metrics.auc(same, 0, 50, rule="trapz", n=100))
    assert scores["kp_root_auc"] == 1.0
    collected = JointErrors(1)
    for truth, prediction in zip(*offset(error, 3)):
        collected.add(truth[:1], prediction[:1])
    area = metrics.auc(same, 0, 50, rule="trapz", n=101, avg="pool")
    assert collected.auc(0.0, 50.0, 101) == pytest.approx(area)
    truth, prediction = offset(error, 3)
    prediction[:, 0] = 0.0
    # The wrist is given and always right; the other 20 joints are off.
    area = (20 * metrics.auc(same, 20, 50, rule="trapz", n=16) + 1) / 21
    assert auc3d.root_given(list(truth), list(prediction), 16) == pytest.approx(area)


@pytest.mark.parametrize(
    ("sigma", "value"), [(0.029, 0.68964), (0.022, 0.52432), (0.047, 0.86808), (0.05, 0.88250)]
)
def test_similarity_of_one_joint(sigma: float, value: float) -> None:
    assert oks.similarity(5.0, sigma, 10_000.0) == pytest.approx(value, abs=5e-6)


def test_mean_of_joints_and_pool_differ_with_unequal_labels() -> None:
    """By joint and pooled, as ``tests/test_metrics.py`` has worked it out."""
    truth = np.zeros((2, 2, 2))
    prediction = np.array([[[1.0, 0.0], [100.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    mask = np.array([[True, True], [True, False]])
    errors = np.array([[1.0, 100.0], [1.0, np.nan]])
    by_joint = metrics.pck(errors, 10, avg="joint")
    assert mmpose.pck(prediction, truth, mask, 10.0, np.ones((2, 2))) == by_joint
    assert mmpose.epe(prediction, truth, mask) == metrics.epe(errors, avg="pool")
    collected = JointErrors(2)
    for t, p, seen in zip(truth, prediction, mask):
        collected.add(t, p, seen.tolist())
    assert collected.mean_pck(10.0) == by_joint
    assert collected.mean() == metrics.epe(errors, avg="joint")
    pooled = JointErrors(1)
    for distance in (1.0, 1.0, 100.0):
        pooled.add(np.zeros((1, 2)), np.array([[distance, 0.0]]))
    assert pooled.mean_pck(10.0) == pytest.approx(metrics.pck(errors, 10, avg="pool"))


def test_boxes_of_zero_are_dropped_and_negative_ones_are_always_right() -> None:
    truth, prediction = offset(50.0, 2)
    everywhere = np.ones((HANDS, 21), dtype=bool)
    boxes = np.array([[0, 0, 100, 80], [0, 0, 0, 0], [0, 0, -5, -9]], dtype=float)
    assert mmpose.pck_of_boxes(prediction, truth, everywhere, 0.4, boxes) == 0.5
    nothing = np.zeros((HANDS, 4))
    assert mmpose.pck_of_boxes(prediction, truth, everywhere, 0.4, nothing) == 0.0
    # x and y are divided by their own size before the distance is taken.
    sizes = np.array([[1000.0, 1.0]] * HANDS)
    assert mmpose.pck(prediction, truth, everywhere, 0.06, sizes) == 1.0


def test_a_distance_on_the_threshold_is_wrong_for_mmpose_and_right_for_hint() -> None:
    truth, prediction = offset(20.0, 2)
    everywhere = np.ones((HANDS, 21), dtype=bool)
    boxes = np.tile([0.0, 0.0, 100.0, 50.0], (HANDS, 1))
    assert mmpose.pck_of_boxes(prediction, truth, everywhere, 0.2, boxes) == 0.0
    assert pixels.hint_pck(prediction, truth, everywhere, boxes, 0.2) == 1.0
    assert math.isnan(pixels.hint_pck(prediction, truth, ~everywhere, boxes, 0.2))


def test_f_score_by_brute_force() -> None:
    rng = np.random.default_rng(0)
    truth, prediction = rng.normal(0, 0.01, (40, 3)), rng.normal(0, 0.01, (25, 3))
    far = [min(math.dist(t, p) for p in prediction) for t in truth]
    back = [min(math.dist(t, p) for t in truth) for p in prediction]
    recall = sum(distance < 0.005 for distance in far) / 40
    precision = sum(distance < 0.005 for distance in back) / 25
    expected = 2 * precision * recall / (precision + recall)
    assert freihand.f_score(truth, prediction, 0.005) == pytest.approx(expected)
    assert freihand.f_score(truth, truth + 1.0, 0.005) == 0.0
    # A point at exactly the threshold is too far.
    assert freihand.f_score(np.zeros((1, 3)), np.array([[0.25, 0.0, 0.0]]), 0.25) == 0.0


def test_a_mesh_of_another_topology_loses_its_size() -> None:
    rng = np.random.default_rng(0)
    joints, mesh = rng.normal(0, 0.04, (21, 3)), rng.normal(0, 0.04, (30, 3))
    predicted, far = 3.0 * joints + 0.5, 3.0 * mesh + 0.5
    fit = alignment.official_transform(joints, predicted)
    moved = alignment.move_mesh(far, fit)
    # A right prediction of three times the size: its mesh should become `mesh`, but it is
    # multiplied by the truth's size and never divided by its own.
    size = np.linalg.norm(joints - joints.mean(axis=0))
    middle = far.mean(axis=0)
    expected = size * (far - middle) + middle + joints.mean(axis=0) - predicted.mean(axis=0)
    np.testing.assert_allclose(moved, expected, atol=1e-7)


def test_scale_and_wrist_of_zeros_is_the_wrist() -> None:
    truth = np.random.default_rng(0).normal(size=(21, 3))
    kept = alignment.scale_and_wrist(truth, np.zeros((21, 3)), 0, 9)
    np.testing.assert_array_equal(kept, truth[0] + 0 * truth)


def test_interhand_means() -> None:
    """One single right hand and one pair, every joint but the wrists off by 3 and by 6 mm."""
    hand: Floats = np.zeros((42, 3))
    hand[21:, 0] = 100.0

    def image(kind: str, error: float, valid: npt.NDArray[np.bool_]) -> interhand.Image:
        wrong = hand + np.array([0.0, error, 0.0])
        wrong[[20, 41]] = hand[[20, 41]]
        wrong[41] += [0.0, 0.0, 4.0]
        return interhand.Image(hand, wrong, valid, kind, probabilities=(0.9, 0.2))

    right = np.arange(42) < 21
    both = np.ones(42, dtype=bool)
    images = [image("right", 3.0, right), image("interacting", 6.0, both)]
    off_root = math.hypot(6.0, 4.0)
    official = interhand.official_mpjpe(images)
    assert official["single"] == pytest.approx(20 * 3 / 21)
    assert official["interacting"] == pytest.approx((20 * 6 + 20 * off_root) / 42)
    assert official["all"] == pytest.approx((20 * 4.5 + 20 * off_root) / 42)
    pooled = interhand.pooled_mpjpe(images)
    assert pooled["all"] == pytest.approx((20 * 3 + 20 * 6 + 20 * off_root) / 63)
    assert interhand.mrrpe(images) == pytest.approx(4.0)
    assert interhand.handedness_accuracy(images) == 0.5
    without_wrist = both & (np.arange(42) != 20)
    left_alone = interhand.official_mpjpe([image("interacting", 6.0, without_wrist)])
    assert left_alone["all"] == pytest.approx(20 * off_root / 21)
    assert math.isnan(interhand.mrrpe([image("interacting", 6.0, without_wrist)]))


def test_average_precision_by_hand() -> None:
    """Two photos, three hands; a perfect find, a false one in between, a perfect one last."""
    labelled = np.ones(21, dtype=bool)
    places = [np.full((21, 2), x) for x in (0.0, 500.0, 1000.0)]
    hands = [
        oks.Hand("a", places[0], labelled, 900.0),
        oks.Hand("a", places[1], labelled, 900.0),
        oks.Hand("b", places[2], labelled, 900.0),
    ]
    found = [
        oks.Detection("a", places[0], 0.9),
        oks.Detection("b", places[0], 0.8),
        oks.Detection("b", places[2], 0.7),
    ]
    # Precision 1 up to recall 1/3 (34 of 101 points), 2/3 up to recall 2/3 (33 points), then 0.
    assert oks.average_precision(hands, found) == pytest.approx((34 + 33 * 2 / 3) / 101)
    # A second find of a hand that is taken is false.
    twice = [found[0], oks.Detection("a", places[0], 0.5)]
    assert oks.average_precision(hands[:1], twice) == pytest.approx(1.0)
    assert oks.average_precision(hands[:1], twice[::-1]) == pytest.approx(1.0)
    assert oks.average_precision(hands, []) == 0.0
