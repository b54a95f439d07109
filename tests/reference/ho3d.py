"""HO-3D's official scores, on arrays in its own joint order and its own (OpenGL) axes.

Source of the facts: shreyashampali/ho3d, ``eval.py``. FreiHAND's script with one alignment more:
scale and translation from wrist (0) and middle knuckle (4 in HO-3D's order).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from reference import alignment, freihand
from reference.joint_errors import JointErrors

Floats = npt.NDArray[np.float64]

WRIST, MIDDLE_KNUCKLE = 0, 4
FROM_CANONICAL = (
    *(0, 5, 6, 7, 9, 10, 11, 17, 18, 19, 13, 14, 15, 1, 2, 3),
    *(4, 8, 12, 16, 20),
)
"""``ho3d[k] = canonical[FROM_CANONICAL[k]]``: index, middle, pinky, ring, thumb, then the tips."""


def to_native(points: Floats, *, joints: bool) -> Floats:
    """Canonical order and OpenCV axes (N, K, 3) to HO-3D's order (of `joints`) and OpenGL axes."""
    native = [[(x, -y, -z) for x, y, z in hand] for hand in points.tolist()]
    if joints:
        native = [[hand[k] for k in FROM_CANONICAL] for hand in native]
    return np.array(native)


def keypoint_scores(
    truth: Sequence[Floats], prediction: Sequence[Floats], *, reflect: bool = True
) -> dict[str, float]:
    """As FreiHAND's, and ``kp_st``, ``kp_st_auc`` after scale and translation."""
    fitted = JointErrors()
    for t, p in zip(truth, prediction, strict=True):
        fitted.add(t, alignment.scale_and_wrist(t, p, WRIST, MIDDLE_KNUCKLE))
    scores = freihand.keypoint_scores(truth, prediction, reflect=reflect)
    scores["kp_st"] = 1000 * fitted.mean()
    scores["kp_st_auc"] = fitted.auc(0.0, freihand.RANGE_M, freihand.STEPS)
    return scores


mesh_scores = freihand.mesh_scores
