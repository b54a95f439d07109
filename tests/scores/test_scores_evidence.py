from __future__ import annotations

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth
from generators.tiny_hdf5 import template
from hypothesis import given
from hypothesis import strategies as st

from handbench.scores.evidence import (
    FEWEST,
    MOST,
    SAMPLED,
    Finding,
    Hands,
    Repair,
    declare,
    diagonals,
    every_nth,
    find,
    fits_far_better,
    mean,
    metres,
    middle,
    of_hands,
    on_one_point,
    pixels,
    sampled,
    sentences,
)
from handbench.scores.matching import match

TRUTH = make_truth(30)


def hands_of(predicted: np.ndarray, labelled: np.ndarray) -> Hands:
    count = len(predicted)
    return Hands(predicted, labelled, np.ones((count, 21), dtype=bool), np.arange(count))


@given(rows=st.integers(0, 300), most=st.integers(1, 40))
def test_every_nth_row_is_at_most_so_many_and_evenly_spread(rows: int, most: int) -> None:
    kept = every_nth(np.arange(rows), most)
    assert len(kept) <= most
    assert rows == 0 or kept[0] == 0
    assert len(set(np.diff(kept).tolist())) <= 1
    if rows <= most:
        assert len(kept) == rows


def test_a_sample_keeps_truth_and_predictions_in_step() -> None:
    truth = make_truth(SAMPLED + 500)
    predictions = make_predictions(truth, 0.0)
    assert predictions.keypoints is not None
    predictions.keypoints[100:200] = np.nan
    assert predictions.keypoints_3d is not None
    predictions.keypoints_3d[100:200] = np.nan
    sample = sampled(match(predictions, truth))
    assert SAMPLED / 2 <= len(sample.truth) <= SAMPLED
    assert sample.predicted.all()
    assert np.array_equal(sample.keypoints, sample.truth.keypoints)
    assert np.array_equal(sample.keypoints_3d, sample.truth.keypoints_3d)
    assert not set(sample.truth.sample_id) & {f"hands/{row:04d}" for row in range(100, 200)}
    assert sample.predictions is predictions


def test_hands_need_labels_and_extent_and_must_be_eight() -> None:
    predictions = make_predictions(TRUTH)
    assert predictions.keypoints is not None
    predictions.keypoints[3] = 0.0
    valid = TRUTH.valid.copy()
    valid[5] = False
    truth = make_truth(30, valid=valid)
    hands = pixels(match(predictions, truth))
    assert hands is not None
    assert hands.rows.tolist() == [row for row in range(30) if row not in (3, 5)]
    assert hands.space == "2D"
    in_metres = metres(match(predictions, truth))
    assert in_metres is not None
    assert (len(in_metres), in_metres.space) == (30, "3D")
    few = make_truth(FEWEST - 1)
    assert pixels(match(make_predictions(few), few)) is None
    assert metres(match(make_predictions(few, keypoints_3d=None), few)) is None


def test_one_point_is_every_joint_on_it_and_not_only_two() -> None:
    points = np.tile(template(), (4, 1, 1))
    points[0] = 0.0
    points[1] = (3.0, 4.0)
    points[2, [0, 9]] = 1.0
    points[3] = np.nan
    assert on_one_point(points).tolist() == [True, True, False, False]


@given(seed=st.integers(0, 50))
def test_diagonals_of_valid_joints(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, valid = rng.normal(size=(6, 21, 3)), rng.random((6, 21)) < 0.3
    valid[0] = False
    expected = [
        np.linalg.norm(np.ptp(hand[keep], axis=0)) if keep.any() else np.nan
        for hand, keep in zip(points, valid)
    ]
    points[~valid] = np.nan
    assert diagonals(points, valid) == pytest.approx(np.array(expected), nan_ok=True)


def test_averages_leave_out_what_is_not_labelled() -> None:
    errors = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan], [4.0, 4.0, np.inf]])
    assert of_hands(errors) == pytest.approx([2.0, np.nan, np.inf], nan_ok=True)
    assert middle(errors) == pytest.approx(3.5)
    assert mean(errors) == pytest.approx(3.0)
    assert middle(errors[1]) == mean(errors[1]) == np.inf


def test_the_size_of_hands_and_when_they_are_collapsed() -> None:
    labelled = np.tile(100 * template(), (10, 1, 1))
    diagonal = float(np.linalg.norm(np.ptp(labelled[0], axis=0)))
    assert hands_of(labelled, labelled).size == pytest.approx(diagonal)
    assert not hands_of(0.3 * labelled, labelled).collapsed
    assert hands_of(0.2 * labelled, labelled).collapsed
    flat = np.concatenate([labelled, 0 * labelled[..., :1]], axis=-1) / 1000
    assert hands_of(flat, flat).size == pytest.approx(diagonal)  # mm
    assert hands_of(0.2 * flat, flat).collapsed


