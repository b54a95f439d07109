from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from generators.scored import make_predictions, make_truth

from handbench.camera import transform_points
from handbench.errors import PredictionsError
from handbench.scores.matching import match


def test_predictions_come_to_the_rows_of_the_truth() -> None:
    truth = make_truth(6, vertices=np.zeros((6, 4, 3), dtype=np.float32))
    order = np.array([4, 0, 5, 2])
    mesh = np.random.default_rng(0).normal(size=(6, 4, 3))
    predictions = make_predictions(truth, rows=order, vertices=mesh[order])
    matched = match(predictions, truth)
    assert matched.predicted.tolist() == [True, False, True, False, True, True]
    assert matched.missing == ["hands/0001", "hands/0003"]
    for found, given in (
        (matched.keypoints, predictions.keypoints),
        (matched.keypoints_3d, predictions.keypoints_3d),
        (matched.vertices, predictions.vertices),
    ):
        assert found is not None
        assert given is not None
        np.testing.assert_array_equal(found[order], given)
        assert np.isnan(found[[1, 3]]).all()
    assert (matched.extra, matched.duplicate) == ([], [])


def test_the_first_of_several_predictions_counts() -> None:
    truth = make_truth(3)
    once = make_predictions(truth)
    columns = {
        name: np.concatenate([values, values[::-1] + 1]) if name != "id" else values
        for name, values in once.columns().items()
    }
    columns["id"] = np.array([*once.id.tolist(), "elsewhere", *once.id[:2].tolist()])
    matched = match(replace(once, **columns), truth)
    np.testing.assert_array_equal(matched.keypoints, once.keypoints)
    assert matched.duplicate == ["hands/0000", "hands/0001"]
    assert matched.extra == ["elsewhere"]
    assert matched.missing == []


def test_known_hands_outside_of_the_subset_are_not_extra() -> None:
    truth = make_truth(5)
    half = truth.only(["hands/0003", "hands/0004"], "ids.txt")
    matched = match(make_predictions(truth), half)
    assert matched.extra == []
    assert len(matched.predicted) == 2
    assert matched.predicted.all()


def test_a_hand_is_predicted_if_any_of_its_points_are() -> None:
    truth = make_truth(3)
    predictions = make_predictions(truth)
    assert predictions.keypoints is not None
    assert predictions.keypoints_3d is not None
    predictions.keypoints[:2] = np.nan
    predictions.keypoints_3d[1:] = np.nan
    matched = match(predictions, truth)
    assert matched.predicted.tolist() == [True, False, True]
    assert matched.missing == ["hands/0001"]


def test_the_stored_frame_leads_back_to_the_source() -> None:
    turn = np.tile([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], (4, 1, 1))
    truth = make_truth(4, to_source_3d=turn, vertices=np.zeros((4, 5, 3), dtype=np.float32))
    assert truth.keypoints_3d is not None
    mesh = np.random.default_rng(0).normal(size=(4, 5, 3))
    stored = make_predictions(
        truth,
        frame="stored",
        crop_sha256=truth.crop_sha256,
        keypoints=transform_points(truth.crop, truth.keypoints),
        keypoints_3d=truth.keypoints_3d @ turn[0],
        vertices=mesh @ turn[0],
    )
    matched = match(stored, truth)
    np.testing.assert_allclose(matched.keypoints, truth.keypoints, atol=1e-9)
    np.testing.assert_allclose(matched.keypoints_3d, truth.keypoints_3d, atol=1e-12)
    np.testing.assert_allclose(matched.vertices, mesh, atol=1e-12)


def test_nothing_predicted_is_a_result() -> None:
    truth = make_truth(3)
    matched = match(make_predictions(truth, rows=slice(0, 0)), truth)
    assert not matched.predicted.any()
    assert len(matched.missing) == 3
    bare = match(make_predictions(truth, keypoints=None), truth)
    assert bare.keypoints is None
    assert bare.vertices is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "rhd"}, "for dataset 'rhd', but the data is 'sample': choose the file"),
        ({"split": "val"}, "for split 'val', not 'test': ask for the split"),
        ({"frame": "stored", "crop_sha256": "d" * 64}, r"crop_sha256 d{12}…, this file has c{12}…"),
        ({"frame": "stored"}, "cropped otherwise"),
        (
            {"id": np.array(["x", "y", "z"])},
            r"none of its 3 ids is in sample test: expected ids such as 'hands/0000', found x",
        ),
        ({"dataset": "rhd", "origin": "net.json"}, r"^net\.json: these are predictions"),
    ],
)
def test_what_does_not_belong_together(changes: dict[str, Any], message: str) -> None:
    truth = make_truth(3)
    with pytest.raises(PredictionsError, match=message):
        match(make_predictions(truth, **changes), truth)
