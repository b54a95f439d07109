"""Sources whose labels fit in memory: tables of hands, and images read as they are asked for.

Most datasets are this: a reader parses label files into one :class:`HandTable` a split, in source
pixels, metres, OpenCV axes and canonical joints, and :class:`TableSource` does all else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.hand import UNLABELLED
from handbench.images import read_images
from handbench.sources.archive import RawFiles
from handbench.sources.bad_entries import read_masks
from handbench.sources.block import SampleBlock
from handbench.sources.manifest import Manifest

_BLOCK_ROWS = 512


@dataclass
class HandTable:
    """The hands of one split as columns, still without images. N rows in the official order.

    Attributes
    ----------
    sample_id
        N stable, unique names.
    file_name
        N images below the root of the source; hands of one image follow each other.
    keypoints_2d
        (N, 21, 2) float64 source px, NaN where unlabelled.
    visibility
        (N, 21) uint8; 0 is unlabelled.
    bbox
        (N, 4) float64 x, y, w, h in source px, unpadded.
    is_right
        (N,) int8: 1, 0, -1 unknown.
    keypoints_3d
        (N, 21, 3) float64 m, OpenCV camera axes, NaN where unlabelled; or None.
    camera
        (N, 3, 3) intrinsics in source px; or None.
    image_size
        (N, 2) height, width in px as the label file states them, -1 where it does not; or None.
        An image of another size is an error.
    ids
        Id columns by name, N strings each; ``image_id`` where images may show several hands.
    extra
        Optional columns of the format by name, N rows each.
    mask_name
        N mask images below the root of the source; or None.
    cut
        How the images were cut before: see :class:`~handbench.sources.block.SampleBlock`.
    """

    sample_id: list[str]
    file_name: list[str]
    keypoints_2d: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.uint8]
    bbox: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.int8]
    keypoints_3d: npt.NDArray[np.float64] | None = None
    camera: npt.NDArray[np.float64] | None = None
    image_size: npt.NDArray[np.int32] | None = None
    ids: dict[str, list[str]] = field(default_factory=dict)
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    mask_name: list[str] | None = None
    cut: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sample_id)

    def take(self, rows: Sequence[int] | npt.NDArray[Any] | slice) -> HandTable:
        """The chosen hands, in that order."""
        chosen = np.arange(len(self))[rows]

        def pick(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: pick(part) for name, part in value.items()}
            if isinstance(value, list):
                return [value[row] for row in chosen.tolist()]
            return None if value is None else value[chosen]

        return HandTable(**{part.name: pick(getattr(self, part.name)) for part in fields(self)})


class TableSource:
    """A source made of tables; implements :class:`handbench.sources.block.Source`.

    Parameters
    ----------
    manifest
        Title, licence, units and so on.
    files
        Where images are read.
    tables
        Split (handbench names) → its hands.
    label_files
        Names of the label files below the root, for provenance.
    name
        Dataset name for results; the manifest's by default.
    notes, dropped, lenient, bad
        See :class:`~handbench.sources.block.Source`.
    box_source, split_unit, cluster_unit
        The manifest's by default.
    cuts_val
        The dataset has no ``val``: cut it from ``train``.
    attributes
        HDF5 attributes of optional columns.
    """

    def __init__(
        self,
        manifest: Manifest,
        files: RawFiles,
        tables: Mapping[str, HandTable],
        *,
        label_files: Sequence[str] = (),
        name: str | None = None,
        notes: Sequence[str] = (),
        dropped: Mapping[str, int] | None = None,
        box_source: str | None = None,
        split_unit: str | None = None,
        cluster_unit: str | None = None,
        cuts_val: bool = False,
        attributes: Mapping[str, dict[str, Any]] | None = None,
        lenient: bool = False,
        bad: Mapping[str, list[str]] | None = None,
    ) -> None:
        self.manifest = manifest
        self.name = name or manifest.name
        self.path = Path(files.path)
        self.notes = list(notes)
        self.dropped = dict(dropped or {})
        self.box_source = box_source or manifest.box_source
        self.split_unit = split_unit or manifest.split_unit
        self.cluster_unit = cluster_unit or manifest.cluster_unit
        self.cuts_val = cuts_val
        self.lenient = lenient
        self.bad = dict(bad or {})
        self._files = files
        self._tables = dict(tables)
        self._label_files = list(label_files)
        self._attributes = dict(attributes or {})

    def splits(self) -> dict[str, int]:
        """Rows in each split."""
        return {name: len(table) for name, table in self._tables.items()}

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in order; an image with several hands is read once a block."""
        table = self._tables[split]
        stop = len(table) if limit is None else min(limit, len(table))
        for start in range(0, stop, _BLOCK_ROWS):
            yield self._block(table.take(slice(start, min(start + _BLOCK_ROWS, stop))), extras)

    def at(self, split: str, rows: npt.NDArray[np.intp]) -> SampleBlock:
        """The chosen rows of `split` without extras."""
        return self._block(self._tables[split].take(rows), frozenset())

    def _block(self, part: HandTable, extras: frozenset[str]) -> SampleBlock:
        place = {name: number for number, name in enumerate(dict.fromkeys(part.file_name))}
        data, of_image = read_images(
            self._files.read, list(place), str(self.path), lenient=self.lenient
        )
        of_row = [place[name] for name in part.file_name]
        sizes, images = of_image[of_row], [data[number] for number in of_row]
        if self.lenient:
            for row in np.flatnonzero(_of_wrong_size(sizes, part)).tolist():
                sizes[row], images[row] = 0, b""
        self._check_sizes(sizes, part)
        masks, faults = None, None
        if "mask" in extras and part.mask_name is not None:
            masks, faults = read_masks(
                lambda row: self._read_mask(part, row), len(part), lenient=self.lenient
            )
        valid = part.visibility != UNLABELLED
        valid_3d = np.zeros_like(valid)
        if part.keypoints_3d is not None:
            valid_3d = np.asarray(np.isfinite(part.keypoints_3d).all(axis=-1))
        return SampleBlock(
            sample_id=part.sample_id,
            images=images,
            image_size=sizes,
            keypoints_2d=part.keypoints_2d,
            valid_2d=valid,
            valid_3d=valid_3d,
            visibility=part.visibility,
            bbox=part.bbox,
            is_right=part.is_right,
            keypoints_3d=part.keypoints_3d,
            camera=part.camera,
            masks=masks,
            ids=part.ids,
            extra=part.extra,
            cut=part.cut,
            faults=faults,
        )

    def _read_mask(self, part: HandTable, row: int) -> bytes:
        """The mask of a row that has one; readers of other masks than ours translate it here."""
        return self._files.read((part.mask_name or [])[row])

    def _check_sizes(self, found: npt.NDArray[np.int32], part: HandTable) -> None:
        wrong = _of_wrong_size(found, part)
        if part.image_size is not None and wrong.any():
            row = int(wrong.argmax())
            height, width = part.image_size[row].tolist()
            raise SourceError(
                f"expected {self._files.where(part.file_name[row])} to have {width}×{height} px as "
                f"its record says, found {found[row, 1]}×{found[row, 0]}: the keypoints belong to "
                "another version of this image (resized, or turned by its EXIF data?)"
            )

    def column_attributes(self) -> dict[str, dict[str, Any]]:
        """HDF5 attributes of optional columns."""
        return self._attributes

    def files(self) -> list[dict[str, Any]]:
        """Label files, or the archives that hold them, with size and sha256."""
        return self._files.describe(self._label_files)


def _of_wrong_size(found: npt.NDArray[np.int32], part: HandTable) -> npt.NDArray[np.bool_]:
    """(N,) bool: images that were read and are not as large as the label file says."""
    stated = found if part.image_size is None else part.image_size
    return np.asarray(((stated > 0) & (found > 0) & (stated != found)).any(axis=1))
