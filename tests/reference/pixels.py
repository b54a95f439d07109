"""2D protocols beside mmpose's: hand3d's pixels (``zb2d``) and HInt's boxes.

Sources of the facts: lmb-freiburg/hand3d, ``utils/general.py`` and ``eval2d*.py``; for HInt the
evaluator of geopavlakos/hamer, whose crop is twice the annotated box and whose unit is the box.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from reference.joint_errors import JointErrors

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def zb2d(prediction: Floats, truth: Floats, visible: Bools) -> dict[str, float]:
    """hand3d: mean, median and AUC over 0-30 px of 20 thresholds; visible joints only."""
    errors = JointErrors(truth.shape[1])
    for p, t, seen in zip(prediction, truth, visible):
        errors.add(t, p, seen.tolist())
    return {"mean": errors.mean(), "median": errors.median(), "auc": errors.auc(0.0, 30.0, 20)}


def hint_pck(
    prediction: Floats, truth: Floats, counted: Bools, boxes: Floats, threshold: float
) -> float:
    """HInt: distance at most `threshold` × longer side of the box before its expansion.

    Fraction of every joint, then the mean of the joints; nan if a joint never counts.
    """
    shares = []
    for joint in range(truth.shape[1]):
        hits = 0
        total = 0
        for sample in range(len(truth)):
            if counted[sample, joint]:
                _, _, width, height = boxes[sample]
                distance = math.dist(prediction[sample, joint], truth[sample, joint])
                hits += distance <= threshold * max(width, height)
                total += 1
        shares.append(hits / total if total else math.nan)
    return float(np.mean(shares))
