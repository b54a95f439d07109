"""From the source frame to the stored frame: one homography moves image, labels and camera."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_intrinsics, crop_matrix, transform_points
from handbench.errors import SourceError
from handbench.images import (
    crop_square,
    decode,
    decode_mask,
    encode_jpeg,
    encode_mask,
)
from handbench.sources.block import SampleBlock

# Moving a pixel by less than a millionth is no move: the image keeps its original bytes.
_IDENTITY_TOLERANCE = 1e-6

# A crop many times larger than its image is a wrong box, and its black border would fill memory.
_LARGEST_CROP = 20


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
    """

    size: int
    padding: float
    raw: bool = False


@dataclass
class StoredBlock:
    """Rows ready for the file: columns of the stored frame, images, masks."""

    columns: dict[str, Any]
    images: list[bytes] | npt.NDArray[np.uint8]
    masks: list[bytes] | None


class Shaper:
    """Cuts blocks of rows, several images at once.

    Parameters
    ----------
    settings
        Size, padding, storage.
    workers
        Threads. Pillow decodes, resizes and encodes outside Python's lock, so threads are as fast
        as processes here and need no copies; the result does not depend on their number.
    """

    def __init__(self, settings: CropSettings, workers: int = 1) -> None:
        self.settings = settings
        self._pool = ThreadPoolExecutor(workers) if workers > 1 else None

    def close(self) -> None:
        """Stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _map(self, function: Callable[[int], Any], rows: Iterable[int]) -> list[Any]:
        return list((self._pool.map if self._pool else map)(function, rows))

    def shape(self, block: SampleBlock) -> StoredBlock:
        """Cut one block.

        Raises
        ------
        SourceError
            If a box has no area, or an image cannot be decoded.
        """
        self._check_boxes(block)
        size = self.settings.size
        crop = crop_matrix(block.bbox, self.settings.padding, size)
        unchanged = (np.abs(crop - np.eye(3)) < _IDENTITY_TOLERANCE).all(axis=(1, 2)) & (
            block.image_size == size
        ).all(axis=1)
        crop[unchanged] = np.eye(3)
        images = self._images(block, crop, unchanged)
        masks = None
        if block.masks is not None:
            encoded = block.masks
            masks = self._map(
                lambda row: _stored_mask(encoded[row], crop[row], size, block.sample_id[row]),
                range(len(block)),
            )
        return StoredBlock(self._columns(block, crop), images, masks)

    def _check_boxes(self, block: SampleBlock) -> None:
        side = block.bbox[:, 2:]
        bad = ~(np.isfinite(block.bbox).all(axis=1) & (side > 0).all(axis=1))
        if bad.any():
            row = int(bad.argmax())
            raise SourceError(
                f"expected a box with an area for {block.sample_id[row]}, found x, y, w, h = "
                f"{block.bbox[row].round(2).tolist()}; correct or remove this annotation"
            )
        wide = self.settings.padding * side.max(axis=1)
        huge = wide > _LARGEST_CROP * block.image_size.max(axis=1)
        if huge.any():
            row = int(huge.argmax())
            raise SourceError(
                f"the crop of {block.sample_id[row]} would be {wide[row]:,.0f} px wide, its image "
                f"has {block.image_size[row, 1]}×{block.image_size[row, 0]} px: is the box in px?"
            )

    def _images(
        self,
        block: SampleBlock,
        crop: npt.NDArray[np.float64],
        unchanged: npt.NDArray[np.bool_],
    ) -> list[bytes] | npt.NDArray[np.uint8]:
        settings = self.settings

        def stored_pixels(row: int) -> npt.NDArray[np.uint8]:
            pixels = decode(block.images[row], block.sample_id[row])
            return pixels if unchanged[row] else crop_square(pixels, crop[row], settings.size)

        def stored_bytes(row: int) -> bytes:
            return block.images[row] if unchanged[row] else encode_jpeg(stored_pixels(row))

        rows = range(len(block))
        if settings.raw:
            return np.stack(self._map(stored_pixels, rows))
        if unchanged.all():
            return block.images
        return self._map(stored_bytes, rows)

    def _columns(self, block: SampleBlock, crop: npt.NDArray[np.float64]) -> dict[str, Any]:
        corners = np.stack([block.bbox[:, :2], block.bbox[:, :2] + block.bbox[:, 2:]], axis=1)
        moved = transform_points(crop, corners)
        columns: dict[str, Any] = {
            "sample_id": block.sample_id,
            "image_size": np.full((len(block), 2), self.settings.size, dtype=np.int32),
            "keypoints_2d": transform_points(crop, block.keypoints_2d),
            "valid_2d": block.valid_2d,
            "valid_3d": block.valid_3d,
            "visibility": block.visibility,
            "crop": crop,
            "bbox": np.concatenate([moved[:, 0], moved[:, 1] - moved[:, 0]], axis=1),
            "is_right": block.is_right,
            "mirrored": np.zeros(len(block), dtype=bool),
            **block.ids,
            **block.extra,
        }
        if block.keypoints_3d is not None:
            columns["keypoints_3d"] = block.keypoints_3d.astype(np.float32)
        if block.camera is not None:
            columns["camera"] = crop_intrinsics(crop, block.camera)
        return columns


def _stored_mask(data: bytes, crop: npt.NDArray[np.float64], size: int, where: str) -> bytes:
    mask = decode_mask(data, f"the mask of {where}")
    if mask.shape == (size, size) and np.array_equal(crop, np.eye(3)):
        return encode_mask(mask)
    grey = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    return encode_mask(crop_square(grey, crop, size)[..., 0] >= 128)
