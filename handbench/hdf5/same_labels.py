"""Does a file still hold the labels of its source? Row by row, in the frame of the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handbench.camera import flip_points_3d
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.samples.checks import Check
from handbench.samples.earlier_cut import first_frame
from handbench.sources.block import SampleBlock, Source

# The way back from a crop rounds at 1e-12 of the image, from float32 at 1e-7 of the distance.
_TOLERANCE_PX = 1e-3
_TOLERANCE_M = 1e-5


def compare_labels(file: HandFile, source: Source) -> Iterator[Check]:
    """One check a split of `file`: every row is in `source`, with the same labels.

    Rows of the source that the file lacks are no fault: a conversion may leave rows out.
    """
    stored = {name: _Stored(file[name]) for name in file.splits}
    places = {
        sample: (name, row)
        for name, split in stored.items()
        for row, sample in enumerate(split.sample_id)
    }
    for native in source.splits():
        for block in source.blocks(native, frozenset(), None):
            here: dict[str, list[tuple[int, int]]] = {}
            for number, sample in enumerate(block.sample_id):
                if sample in places:
                    name, row = places[sample]
                    here.setdefault(name, []).append((row, number))
            for name, pairs in here.items():
                rows, numbers = np.array(pairs).T
                stored[name].compare(rows, first_frame(block.take(numbers)))
    for name, split in stored.items():
        yield Check(name, "source", *split.finding(source))


@dataclass
class _Stored:
    """Labels of a split in the frame of the source, and how they compare so far."""

    split: SplitReader
    found: int = 0
    worst_px: float = 0.0
    different: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        split = self.split
        self.sample_id = split.column("sample_id").tolist()
        self.keypoints_2d = split.source_keypoints_2d()
        self.bbox = split.source_bbox()
        self.valid_2d, self.valid_3d = split.column("valid_2d"), split.column("valid_3d")
        self.is_right = split.column("is_right")
        self.keypoints_3d = _source_3d(split)

    def compare(self, rows: npt.NDArray[np.intp], block: SampleBlock) -> None:
        """Compare `rows` of the split with the same rows of the source."""
        self.found += len(rows)
        away = np.linalg.norm(self.keypoints_2d[rows] - block.keypoints_2d, axis=-1)
        away = np.where(block.valid_2d & self.valid_2d[rows], away, 0)
        self.worst_px = float(np.maximum(self.worst_px, away.max(initial=0)))
        box = np.abs(self.bbox[rows] - block.bbox).max(axis=1)
        wrong = {
            "2D": ~(away <= _TOLERANCE_PX).all(axis=1),
            "labelled joints": (self.valid_2d[rows] != block.valid_2d).any(axis=1)
            | (self.valid_3d[rows] != block.valid_3d).any(axis=1),
            "side": self.is_right[rows] != block.is_right,
            "box": ~(box <= _TOLERANCE_PX),
        }
        if self.keypoints_3d is not None and block.keypoints_3d is not None:
            far = np.linalg.norm(self.keypoints_3d[rows] - block.keypoints_3d, axis=-1)
            both = block.valid_3d & self.valid_3d[rows]
            wrong["3D"] = ~(np.where(both, far, 0) <= _TOLERANCE_M).all(axis=1)
        for what, where in wrong.items():
            names = [block.sample_id[row] for row in np.flatnonzero(where)]
            if names:
                self.different.setdefault(what, []).extend(names)

    def finding(self, source: Source) -> tuple[bool, str]:
        """Passed, and what was found."""
        total = len(self.sample_id)
        if self.found < total:
            return False, f"{total - self.found:,} of {total:,} rows are not in {source.path}"
        if self.different:
            parts = [f"{what} of {len(n):,}, first {n[0]}" for what, n in self.different.items()]
            return False, f"other labels than in {source.path}: {'; '.join(parts)}"
        return True, f"{total:,} rows with the same labels, to {self.worst_px:.1g} px"


def _source_3d(split: SplitReader) -> npt.NDArray[np.float64] | None:
    """(N, 21, 3) m in the camera of the source image; None where the split has no 3D."""
    if not split.has("keypoints_3d"):
        return None
    xyz = split.column("keypoints_3d").astype(np.float64)
    mirrored = split.column("mirrored")[:, None, None]
    xyz = np.where(mirrored, flip_points_3d(xyz), xyz)
    if split.has("crop_rotation"):
        xyz = np.einsum("bji,bnj->bni", split.column("crop_rotation"), xyz)
    return xyz
