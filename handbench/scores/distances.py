"""Step one of a score: predictions and truth → errors of every joint, before any threshold."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.alignment import align_bone, align_procrustes, align_root, align_scale, alignable
from handbench.camera import crop_scale
from handbench.metrics import box_size, keypoint_errors, palm_size, tight_size
from handbench.scores.floor import mean_pose
from handbench.scores.matching import Matched
from handbench.scores.metric import Metric, Size
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]

MM_PER_M = 1000.0


def plain_distance(metric: Metric) -> Metric:
    """The mean distance that measures the same errors as `metric`, a metric of joints.

    >>> from handbench.scores.names import parse
    >>> str(plain_distance(parse("AUC@0-50mm[root=0,n=100,joints=tip]")))
    'MPJPE[mm,root=0]'
    """
    return Metric(
        "MPJPE" if metric.is_3d else "EPE",
        "mm" if metric.is_3d else "px",
        alignment=metric.alignment,
        root=metric.root,
        bone=metric.bone,
        frame=metric.frame,
        of=metric.of,
        avg="pool",
        missing="drop",
    )


def errors_name(metric: Metric) -> str:
    """Name of the kind of errors that `metric`, a metric of joints, is made from.

    >>> from handbench.scores.names import parse
    >>> errors_name(parse("PCK@0.2[bbox]")), errors_name(parse("PA-MPJPE[mm]"))
    ('px', 'mm,pa')
    >>> errors_name(parse("AUC@0-50mm[root=0,bone=0-9,n=100]"))
    'mm,root=0,bone=0-9'
    """
    parts = ["mm" if metric.is_3d else "px"]
    if metric.alignment is not None:
        parts.append(f"root={metric.root}" if metric.alignment == "root" else metric.alignment)
    if metric.bone is not None:
        parts.append(f"bone={metric.bone[0]}-{metric.bone[1]}")
    if metric.frame != "source":
        parts.append(f"frame={metric.frame}")
    if metric.of != "model":
        parts.append(f"of={metric.of}")
    return ",".join(parts)


def hand_sizes(truth: Truth) -> dict[Size, Floats]:
    """Normaliser → (N,) source px; ``head`` only where the split stores head sizes."""
    sizes: dict[Size, Floats] = {
        "bbox": box_size(truth.bbox),
        "tight": tight_size(truth.keypoints, truth.valid),
        "image": truth.image_px,
        "palm": palm_size(truth.keypoints, truth.valid),
    }
    if truth.head_size_px is not None:
        sizes["head"] = truth.head_size_px
    return sizes


def joint_errors(matched: Matched, metric: Metric) -> Floats:
    """Errors (N, 21) that `metric` is made from, px or mm.

    Parameters
    ----------
    matched
        Truth and predictions in the same rows.
    metric
        Of joints, and with a value here (:func:`handbench.scores.reasons.reason_without`). Its
        unit, frame and alignment count; range, normaliser, joint and hand sets come later.

    Returns
    -------
    NaN: joint not labelled, or its hand cannot be aligned. inf: labelled, but the hand was missed.
    """
    return _millimetres(matched, metric) if metric.is_3d else _pixels(matched, metric)


def _pixels(matched: Matched, metric: Metric) -> Floats:
    truth, points = matched.truth, matched.keypoints
    if metric.of == "mean-pose":
        points = mean_pose(truth.keypoints, truth.valid, truth.bbox, truth.is_right)
        # Where the floor cannot be drawn (a box without area) it is left out, not wrong.
        errors = keypoint_errors(points, truth.keypoints, truth.valid, missing="drop")
    elif points is None:
        errors = np.where(truth.valid, np.inf, np.nan)
    else:
        errors = keypoint_errors(points, truth.keypoints, truth.valid)
    if metric.frame == "stored":
        # Stored images are square: the scale in their middle stands for the whole crop.
        middle = np.repeat((truth.stored_width[:, None] - 1) / 2, 2, axis=1)
        errors = errors * crop_scale(truth.crop, middle)[:, None]
    return errors


def _millimetres(matched: Matched, metric: Metric) -> Floats:
    predicted, truth = matched.keypoints_3d, matched.truth
    labelled, valid = truth.keypoints_3d, truth.valid_3d
    if predicted is None or labelled is None:
        return np.where(valid, np.inf, np.nan)
    if metric.alignment == "root":
        # Without a label for its root no joint of the hand can be compared.
        valid = valid & valid[:, metric.root, None]
        if metric.bone is not None:
            ends = valid[:, metric.bone[0]] & valid[:, metric.bone[1]]
            valid = valid & ends[:, None]
            predicted = align_bone(predicted, labelled, metric.bone, metric.root)
        else:
            predicted = align_root(predicted, metric.root)
        labelled = align_root(labelled, metric.root)
    elif metric.alignment == "scale":
        predicted = align_scale(predicted, labelled, valid)
    elif metric.alignment in ("pa", "pa-reflect"):
        reflect = metric.alignment == "pa-reflect"
        valid = valid & alignable(labelled, valid)[:, None]
        predicted = align_procrustes(predicted, labelled, valid, reflect=reflect)
    return keypoint_errors(predicted, labelled, valid) * MM_PER_M
