"""One's own hands without code: a CSV or NPZ file with an image and 21 points a row.

What the columns and arrays mean stands in ``manifests/points.toml``;
:mod:`handbench.sources.points_files` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import UNLABELLED, VISIBILITY_UNKNOWN, to_canonical
from handbench.sources.archive import Folder
from handbench.sources.bad_entries import BadEntries
from handbench.sources.image_sizes import image_sizes
from handbench.sources.manifest import Manifest
from handbench.sources.own_data import (
    OwnData,
    OwnTable,
    SplitBlocks,
    is_below,
    own_manifest,
    sample_ids,
    slashes,
    stem,
    visibility_of,
)
from handbench.sources.placement import inside_image
from handbench.sources.points_files import Points, read_points
from handbench.sources.table import HandTable

OPTIONS = frozenset({"annotations", "images_dir", "name", "joint_order", "split_blocks"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

_NO_POINT = -1.0


def open_source(
    annotations: Mapping[str, Path],
    images_dir: Path,
    manifest: Manifest,
    *,
    name: str | None = None,
    joint_order: Sequence[int] | None = None,
    blocks: SplitBlocks | None = None,
    lenient: bool = False,
) -> OwnData:
    """Find and check tables of points: CSV or NPZ files.

    Parameters are those of :func:`handbench.sources.coco.open_source`; an annotation is a row.

    Raises
    ------
    SourceError
        If a file or image is missing, or a row does not hold 21 points in px.
    """
    own = own_manifest(manifest, name, joint_order)
    folder = Folder(Path(images_dir))

    def read(path: Path, bad: BadEntries) -> OwnTable:
        points = read_points(Path(path), bad)
        if points.by_name and joint_order is not None:
            raise SourceError(
                f"the columns of {path} name their joints, so that --joint-order has nothing to "
                "say; leave it out"
            )
        return _Reading(points, Path(path), folder, own, bad).table()

    return OwnData(annotations, Path(images_dir), own, blocks, read, lenient=lenient)


class _Reading:
    """One file on its way to a table: checks, then what cannot be used is left out."""

    def __init__(
        self, points: Points, path: Path, folder: Folder, manifest: Manifest, bad: BadEntries
    ) -> None:
        self.points = points
        self.bad = bad
        self.path = path
        self.folder = folder
        self.manifest = manifest
        self.notes: list[str] = []
        self.dropped: dict[str, int] = {}

    def table(self) -> OwnTable:
        self._leave_out_malformed()
        points = self.points
        names = [slashes(name) for name in points.image]
        keypoints, visibility = self._labels()
        self._note(keypoints, visibility)
        table = HandTable(
            sample_id=sample_ids(names, points.number),
            file_name=names,
            keypoints_2d=keypoints,
            visibility=visibility,
            bbox=keypoint_box(keypoints, visibility != UNLABELLED),
            is_right=points.is_right,
            keypoints_3d=self._joints_3d(),
            camera=points.camera,
            ids={"image_id": [stem(name) for name in names]},
        )
        # Hands of one image follow each other; all else stays as it was.
        first = {name: row for row, name in reversed(list(enumerate(names)))}
        order = sorted(range(len(names)), key=lambda row: first[names[row]])
        boxes = self._boxes()
        usable = self._usable(table, boxes)
        boxed = boxes is not None and bool(np.isfinite(boxes[usable]).all())
        if boxes is not None and boxed:
            table.bbox = boxes
        table = table.take([row for row in order if usable[row]])
        if not len(table):
            raise SourceError(
                f"expected hands that can be used in {self.path}, found none: "
                f"{'; '.join(f'{count:,} × {why}' for why, count in self.dropped.items())}"
            )
        return OwnTable(table, boxed, self.notes, self.dropped)

    # -- checks -------------------------------------------------------------------------------

    def _leave_out_malformed(self) -> None:
        """Keep the rows that mean something."""
        points = self.points
        outside = np.array([not is_below(name) for name in points.image], dtype=bool)
        sound = self.bad.sound(
            outside,
            lambda row: (
                f"{points.place[row]}: expected the image as a path below the images folder, found "
                f"{points.image[row]!r}"
            ),
        )
        for faulty, what in _malformed(points):
            sound &= self.bad.sound(
                sound & faulty,
                lambda row, what=what: f"{points.place[row]} {what}",  # type: ignore[misc]
            )
        self.bad.check_few(int(sound.sum()))
        if not sound.all():
            self.points = points.take(np.flatnonzero(sound))

    def _labels(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """Keypoints (N, 21, 2) px with NaN where unlabelled, and visibility (N, 21)."""
        order = self.manifest.joint_order
        given = to_canonical(self.points.keypoints, order)
        if self.points.flags is None:
            visibility = np.where(_absent(given), UNLABELLED, VISIBILITY_UNKNOWN).astype(np.uint8)
        else:
            flags = to_canonical(self.points.flags, order, axis=-1)
            visibility = visibility_of(np.where(np.isfinite(flags), flags, 0.0))
        return np.where((visibility != UNLABELLED)[..., None], given, np.nan), visibility

    def _boxes(self) -> npt.NDArray[np.float64] | None:
        """(N, 4) px, NaN in rows without a box; None where no row has one."""
        boxes = self.points.bbox
        return None if boxes is None or np.isnan(boxes).all() else boxes

    def _joints_3d(self) -> npt.NDArray[np.float64] | None:
        if self.points.keypoints_3d is None:
            return None
        joints = self.manifest.to_canonical_3d(self.points.keypoints_3d)
        # A joint lacking one coordinate has no place in space.
        whole = np.isfinite(joints).all(axis=-1, keepdims=True)
        return np.where(whole, joints, np.nan)

    # -- what is left out ---------------------------------------------------------------------

    def _usable(
        self, table: HandTable, boxes: npt.NDArray[np.float64] | None
    ) -> npt.NDArray[np.bool_]:
        spans = (table.bbox[:, 2:] > 0).all(axis=1)
        none = (table.visibility == UNLABELLED).all(axis=1)
        flat = np.zeros_like(none)
        if boxes is not None:
            given = np.isfinite(boxes).all(axis=1)
            flat = given & (boxes[:, 2:] <= 0).any(axis=1)
            spans |= given
        sizes = image_sizes(self.folder, table.file_name, lenient=self.bad.lenient)
        away = ~inside_image(table.keypoints_2d, sizes).any(axis=1)
        usable = np.ones(len(none), dtype=bool)
        for rows, why in (
            (none, "without a labelled point"),
            (flat, "with a box without an area"),
            (~spans, "with too few labelled points to span a box"),
            (away, "outside its image"),
        ):
            lost = rows & usable
            if lost.any():
                self.dropped[f"hand {why} in {self.path.name}"] = int(lost.sum())
            usable &= ~rows
        return usable

    def _note(self, keypoints: npt.NDArray[Any], visibility: npt.NDArray[np.uint8]) -> None:
        if self.points.unused:
            self.notes.append(
                f"not used of {self.path.name}: {describe_names(self.points.unused, 8)}"
            )
        absent = int((visibility == UNLABELLED).sum())
        if absent:
            self.notes.append(
                f"{absent:,} of {visibility.size:,} points in {self.path.name} are empty, -1, -1, "
                "or have v = 0: taken as unlabelled"
            )


def _absent(keypoints: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(N, 21) bool: points without coordinates."""
    return np.asarray(~np.isfinite(keypoints).any(axis=-1) | (keypoints == _NO_POINT).all(axis=-1))


