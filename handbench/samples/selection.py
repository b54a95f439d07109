"""Which rows go into the file: what was asked for, and what can be cut at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from handbench.camera import perspective_crop
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.samples.frames import CropSettings
from handbench.sources.block import SampleBlock

# A crop many times larger than its image is a wrong box, and its black border would fill memory.
_LARGEST_CROP = 20

UNREADABLE = "image that cannot be read"
"""Why a row was left out: its image is missing or damaged."""
MALFORMED = "malformed label"
"""Why a label entry was left out: its reader could make nothing of it, or its mask is damaged."""

Rows = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Selection:
    """What was asked for.

    Attributes
    ----------
    chosen
        Id column → the values wanted; columns not named here may have any.
    min_valid
        Fewest labelled joints, in 2D or 3D, of a row.
    skip_bad
        Leave out rows that cannot be cut, read or understood, instead of stopping.
    """

    chosen: Mapping[str, frozenset[str]] = field(default_factory=dict)
    min_valid: int = 0
    skip_bad: bool = False

    @property
    def narrows(self) -> bool:
        """Whether good rows may be left out."""
        return bool(self.chosen) or self.min_valid > 0


class Selector:
    """Applies a selection block by block and keeps account of what was left out.

    Parameters
    ----------
    selection
        What was asked for.
    crop
        How rows will be cut.

    Attributes
    ----------
    dropped
        Why → how many rows were left out.
    bad
        One sentence for each row that could not be cut, or whose image or labels could not be read.
    """

    def __init__(self, selection: Selection, crop: CropSettings) -> None:
        self.selection = selection
        self.dropped: Counter[str] = Counter()
        self.bad: list[str] = []
        self._crop = crop
        self._seen: dict[str, set[str]] = {column: set() for column in selection.chosen}

    def keep(self, block: SampleBlock) -> SampleBlock:
        """The rows of a block that are wanted and can be cut.

        Raises
        ------
        SourceError
            If a row cannot be cut and none may be left out, or a column to choose by is missing.
        """
        keep = np.ones(len(block), dtype=bool)
        for column, values in self.selection.chosen.items():
            ids = _ids(block, column)
            self._seen[column].update(ids)
            fits = np.array([name in values for name in ids], dtype=bool)
            self._drop(f"{column} not chosen", keep & ~fits)
            keep &= fits
        labelled = (block.valid_2d | block.valid_3d).sum(axis=1)
        enough = labelled >= self.selection.min_valid
        self._drop(f"fewer than {self.selection.min_valid} labelled joints", keep & ~enough)
        keep &= enough
        # Every row is looked at for one problem at a time: a box without an area has no crop.
        for reason, find in _PROBLEMS.items():
            rows = np.flatnonzero(keep)
            left = block if len(rows) == len(block) else block.take(rows)
            found = find(left, self._crop)
            for row, sentence in found.items():
                if not self.selection.skip_bad:
                    raise SourceError(f"{sentence}, or leave such rows out with --skip-bad")
                keep[rows[row]] = False
                self.leave_out(reason, sentence)
        return block if keep.all() else block.take(np.flatnonzero(keep))

    def take_over(self, bad: Mapping[str, list[str]], splits: Iterable[str]) -> None:
        """Count the label entries of these splits that a lenient source left out when opened.

        Parameters
        ----------
        bad
            See :class:`handbench.sources.block.Source`.

        Raises
        ------
        SourceError
            At the first one, if none may be left out.
        """
        for split in ("", *splits):
            for sentence in bad.get(split, ()):
                if not self.selection.skip_bad:
                    raise SourceError(f"{sentence}, or leave such rows out with --skip-bad")
                self.leave_out(MALFORMED, sentence)

    def leave_out(self, reason: str, sentence: str) -> None:
        """Count a bad row: why, and in a sentence that names it."""
        self.dropped[reason] += 1
        self.bad.append(sentence)

    def _drop(self, reason: str, rows: Rows) -> None:
        if rows.any():
            self.dropped[reason] += int(rows.sum())

    def check_all_found(self) -> None:
        """Raise if a value was asked for that no row had.

        Raises
        ------
        SourceError
            Naming the value and those there are.
        """
        for column, values in self.selection.chosen.items():
            absent = sorted(values - self._seen[column])
            if absent:
                raise SourceError(
                    f"expected rows with {column} {absent[0]!r}, found "
                    f"{describe_names(sorted(self._seen[column]))}: choose among these"
                )


def _ids(block: SampleBlock, column: str) -> list[str]:
    if column not in block.ids:
        raise SourceError(
            f"expected {column} for every row, to choose by it, found only the columns "
            f"{describe_names(sorted(block.ids))}"
        )
    return block.ids[column]


def _without_image(block: SampleBlock, _: CropSettings) -> dict[int, str]:
    return {
        row: f"expected the image of {block.sample_id[row]}, found none that can be read; fetch it "
        "again"
        for row, data in enumerate(block.images)
        if not data
    }


def _malformed(block: SampleBlock, _: CropSettings) -> dict[int, str]:
    return {row: fault for row, fault in enumerate(block.faults or ()) if fault}


def _without_area(block: SampleBlock, _: CropSettings) -> dict[int, str]:
    fine = np.isfinite(block.bbox).all(axis=1) & (block.bbox[:, 2:] > 0).all(axis=1)
    return {
        row: f"expected a box with an area for {block.sample_id[row]}, found x, y, w, h = "
        f"{block.bbox[row].round(2).tolist()}; correct or remove this annotation"
        for row in np.flatnonzero(~fine).tolist()
    }


def _outside(block: SampleBlock, _: CropSettings) -> dict[int, str]:
    low, high = block.bbox[:, :2], block.bbox[:, :2] + block.bbox[:, 2:]
    inside = ((high > -0.5) & (low < block.image_size[:, ::-1] - 0.5)).all(axis=1)
    return {
        row: f"expected the hand {block.sample_id[row]} in its image of "
        f"{_shape(block, row)}, found its box x, y, w, h = {block.bbox[row].round(2).tolist()} "
        "wholly outside, so that the crop would be black; correct or remove this annotation"
        for row in np.flatnonzero(~inside).tolist()
    }


def _too_large(block: SampleBlock, crop: CropSettings) -> dict[int, str]:
    side = crop.padding * block.bbox[:, 2:].max(axis=1)
    large = side > _LARGEST_CROP * block.image_size.max(axis=1)
    return {
        row: f"the crop of {block.sample_id[row]} would be {side[row]:,.0f} px wide, its image has "
        f"{_shape(block, row)}: give the box in px"
        for row in np.flatnonzero(large).tolist()
    }


def _without_camera(block: SampleBlock, crop: CropSettings) -> dict[int, str]:
    if not crop.perspective or block.camera is None:
        return {}
    finite = np.asarray(np.isfinite(block.camera).all(axis=(1, 2)))
    known = finite & (np.linalg.det(np.where(finite[:, None, None], block.camera, 0)) > 0)
    return {
        row: f"expected intrinsics of {block.sample_id[row]} for a perspective crop, found none: "
        "use --crop affine"
        for row in np.flatnonzero(~known).tolist()
    }


def _beyond_the_view(block: SampleBlock, crop: CropSettings) -> dict[int, str]:
    """Perspective crops that show directions at 90° to the optical axis of their image."""
    if not crop.perspective or block.camera is None:
        return {}
    homography, *_ = perspective_crop(block.bbox, crop.padding, crop.size, block.camera)
    fine = np.asarray(np.isfinite(homography).all(axis=(1, 2)))
    back = np.linalg.inv(np.where(fine[:, None, None], homography, np.eye(3)))
    edges = np.array([-0.5, crop.size - 0.5])
    x, y = np.meshgrid(edges, edges)
    depth = back[:, 2, :1] * x.ravel() + back[:, 2, 1:2] * y.ravel() + back[:, 2, 2:]
    fine &= (depth > 0).all(axis=1)
    return {
        row: f"a virtual camera turned to {block.sample_id[row]} would look beyond what any camera "
        f"sees (box x, y, w, h = {block.bbox[row].round(2).tolist()}): use --crop affine"
        for row in np.flatnonzero(~fine).tolist()
    }


def _shape(block: SampleBlock, row: int) -> str:
    height, width = block.image_size[row].tolist()
    return f"{width}×{height} px"


_PROBLEMS: dict[str, Callable[[SampleBlock, CropSettings], dict[int, str]]] = {
    UNREADABLE: _without_image,
    MALFORMED: _malformed,
    "box without an area": _without_area,
    "hand outside its image": _outside,
    "crop far larger than its image": _too_large,
    "no intrinsics": _without_camera,
    "crop beyond the view of a camera": _beyond_the_view,
}
"""Reason → what finds the rows that have this problem, with a sentence for each."""
