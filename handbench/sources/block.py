"""What every source yields: blocks of rows, as published, in canonical joints, metres and axes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from handbench.sources.manifest import Manifest


@dataclass
class SampleBlock:
    """B rows of a split as columns; everything in the source frame.

    Attributes
    ----------
    sample_id
        B stable, unique names.
    images
        B encoded images as published; empty where a lenient source could not read one.
    image_size
        (B, 2) int32 height, width in px.
    keypoints_2d
        (B, 21, 2) float64 source px, NaN where unlabelled.
    valid_2d, valid_3d
        (B, 21) bool, labelled.
    visibility
        (B, 21) uint8: 0 unlabelled, 1 occluded, 2 visible, 255 unknown.
    bbox
        (B, 4) float64 x, y, w, h in source px, unpadded.
    is_right
        (B,) int8: 1, 0, -1 unknown.
    keypoints_3d
        (B, 21, 3) m, OpenCV camera axes, NaN where absent; or None.
    camera
        (B, 3, 3) intrinsics in source px; or None.
    masks
        B encoded masks of the source image, empty where a lenient source could not read one; or
        None.
    ids
        Id columns by name (`image_id`, `instant_id`, …), B strings each.
    extra
        Optional numeric columns by name (`scale`, `vertices`, …).
    faults
        B sentences, "" where nothing is wrong: optional labels that are malformed, such as a mask
        that cannot be read; or None. Only a lenient source has such rows.
    cut
        How the images were cut before, B rows each; empty where they are as published. ``crop``
        (px of the first source → px of these images), ``mirrored``, ``padding`` (NaN unknown), and
        where a virtual camera was turned ``crop_rotation`` and ``source_bbox``.
    """

    sample_id: list[str]
    images: list[bytes]
    image_size: npt.NDArray[np.int32]
    keypoints_2d: npt.NDArray[np.float64]
    valid_2d: npt.NDArray[np.bool_]
    valid_3d: npt.NDArray[np.bool_]
    visibility: npt.NDArray[np.uint8]
    bbox: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.int8]
    keypoints_3d: npt.NDArray[np.float64] | None = None
    camera: npt.NDArray[np.float64] | None = None
    masks: list[bytes] | None = None
    ids: dict[str, list[str]] = field(default_factory=dict)
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    faults: list[str] | None = None
    cut: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_id)

    def take(self, rows: npt.NDArray[np.intp]) -> SampleBlock:
        """The block of the chosen rows, in that order."""

        def pick(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: pick(part) for name, part in value.items()}
            if isinstance(value, list):
                return [value[row] for row in rows]
            return None if value is None else value[rows]

        return SampleBlock(**{f.name: pick(getattr(self, f.name)) for f in fields(self)})


class Source(Protocol):
    """A raw dataset that was found, checked and is ready to be read.

    Attributes
    ----------
    name
        Dataset name for results: the manifest's, or `<name>-subset` when counts fall short.
    manifest
        Title, licence, units and so on.
    path
        Where it was found.
    notes
        Sentences the user should read: what was assumed, inferred or left out.
    dropped
        Why → how many label entries were left out.
    box_source
        `annotation`, `keypoints` or `image`.
    split_unit, cluster_unit
        Names of the id columns that splits may not straddle and that a bootstrap resamples.
    cuts_val
        The source has no `val`: it is to be cut from `train` by `split_unit`.
    lenient
        Go on past images that cannot be read, which come empty and of size 0×0, and past optional
        labels that are malformed. Other labels are read when a source is opened, and what is
        malformed among them is left out only if it was opened so.
    bad
        Split → a sentence for each malformed label entry that was left out; "" where the split is
        not known.
    """

    name: str
    manifest: Manifest
    path: Path
    notes: list[str]
    dropped: dict[str, int]
    box_source: str
    split_unit: str
    cluster_unit: str
    cuts_val: bool
    lenient: bool
    bad: dict[str, list[str]]

    def splits(self) -> dict[str, int]:
        """Rows in each split (handbench names), in the official order."""
        ...

    def blocks(
        self, split: str, extras: frozenset[str], limit: int | None
    ) -> Iterator[SampleBlock]:
        """Rows of a split in the official order, at most `limit`, with the asked-for extras."""
        ...

    def at(self, split: str, rows: npt.NDArray[np.intp]) -> SampleBlock:
        """The chosen rows of a split without extras: no other image is read."""
        ...

    def column_attributes(self) -> dict[str, dict[str, Any]]:
        """HDF5 attributes of optional columns, by column name."""
        ...

    def files(self) -> list[dict[str, Any]]:
        """What was read: file, size in bytes, sha256 (null for folders of images)."""
        ...
