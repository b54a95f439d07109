from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.errors import PredictionsError, ScoreError
from handbench.scores.refusals import check_predictions, check_truth, truth_warnings
from handbench.scores.truth import Truth


def with_vertices(truth: Truth) -> Truth:
    assert truth.keypoints_3d is not None
    return replace(truth, vertices=np.repeat(truth.keypoints_3d, 3, axis=1).astype(np.float32))


# --- truth that is refused ------------------------------------------------------------------------


@pytest.mark.parametrize("hands", [1, 12, 600])
def test_honest_labels_pass(hands: int) -> None:
    check_truth(with_vertices(make_truth(hands)))
    check_truth(make_truth(hands, keypoints_3d=None))


@pytest.mark.parametrize("hands", [1, 20, 600])
@pytest.mark.parametrize(
    ("column", "what"),
    [("keypoints", "2D keypoints"), ("keypoints_3d", "3D keypoints"), ("vertices", "vertices")],
)
def test_zeros_are_no_labels(column: str, what: str, hands: int) -> None:
    truth = with_vertices(make_truth(hands))
    zeros = replace(truth, **{column: np.zeros_like(getattr(truth, column))})
    with pytest.raises(
        ScoreError, match=rf"truth of sample test is zero in every sample \({what}\).*placeholder"
    ):
        check_truth(zeros)


@pytest.mark.parametrize(
    ("column", "what"),
    [("keypoints", "2D keypoints"), ("keypoints_3d", "3D keypoints"), ("vertices", "vertices")],
)
def test_one_hand_for_all_samples_is_no_label(column: str, what: str) -> None:
    truth = with_vertices(make_truth(600))
    values = getattr(truth, column)
    same = replace(truth, **{column: np.repeat(values[:1], 600, axis=0)})
    with pytest.raises(ScoreError, match=rf"is the same in every sample \({what}\)"):
        check_truth(same)
    values = np.repeat(values[:1], 600, axis=0)
    values[-1] += 0.01
    check_truth(replace(truth, **{column: values}))


def test_few_equal_hands_may_be_versions_of_one() -> None:
    truth = make_truth(7)
    check_truth(replace(truth, keypoints=np.repeat(truth.keypoints[:1], 7, axis=0)))
    truth = make_truth(8)
    with pytest.raises(ScoreError, match="the same in every sample"):
        check_truth(replace(truth, keypoints=np.repeat(truth.keypoints[:1], 8, axis=0)))


def test_what_is_not_labelled_does_not_count() -> None:
    """Unlabelled rows are NaN or zero; the labelled ones decide, joint by joint."""
    truth = make_truth(40)
    valid = np.zeros_like(truth.valid)
    valid[20:, :5] = True
    for filler in (np.nan, 0.0):
        points = np.where(valid[..., None], truth.keypoints, filler)
        check_truth(replace(truth, keypoints=points, valid=valid))
        points[20:] = points[20]
        with pytest.raises(ScoreError, match="the same in every sample"):
            check_truth(replace(truth, keypoints=points, valid=valid))
    none = np.zeros_like(truth.valid)
    check_truth(replace(truth, keypoints=np.full_like(truth.keypoints, np.nan), valid=none))


def test_zeros_where_only_some_joints_are_labelled() -> None:
    truth = make_truth(40)
    valid = np.random.default_rng(0).random(truth.valid.shape) < 0.2
    points = np.where(valid[..., None], 0.0, np.nan)
    with pytest.raises(ScoreError, match="is zero in every sample"):
        check_truth(replace(truth, keypoints=points, valid=valid))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("column", "what"), [("keypoints", "2D keypoints"), ("keypoints_3d", "3D keypoints")]
)
def test_labels_must_be_finite(column: str, what: str, value: float) -> None:
    truth = make_truth(12)
    points = getattr(truth, column).copy()
    points[[4, 7], 3] = value
    broken = replace(truth, **{column: points})
    with pytest.raises(ScoreError, match=rf"{what} .* 2 of 12 samples \(first: hands/0004\)"):
        check_truth(broken)
    valid = truth.valid.copy()
    valid[[4, 7], 3] = False
    check_truth(replace(broken, valid=valid, valid_3d=valid))


