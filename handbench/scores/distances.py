"""Distances of matched predictions in the unit that each metric asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from handbench.alignment import align_bone, align_procrustes, align_root, align_scale, alignable
from handbench.camera import crop_scale
from handbench.hand import OCCLUDED
from handbench.metrics import box_size, keypoint_errors, normalise, palm_size, tight_size
from handbench.scores.floor import mean_pose
from handbench.scores.matching import Matched
from handbench.scores.metric import Metric, Size

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
        Normaliser → (N,) source px.
    """

    def __init__(self, matched: Matched) -> None:
        self.matched = matched
        truth = matched.truth
        head = truth.head_size_px
        self.sizes: dict[Size, Floats] = {
            "bbox": box_size(truth.bbox),
            "tight": tight_size(truth.keypoints, truth.valid),
            "image": truth.image_px,
            "palm": palm_size(truth.keypoints, truth.valid),
            "head": np.full(len(truth), np.nan) if head is None else head,
        }
        self._known: dict[str, Floats] = {}

    def errors(self, metric: Metric, *, replace_bad_boxes: bool = False) -> Floats:
        """Errors (N, 21) for `metric`: NaN is left out, inf is wrong.

        Parameters
        ----------
        metric
            Of joints, and with a value here (:func:`handbench.scores.reasons.reason_without`).
        replace_bad_boxes
            mmpose's rule: a negative box side counts as 1e6, so that the hand is always right.
        """
        errors = self._millimetres(metric) if metric.is_3d else self._pixels(metric)
        counted = self._counted(metric)
        if counted is not None:
            errors = np.where(counted, errors, np.nan)
        if metric.missing == "drop":
            errors = np.where(np.isinf(errors), np.nan, errors)
        if metric.size is None:
            return errors
        size = self.sizes[metric.size]
        if replace_bad_boxes and metric.size == "bbox":
            size = np.where(size < 0, 1e6, size)
        return normalise(errors, size)

    def labelled(self, metric: Metric) -> npt.NDArray[np.bool_]:
        """(N, 21) joints whose labels allow a score for `metric`, found or missed."""
        truth = self.matched.truth
        there: npt.NDArray[np.bool_] = truth.valid
        if metric.is_3d:
            there = truth.valid_3d
            if metric.alignment == "root":
                for joint in (metric.root, *(metric.bone or ())):
                    there = there & truth.valid_3d[:, joint, None]
            elif metric.alignment in ("pa", "pa-reflect") and truth.keypoints_3d is not None:
                there = there & alignable(truth.keypoints_3d, truth.valid_3d)[:, None]
        elif metric.size is not None:
            there = there & (self.sizes[metric.size] > 0)[:, None]
        counted = self._counted(metric)
        return there if counted is None else there & counted

    def _counted(self, metric: Metric) -> npt.NDArray[np.bool_] | None:
        """(N, 21) joints that the metric's ``joints=`` and ``hands=`` name; None for all."""
        if metric.joints == "all" and metric.hands == "all":
            return None
        truth = self.matched.truth
        counted = np.zeros(truth.visibility.shape, dtype=bool)
        counted[:, metric.joint_indices] = True
        if metric.visibility is not None:
            covered = truth.visibility == OCCLUDED
            counted &= covered if metric.visibility == "occluded" else ~covered
        return counted & self.hands(metric)[:, None]

    def hands(self, metric: Metric) -> npt.NDArray[np.bool_]:
        """(N,) hands that the metric's ``hands=`` names."""
        truth = self.matched.truth
        if metric.hands in ("right", "left"):
            chosen: npt.NDArray[np.bool_] = truth.is_right == (metric.hands == "right")
            return chosen
        if metric.hands == "all" or truth.hand_type is None:
            return np.full(len(truth), metric.hands == "all")
        together = np.equal(truth.hand_type, "interacting")
        return together if metric.hands == "interacting" else ~together

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
        name = f"mm {metric.alignment} {metric.root} {metric.bone}"
        if name not in self._known:
            predicted, truth = self.matched.keypoints_3d, self.matched.truth
            labelled, valid = truth.keypoints_3d, truth.valid_3d
            if predicted is None or labelled is None:
                errors = np.where(valid, np.inf, np.nan)
            else:
                # What an alignment needs and nobody labelled leaves the whole hand out.
                valid = self.labelled(replace(metric, joints="all", hands="all"))
                if metric.alignment == "root":
                    if metric.bone is not None:
                        predicted = align_bone(predicted, labelled, metric.bone, metric.root)
                    else:
                        predicted = align_root(predicted, metric.root)
                    labelled = align_root(labelled, metric.root)
                elif metric.alignment == "scale":
                    predicted = align_scale(predicted, labelled, valid)
                elif metric.alignment in ("pa", "pa-reflect"):
                    reflect = metric.alignment == "pa-reflect"
                    predicted = align_procrustes(predicted, labelled, valid, reflect=reflect)
                errors = keypoint_errors(predicted, labelled, valid) * MM_PER_M
            self._known[name] = errors
        return self._known[name]
