"""mmpose 1.x: PCK, AUC and EPE of 2D hands, joint by joint.

Source of the facts: open-mmlab/mmpose, ``evaluation/functional/keypoint_eval.py``. Distances keep
the precision of the inputs until they are stored as float32; thresholds are rounded to float32
when they are compared. Comparison is strict.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]

AUC_PIXELS, AUC_STEPS = 30, 20
_NEGATIVE_SIZE = 1e6


def pck(prediction: Array, truth: Array, mask: Array, threshold: float, sizes: Array) -> float:
    """PCK.

    Parameters
    ----------
    prediction, truth
        (N, K, 2).
    mask
        (N, K), 0 where nothing is labelled.
    threshold
        In units of `sizes`.
    sizes
        (N, 2): what x and y are divided by.
    """
    shares = []
    for column in _distances(prediction, truth, mask, sizes):
        if column:
            limit = np.float32(threshold)
            shares.append(sum(bool(distance < limit) for distance in column) / len(column))
    return sum(shares) / len(shares) if shares else 0.0


def pck_of_boxes(
    prediction: Array, truth: Array, mask: Array, threshold: float, boxes: Array
) -> float:
    """PCK in units of the longer side of boxes (N, 4) x, y, w, h."""
    sides = [max(w, h) for _, _, w, h in boxes]
    return pck(prediction, truth, mask, threshold, np.array([[side, side] for side in sides]))


def auc(prediction: Array, truth: Array, mask: Array) -> float:
    """Mean of the PCKs at 0, 1.5 … 28.5 px."""
    sizes = np.full((len(truth), 2), float(AUC_PIXELS))
    values = [pck(prediction, truth, mask, step / AUC_STEPS, sizes) for step in range(AUC_STEPS)]
    return sum(values) / AUC_STEPS


def epe(prediction: Array, truth: Array, mask: Array) -> float:
    """Mean of all distances, pooled; their float32 sum as in the original."""
    columns = _distances(prediction, truth, mask, np.ones((len(truth), 2), dtype=np.float32))
    pooled = np.array([distance for column in columns for distance in column], dtype=np.float32)
    return float(pooled.sum() / max(1, len(pooled)))


def _distances(
    prediction: Array, truth: Array, mask: Array, sizes: Array
) -> list[list[np.float32]]:
    """For each joint the float32 distances of the samples where it counts."""
    columns: list[list[np.float32]] = [[] for _ in range(truth.shape[1])]
    for sample in range(len(truth)):
        wide, high = sizes[sample]
        if wide == 0 or high == 0:
            continue
        wide = wide if wide > 0 else _NEGATIVE_SIZE
        high = high if high > 0 else _NEGATIVE_SIZE
        for joint, column in enumerate(columns):
            if mask[sample, joint] > 0:
                x, y = prediction[sample, joint] - truth[sample, joint]
                x, y = x / wide, y / high
                column.append(np.float32(np.sqrt(x * x + y * y)))
    return columns
