"""How a labelled hand lies in the image: direction, view, truncation, occlusion, one number a hand.

Every function takes the truth of N hands and returns (N,) float64; NaN stands where the labels do
not say. ``docs/breakdowns.md`` defines the groups that are made of these numbers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.hand import (
    KNUCKLES,
    OCCLUDED,
    UNLABELLED,
    VISIBILITY_UNKNOWN,
    WRIST,
)
from handbench.metrics import PALM

Floats = npt.NDArray[np.float64]

_INDEX_MCP, _MIDDLE_MCP, _, _PINKY_MCP = KNUCKLES


def direction_deg(keypoints: npt.ArrayLike, valid: npt.ArrayLike) -> Floats:
    """In-plane direction of the hand: from the wrist to the middle MCP, clockwise from up.

    Parameters
    ----------
    keypoints
        (N, 21, 2) px, x right, y down.
    valid
        (N, 21) bool, labelled.

    Returns
    -------
    (N,) degrees in [0, 360): 0 fingers up, 90 right, 180 down, 270 left. NaN where one of the two
    joints is not labelled or both lie on one point.

    >>> points = np.zeros((1, 21, 2))
    >>> points[0, 9] = (10, 0)
    >>> direction_deg(points, np.ones((1, 21), dtype=bool))
    array([90.])
    """
    points = np.asarray(keypoints, dtype=np.float64)
    labelled = np.asarray(valid, dtype=bool)[:, [WRIST, _MIDDLE_MCP]].all(axis=1)
    x, y = (points[:, _MIDDLE_MCP] - points[:, WRIST]).T
    angle = np.degrees(np.arctan2(x, -y)) % 360.0
    return np.where(labelled & ((x != 0) | (y != 0)), angle, np.nan)


def view_deg(
    keypoints_3d: npt.ArrayLike | None, valid_3d: npt.ArrayLike, is_right: npt.ArrayLike
) -> Floats:
    """Angle between the palm's outward normal and the way from the palm to the camera.

    The normal is (index MCP - wrist) × (pinky MCP - wrist), which points out of the palm of a right
    hand; for left hands its sign is changed. The way to the camera starts at the palm's centre, the
    mean of wrist and the four finger MCPs, so a hand at the edge of a wide image is judged along
    its own ray, not along the optical axis.

    Parameters
    ----------
    keypoints_3d
        (N, 21, 3), camera axes (x right, y down, z forward), any unit, camera in the origin; None
        where there is no 3D.
    valid_3d
        (N, 21) bool, labelled.
    is_right
        (N,) 1, 0, or -1 for unknown: side of the hand *as it appears in this camera*.

    Returns
    -------
    (N,) degrees from 0, the palm faces the camera, over 90, seen from the edge, to 180, the back
    faces the camera. NaN without side, without all five palm joints, where they lie on a line, and
    where the palm's centre is not in front of the camera (joints relative to a root).
    """
    side = np.asarray(is_right)
    if keypoints_3d is None:
        return np.full(side.shape, np.nan)
    points = np.asarray(keypoints_3d, dtype=np.float64)
    wrist, centre = points[:, WRIST], points[:, PALM].mean(axis=1)
    normal = np.cross(points[:, _INDEX_MCP] - wrist, points[:, _PINKY_MCP] - wrist)
    normal *= np.where(side == 0, -1.0, 1.0)[:, None]
    lengths = np.linalg.norm(normal, axis=1) * np.linalg.norm(centre, axis=1)
    known = np.asarray(valid_3d, dtype=bool)[:, PALM].all(axis=1) & (side >= 0)
    known &= (lengths > 0) & (centre[:, 2] > 0)
    cosine = -(normal * centre).sum(axis=1) / np.where(known, lengths, 1.0)
    return np.where(known, np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))), np.nan)


def joints_outside(
    keypoints: npt.ArrayLike, valid: npt.ArrayLike, image_size: npt.ArrayLike
) -> Floats:
    """Number of labelled keypoints outside the image.

    Parameters
    ----------
    keypoints
        (N, 21, 2) px of the image, pixel centres at integers: it spans -½ to width - ½.
    valid
        (N, 21) bool, labelled.
    image_size
        (N, 2) height, width in px.

    Returns
    -------
    (N,) whole numbers; NaN where no joint is labelled. A keypoint on the edge is inside.
    """
    points, labelled = np.asarray(keypoints, dtype=np.float64), np.asarray(valid, dtype=bool)
    far = np.asarray(image_size, dtype=np.float64)[:, None, ::-1] - 0.5
    # Comparisons with the NaN of an unlabelled joint are false, so it is never outside.
    outside = ((points < -0.5) | (points > far)).any(axis=-1) & labelled
    return np.where(labelled.any(axis=1), outside.sum(axis=1), np.nan)


def joints_occluded(visibility: npt.ArrayLike) -> Floats:
    """Number of occluded keypoints.

    Parameters
    ----------
    visibility
        (N, 21): 0 unlabelled, 1 occluded, 2 visible, 255 unknown.

    Returns
    -------
    (N,) whole numbers; NaN where no joint is labelled or the visibility of any labelled one is
    unknown: the count would be too low.
    """
    codes = np.asarray(visibility)
    known = (codes != UNLABELLED).any(axis=1) & (codes != VISIBILITY_UNKNOWN).all(axis=1)
    return np.where(known, (codes == OCCLUDED).sum(axis=1), np.nan)
