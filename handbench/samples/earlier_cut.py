"""Images that were cut before they came here: labels and crops of the source they were cut from.

An export says how its images were cut (:attr:`handbench.sources.block.SampleBlock.cut`). A file
made of it then leads back to the first source, as if nothing lay between.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_matrix, flip_points_3d, image_box, transform_points
from handbench.sources.block import SampleBlock

FloatArray = npt.NDArray[np.float64]

_MIRROR = np.diag(flip_points_3d([1.0, 1.0, 1.0]))


def first_frame(block: SampleBlock) -> SampleBlock:
    """The block with its 2D, 3D and boxes in the frame of the source it was first cut from.

    Rounding: about 1e-12 of the image size in px.
    """
    if not block.cut:
        return block
    back = np.linalg.inv(block.cut["crop"])
    box = block.cut.get("source_bbox")
    if box is None:
        corners = np.stack([block.bbox[:, :2], block.bbox[:, :2] + block.bbox[:, 2:]], axis=1)
        moved = transform_points(back, corners)
        low, high = moved.min(axis=1), moved.max(axis=1)
        box = np.concatenate([low, high - low], axis=1)
    points_3d = block.keypoints_3d
    if points_3d is not None:
        mirrored = block.cut["mirrored"][:, None, None]
        points_3d = np.where(mirrored, flip_points_3d(points_3d), points_3d)
        if "crop_rotation" in block.cut:
            # It turns the first camera's axes: the inverse is its transpose.
            points_3d = points_3d @ block.cut["crop_rotation"]
    return replace(
        block,
        keypoints_2d=transform_points(back, block.keypoints_2d),
        bbox=box,
        keypoints_3d=points_3d,
    )


def kept_whole(block: SampleBlock, crop: FloatArray, padding: float, size: int) -> FloatArray:
    """Crops (B, 3, 3) of this image px → stored px that keep images cut with `padding` whole.

    Where the padding asked for is that of the earlier cut, or NaN for whatever that was, there is
    nothing left to cut, even where a virtual camera has moved the box from the middle.
    """
    if not block.cut:
        return crop
    same = (block.cut["padding"] == padding) | np.isnan(padding)
    whole = crop_matrix(image_box(block.image_size[:, 1], block.image_size[:, 0]), 1.0, size)
    return np.where(same[:, None, None], whole, crop)


def composed(
    block: SampleBlock,
    crop: FloatArray,
    mirrored: npt.NDArray[np.bool_],
    rotation: FloatArray | None,
) -> dict[str, Any]:
    """Columns ``crop``, ``mirrored``, ``crop_rotation`` and ``source_bbox`` of both cuts together.

    Parameters
    ----------
    block
        Rows whose images were cut before.
    crop, mirrored, rotation
        The second cut: see :class:`handbench.samples.frames.Frames`. No row is mirrored twice.
    """
    columns: dict[str, Any] = {
        "crop": crop @ block.cut["crop"],
        "mirrored": mirrored | block.cut["mirrored"],
    }
    if rotation is not None or "crop_rotation" in block.cut:
        none = np.tile(np.eye(3), (len(block), 1, 1))
        first = block.cut.get("crop_rotation", none)
        second = none if rotation is None else rotation
        # The format mirrors last: a rotation after the flip is its mirror image before it.
        flipped = block.cut["mirrored"][:, None, None]
        columns["crop_rotation"] = np.where(flipped, _MIRROR @ second @ _MIRROR, second) @ first
        columns["source_bbox"] = first_frame(block).bbox
    return columns
