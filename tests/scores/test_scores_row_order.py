from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.predictions.record import Predictions
from handbench.scores.evidence import sampled
from handbench.scores.matching import match
from handbench.scores.row_order import same_hand, swapped_sides, wrong_rows, zero_hands
from handbench.scores.truth import Truth


def varied(hands: int = 40, **changes: Any) -> Truth:
    """Hands at places that differ by far more than a hand is large."""
    truth = make_truth(hands)
    away = np.random.default_rng(8).uniform(0, 2000, (hands, 1, 2))
    return replace(truth, keypoints=truth.keypoints + away, **changes)


def rows_said(predictions: Predictions, truth: Truth) -> str | None:
    return wrong_rows(match(predictions, truth))


def moved(truth: Truth, rows: np.ndarray, **changes: Any) -> Predictions:
    honest = make_predictions(truth)
    assert honest.keypoints is not None
    return replace(honest, keypoints=honest.keypoints[rows], **changes)


# --- rows -----------------------------------------------------------------------------------------


def test_rows_of_a_neighbour_say_which_and_by_how_much() -> None:
    truth = varied()
    said = rows_said(moved(truth, np.roll(np.arange(40), -1)), truth)
    assert said is not None
    assert said.startswith("predictions fit the next sample of the split far better")
    assert said.endswith(" px; does the list lack its first hand?")
    left = float(said.partition(" to ")[2].split(" ")[0])
    assert left == pytest.approx(3 * (np.pi / 2) ** 0.5, rel=0.1)  # noise of 3 px in x and in y
    said = rows_said(moved(truth, np.roll(np.arange(40), 1)), truth)
    assert said is not None
    assert said.startswith("predictions fit the previous sample of the split")
    assert "one hand too many at its start" in said
    said = rows_said(moved(truth, np.arange(40)[::-1]), truth)
    assert said is not None
    assert "the sample at the same place from the end" in said
    assert "reversed" in said


def test_alphabetical_order_is_tried_where_the_split_has_another() -> None:
    ids = np.array([f"hands/{(7 * i) % 40:04d}" for i in range(40)])
    truth = varied(sample_id=ids, known=frozenset(ids.tolist()))
    spoilt = moved(truth, np.argsort(ids, kind="stable"))
    said = rows_said(spoilt, truth)
    assert said is not None
    assert "at their place in alphabetical order" in said
    assert "write each hand with its sample_id" in said


def test_hands_that_are_all_in_place_or_all_elsewhere_are_no_slip() -> None:
    truth = varied()
    assert rows_said(make_predictions(truth, 0.0), truth) is None
    assert rows_said(make_predictions(truth, 300.0), truth) is None
    shuffled = np.random.default_rng(3).permutation(40)
    assert rows_said(moved(truth, shuffled), truth) is None


def test_a_shift_is_told_among_missed_hands_but_not_of_few() -> None:
    truth = varied()
    spoilt = moved(truth, np.roll(np.arange(40), -1))
    assert spoilt.keypoints is not None
    spoilt.keypoints[::2] = np.nan
    assert rows_said(spoilt, truth) is not None
    spoilt.keypoints[14:] = np.nan
    assert rows_said(spoilt, truth) is None


def test_eight_hands_have_seven_neighbours_and_that_is_too_few() -> None:
    truth = varied(8)
    assert rows_said(moved(truth, np.roll(np.arange(8), -1)), truth) is None
    assert rows_said(moved(truth, np.arange(8)[::-1]), truth) is not None
    truth = varied(10)
    assert rows_said(moved(truth, np.roll(np.arange(10), -1)), truth) is not None


def test_frames_of_a_video_are_alike_either_way() -> None:
    truth = make_truth(40)
    points = truth.keypoints[:1] + 0.5 * np.arange(40)[:, None, None]
    video = replace(truth, keypoints=points)
    assert rows_said(moved(video, np.roll(np.arange(40), -1)), video) is None


def test_rows_in_3d_and_in_stored_pixels() -> None:
    truth = varied()
    assert truth.keypoints_3d is not None
    curled = truth.keypoints_3d * np.random.default_rng(1).uniform(0.3, 1.7, (40, 21, 3))
    truth = replace(truth, keypoints_3d=curled)
    in_3d = make_predictions(
        truth, 0.0, keypoints=None, keypoints_3d=np.roll(curled, -1, axis=0) + 5.0
    )
    said = rows_said(in_3d, truth)
    assert said is not None
    assert "the next sample" in said
    assert "to 0.0 mm" in said
    stored = np.roll(0.5 * truth.keypoints - 0.25, -1, axis=0)
    header: dict[str, Any] = {"frame": "stored", "crop_sha256": truth.crop_sha256}
    in_crops = make_predictions(truth, 0.0, keypoints=stored, keypoints_3d=None, **header)
    said = rows_said(in_crops, truth)
    assert said is not None
    assert "to 0.0 px" in said


def test_nothing_to_compare() -> None:
    truth = make_truth(12, keypoints_3d=None)
    in_3d = make_predictions(make_truth(12), keypoints=None)
    assert rows_said(in_3d, truth) is None


# --- one hand for all -----------------------------------------------------------------------------


