"""Why a metric has no value for a model on a truth, in words."""

from __future__ import annotations

from handbench.scores.matching import Matched
from handbench.scores.metric import Metric
from handbench.scores.pairs import pairs_of
from handbench.scores.truth import Truth


def reason_without(metric: Metric, matched: Matched) -> str | None:
    """Why `metric` has no value here, or None if it has one."""
    truth = matched.truth
    if metric.hands in ("single", "interacting") and truth.hand_type is None:
        return "the split does not say which hands interact (column hand_type)"
    if (
        metric.hands in ("right", "left")
        and not (truth.is_right == (metric.hands == "right")).any()
    ):
        return f"the split shows no {metric.hands} hands"
    if metric.quantity == "coverage":
        return None
    if metric.quantity == "handedness":
        if matched.predictions.is_right is None:
            return "the predictions name no sides (is_right)"
        return None if (truth.is_right >= 0).any() else "the split names no sides"
    if metric.is_3d:
        return _without_3d(metric, matched)
    if not truth.valid.any():
        return "the split has no 2D labels"
    if matched.keypoints is None and metric.of == "model":
        return "the predictions hold no 2D keypoints"
    if metric.quantity == "OKS-AP":
        reason = _without_ap(metric, truth)
        if reason is not None:
            return reason
    return _without_size(metric, truth)


def _without_ap(metric: Metric, truth: Truth) -> str | None:
    if metric.hands in ("single", "interacting"):
        return "an average precision is of all, right or left hands"
    if metric.hands in ("right", "left"):
        side = truth.is_right == (metric.hands == "right")
        if not truth.valid[side].any():
            return f"the split has no 2D labels of {metric.hands} hands"
    return None


def _without_size(metric: Metric, truth: Truth) -> str | None:
    if metric.size == "head" and truth.head_size_px is None:
        return "the split stores no head sizes"
    if metric.area == "person" and truth.person_area_px2 is None:
        return "the split stores no areas of persons (column person_area_px2)"
    if metric.area == "mask" and truth.hand_area_px2 is None:
        return "the split stores no areas of hands (column hand_area_px2)"
    return None


def _without_3d(metric: Metric, matched: Matched) -> str | None:
    truth, predictions = matched.truth, matched.predictions
    if metric.mesh:
        reason = _without_mesh(metric, matched)
        if reason is not None:
            return reason
    elif not truth.has_3d:
        return "the split has no 3D labels"
    elif matched.keypoints_3d is None:
        return "the predictions hold no 3D keypoints"
    in_camera = metric.alignment in ("cam", "scale") or metric.quantity == "MRRPE"
    if in_camera and predictions.frame_3d != "camera":
        return f"it needs frame_3d 'camera', and the predictions say {predictions.frame_3d!r}"
    if metric.quantity == "MRRPE" and not len(pairs_of(truth)[0]):
        return "no image of the split shows a right and a left hand with labelled wrists"
    return None


def _without_mesh(metric: Metric, matched: Matched) -> str | None:
    truth = matched.truth
    if matched.predictions.vertices is None:
        return "the predictions hold no meshes"
    if truth.vertices is None or matched.vertices is None:
        return "the split has no meshes"
    foreign = matched.vertices.shape[1] != truth.vertices.shape[1]
    if foreign and metric.quantity != "F":
        return (
            f"the predicted meshes have {matched.vertices.shape[1]:,} vertices and the true ones "
            f"{truth.vertices.shape[1]:,}, so only F-scores compare them"
        )
    needs_joints = metric.alignment == "root" or (foreign and metric.alignment != "cam")
    if needs_joints and (matched.keypoints_3d is None or truth.keypoints_3d is None):
        return "this alignment of meshes needs 3D keypoints"
    return None
