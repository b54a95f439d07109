"""The mean-pose floor: what one scores by drawing the average hand into every box.

It is *not* a method anyone could submit: pose and box both come from the truth of the very split
that is scored. It answers how much of a score the box gives away: a model near its floor has
learnt where hands are, not how they are posed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def mean_pose(
    keypoints: npt.ArrayLike,
    valid: npt.NDArray[np.bool_],
    bbox: npt.ArrayLike,
    is_right: npt.NDArray[np.int8],
) -> Floats:
    """Mean 2D pose of all hands in box coordinates, placed in each hand's box.

    Every hand is written as ((x - left) / w, (y - top) / h), left hands mirrored (x → 1 - x) where
    the side is known; each joint is averaged over the hands where it is labelled; the mean is
    mirrored back for left hands and scaled into each box.

    Parameters
    ----------
    keypoints
        (N, 21, 2) source px.
    valid
        (N, 21) bool.
    bbox
        (N, 4) x, y, w, h, source px: the file's boxes.
    is_right
        (N,) int8: 0 is mirrored, 1 and -1 (unknown) are not.

    Returns
    -------
    (N, 21, 2) source px; NaN where a box has no area, and for joints labelled nowhere.
    """
    box = np.asarray(bbox, dtype=np.float64)[:, None, :]
    corner, size = box[..., :2], box[..., 2:]
    size = np.where((size > 0).all(axis=-1, keepdims=True), size, np.nan)
    left_hand = (is_right == 0)[:, None]
    inside = (np.asarray(keypoints, dtype=np.float64) - corner) / size
    inside[..., 0] = np.where(left_hand, 1 - inside[..., 0], inside[..., 0])
    usable = valid & np.isfinite(inside).all(axis=-1)
    count = usable.sum(axis=0)[:, None]
    total = np.where(usable[..., None], inside, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    placed = np.broadcast_to(mean, inside.shape).copy()
    placed[..., 0] = np.where(left_hand, 1 - placed[..., 0], placed[..., 0])
    result: Floats = corner + placed * size
    return result


def mean_pose_3d(
    keypoints_3d: npt.ArrayLike, valid_3d: npt.NDArray[np.bool_], is_right: npt.NDArray[np.int8]
) -> Floats:
    """Mean of all hands in 3D, from the wrist, in the axes of the camera.

    Left hands are mirrored (x → -x) where the side is known; each joint is averaged over the hands
    where it and the wrist are labelled; the mean is mirrored back for left hands. Its size is the
    mean size: nothing is fitted to the single hand.

    Parameters
    ----------
    keypoints_3d
        (N, 21, 3) metres, camera axes.
    valid_3d
        (N, 21) bool.
    is_right
        (N,) int8: 0 is mirrored, 1 and -1 (unknown) are not.

    Returns
    -------
    (N, 21, 3) metres, wrist in the origin; NaN for joints labelled nowhere together with a wrist.
    """
    mirror = np.where((is_right == 0)[:, None, None], [-1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    points = np.asarray(keypoints_3d, dtype=np.float64)
    from_wrist = (points - points[:, :1]) * mirror
    usable = valid_3d & valid_3d[:, :1] & np.isfinite(from_wrist).all(axis=-1)
    count = usable.sum(axis=0)[:, None]
    total = np.where(usable[..., None], from_wrist, 0.0).sum(axis=0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    result: Floats = mean * mirror
    return result