def test_one_hand_for_all_in_pixels_in_crops_and_in_3d() -> None:
    truth = make_truth(30)
    assert truth.keypoints_3d is not None
    # Crops that follow the hand: a constant in the crop moves in the source image.
    crop = truth.crop.copy()
    crop[:, :2, 2] -= 0.5 * truth.keypoints.mean(axis=1)
    truth = replace(truth, crop=crop)
    one = np.repeat(truth.keypoints[:1], 30, axis=0)
    one_stored = np.linalg.inv(crop[:, :2, :2]) @ np.swapaxes(one - crop[:, None, :2, 2], 1, 2)
    moving = np.repeat(truth.keypoints_3d[:1], 30, axis=0) + np.linspace(0, 1, 30)[:, None, None]
    for points, points_3d, words in (
        (one, None, "its 2D keypoints differ"),
        (np.swapaxes(one_stored, 1, 2), None, "its 2D keypoints in the stored image differ"),
        (None, moving, "its 3D keypoints, seen from the wrist, differ"),
    ):
        constant = make_predictions(truth, 0.0, keypoints=points, keypoints_3d=points_3d)
        said = same_hand(sampled(match(constant, truth)))
        assert said is not None
        assert words in said
        assert "(30 hands)" in said


def test_hands_that_vary_a_little_are_not_one_hand() -> None:
    truth = make_truth(30)
    one = np.repeat(truth.keypoints[:1], 30, axis=0)
    little = one + np.random.default_rng(0).normal(0, 2.0, one.shape)
    constant = make_predictions(truth, 0.0, keypoints=little, keypoints_3d=None)
    assert same_hand(sampled(match(constant, truth))) is None


def test_one_hand_for_all_is_right_where_the_truth_is_one_hand() -> None:
    truth = make_truth(30)
    one = np.repeat(truth.keypoints[:1], 30, axis=0)
    # Hands of about 130 px that move by about 1 px.
    trembling = one + np.random.default_rng(0).normal(0, 0.6, one.shape)
    for points in (one, trembling):
        still = replace(truth, keypoints=points)
        constant = make_predictions(still, 0.0, keypoints=one, keypoints_3d=None)
        assert same_hand(sampled(match(constant, still))) is None


# --- points instead of hands ----------------------------------------------------------------------


def test_single_points_are_counted_in_each_space() -> None:
    truth = make_truth(20)
    predictions = make_predictions(truth)
    assert predictions.keypoints is not None
    assert predictions.keypoints_3d is not None
    predictions.keypoints[[4, 6]] = 0.0
    predictions.keypoints[9] = np.nan
    predictions.keypoints_3d[9] = np.nan
    predictions.keypoints_3d[11] = (0.1, 0.2, 0.3)
    assert zero_hands(match(predictions, truth)) == (
        "all 2D joints of 2 and all 3D joints of 1 of 19 predicted hands lie on one point (first: "
        "hands/0004): expected null for a hand that was not found, so that it counts as missed and "
        "not as a hand at that place"
    )


def test_missed_hands_and_small_hands_are_no_points() -> None:
    truth = make_truth(20)
    predictions = make_predictions(truth)
    assert predictions.keypoints is not None
    predictions.keypoints[3] = np.nan
    predictions.keypoints[4] *= 1e-6
    assert zero_hands(match(predictions, truth)) is None


# --- sides ----------------------------------------------------------------------------------------


def sides_said(found: np.ndarray, truth: Truth) -> str | None:
    predictions = make_predictions(truth, is_right=found.astype(np.int8))
    return swapped_sides(sampled(match(predictions, truth)))


def test_swapped_sides_are_told_with_their_share() -> None:
    truth = make_truth(50, is_right=(np.arange(50) % 2).astype(np.int8))
    found = 1 - truth.is_right
    found[:4] = truth.is_right[:4]
    said = sides_said(found, truth)
    assert said is not None
    assert said.startswith("the predicted side disagrees with the truth for 92% of 50 hands")
    assert "mirrored selfie" in said
    assert sides_said(truth.is_right, truth) is None
    assert sides_said(np.ones(50), truth) is None
    assert sides_said(np.random.default_rng(0).integers(0, 2, 50), truth) is None


def test_sides_that_nobody_named_say_nothing() -> None:
    truth = make_truth(50)
    assert sides_said(np.full(50, -1), truth) is None
    assert sides_said(np.zeros(50), replace(truth, is_right=np.full(50, -1, dtype=np.int8))) is None
    assert swapped_sides(sampled(match(make_predictions(truth), truth))) is None
    few = make_truth(19)
    assert sides_said(np.zeros(19), few) is None
    assert sides_said(np.zeros(20), make_truth(20)) is not None


def test_sides_follow_ids_and_not_rows() -> None:
    truth = make_truth(40, is_right=(np.arange(40) < 20).astype(np.int8))
    honest = make_predictions(truth, is_right=truth.is_right)
    reversed_list = {name: column[::-1] for name, column in honest.columns().items()}
    assert swapped_sides(sampled(match(replace(honest, **reversed_list), truth))) is None


@pytest.mark.parametrize("guard", [wrong_rows, zero_hands])
def test_a_model_that_found_nothing(guard: Any) -> None:
    truth = make_truth(20)
    predictions = make_predictions(truth, keypoints_3d=None)
    assert predictions.keypoints is not None
    predictions.keypoints[:] = np.nan
    assert guard(match(predictions, truth)) is None
