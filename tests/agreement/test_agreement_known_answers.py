"""Values worked out by hand beforehand: what the references must give before others are compared.

The same error at every joint of every sample; a mirrored hand; one joint's similarity; unequal
numbers of labels. The decoders' known answers are in ``tests/models/test_models_heatmaps.py``,
those of the vectorised functions in ``tests/test_metrics.py``.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from reference import alignment, auc3d, freihand, interhand, mmpose, oks, pixels
from reference.joint_errors import Floats, JointErrors

HANDS = 3


def offset(error: float, dimensions: int) -> tuple[Floats, Floats]:
    """Truth and a prediction that is off by `error` along x everywhere."""
    truth = np.zeros((HANDS, 21, dimensions))
    return truth, truth + np.eye(dimensions)[0] * error


@pytest.mark.parametrize(
    ("error_px", "mmpose_auc", "zb2d_auc"),
    [
        (0, 0.95, 1.0),
        (1, 0.95, 0.97368),
        (2, 0.90, 0.92105),
        (5, 0.80, 0.81579),
        (10, 0.65, 0.65789),
        (20, 0.30, 0.34211),
        (29, 0.00, 0.02632),
    ],
)
def test_areas_in_pixels(error_px: float, mmpose_auc: float, zb2d_auc: float) -> None:
    truth, prediction = offset(error_px, 2)
    everywhere = np.ones((HANDS, 21), dtype=bool)
    assert mmpose.auc(prediction, truth, everywhere) == pytest.approx(mmpose_auc, abs=1e-9)
    assert mmpose.epe(prediction, truth, everywhere) == error_px
    scores = pixels.zb2d(prediction, truth, everywhere)
    assert scores == pytest.approx(
        {"mean": error_px, "median": error_px, "auc": zb2d_auc}, abs=5e-6
    )


@pytest.mark.parametrize(
    ("error_mm", "freihand_auc", "percent_of_101"),
    [
        (0, 1.0, 100),
        (3, 0.94444, 94.5),
        (5, 0.90404, 90.5),
        (10, 0.80303, 80.5),
        (20, 0.60101, 60.5),
        (49, 0.01515, 2.5),
    ],
)
def test_areas_in_millimetres(error_mm: float, freihand_auc: float, percent_of_101: float) -> None:
    scores = freihand.keypoint_scores(*(list(hands / 1000) for hands in offset(error_mm, 3)))
    assert scores["kp"] == pytest.approx(error_mm)
    assert scores["kp_auc"] == pytest.approx(freihand_auc, abs=5e-6)
    assert scores["kp_root_auc"] == 1.0
    collected = JointErrors(1)
    for truth, prediction in zip(*offset(error_mm, 3)):
        collected.add(truth[:1], prediction[:1])
    assert 100 * collected.auc(0.0, 50.0, 101) == pytest.approx(percent_of_101)


@pytest.mark.parametrize("error_mm", [0.2, 7.3, 33.3, 49.9])
def test_freihand_area_in_closed_form(error_mm: float) -> None:
    scores = freihand.keypoint_scores(*(list(hands / 1000) for hands in offset(error_mm, 3)))
    reached = math.ceil(error_mm / (50 / 99))
    assert scores["kp_auc"] == pytest.approx((99.5 - reached) / 99)


@pytest.mark.parametrize(
    ("error_mm", "value"),
    [(0, 1.0), (3, 1.0), (5, 1.0), (10, 1.0), (20, 1.0), (31, 0.63333), (49, 0.03333)],
)
def test_areas_from_20_to_50(error_mm: float, value: float) -> None:
    truth, prediction = offset(error_mm, 3)
    prediction[:, 0] = 0.0
    # The wrist is given and always right; the other 20 joints are off.
    expected = (20 * value + 1) / 21
    assert auc3d.root_given(list(truth), list(prediction), 16) == pytest.approx(expected, abs=5e-6)


@pytest.mark.parametrize(
    ("sigma", "value"), [(0.029, 0.68964), (0.022, 0.52432), (0.047, 0.86808), (0.05, 0.88250)]
)
def test_similarity_of_one_joint(sigma: float, value: float) -> None:
    assert oks.similarity(5.0, sigma, 10_000.0) == pytest.approx(value, abs=5e-6)


def test_a_mirrored_hand_fits_only_where_reflections_are_allowed() -> None:
    errors = []
    for seed in range(40):
        truth = np.random.default_rng(seed).normal(size=(21, 3))
        mirrored = truth * [-1.0, 1.0, 1.0]
        np.testing.assert_allclose(alignment.official(truth, mirrored), truth, atol=1e-7)
        fitted = alignment.proper(truth, mirrored)
        errors.append(np.linalg.norm(fitted - truth, axis=1).mean())
    # 1.37 was published for one unknown seed.
    assert 0.5 < min(errors) < 1.37 < max(errors) < 2.0


def test_mean_of_joints_and_pool_differ_with_unequal_labels() -> None:
    truth = np.zeros((2, 2, 2))
    prediction = np.array([[[1.0, 0.0], [100.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    mask = np.array([[True, True], [True, False]])
    assert mmpose.pck(prediction, truth, mask, 10.0, np.ones((2, 2))) == 0.5
    assert mmpose.epe(prediction, truth, mask) == 34.0
    collected = JointErrors(2)
    for t, p, seen in zip(truth, prediction, mask):
        collected.add(t, p, seen.tolist())
    assert collected.mean_pck(10.0) == 0.5
    assert collected.mean() == 50.5
    pooled = JointErrors(1)
    for distance in (1.0, 1.0, 100.0):
        pooled.add(np.zeros((1, 2)), np.array([[distance, 0.0]]))
    assert pooled.mean_pck(10.0) == pytest.approx(0.6667, abs=5e-5)


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


def test_official_alignment_of_zeros_is_the_centre() -> None:
    truth = np.random.default_rng(0).normal(size=(21, 3))
    moved = alignment.official(truth, np.zeros((21, 3)))
    np.testing.assert_allclose(moved, truth.mean(axis=0) + 0 * truth, atol=1e-12)
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
