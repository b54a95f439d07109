"""Average precision of hands by object keypoint similarity (OKS), matched by faster-coco-eval.

References
----------
COCO keypoint evaluation; Jin et al., "Whole-Body Human Pose Estimation in the Wild", ECCV 2020, and
its repository for the sigmas. "Hand AP" in tables of COCO-WholeBody is the mean of left-hand and
right-hand AP, with the area of the whole person under the distances.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import MissingExtraError
from handbench.hand import NUM_JOINTS
from handbench.scores.matching import Matched
from handbench.scores.metric import Metric
from handbench.scores.truth import image_of

Floats = npt.NDArray[np.float64]

WHOLEBODY_SIGMAS: tuple[float, ...] = (
    0.029,
    *(0.022, 0.035, 0.037, 0.047),
    *(0.026, 0.025, 0.024, 0.035),
    *(0.018, 0.024, 0.022, 0.026),
    *(0.017, 0.021, 0.021, 0.032),
    *(0.020, 0.019, 0.022, 0.031),
)
"""COCO-WholeBody's sigmas of the 21 joints, canonical order, the same for both hands."""

MAX_DETECTIONS = 20
"""Predictions of one image that are matched, the most confident first."""


def similarity(
    prediction: npt.ArrayLike,
    truth: npt.ArrayLike,
    valid: npt.ArrayLike,
    area_px2: npt.ArrayLike,
    sigmas: npt.ArrayLike = WHOLEBODY_SIGMAS,
) -> Floats:
    """OKS of every hand: mean over labelled joints of exp(-d² / (2 (2 sigma)² area)).

    Parameters
    ----------
    prediction, truth
        (N, K, 2) px.
    valid
        (N, K) bool.
    area_px2
        (N,) px².
    sigmas
        (K,).

    Returns
    -------
    (N,) 0-1; NaN where no joint is labelled.
    """
    step = np.asarray(prediction, dtype=np.float64) - np.asarray(truth, dtype=np.float64)
    keep = np.asarray(valid, dtype=bool)
    area = np.asarray(area_px2, dtype=np.float64)[:, None] + np.spacing(1.0)
    spread = 2 * (2 * np.asarray(sigmas, dtype=np.float64)) ** 2 * area
    closeness = np.where(keep, np.exp(-(step * step).sum(axis=-1) / spread), 0.0)
    count = keep.sum(axis=1)
    return np.where(count > 0, closeness.sum(axis=1) / np.maximum(count, 1), np.nan)


def oks_ap(matched: Matched, metric: Metric) -> float:
    """Average precision over OKS 0.50, 0.55 … 0.95, as COCO computes it.

    Left and right hands are matched apart, and the two values averaged; hands of unknown side form
    a class of their own. A hand without 2D labels or area is ignored, found or not. A prediction
    for an unknown id counts as a false positive where its id names an image of the split
    (``<image>#…``, ``<image>/left``), and is left out elsewhere. A prediction without confidence
    has 1.

    Parameters
    ----------
    matched
        With 2D keypoints on both sides.
    metric
        Gives area, sigma and hands.

    Returns
    -------
    0-1; NaN where no hand is counted.

    Raises
    ------
    MissingExtraError
        If faster-coco-eval is not installed.
    """
    sides = {"all": (1, 0, -1), "right": (1,), "left": (0,)}[metric.hands]
    counted = matched.truth.is_right[_counted(matched, metric)]
    values = [_side_ap(matched, metric, side) for side in sides if (counted == side).any()]
    return float(np.mean(values)) if values else float("nan")


def _side_ap(matched: Matched, metric: Metric, side: int) -> float:
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingExtraError("faster-coco-eval", "coco", "OKS-AP") from error
    images, truths = _truths(matched, metric, side)
    found = _detections(matched, metric, side, images)
    if not found:
        return 0.0
    document = {
        "info": {},
        "images": [{"id": number} for number in images.values()],
        "annotations": truths,
        "categories": [{"id": 1, "name": "hand"}],
    }
    labels = COCO(document)
    sigmas = [metric.sigma] * NUM_JOINTS if metric.sigma else list(WHOLEBODY_SIGMAS)
    judge = COCOeval_faster(labels, labels.loadRes(found), "keypoints", kpt_oks_sigmas=sigmas)
    judge.params.maxDets = [MAX_DETECTIONS]
    judge.evaluate()
    judge.accumulate()
    # Thresholds × recalls × classes × areas × detections; -1 where nothing is labelled.
    precision = np.asarray(judge.eval["precision"])[:, :, 0, 0, 0]
    return float(precision[precision > -1].mean())


