"""From the source frame to the stored frame: one homography moves image, labels and camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import (
    crop_intrinsics,
    crop_matrix,
    flip_camera,
    flip_matrix,
    flip_points_3d,
    perspective_crop,
    transform_points,
)
from handbench.errors import SourceError
from handbench.samples.earlier_cut import composed, kept_whole
from handbench.sources.block import SampleBlock

FloatArray = npt.NDArray[np.float64]

# Moving a pixel by less than a millionth is no move: the image keeps its original bytes.
_IDENTITY_TOLERANCE = 1e-6

_MANO = ("mano_pose", "mano_shape", "mano_trans")
_GLOBAL = slice(0, 3)
"""The first three numbers of a MANO pose turn the whole hand."""


@dataclass(frozen=True)
class CropSettings:
    """How rows are cut.

    Attributes
    ----------
    size
        Side of the stored image, px.
    padding
        Factor on the longer side of the box.
    raw
        Store decoded pixels instead of JPEG or PNG bytes.
    perspective
        Turn a virtual camera to each hand (:func:`handbench.camera.perspective_crop`) instead of
        cutting the image plane.
    mirror_left
        Flip left hands, so that all hands look like right ones.
    """

    size: int
    padding: float
    raw: bool = False
    perspective: bool = False
    mirror_left: bool = False


@dataclass
class Frames:
    """Geometry of B crops.

    Attributes
    ----------
    crop
        (B, 3, 3) source px → stored px, reflection included.
    mirrored
        (B,) bool.
    unchanged
        (B,) bool: the stored image is the source image.
    camera
        (B, 3, 3) intrinsics of the stored image, px; None where the source has none.
    rotation
        (B, 3, 3) source camera axes → axes of the virtual camera; None where crops are affine.
    """

    crop: FloatArray
    mirrored: npt.NDArray[np.bool_]
    unchanged: npt.NDArray[np.bool_]
    camera: FloatArray | None = None
    rotation: FloatArray | None = None

    def move_3d(self, points: npt.NDArray[np.floating]) -> FloatArray:
        """Points (B, N, 3) m of the source camera, seen by the camera of the stored image."""
        moved = np.asarray(points, dtype=np.float64)
        if self.rotation is not None:
            moved = np.einsum("bij,bnj->bni", self.rotation, moved)
        return np.where(self.mirrored[:, None, None], flip_points_3d(moved), moved)


def frames(block: SampleBlock, settings: CropSettings) -> Frames:
    """Work out how each row of a block is cut.

    Raises
    ------
    SourceError
        If a perspective crop is wanted of a source without intrinsics.
    """
    size, rotation = settings.size, None
    camera = block.camera
    if settings.perspective:
        if block.camera is None:
            raise SourceError(
                f"expected intrinsics for a perspective crop, found none for "
                f"{block.sample_id[0]}: convert with --crop affine"
            )
        crop, rotation, camera = perspective_crop(block.bbox, settings.padding, size, block.camera)
    else:
        crop = crop_matrix(block.bbox, settings.padding, size)
        crop = kept_whole(block, crop, settings.padding, size)
    mirrored = settings.mirror_left & (block.is_right == 0)
    if block.cut:
        mirrored &= ~block.cut["mirrored"]
    unchanged: npt.NDArray[np.bool_] = (np.abs(crop - np.eye(3)) < _IDENTITY_TOLERANCE).all(
        axis=(1, 2)
    ) & (block.image_size == size).all(axis=1)
    if not settings.perspective:
        crop[unchanged] = np.eye(3)
        camera = None if camera is None else crop_intrinsics(crop, camera)
    crop[mirrored] = flip_matrix(size) @ crop[mirrored]
    if camera is not None:
        camera[mirrored] = flip_camera(camera[mirrored], size)
    return Frames(crop, mirrored, unchanged & ~mirrored, camera, rotation)


@dataclass
class Columns:
    """Moves the columns of blocks, and remembers what could not come along.

    Attributes
    ----------
    settings
        How rows are cut.
    attributes
        HDF5 attributes of the source's optional columns.
    without_mano, unknown_side
        Mirrored rows whose MANO parameters were left out; rows that might be left hands.
    without_position
        Rows whose ``mano_trans`` was left out.
    """

    settings: CropSettings
    attributes: dict[str, dict[str, Any]] = field(default_factory=dict)
    without_mano: int = 0
    without_position: int = 0
    unknown_side: int = 0

    def moved(self, block: SampleBlock, frame: Frames) -> dict[str, Any]:
        """Columns of the stored frame.

        Raises
        ------
        SourceError
            If the lens distortion of a row cannot be described in the stored frame.
        """
        corners = np.stack([block.bbox[:, :2], block.bbox[:, :2] + block.bbox[:, 2:]], axis=1)
        if frame.rotation is not None:
            # The box becomes a quadrilateral: its own box is stored, and the source box beside it.
            corners = block.bbox[:, None, :2] + block.bbox[:, None, 2:] * _CORNERS
        moved = transform_points(frame.crop, corners)
        low, high = moved.min(axis=1), moved.max(axis=1)
        box = np.concatenate([low, high - low], axis=1)
        # The way over corners rounds, which no box of an image that stays as it is should feel.
        box = np.where(frame.unchanged[:, None], block.bbox, box)
        columns: dict[str, Any] = {
            "sample_id": block.sample_id,
            "image_size": np.full((len(block), 2), self.settings.size, dtype=np.int32),
            "keypoints_2d": transform_points(frame.crop, block.keypoints_2d),
            "valid_2d": block.valid_2d,
            "valid_3d": block.valid_3d,
            "visibility": block.visibility,
            "crop": frame.crop,
            "bbox": box,
            "is_right": block.is_right,
            "mirrored": frame.mirrored,
            **block.ids,
            **self._extra(block, frame),
        }
        if frame.rotation is not None:
            columns["crop_rotation"] = frame.rotation
            columns["source_bbox"] = block.bbox
        if block.cut:
            columns |= composed(block, frame.crop, frame.mirrored, frame.rotation)
        if block.keypoints_3d is not None:
            columns["keypoints_3d"] = frame.move_3d(block.keypoints_3d).astype(np.float32)
        if frame.camera is not None:
            columns["camera"] = frame.camera
        if self.settings.mirror_left:
            self.unknown_side += int((block.is_right == -1).sum())
        return columns

    def _extra(self, block: SampleBlock, frame: Frames) -> dict[str, Any]:
        extra = dict(block.extra)
        if frame.rotation is None and not frame.mirrored.any():
            return extra
        if "distortion" in extra and (np.nan_to_num(extra["distortion"]) != 0).any():
            raise SourceError(
                f"images with lens distortion, such as that of {block.sample_id[0]}, can neither "
                "be mirrored nor be cut by a virtual camera: convert with --crop affine and "
                "without --mirror-left"
            )
        if "vertices" in extra:
            extra["vertices"] = frame.move_3d(extra["vertices"]).astype(np.float32)
        if "palm_3d" in extra:
            extra["palm_3d"] = frame.move_3d(extra["palm_3d"][:, None])[:, 0].astype(np.float32)
        return extra | self._mano(extra, frame)

    def _mano(self, extra: dict[str, Any], frame: Frames) -> dict[str, Any]:
        """MANO parameters in the stored frame; NaN where there are no right ones.

        A turned camera changes the global rotation and the position of the root joint; without
        knowing whose position ``mano_trans`` is, its turned value needs the hand model. A mirrored
        left hand is no hand of the right-hand model: the shape spaces of the two are not mirror
        images of each other.
        """
        mano = {name: extra[name].astype(np.float32) for name in _MANO if name in extra}
        if not mano:
            return mano
        if frame.rotation is not None:
            if "mano_pose" in mano:
                mano["mano_pose"] = _turned_pose(mano["mano_pose"], frame.rotation)
            if "mano_trans" in mano and "root_joint" in self.attributes.get("mano_trans", {}):
                position = np.einsum("bij,bj->bi", frame.rotation, mano["mano_trans"])
                mano["mano_trans"] = position.astype(np.float32)
            elif "mano_trans" in mano:
                self.without_position += len(frame.crop)
                mano["mano_trans"] = np.full_like(mano["mano_trans"], np.nan)
        self.without_mano += int(frame.mirrored.sum())
        return {
            name: np.where(frame.mirrored[:, None], np.float32(np.nan), values)
            for name, values in mano.items()
        }

    def notes(self) -> list[str]:
        """Sentences about what did not come along."""
        said = []
        if self.unknown_side:
            said.append(
                f"--mirror-left: {self.unknown_side:,} hands of unknown side were left as they are"
            )
        if self.without_mano:
            said.append(
                f"the MANO parameters of {self.without_mano:,} mirrored hands are stored as NaN: "
                "the right-hand model has no parameters for a mirrored left hand"
            )
        if self.without_position:
            said.append(
                f"mano_trans of {self.without_position:,} hands is stored as NaN: it cannot be "
                "turned without the hand model"
            )
        return said


_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])


def _turned_pose(pose: npt.NDArray[np.float32], rotation: FloatArray) -> npt.NDArray[np.float32]:
    """MANO poses (B, 48) axis-angle rad, turned as a whole by `rotation` (B, 3, 3)."""
    from scipy.spatial.transform import Rotation

    turned = pose.copy()
    whole = Rotation.from_matrix(rotation) * Rotation.from_rotvec(pose[:, _GLOBAL])
    turned[:, _GLOBAL] = whole.as_rotvec()
    return turned
