"""Format 1.0 as data: which datasets a split holds, their shapes, dtypes and meaning.

``docs/format.md`` is the specification in words. Writer, reader and ``verify`` all take the
layout from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import NUM_JOINTS as J

FORMAT = "1.0"
FORMAT_MAJOR = 1

BOX_SOURCES = ("annotation", "keypoints", "image", "detector")
"""Values of the attribute `source` of `bbox`: where the boxes come from."""

IMAGE_CHUNK_BYTES = 64 * 1024
"""Read several times faster than variable-length rows, and small enough for random access."""


@dataclass(frozen=True)
class Column:
    """One dataset of a split whose first axis is the samples.

    Attributes
    ----------
    shape
        Shape of one row; -1 stands for any length.
    dtype
        Numpy dtype; ``"str"`` for fixed-length UTF-8.
    meaning
        One line for ``inspect`` and the documentation.
    required
        Every split holds it.
    """

    shape: tuple[int, ...]
    dtype: str
    meaning: str
    required: bool = False


COLUMNS: dict[str, Column] = {
    "sample_id": Column((), "str", "stable, unique name of the sample", required=True),
    "image_size": Column((2,), "int32", "height, width of the stored image, px", required=True),
    "keypoints_2d": Column((J, 2), "float64", "px of the stored image", required=True),
    "valid_2d": Column((J,), "bool", "2D labelled", required=True),
    "valid_3d": Column((J,), "bool", "3D labelled", required=True),
    "visibility": Column(
        (J,), "uint8", "0 unlabelled, 1 occluded, 2 visible, 255 unknown", required=True
    ),
    "crop": Column((3, 3), "float64", "homography source px to stored px", required=True),
    "bbox": Column((4,), "float64", "x, y, w, h of the unpadded box, stored px", required=True),
    "is_right": Column((), "int8", "side of the real hand: 1, 0, -1 unknown", required=True),
    "mirrored": Column((), "bool", "the stored image is flipped", required=True),
    "image_id": Column((), "str", "source photo"),
    "native_image_id": Column((), "str", "id of the photo in the source's own label file"),
    "subject_id": Column((), "str", "person"),
    "sequence_id": Column((), "str", "recording"),
    "instant_id": Column((), "str", "moment: all views of one instant"),
    "camera_id": Column((), "str", "camera"),
    "frame_index": Column((), "int64", "position in the recording"),
    "keypoints_3d": Column((J, 3), "float32", "m, camera of the stored image"),
    "camera": Column((3, 3), "float64", "intrinsics of the stored image, px"),
    "crop_rotation": Column((3, 3), "float64", "rotation of a perspective crop's virtual camera"),
    "source_bbox": Column((4,), "float64", "x, y, w, h of the unpadded box, source px"),
    "distortion": Column((-1,), "float64", "lens distortion"),
    "scale": Column((), "float64", "m, middle proximal phalanx"),
    "mano_pose": Column((48,), "float32", "axis-angle, rad"),
    "mano_shape": Column((10,), "float32", "MANO betas"),
    "mano_trans": Column((3,), "float32", "m"),
    "vertices": Column((-1, 3), "float32", "m, camera of the stored image"),
    "heatmaps": Column((J, -1, -1), "float16", "Gaussian targets, peak 1"),
    "hand_type": Column((), "str", "left, right or interacting"),
    "person_area_px2": Column((), "float64", "area of the person, source px squared"),
    "hand_area_px2": Column((), "float64", "area of the hand, source px squared"),
    "head_size_px": Column((), "float64", "head size, source px"),
    "label_confidence": Column((J,), "float32", "confidence of pseudo-labels"),
    "palm_3d": Column((3,), "float32", "m, palm centre"),
    "source_dataset": Column((), "str", "merged files: dataset that the row comes from"),
    "sample_weight": Column((), "float64", "how often a row is drawn in training, relative"),
    "split_group": Column((), "str", "merged files: id of the row's own `split_unit`"),
    "cluster_group": Column((), "str", "merged files: id of the row's own `cluster_unit`"),
}

ROOT_ATTRIBUTES = (
    "handbench_format",
    "dataset",
    "title",
    "license",
    "citation",
    "homepage",
    "label_source",
    "publish_images",
    "handbench_version",
    "command",
    "created",
    "sources",
    "joint_names",
    "bones",
)
"""Attributes every file carries; ``complete`` follows as the very last write."""


class TruthHash:
    """Fingerprint of the labels, whatever the crop: the same labels give the same hash.

    A row's record is the SHA-256 of its UTF-8 id, a zero byte, and little-endian float32 of
    source-frame 2D (21×2 px), 3D (21×3 m), 2D validity (21), 3D validity (21) and box (4, source
    px), where whatever is not valid is NaN. ``truth_sha256`` is the SHA-256 of all records in
    the order of sorted ids. One short digest a row keeps memory flat.
    """

    def __init__(self) -> None:
        self._records: list[tuple[bytes, bytes]] = []

    def add(
        self,
        sample_id: Sequence[str],
        keypoints_2d: npt.NDArray[np.floating],
        keypoints_3d: npt.NDArray[np.floating] | None,
        valid_2d: npt.NDArray[np.bool_],
        valid_3d: npt.NDArray[np.bool_],
        bbox: npt.NDArray[np.floating],
    ) -> None:
        """Add a block of rows in the source frame (shapes as in :data:`COLUMNS`)."""
        rows = len(sample_id)
        points = np.where(valid_2d[..., None], keypoints_2d, np.nan)
        if keypoints_3d is None:
            points_3d = np.full((rows, J, 3), np.nan)
        else:
            points_3d = np.where(valid_3d[..., None], keypoints_3d, np.nan)
        # float32 first, then a canonical NaN and no negative zero: equal labels, equal bytes.
        table = np.concatenate(
            [part.reshape(rows, -1) for part in (points, points_3d, valid_2d, valid_3d, bbox)],
            axis=1,
        ).astype("<f4")
        table += np.float32(0.0)
        table[np.isnan(table)] = np.float32(np.nan)
        data = table.tobytes()
        step = table.shape[1] * 4
        for row, name in enumerate(sample_id):
            key = name.encode()
            record = hashlib.sha256(key + b"\0" + data[row * step : (row + 1) * step])
            self._records.append((key, record.digest()))

    def hexdigest(self) -> str:
        """Hash of all rows added so far, in the order of their ids."""
        total = hashlib.sha256()
        for _, record in sorted(self._records):
            total.update(record)
        return total.hexdigest()