def areas(matched: Matched, metric: Metric) -> Floats:
    """(N,) px² under the distances of an OKS."""
    truth = matched.truth
    if metric.area == "person" and truth.person_area_px2 is not None:
        return truth.person_area_px2
    if metric.area == "mask" and truth.hand_area_px2 is not None:
        return truth.hand_area_px2
    box: Floats = truth.bbox[:, 2] * truth.bbox[:, 3]
    return box


def _counted(matched: Matched, metric: Metric) -> npt.NDArray[np.bool_]:
    """(N,) hands with a label in 2D and an area; of others, predictions are ignored too."""
    usable: npt.NDArray[np.bool_] = np.isfinite(areas(matched, metric))
    usable &= matched.truth.valid.any(axis=1)
    return usable


def _truths(
    matched: Matched, metric: Metric, side: int
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Numbers of the images, and COCO annotations of the labelled hands of one side."""
    truth = matched.truth
    area = areas(matched, metric)
    images = {name: i + 1 for i, name in enumerate(dict.fromkeys(truth.image_id.tolist()))}
    rows = np.flatnonzero((truth.is_right == side) & _counted(matched, metric))
    annotations: list[dict[str, Any]] = []
    for row in rows.tolist():
        valid = truth.valid[row]
        triples = np.column_stack([np.where(valid[:, None], truth.keypoints[row], 0), 2 * valid])
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": images[str(truth.image_id[row])],
                "category_id": 1,
                "keypoints": triples.ravel().tolist(),
                "num_keypoints": int(valid.sum()),
                "area": float(area[row]),
                "bbox": truth.bbox[row].tolist(),
                "iscrowd": 0,
            }
        )
    return images, annotations


def _detections(
    matched: Matched, metric: Metric, side: int, images: dict[str, int]
) -> list[dict[str, Any]]:
    """COCO results of the hands predicted for one side."""
    truth, predictions = matched.truth, matched.predictions
    if matched.keypoints is None or predictions.keypoints is None:
        return []
    # Of predictions with the same id the first counts, so it is entered last.
    confidence = dict(zip(predictions.id[::-1].tolist(), _confidence(matched)[::-1].tolist()))
    found = [
        (str(truth.image_id[row]), matched.keypoints[row], confidence[str(truth.sample_id[row])])
        for row in np.flatnonzero((truth.is_right == side) & _counted(matched, metric)).tolist()
        if not np.isnan(matched.keypoints[row]).any()
    ]
    extra = set(matched.extra)
    sides = predictions.is_right
    for row, name in enumerate(predictions.id.tolist()):
        points = predictions.keypoints[row]
        if name not in extra or image_of(name) not in images or np.isnan(points).any():
            continue
        said = -1 if sides is None else int(sides[row])
        said = {"left": 0, "right": 1}.get(name.rpartition("/")[2], said)
        if said == side and predictions.frame == "source":
            found.append((image_of(name), points, confidence[name]))
            extra.discard(name)
    ones = np.ones((NUM_JOINTS, 1))
    return [
        {
            "image_id": images[image],
            "category_id": 1,
            "keypoints": np.column_stack([points, ones]).ravel().tolist(),
            "score": score,
        }
        for image, points, score in found
    ]


def _confidence(matched: Matched) -> Floats:
    """(M,) confidence of every predicted hand: its score, else the mean of its joints', else 1."""
    predictions = matched.predictions
    if predictions.score is not None:
        said: Floats = predictions.score
    elif predictions.scores is not None:
        said = predictions.scores.mean(axis=1)
    else:
        return np.ones(len(predictions))
    return np.where(np.isnan(said), 0.0, said)
