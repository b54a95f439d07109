"""The alignments of published scorers, one hand at a time.

`official` is that of FreiHAND, HO-3D and DexYCB: both clouds are centred and divided by their
Frobenius norm plus 1e-8, and scipy's orthogonal Procrustes, which may answer with a reflection,
turns one onto the other. `proper` is that of HMR and its descendants (HaMeR, mmpose): the
determinant is forced to +1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.linalg import orthogonal_procrustes

Floats = npt.NDArray[np.float64]

_NEVER_ZERO = 1e-8


class Transform(NamedTuple):
    """What the official scripts remember of a fit, to move a mesh by it."""

    rotation: Floats
    scale: float
    size: float
    shift: Floats


def official(truth: Floats, prediction: Floats) -> Floats:
    """Prediction (K, 3) moved onto the truth, reflections allowed."""
    _, moved = _official(truth, prediction)
    return moved


def official_transform(truth: Floats, prediction: Floats) -> Transform:
    """The fit of :func:`official`, for :func:`move_mesh`."""
    transform, _ = _official(truth, prediction)
    return transform


def _official(truth: Floats, prediction: Floats) -> tuple[Transform, Floats]:
    middle_truth = np.mean(truth, axis=0)
    middle_prediction = np.mean(prediction, axis=0)
    size_truth = float(np.sqrt(np.sum((truth - middle_truth) ** 2))) + _NEVER_ZERO
    size_prediction = float(np.sqrt(np.sum((prediction - middle_prediction) ** 2))) + _NEVER_ZERO
    unit_truth = (truth - middle_truth) / size_truth
    unit_prediction = (prediction - middle_prediction) / size_prediction
    rotation, scale = orthogonal_procrustes(unit_truth, unit_prediction)
    moved = size_truth * float(scale) * (unit_prediction @ rotation.T) + middle_truth
    shift = middle_truth - middle_prediction
    return Transform(rotation, float(scale), size_truth, shift), moved


def move_mesh(vertices: Floats, fit: Transform) -> Floats:
    """Move a mesh of another topology by the keypoints' fit, quirk included.

    The rotation turns about the mesh's own middle, and the mesh is multiplied by the fitted scale
    and by the size of the true keypoints; but the size of the predicted keypoints, by which these
    were divided before the fit, is never divided out.
    """
    middle = np.mean(vertices, axis=0)
    turned = (vertices - middle) @ fit.rotation.T
    return turned * fit.scale * fit.size + fit.shift + middle


def proper(truth: Floats, prediction: Floats) -> Floats:
    """Prediction (K, 3) moved onto the truth by the best rotation, scale and translation."""
    middle_truth = np.mean(truth, axis=0)
    middle_prediction = np.mean(prediction, axis=0)
    covariance = np.zeros((3, 3))
    squares = 0.0
    for t, p in zip(truth - middle_truth, prediction - middle_prediction):
        covariance += np.outer(p, t)
        squares += float(p @ p)
    u, _, vt = np.linalg.svd(covariance)
    flip = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))])
    rotation = vt.T @ flip @ u.T
    scale = float(np.trace(rotation @ covariance)) / squares if squares else 0.0
    return np.stack([scale * rotation @ (p - middle_prediction) + middle_truth for p in prediction])


def from_root(points: Floats, root: int) -> Floats:
    """Points (K, 3) with joint `root` in the origin."""
    return points - points[root]


def scale_and_wrist(truth: Floats, prediction: Floats, root: int, end: int) -> Floats:
    """HO-3D's scale-translation: the length from `root` to `end` becomes the true one.

    Then `root` is put onto the true one. A prediction whose two joints coincide keeps its size
    before the true length is multiplied on, as in the script.
    """
    length = float(np.sqrt(np.sum((prediction[end] - prediction[root]) ** 2)))
    sized = prediction / length if length > 0 else prediction
    sized = sized * float(np.sqrt(np.sum((truth[end] - truth[root]) ** 2)))
    return sized - sized[root] + truth[root]


def pinned_bone(truth: Floats, prediction: Floats, root: int, end: int) -> Floats:
    """Minimal-hand in PyTorch: scale by one bone, then pin joint `end` to the truth."""
    length_truth = float(np.linalg.norm(truth[root] - truth[end]))
    length_prediction = float(np.linalg.norm(prediction[root] - prediction[end]))
    return truth[end] + (prediction - prediction[end]) * (length_truth / length_prediction)