def test_errors_in_3d_are_blind_to_place_turn_and_size_but_not_to_a_mirror() -> None:
    labelled = TRUTH.keypoints_3d
    assert labelled is not None
    moved = 3 * labelled @ np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]).T + 5
    assert hands_of(moved, labelled).errors() == pytest.approx(0, abs=1e-6)
    assert hands_of(labelled * [-1, 1, 1], labelled).errors().mean() > 10
    shifted = hands_of(TRUTH.keypoints + np.array([3.0, 4.0]), TRUTH.keypoints)
    assert shifted.errors() == pytest.approx(5.0)


def test_nearly_every_hand_must_gain_and_the_median_hand_a_lot() -> None:
    before = np.full(40, 10.0)
    assert fits_far_better(before, np.full(40, 5.0))
    assert not fits_far_better(before, np.full(40, 7.0))
    assert fits_far_better(before, np.full(40, 7.0), enough=0.75)
    some = np.where(np.arange(40) < 0.75 * 40, 0.0, 11.0)
    assert not fits_far_better(before, some), "a slip is made on all hands"
    most = np.where(np.arange(40) < 0.9 * 40, 0.0, 11.0)
    assert fits_far_better(before, most)
    assert not fits_far_better(np.full(40, np.nan), np.full(40, np.nan))


def test_few_hands_must_agree_more() -> None:
    for count, needed in ((8, 8), (10, 10), (20, 18), (100, 82)):
        before = np.ones(count)
        for gained in (needed, needed - 1):
            after = np.where(np.arange(count) < gained, 0.1, 2.0)
            assert fits_far_better(before, after) == (gained == needed)
    assert MOST == 0.8


def test_of_repairs_that_fit_alike_the_first_named_is_taken() -> None:
    labelled = TRUTH.keypoints
    hands = hands_of(labelled + 50.0, labelled)
    good, better, bad = (
        Repair(labelled + off, what, "do")
        for off, what in ((10.0, "good"), (9.5, "better"), (49.0, "bad"))
    )
    found = find(hands, [bad, good, better])
    assert found is not None
    assert found.repair.what == "good"
    assert found.before == pytest.approx(50 * 2**0.5)
    assert found.after == pytest.approx(10 * 2**0.5)
    assert found.fall == "EPE falls from 70.7 to 14.1 px on 30 hands"
    best = Repair(labelled, "best", "do")
    found = find(hands, [good, best])
    assert found is not None
    assert found.repair is best
    assert find(hands, [bad]) is None
    assert find(hands, []) is None


def test_what_is_nearly_right_needs_no_repair() -> None:
    labelled = TRUTH.keypoints
    assert find(hands_of(labelled + 2.0, labelled), [Repair(labelled, "right", "do")]) is None


def test_joints_that_a_repair_leaves_alone_do_not_judge_it() -> None:
    labelled = TRUTH.keypoints
    spoilt = labelled.copy()
    spoilt[:, 4] += 60.0
    hands = hands_of(spoilt, labelled)
    found = find(hands, [Repair(labelled, "a thumb tip off", "do", joints=(4,))])
    assert found is not None
    assert found.before == pytest.approx(60 * 2**0.5 / 21)
    assert find(hands, [Repair(labelled, "off", "do")]) is None, "far too small over all joints"


def test_many_hands_are_screened_and_then_all_measured() -> None:
    truth = make_truth(1200)
    hands = hands_of(truth.keypoints + 50.0, truth.keypoints)
    found = find(hands, [Repair(truth.keypoints, "shifted", "do")])
    assert found is not None
    assert found.fall.endswith("on 1,200 hands")


def test_a_slip_in_both_spaces_is_one_sentence() -> None:
    repair = Repair(TRUTH.keypoints, "upside down", "turn them")
    other = Repair(TRUTH.keypoints, "tiny", "enlarge them")
    in_2d, in_3d = Finding(repair, "2D", 9, 50.0, 3.0), Finding(repair, "3D", 8, 30.0, 2.0)
    assert sentences([in_2d, in_3d]) == [
        "2D and 3D keypoints seem to be upside down: EPE falls from 50.0 to 3.0 px on 9 hands and "
        "PA-MPJPE falls from 30.0 to 2.0 mm on 8 hands once that is undone; turn them"
    ]
    assert len(sentences([in_2d, Finding(other, "3D", 8, 30.0, 2.0)])) == 2
    assert sentences([None, None]) == []


def test_what_can_be_declared_can_also_be_assumed() -> None:
    said = declare("keypoint_order", "rhd")
    assert said.startswith('set "keypoint_order": "rhd"')
    assert "--assume keypoint_order=rhd" in said
