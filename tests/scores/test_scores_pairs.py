from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.scores.matching import match
from handbench.scores.pairs import handedness, pairs_of, relative_root_errors
from handbench.scores.truth import Truth

# Photos a and b show both hands, c the left one, d two right ones, e a right and an unknown one.
PHOTOS = np.array(["a", "a", "b", "b", "c", "d", "d", "e", "e"])
SIDES = np.array([1, 0, 0, 1, 0, 1, 1, 1, -1], dtype=np.int8)


def photos(**changes: Any) -> Truth:
    truth = make_truth(9)
    names = np.array([f"{photo}#{i}" for i, photo in enumerate(PHOTOS)])
    return replace(
        truth,
        sample_id=names,
        image_id=PHOTOS,
        is_right=SIDES,
        known=frozenset(names.tolist()),
        **changes,
    )


def test_pairs_are_one_right_and_one_left_hand_of_a_photo() -> None:
    right, left = pairs_of(photos())
    assert (right.tolist(), left.tolist()) == ([0, 3], [1, 2])
    kinds = np.array(["interacting"] * 2 + ["right"] * 7)
    assert pairs_of(photos(hand_type=kinds))[0].tolist() == [0]
    valid = photos().valid_3d.copy()
    valid[1, 0] = False
    assert pairs_of(photos(valid_3d=valid))[0].tolist() == [3]


def test_relative_wrists_by_hand() -> None:
    truth = photos()
    assert truth.keypoints_3d is not None
    found = np.add(truth.keypoints_3d, [0.5, 0.0, 0.0])
    found[1, 0] += [0.003, 0.0, 0.004]
    found[3, 0] += [0.0, 0.002, 0.0]
    found[2, 5:] += 9.0  # only wrists count
    errors = relative_root_errors(match(make_predictions(truth, keypoints_3d=found), truth))
    assert errors.shape == (9, 1)
    np.testing.assert_allclose(errors[[0, 3], 0], [5.0, 2.0])
    assert np.isnan(np.delete(errors[:, 0], [0, 3])).all()


def test_a_missed_hand_makes_no_pair() -> None:
    truth = photos()
    matched = match(make_predictions(truth, rows=np.arange(1, 9)), truth)
    assert np.flatnonzero(~np.isnan(relative_root_errors(matched)[:, 0])).tolist() == [3]
    flat = match(make_predictions(truth, keypoints_3d=None), truth)
    assert np.isnan(relative_root_errors(flat)).all()


def judged(truth: Truth, **changes: Any) -> dict[str, float]:
    """Photo → 1 or 0; photos left out do not appear."""
    scores = handedness(match(make_predictions(truth, **changes), truth))[:, 0]
    rows = np.flatnonzero(~np.isnan(scores)).tolist()
    return {str(truth.image_id[row]): float(scores[row]) for row in rows}


def test_the_sides_of_a_photo() -> None:
    truth = photos()
    # Photo e has a hand of unknown side and is left out.
    right = dict.fromkeys("abcd", 1.0)
    assert judged(truth, is_right=SIDES) == right
    swapped = SIDES.copy()
    swapped[[0, 1]] = [0, 1]
    # Which of the two is which is not asked.
    assert judged(truth, is_right=swapped) == right
    alike = SIDES.copy()
    alike[1] = 1
    assert judged(truth, is_right=alike) == right | {"a": 0.0}
    unsaid = SIDES.copy()
    unsaid[4] = -1
    assert judged(truth, is_right=unsaid) == right | {"c": 0.0}


def test_hand_types_decide_which_sides_a_photo_shows() -> None:
    # Photo c shows both hands though one alone is labelled; nobody knows about photo d.
    kinds = np.array([*["interacting"] * 5, "", "", "right", "right"])
    assert judged(photos(hand_type=kinds), is_right=SIDES) == {
        "a": 1.0,
        "b": 1.0,
        "c": 0.0,
        "e": 0.0,
    }


def test_missed_and_extra_hands_have_sides_too() -> None:
    truth = photos()
    rows = np.array([0, 2, 3, 4, 5, 6])
    assert judged(truth, rows=rows, is_right=SIDES[rows])["a"] == 0.0
    said_missing = make_predictions(truth).keypoints
    assert said_missing is not None
    said_missing[1] = np.nan
    missed = judged(truth, keypoints=said_missing, keypoints_3d=None, is_right=SIDES)
    assert missed == {"a": 0.0, "b": 1.0, "c": 1.0, "d": 1.0}
    once = make_predictions(truth, is_right=SIDES)
    columns = {name: np.concatenate([v, v[:1]]) for name, v in once.columns().items()}
    columns["id"] = np.array([*once.id.tolist(), "c#99"])
    more = replace(once, **columns)
    scores = handedness(match(more, truth))[:, 0]
    assert scores[4] == 0.0
    # A second prediction of a known hand does not count.
    columns["id"] = np.array([*once.id.tolist(), once.id[4]])
    assert handedness(match(replace(once, **columns), truth))[4, 0] == 1.0


def test_the_order_of_predictions_changes_nothing() -> None:
    truth = photos()
    rng = np.random.default_rng(0)
    sides = rng.integers(0, 2, 9).astype(np.int8)
    plain = make_predictions(truth, is_right=sides)
    order = rng.permutation(9)
    mixed = replace(plain, **{name: v[order] for name, v in plain.columns().items()})
    for function in (handedness, relative_root_errors):
        one, other = (function(match(each, truth)) for each in (plain, mixed))
        assert one[:, 0] == pytest.approx(other[:, 0], nan_ok=True)
