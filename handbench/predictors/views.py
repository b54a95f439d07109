"""What a model gets to see of each row of a file: the stored image, a cut of it, or its source.

What it sees decides what its score means, so this module also puts it into words for the
predictions file: where the box came from, how it was padded and moved, and which image was cut.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.hdf5.reader import SplitReader
from handbench.predictors.jitter import BoxJitter, overlap
from handbench.predictors.source_images import SourceImages

BOX_WORDS = {
    "annotation": "gt_annotation",
    "keypoints": "gt_keypoints",
    "detector": "detector",
    "image": "image",
}
"""Where a file's boxes come from → the same in the words of a predictions file."""

Floats = npt.NDArray[np.float64]


class RowViews:
    """Images of chosen rows as a model sees them, and the way back to the source.

    Without options a row is its stored image, whole. A `padding` or a `jitter` cuts a square about
    the row's box out of it, black outside. With a `source` folder the published image takes the
    place of the stored one: a model that finds hands by itself gets it whole, any other a cut.

    Parameters
    ----------
    reader
        A split of a file.
    rows
        Numbers of its rows.
    whole_image
        The model finds hands by itself.
    source
        Folder of published images.
    padding
        Factor on the longer side of the box; that of the file where a cut needs one.
    jitter
        How to move the boxes.

    Attributes
    ----------
    sample_id
        (N,) str.
    """

    def __init__(
        self,
        reader: SplitReader,
        rows: npt.NDArray[np.int64],
        *,
        whole_image: bool = False,
        source: Path | None = None,
        padding: float | None = None,
        jitter: BoxJitter | None = None,
    ) -> None:
        self._reader, self._rows = reader, rows
        self._images = None if source is None else SourceImages(source, reader, rows)
        self._crop = reader.column("crop")[rows]
        self._mirrored = reader.column("mirrored")[rows].astype(bool)
        self.sample_id: npt.NDArray[np.str_] = reader.column("sample_id")[rows]
        self._jitter, self._wanted = jitter, padding
        cuts = padding is not None or jitter is not None or (source is not None and not whole_image)
        self._boxes = self._true_boxes() if cuts else None
        self.overlap = 1.0
        if jitter is not None and self._boxes is not None:
            true = self._boxes
            self._boxes = jitter.apply(true, self.sample_id.tolist())
            self.overlap = float(overlap(true, self._boxes).mean()) if len(true) else 1.0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def padding(self) -> float:
        """Of the cut about a box; 1 where the model gets a whole published image."""
        if self._images is not None and self._boxes is None:
            return 1.0
        return self._reader.box_padding if self._wanted is None else self._wanted

    @property
    def box(self) -> str:
        """Where the box comes from, as predictions files have it."""
        if self._images is not None and self._boxes is None:
            return "image"
        return BOX_WORDS[self._reader.box_source]

    @property
    def cuts_stored(self) -> bool:
        """Whether squares are cut out of stored images, which end where the crop ended."""
        return self._boxes is not None and self._images is None

    def describe(self) -> dict[str, Any]:
        """Fields of a predictions file's ``input``."""
        words: dict[str, Any] = {
            "box": self.box,
            "padding": round(self.padding, 6),
            "image": "stored" if self._images is None else "source",
        }
        if self._jitter is not None:
            words["jitter"] = {**self._jitter.describe(), "mean_iou": round(self.overlap, 4)}
        return words

    def read(self, position: int) -> tuple[npt.NDArray[np.uint8], Floats | None]:
        """An image (H, W, 3) and the box in it, left, top, right, bottom px; None is all of it."""
        if self._images is None:
            image = self._reader.image(int(self._rows[position]))
        else:
            image = self._images.read(position)
        if self._boxes is None:
            return image, None
        x, y, width, height = self._boxes[position]
        return image, np.array([x, y, x + width, y + height])

    def to_source(self, position: int) -> Floats:
        """(3, 3) px of the image that was read → source px."""
        if self._images is not None:
            return np.eye(3)
        back: Floats = np.linalg.inv(self._crop[position])
        return back

    def mirrored(self, position: int) -> bool:
        """Whether the image that was read shows the hand's mirror image."""
        return self._images is None and bool(self._mirrored[position])

    def axes_to_source(self, position: int) -> Floats:
        """(3, 3) camera axes of the image that was read → those of the source."""
        if self._images is not None:
            return np.eye(3)
        turn: Floats = np.diag([-1.0, 1.0, 1.0]) if self._mirrored[position] else np.eye(3)
        if self._reader.has("crop_rotation"):
            rotation = self._reader.array("crop_rotation")[int(self._rows[position])]
            return np.asarray(rotation).T @ turn
        return turn

    def _true_boxes(self) -> Floats:
        """Unpadded boxes x, y, w, h in px of the images that are read."""
        if self._images is None:
            return np.asarray(self._reader.column("bbox")[self._rows], dtype=np.float64)
        return self._reader.source_bbox()[self._rows]
