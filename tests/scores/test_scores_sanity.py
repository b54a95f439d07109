from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from generators.scored import SIZE, make_predictions, make_truth

from handbench.hand import NUM_JOINTS, check_permutation, from_canonical
from handbench.predictions.record import Predictions
from handbench.scores.matching import match
from handbench.scores.sanity import FOREIGN_ORDERS, warnings_about
from handbench.scores.truth import Truth

TRUTH = make_truth(24)


def said(predictions: Predictions, truth: Truth = TRUTH) -> str:
    return "\n".join(warnings_about(match(predictions, truth)))


def in_stored_pixels(predictions: Predictions) -> Predictions:
    assert predictions.keypoints is not None
    return replace(predictions, keypoints=0.5 * predictions.keypoints - 0.25)


@pytest.mark.parametrize("noise", [0.0, 3.0, 15.0, 40.0])
def test_honest_models_are_not_warned_about(noise: float) -> None:
    assert said(make_predictions(TRUTH, noise)) == ""


def test_crop_pixels() -> None:
    message = said(in_stored_pixels(make_predictions(TRUTH)))
    assert 'as pixels of the stored crop: set "frame": "stored"' in message


def test_mirror_image_in_2d_and_3d() -> None:
    predictions = make_predictions(TRUTH)
    assert predictions.keypoints is not None
    assert predictions.keypoints_3d is not None
    flipped = replace(
        predictions,
        keypoints=np.stack(
            [SIZE - 1 - predictions.keypoints[..., 0], predictions.keypoints[..., 1]], axis=-1
        ),
        keypoints_3d=predictions.keypoints_3d * [-1.0, 1.0, 1.0],
    )
    message = said(flipped)
    assert "as their mirror image: flip x back" in message
    assert "3D keypoints fit far better as a mirror image" in message


@pytest.mark.parametrize("name", FOREIGN_ORDERS)
def test_joint_orders(name: str) -> None:
    predictions = make_predictions(TRUTH)
    assert predictions.keypoints is not None
    native = from_canonical(predictions.keypoints, FOREIGN_ORDERS[name]).astype(np.float64)
    message = said(replace(predictions, keypoints=native))
    assert f"in the joint order of {name}" in message
    check_permutation(FOREIGN_ORDERS[name])


def test_slips_in_3d() -> None:
    predictions = make_predictions(TRUTH)
    assert predictions.keypoints_3d is not None
    opengl = replace(predictions, keypoints_3d=predictions.keypoints_3d * [1.0, -1.0, -1.0])
    assert 'they look like OpenGL axes, so set "axes": "opengl"' in said(opengl)
    wrist = predictions.keypoints_3d[:, :1]
    relative = replace(predictions, keypoints_3d=predictions.keypoints_3d - wrist)
    assert 'set "frame_3d": "root:wrist"' in said(relative)
    assert said(replace(relative, frame_3d="root:wrist")) == ""


def test_what_is_missing_and_how() -> None:
    every_second = make_predictions(TRUTH, rows=slice(0, None, 2))
    assert said(every_second) == "12 predictions for 24 samples: was every second one written?"
    stopped = make_predictions(TRUTH, rows=slice(0, 10))
    assert "the first 10 are there and all others are missing, did the run stop?" in said(stopped)
    rows = np.delete(np.arange(24), [3, 11])
    assert said(make_predictions(TRUTH, rows=rows)).endswith("missing hands/0003, hands/0011")


def test_nothing_found_at_all_is_no_crash() -> None:
    predictions = make_predictions(TRUTH, keypoints_3d=None)
    assert predictions.keypoints is not None
    predictions.keypoints[:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert said(predictions).startswith("0 predictions for 24 samples: missing")


def test_a_large_split_is_sampled() -> None:
    truth = make_truth(5000)
    matched = match(in_stored_pixels(make_predictions(truth)), truth)
    assert len(warnings_about(matched)) == 1
    assert truth.keypoints.shape[1] == NUM_JOINTS