def _malformed(points: Points) -> Iterator[tuple[npt.NDArray[np.bool_], str]]:
    """(N,) bool of rows that make no sense in one way, and what to say of them, way by way."""
    given = points.keypoints
    yield _in_row(np.isinf(given)), "has a coordinate that is infinite"
    alone = np.isfinite(given).sum(axis=-1) == 1
    yield _in_row(alone), "has a point with one coordinate; give both or none"
    if points.flags is not None:
        absent = _absent(given)
        unsaid = ~np.isfinite(points.flags) & ~absent
        yield _in_row(unsaid), "has a point without v; give 0, 1 or 2"
        nowhere = absent & np.isfinite(points.flags) & (points.flags > 0)
        yield (
            _in_row(nowhere),
            "labels a point without coordinates; correct it, or give it v = 0",
        )
    if points.bbox is not None:
        yield _in_row(np.isinf(points.bbox)), "has a box that is infinite"
        unknown = np.isnan(points.bbox)
        some = _in_row(unknown) & ~unknown.all(axis=1)
        yield some, "has a part of a box; give all of x, y, w, h or none"
    if points.camera is not None:
        camera = points.camera
        faulty = _in_row(~np.isfinite(camera)) | _in_row(camera[:, 2] != (0, 0, 1))
        faulty |= _in_row(camera[:, (0, 1), (0, 1)] <= 0)
        yield faulty, "has no camera of the form fx 0 cx, 0 fy cy, 0 0 1 in px"


def _in_row(true: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(N, …) → (N,) bool: anywhere in the row."""
    return np.asarray(true.reshape(len(true), -1).any(axis=1))
