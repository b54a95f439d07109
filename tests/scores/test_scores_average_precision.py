from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.hand import NUM_JOINTS
from handbench.predictions.record import Predictions
from handbench.scores.average_precision import (
    MAX_DETECTIONS,
    WHOLEBODY_SIGMAS,
    areas,
    oks_ap,
    similarity,
)
from handbench.scores.matching import match
from handbench.scores.names import parse
from handbench.scores.truth import Truth

PERSON = parse("OKS-AP[person]")


def hands(count: int = 8, **changes: Any) -> Truth:
    """Right and left hands in turn, a photo each, on persons of 90,000 px²."""
    sides = (np.arange(count) % 2 == 0).astype(np.int8)
    changes = {"is_right": sides, "person_area_px2": np.full(count, 90_000.0)} | changes
    return make_truth(count, **changes)


def average_precision(truth: Truth, predictions: Predictions, name: str = "OKS-AP") -> float:
    return oks_ap(match(predictions, truth), parse(name))


# --- similarity -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sigma", "value"), [(0.029, 0.68964), (0.022, 0.52432), (0.047, 0.86808), (0.05, 0.88250)]
)
def test_one_joint_five_pixels_off(sigma: float, value: float) -> None:
    found = similarity([[[3.0, 4.0]]], [[[0.0, 0.0]]], [[True]], [10_000.0], [sigma])
    assert found[0] == pytest.approx(value, abs=5e-6)


def test_the_mean_is_over_labelled_joints() -> None:
    truth = np.zeros((3, NUM_JOINTS, 2))
    found = truth.copy()
    found[:, 1:] = 1e4
    valid = np.zeros((3, NUM_JOINTS), dtype=bool)
    valid[0] = True
    valid[1, [0, 5, 7, 9]] = True
    scores = similarity(found, truth, valid, np.full(3, 400.0))
    assert scores[:2] == pytest.approx([1 / 21, 0.25])
    assert math.isnan(scores[2])


def test_the_published_sigmas() -> None:
    assert len(WHOLEBODY_SIGMAS) == NUM_JOINTS
    # Wrist, the thumb's tip, the pinky's tip.
    assert [WHOLEBODY_SIGMAS[joint] for joint in (0, 4, 20)] == [0.029, 0.047, 0.031]


# --- average precision ----------------------------------------------------------------------------


def test_perfect_is_one_and_far_away_is_nothing() -> None:
    truth = hands()
    perfect = make_predictions(truth, noise=0.0)
    assert average_precision(truth, perfect) == pytest.approx(1.0)
    assert average_precision(truth, make_predictions(truth, noise=500.0)) == 0.0
    assert average_precision(truth, replace(perfect, keypoints=None)) == 0.0


def test_missed_hands_lower_the_recall() -> None:
    truth = hands(8)
    # Rows 0-5: three of four right and three of four left hands.
    found = make_predictions(truth, noise=0.0, rows=np.arange(6))
    # Precision 1 up to recall 0.75: 76 of 101 points.
    assert average_precision(truth, found) == pytest.approx(76 / 101)
    right_only = make_predictions(truth, noise=0.0, rows=np.arange(0, 8, 2))
    assert average_precision(truth, right_only, "OKS-AP[hands=right]") == pytest.approx(1.0)
    assert average_precision(truth, right_only, "OKS-AP[hands=left]") == 0.0
    assert average_precision(truth, right_only) == pytest.approx(0.5)


def test_sides_are_averaged_however_many_hands_they_have() -> None:
    sides = np.array([1, 1, 1, 1, 1, 1, 0, 0], dtype=np.int8)
    truth = hands(8, is_right=sides)
    found = make_predictions(truth, noise=0.0, rows=np.arange(6))
    assert average_precision(truth, found) == pytest.approx(0.5)
    unknown = hands(8, is_right=np.full(8, -1, dtype=np.int8))
    assert average_precision(unknown, make_predictions(unknown, noise=0.0)) == pytest.approx(1.0)


def test_a_side_without_2d_labels_does_not_count() -> None:
    truth = hands(8)
    valid = truth.valid.copy()
    valid[1::2] = False
    right_only = replace(truth, valid=valid)
    found = make_predictions(truth, noise=0.0)
    assert average_precision(right_only, found) == pytest.approx(1.0)
    nothing = replace(truth, valid=np.zeros_like(valid))
    assert math.isnan(average_precision(nothing, found))