# --- predictions that are refused -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"keypoints": np.zeros((12, 20, 2))}, r"expected 'keypoints' of shape \(12, 21, 2\)"),
        ({"keypoints": np.zeros((12, 42, 2))}, "a 42-joint network predicts two hands"),
        ({"keypoints": np.full((12, 21, 2), np.inf)}, "NaN, infinity or numbers beyond"),
        ({"keypoints_3d": np.full((12, 21, 3), 1e12)}, "'keypoints_3d' of id 'hands/0000'"),
        ({"keypoints": None, "keypoints_3d": None}, "found neither"),
        ({"id": np.arange(12)}, "'id' must be one string a hand"),
    ],
)
def test_predictions_in_memory_are_checked_as_strictly_as_files(
    changes: dict[str, Any], words: str
) -> None:
    predictions = make_predictions(make_truth(12))
    check_predictions(predictions)
    with pytest.raises(PredictionsError, match=words) as caught:
        check_predictions(replace(predictions, **changes))
    assert str(caught.value).startswith("predictions of my-net: ")


def test_half_a_hand_is_refused_and_a_missed_hand_is_not() -> None:
    predictions = make_predictions(make_truth(12))
    assert predictions.keypoints is not None
    predictions.keypoints[5] = np.nan
    check_predictions(predictions)
    predictions.keypoints[8, 20] = np.nan
    with pytest.raises(PredictionsError, match="'keypoints' of id 'hands/0008'"):
        check_predictions(predictions)


def test_the_file_is_named_where_there_is_one() -> None:
    predictions = make_predictions(make_truth(12), origin="preds.json")
    broken = replace(predictions, keypoints=np.full((12, 21, 2), np.inf))
    with pytest.raises(PredictionsError, match=r"^preds\.json: "):
        check_predictions(broken)


# --- truth that is doubted ------------------------------------------------------------------------


def test_honest_labels_are_not_doubted() -> None:
    assert truth_warnings(make_truth(30)) == []
    assert truth_warnings(make_truth(30, keypoints_3d=None)) == []


@pytest.mark.parametrize("factor", [1000.0, 0.1])
def test_labels_in_other_units(factor: float) -> None:
    truth = make_truth(30)
    assert truth.keypoints_3d is not None
    across = np.median(np.linalg.norm(np.ptp(truth.keypoints_3d, axis=1), axis=-1))
    (said,) = truth_warnings(replace(truth, keypoints_3d=factor * truth.keypoints_3d))
    assert f"has hands of {factor * across:.3g} m across (median), expected 0.05 to 0.35 m" in said


def test_hands_with_few_labels_have_no_size() -> None:
    truth = make_truth(30)
    valid = np.zeros_like(truth.valid)
    valid[:, :2] = True
    assert truth_warnings(replace(truth, valid_3d=valid)) == []


@pytest.mark.parametrize(("column", "space"), [("keypoints", "2D"), ("keypoints_3d", "3D")])
def test_hands_labelled_on_one_point_are_counted(column: str, space: str) -> None:
    truth = make_truth(30)
    points = getattr(truth, column).copy()
    points[[6, 9]] = 0.25
    (said,) = truth_warnings(replace(truth, **{column: points}))
    assert said == (
        f"the truth of sample test has 2 of 30 hands with all {space} joints on one point (first: "
        "hands/0006): they look unlabelled, and spoil every mean; leave them out with --ids or "
        "convert again"
    )


def test_one_labelled_joint_is_one_point_by_right() -> None:
    truth = make_truth(30)
    valid = truth.valid.copy()
    valid[4, 1:] = False
    valid[5, [0, 9]] = False
    points = np.where(valid[..., None], truth.keypoints, np.nan)
    assert truth_warnings(replace(truth, keypoints=points, valid=valid)) == []
