"""mmpose itself, as published on the package index, beside handbench: ``tox -e mmpose``.

Its metric classes are fed as its test loop feeds them. Elsewhere these tests skip.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from reference import interhand
from reference.comparing import assert_agree, protocol_values
from reference.interhand_images import images_of
from reference.joint_errors import Floats
from reference.random_hands import RandomHands, random_hands

PRECISIONS = (np.float32, np.float64)


@pytest.fixture(scope="module")
def package() -> ModuleType:
    """``mmpose.evaluation.metrics``, or skip."""
    with warnings.catch_warnings():
        # Its dependencies warn about each other's deprecations while they are imported.
        warnings.simplefilter("ignore")
        reason = "mmpose is not installed: run tox -e mmpose"
        pytest.importorskip("mmpose", reason=reason)
        return pytest.importorskip("mmpose.evaluation.metrics", reason=reason)


def evaluated(metric: Any, samples: list[dict[str, Any]]) -> dict[str, float]:
    """What a metric of the package computes over samples."""
    metric.process([{} for _ in samples], samples)
    return {name: float(value) for name, value in metric.evaluate(len(samples)).items()}


def made(package: ModuleType, name: str, **options: Any) -> Any:
    with warnings.catch_warnings():
        # Without a prefix it says that it has none.
        warnings.simplefilter("ignore", UserWarning)
        return getattr(package, name)(**options)


def scored_by(package: ModuleType, hands: RandomHands, dtype: npt.DTypeLike) -> dict[str, float]:
    truth, prediction = (np.asarray(points, dtype=dtype) for points in hands.keypoints)
    valid = hands.truth.valid
    boxes = hands.truth.bbox.astype(dtype)
    corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    samples = [
        {
            "pred_instances": {"keypoints": prediction[row, None]},
            "gt_instances": {
                "keypoints": np.nan_to_num(truth[row, None]),
                "keypoints_visible": valid[row, None].astype(np.float32),
                "bboxes": corners[row, None],
            },
        }
        for row in range(len(hands))
    ]
    return {
        "PCK@0.2[bbox,cmp=lt]": evaluated(made(package, "PCKAccuracy", thr=0.2), samples)["PCK"],
        "AUC@0-30px[n=20,rule=left,cmp=lt]": evaluated(made(package, "AUC"), samples)["AUC"],
        "EPE[px]": evaluated(made(package, "EPE"), samples)["EPE"],
    }


def rounded(hands: RandomHands, dtype: npt.DTypeLike) -> RandomHands:
    """The same hands in the precision that the package is given."""
    truth, prediction = (points.astype(dtype).astype(np.float64) for points in hands.keypoints)
    boxes = hands.truth.bbox.astype(dtype).astype(np.float64)
    return RandomHands(
        replace(hands.truth, keypoints=truth, bbox=boxes),
        replace(hands.predictions, keypoints=prediction),
    )


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("holes", [0.0, 0.2, 0.8])
def test_hands_2d(package: ModuleType, seed: int, holes: float, dtype: npt.DTypeLike) -> None:
    hands = random_hands(60, seed=seed, holes=holes)
    small = hands.truth.bbox * [1, 1, 0.2, 0.2]
    hands = rounded(replace(hands, truth=replace(hands.truth, bbox=small)), dtype)
    expected = scored_by(package, hands, dtype)
    assert 0.3 < expected["PCK@0.2[bbox,cmp=lt]"] < 1
    assert_agree(protocol_values(hands, "mmpose"), expected)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_hands_2d_on_the_thresholds(package: ModuleType, dtype: npt.DTypeLike) -> None:
    """Whole multiples of 1.5 px, and of a fifth of the box, along an axis and off it."""
    hands = random_hands(60, holes=0.2)
    rng = np.random.default_rng(0)
    angle = rng.choice([0.0, np.pi / 2, np.pi, np.arctan2(3, 4)], (len(hands), 21))
    distance = 1.5 * rng.integers(0, 20, (len(hands), 21))
    step = distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    truth = np.nan_to_num(hands.truth.keypoints.round())
    sides = 7.5 * rng.integers(1, 20, len(hands))
    boxes = np.stack([0 * sides, 0 * sides, sides, sides / 2], axis=1)
    labelled = np.where(hands.truth.valid[..., None], truth, np.nan)
    exact = RandomHands(
        replace(hands.truth, keypoints=labelled, bbox=boxes),
        replace(hands.predictions, keypoints=truth + step),
    )
    exact = rounded(exact, dtype)
    assert_agree(protocol_values(exact, "mmpose"), scored_by(package, exact, dtype))


def test_boxes_without_a_size(package: ModuleType) -> None:
    hands = random_hands(20, holes=0.1)
    boxes = hands.truth.bbox.copy()
    boxes[:4, 2:] = 0.0
    boxes[4:8, 2:] = -7.0
    boxes[8:, 2:] *= 0.1
    hands = replace(hands, truth=replace(hands.truth, bbox=boxes))
    assert_agree(protocol_values(hands, "mmpose"), scored_by(package, hands, np.float64))


def hand_sample(image: interhand.Image) -> dict[str, Any]:
    """A photo as its network would answer: pixels, and depth from the true wrists."""
    focal, centre = np.array([500.0, 500.0]), np.array([320.0, 320.0])
    wrists = (interhand.RIGHT_WRIST, interhand.LEFT_WRIST)
    depth = np.array([np.nan_to_num(image.truth[wrist, 2]) for wrist in wrists])
    found: Floats = np.where(np.isnan(image.prediction), [0.0, 0.0, 500.0], image.prediction)
    pixels = np.concatenate([focal * found[:, :2] / found[:, 2:] + centre, found[:, 2:]], axis=1)
    pixels[:21, 2] -= depth[0]
    pixels[21:, 2] -= depth[1]
    valid = image.valid.copy()
    valid[:21] &= valid[20]
    valid[21:] &= valid[41]
    kinds = {"right": [1, 0], "left": [0, 1], "interacting": [1, 1]}
    return {
        "pred_instances": {
            "keypoints": pixels[None],
            "hand_type": np.array([[int(p > 0.5) for p in image.probabilities]]),
            # Depth of the left wrist from the right one, as the network says it.
            "rel_root_depth": found[41, 2] - pixels[41, 2] - depth[0],
        },
        "gt_instances": {
            "keypoints_cam": np.nan_to_num(image.truth)[None],
            "keypoints_visible": valid[None].astype(np.float32),
        },
        "hand_type": np.array([kinds[image.hand_type]]),
        "hand_type_valid": np.array([1]),
        "abs_depth": depth,
        "focal": focal,
        "principal_pt": centre,
    }


@pytest.mark.parametrize("seed", range(3))
def test_hands_3d(package: ModuleType, seed: int) -> None:
    hands = random_hands(60, seed=seed, holes=0.15)
    images = images_of(hands)
    samples = [hand_sample(image) for image in images]
    scores = evaluated(made(package, "InterHandMetric"), samples)
    pooled = {
        "MPJPE[mm,root=0]": scores["MPJPE_all"],
        "MPJPE[mm,root=0,hands=single]": scores["MPJPE_single"],
        "MPJPE[mm,root=0,hands=interacting]": scores["MPJPE_interacting"],
    }
    found = protocol_values(hands, "interhand")
    # It keeps distances as float32 and sums them so.
    assert_agree(found, pooled, tolerance=1e-5)
    # Wrists half a metre away go through float32 before they are subtracted.
    assert_agree(found, {"MRRPE[mm]": scores["MRRPE"]}, tolerance=1e-4)
    assert_agree(found, {"handedness": scores["HandednessAcc"]})