def test_areas_under_the_distances() -> None:
    truth = hands(4, hand_area_px2=np.full(4, 123.0))
    matched = match(make_predictions(truth), truth)
    assert areas(matched, PERSON).tolist() == [90_000.0] * 4
    assert areas(matched, parse("OKS-AP[mask]")).tolist() == [123.0] * 4
    box = truth.bbox[:, 2] * truth.bbox[:, 3]
    np.testing.assert_array_equal(areas(matched, parse("OKS-AP[hand]")), box)
    # The person is larger than the hand, so the same errors are forgiven more easily.
    found = make_predictions(truth, noise=6.0)
    assert average_precision(truth, found) > average_precision(truth, found, "OKS-AP[hand]")
    wide = average_precision(truth, found, "OKS-AP[hand,sigma=0.3]")
    assert wide > average_precision(truth, found, "OKS-AP[hand,sigma=0.02]")


def test_confidence_orders_true_and_false_finds() -> None:
    truth = hands(6, is_right=np.ones(6, dtype=np.int8), image_id=np.array(["p"] * 6))
    points = truth.keypoints.copy()
    points[3:] += 900.0
    sure = np.array([0.9, 0.9, 0.9, 0.1, 0.1, 0.1])
    right_first = make_predictions(truth, keypoints=points, score=sure)
    wrong_first = replace(right_first, score=1 - sure)
    assert average_precision(truth, right_first) == pytest.approx(51 / 101)
    assert average_precision(truth, wrong_first) < 51 / 101
    # Without the hand's confidence, the mean of its joints'; without any, the order is kept.
    by_joints = replace(right_first, score=None, scores=np.tile(1 - sure[:, None], (1, 21)))
    assert average_precision(truth, by_joints) == average_precision(truth, wrong_first)
    unsure = replace(right_first, score=np.where(sure > 0.5, sure, np.nan))
    assert average_precision(truth, unsure) == pytest.approx(51 / 101)


def test_of_predictions_with_one_id_the_first_counts_with_its_confidence() -> None:
    truth = hands(4, is_right=np.ones(4, dtype=np.int8))
    once = make_predictions(truth, noise=0.0)
    points = truth.keypoints.copy()
    points[2:] += 900.0
    # Sure where right; a second prediction of the same hands says the contrary.
    first = replace(once, keypoints=points, keypoints_3d=None, score=np.array([0.9, 0.9, 0.1, 0.1]))
    twice = replace(
        first,
        id=np.tile(first.id, 2),
        keypoints=np.tile(points, (2, 1, 1)),
        score=np.array([0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.9, 0.9]),
    )
    assert average_precision(truth, twice) == pytest.approx(average_precision(truth, first))


def test_extra_hands_of_known_photos_are_false_finds() -> None:
    sides = np.ones(4, dtype=np.int8)
    names = np.array(["a#0", "b#0", "c#0", "d/right"])
    truth = hands(
        4,
        is_right=sides,
        sample_id=names,
        image_id=np.array(["a", "b", "c", "d"]),
        known=frozenset(names.tolist()),
    )
    plain = make_predictions(truth, noise=0.0)
    assert plain.keypoints is not None

    def with_extra(name: str, side: int, **changes: Any) -> float:
        assert plain.keypoints is not None
        more = replace(
            plain,
            id=np.array([name, *names.tolist()]),
            keypoints=np.concatenate([plain.keypoints[:1] + 800, plain.keypoints]),
            keypoints_3d=None,
            is_right=np.array([side, *sides.tolist()], dtype=np.int8),
            **changes,
        )
        return average_precision(truth, more)

    assert with_extra("a#7", 1) < 0.9
    assert with_extra("d/left", 1) == pytest.approx(1.0)  # the id says left
    assert with_extra("a#7", 0) == pytest.approx(1.0)  # no left hand is asked for
    assert with_extra("zzz", 1) == pytest.approx(1.0)  # no such photo


def test_only_the_most_confident_of_a_photo_are_matched() -> None:
    count = MAX_DETECTIONS + 5
    truth = hands(
        count, is_right=np.ones(count, dtype=np.int8), image_id=np.array(["crowd"] * count)
    )
    spread = truth.keypoints + 1000.0 * np.arange(count)[:, None, None]
    truth = replace(truth, keypoints=spread)
    found = make_predictions(truth, noise=0.0)
    reached = math.floor(100 * MAX_DETECTIONS / count) + 1
    assert average_precision(truth, found) == pytest.approx(reached / 101)


@pytest.mark.parametrize("without", ["label", "area"])
def test_a_hand_without_label_or_area_is_ignored_whatever_is_predicted_for_it(without: str) -> None:
    truth = hands(6)
    assert truth.person_area_px2 is not None
    if without == "label":
        truth.valid[0] = False  # its 3D is labelled all the same
    else:
        truth.person_area_px2[0] = np.nan
    predictions = make_predictions(truth, noise=0.0, score=np.linspace(1.0, 0.5, 6))
    assert average_precision(truth, predictions) == 1.0
    missed = make_predictions(truth, noise=0.0, rows=slice(1, 6))
    assert average_precision(truth, missed) == 1.0
