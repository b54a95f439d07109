"""Distances of matched predictions in the unit that each metric asks for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_scale
from handbench.metrics import (
    align_procrustes,
    align_root,
    align_scale,
    box_size,
    keypoint_errors,
    normalise,
    palm_size,
    tight_size,
)
from handbench.scores.floor import mean_pose
from handbench.scores.matching import Matched
from handbench.scores.names import Metric, Size

Floats = npt.NDArray[np.float64]

MM_PER_M = 1000.0


class Distances:
    """Errors (N, 21) of one model, computed once for each unit, size and alignment.

    Parameters
    ----------
    matched
        Truth and predictions in the same rows.

    Attributes
    ----------
    sizes
        ``bbox``, ``tight``, ``palm`` → (N,) source px.
    """

    def __init__(self, matched: Matched) -> None:
        self.matched = matched
        truth = matched.truth
        self.sizes: dict[Size, Floats] = {
            "bbox": box_size(truth.bbox),
            "tight": tight_size(truth.keypoints, truth.valid),
            "palm": palm_size(truth.keypoints, truth.valid),
        }
        self._known: dict[str, Floats] = {}

    def reason_without(self, metric: Metric) -> str | None:
        """Why `metric` has no value for this model on this truth, or None if it has one."""
        truth, predictions = self.matched.truth, self.matched.predictions
        if metric.quantity == "coverage":
            return None
        if not metric.is_3d:
            if not truth.valid.any():
                return "the split has no 2D labels"
            if self.matched.keypoints is None and metric.of == "model":
                return "the predictions hold no 2D keypoints"
            return None
        if not truth.has_3d:
            return "the split has no 3D labels"
        if self.matched.keypoints_3d is None:
            return "the predictions hold no 3D keypoints"
        if metric.alignment in ("cam", "scale") and predictions.frame_3d != "camera":
            return f"it needs frame_3d 'camera', and the predictions say {predictions.frame_3d!r}"
        return None

    def errors(self, metric: Metric, *, replace_bad_boxes: bool = False) -> Floats:
        """Errors (N, 21) for `metric`: NaN is left out, inf is wrong.

        Parameters
        ----------
        metric
            Must have a value here (:meth:`reason_without`).
        replace_bad_boxes
            mmpose's rule: a negative box side counts as 1e6, so that the hand is always right.
        """
        errors = self._millimetres(metric) if metric.is_3d else self._pixels(metric)
        if metric.missing == "drop":
            errors = np.where(np.isinf(errors), np.nan, errors)
        if metric.size is None:
            return errors
        size = self.sizes[metric.size]
        if replace_bad_boxes and metric.size == "bbox":
            size = np.where(size < 0, 1e6, size)
        return normalise(errors, size)

    def _pixels(self, metric: Metric) -> Floats:
        name = f"px {metric.of} {metric.frame}"
        if name not in self._known:
            truth = self.matched.truth
            if metric.of == "mean-pose":
                points = mean_pose(truth.keypoints, truth.valid, truth.bbox, truth.is_right)
                # Where the floor cannot be drawn (a box without area) it is left out, not wrong.
                errors = keypoint_errors(points, truth.keypoints, truth.valid, missing="drop")
            else:
                found = self.matched.keypoints
                points = np.full_like(truth.keypoints, np.nan) if found is None else found
                errors = keypoint_errors(points, truth.keypoints, truth.valid)
            if metric.frame == "stored":
                errors = errors * crop_scale(truth.crop)[:, None]
            self._known[name] = errors
        return self._known[name]

    def _millimetres(self, metric: Metric) -> Floats:
        name = f"mm {metric.alignment} {metric.root}"
        if name not in self._known:
            predicted, truth = self.matched.keypoints_3d, self.matched.truth
            labelled, valid = truth.keypoints_3d, truth.valid_3d
            if predicted is None or labelled is None:
                errors = np.where(valid, np.inf, np.nan)
            else:
                if metric.alignment == "root":
                    # Without a label for its root no joint of the hand can be compared.
                    valid = valid & valid[:, metric.root, None]
                    predicted = align_root(predicted, metric.root)
                    labelled = align_root(labelled, metric.root)
                elif metric.alignment == "scale":
                    predicted = align_scale(predicted, labelled, valid)
                elif metric.alignment in ("pa", "pa-reflect"):
                    valid = valid & (valid.sum(axis=1) >= 3)[:, None]
                    reflect = metric.alignment == "pa-reflect"
                    predicted = align_procrustes(predicted, labelled, valid, reflect=reflect)
                errors = keypoint_errors(predicted, labelled, valid) * MM_PER_M
            self._known[name] = errors
        return self._known[name]
