"""FreiHAND's official scores, and the reflection-free and root-relative values beside them.

Source of the facts: lmb-freiburg/freihand, ``eval.py`` and ``utils/eval_util.py``. Input in metres,
results in millimetres and fractions. Its nearest neighbours come from a k-d tree here, from Open3D
there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from reference import alignment
from reference.joint_errors import JointErrors
from scipy.spatial import KDTree

Floats = npt.NDArray[np.float64]

RANGE_M, STEPS = 0.05, 100
F_THRESHOLDS_M = {"f5": 0.005, "f15": 0.015}


def keypoint_scores(
    truth: Sequence[Floats], prediction: Sequence[Floats], *, reflect: bool = True
) -> dict[str, float]:
    """Keypoints (N of (21, 3) m): ``kp``, ``kp_auc`` raw, ``kp_al``, ``kp_al_auc`` aligned.

    ``kp_root`` is not in the official script: each hand minus its own wrist.
    """
    raw, aligned, from_wrist = JointErrors(), JointErrors(), JointErrors()
    align = alignment.official if reflect else alignment.proper
    for t, p in zip(truth, prediction, strict=True):
        raw.add(t, p)
        aligned.add(t, align(t, p))
        from_wrist.add(alignment.from_root(t, 0), alignment.from_root(p, 0))
    scores = _mean_and_auc("kp", raw) | _mean_and_auc("kp_al", aligned)
    return scores | _mean_and_auc("kp_root", from_wrist)


def mesh_scores(
    truth: Sequence[Floats],
    prediction: Sequence[Floats],
    keypoints_truth: Sequence[Floats],
    keypoints_prediction: Sequence[Floats],
    *,
    reflect: bool = True,
) -> dict[str, float]:
    """Meshes (N of (V, 3) m): ``mesh``, ``mesh_auc``, ``f5``, ``f15`` and, aligned, ``…_al…``.

    The first sample decides: where a mesh has as many vertices as the truth's, vertices correspond
    and each mesh is fitted by itself. Else there is no vertex error (nan here, -1 there), and the
    mesh is moved by the fit of its keypoints.
    """
    vertices = len(truth[0])
    same_mesh = len(prediction[0]) == vertices
    raw, aligned = JointErrors(vertices), JointErrors(vertices)
    f_scores: dict[str, list[float]] = {}
    align = alignment.official if reflect else alignment.proper
    for t, p, joints_t, joints_p in zip(
        truth, prediction, keypoints_truth, keypoints_prediction, strict=True
    ):
        if same_mesh:
            moved = align(t, p)
            raw.add(t, p)
            aligned.add(t, moved)
        else:
            moved = alignment.move_mesh(p, alignment.official_transform(joints_t, joints_p))
        for name, threshold in F_THRESHOLDS_M.items():
            f_scores.setdefault(name, []).append(f_score(t, p, threshold))
            f_scores.setdefault(f"{name}_al", []).append(f_score(t, moved, threshold))
    scores = _mean_and_auc("mesh", raw) | _mean_and_auc("mesh_al", aligned)
    return scores | {name: sum(values) / len(values) for name, values in f_scores.items()}


def f_score(truth: Floats, prediction: Floats, threshold: float) -> float:
    """Harmonic mean of the shares of points of either cloud that lie closer than `threshold`."""
    to_prediction, _ = KDTree(prediction).query(truth)
    to_truth, _ = KDTree(truth).query(prediction)
    recall = sum(distance < threshold for distance in to_prediction) / len(truth)
    precision = sum(distance < threshold for distance in to_truth) / len(prediction)
    if recall + precision == 0:
        return 0.0
    return float(2 * recall * precision / (recall + precision))


def _mean_and_auc(name: str, errors: JointErrors) -> dict[str, float]:
    mean, area = errors.mean(), errors.auc(0.0, RANGE_M, STEPS)
    assert math.isnan(mean) == math.isnan(area)
    return {name: 1000 * mean, f"{name}_auc": area}
