"""One's own hands without code: a CSV or NPZ file with an image and 21 points a row.

What the columns and arrays mean stands in ``manifests/points.toml``;
:mod:`handbench.sources.points_files` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import UNLABELLED, VISIBILITY_UNKNOWN, to_canonical
from handbench.sources.archive import Folder
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
) -> OwnData:
    """Find and check tables of points.

    Parameters
    ----------
    annotations
        Split → CSV or NPZ file.
    images_dir
        Folder that the files' image names are relative to.
    manifest
        That of ``points``.
    name, joint_order
        Replace those of the manifest: the dataset's own name and native joint order.
    blocks
        Cut the one file into splits by runs of consecutive rows.

    Raises
    ------
    SourceError
        If a file or image is missing, or a row does not hold 21 points in px.
    """
    own = own_manifest(manifest, name, joint_order)
    folder = Folder(Path(images_dir))

    def read(path: Path) -> OwnTable:
        points = read_points(Path(path))
        if points.by_name and joint_order is not None:
            raise SourceError(
                f"the columns of {path} name their joints, so that --joint-order has nothing to "
                "say; leave it out"
            )
        return _Reading(points, Path(path), folder, own).table()

    return OwnData(annotations, Path(images_dir), own, blocks, read)


class _Reading:
    """One file on its way to a table: checks, then what cannot be used is left out."""

    def __init__(self, points: Points, path: Path, folder: Folder, manifest: Manifest) -> None:
        self.points = points
        self.path = path
        self.folder = folder
        self.manifest = manifest
        self.notes: list[str] = []
        self.dropped: dict[str, int] = {}

    def table(self) -> OwnTable:
        points = self.points
        names = self._file_names()
        keypoints, visibility = self._labels()
        self._note(keypoints, visibility)
        table = HandTable(
            sample_id=sample_ids(names, range(len(names))),
            file_name=names,
            keypoints_2d=keypoints,
            visibility=visibility,
            bbox=keypoint_box(keypoints, visibility != UNLABELLED),
            is_right=points.is_right,
            keypoints_3d=self._joints_3d(),
            camera=self._camera(),
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

    def _file_names(self) -> list[str]:
        for name, place in zip(self.points.image, self.points.place):
            if not is_below(name):
                raise SourceError(
                    f"{place}: expected the image as a path below the images folder, found {name!r}"
                )
        return [slashes(name) for name in self.points.image]

    def _refuse(self, rows: npt.ArrayLike, what: str) -> None:
        """Name the first row of which `rows` is true."""
        if np.any(rows):
            raise SourceError(f"{self.points.place[int(np.argmax(rows))]} {what}")

    def _labels(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8]]:
        """Keypoints (N, 21, 2) px with NaN where unlabelled, and visibility (N, 21)."""
        order = self.manifest.joint_order
        given = to_canonical(self.points.keypoints, order)
        self._refuse(np.isinf(given).any(axis=(1, 2)), "has a coordinate that is infinite")
        known = np.isfinite(given).sum(axis=-1)
        self._refuse((known == 1).any(axis=1), "has a point with one coordinate; give both or none")
        absent = (known == 0) | (given == _NO_POINT).all(axis=-1)
        if self.points.flags is None:
            visibility = np.where(absent, UNLABELLED, VISIBILITY_UNKNOWN).astype(np.uint8)
        else:
            flags = to_canonical(self.points.flags, order, axis=-1)
            unsaid = ~np.isfinite(flags) & ~absent
            self._refuse(unsaid.any(axis=1), "has a point without v; give 0, 1 or 2")
            flags = np.where(np.isfinite(flags), flags, 0.0)
            self._refuse(
                (absent & (flags > 0)).any(axis=1),
                "labels a point without coordinates; correct it, or give it v = 0",
            )
            visibility = visibility_of(flags)
        return np.where((visibility != UNLABELLED)[..., None], given, np.nan), visibility

    def _boxes(self) -> npt.NDArray[np.float64] | None:
        """(N, 4) px, NaN in rows without a box; None where no row has one."""
        boxes = self.points.bbox
        if boxes is None or np.isnan(boxes).all():
            return None
        self._refuse(np.isinf(boxes).any(axis=1), "has a box that is infinite")
        some = np.isnan(boxes).any(axis=1) & ~np.isnan(boxes).all(axis=1)
        self._refuse(some, "has a part of a box; give all of x, y, w, h or none")
        return boxes

    def _joints_3d(self) -> npt.NDArray[np.float64] | None:
        if self.points.keypoints_3d is None:
            return None
        joints = self.manifest.to_canonical_3d(self.points.keypoints_3d)
        # A joint lacking one coordinate has no place in space.
        whole = np.isfinite(joints).all(axis=-1, keepdims=True)
        return np.where(whole, joints, np.nan)

    def _camera(self) -> npt.NDArray[np.float64] | None:
        camera = self.points.camera
        if camera is None:
            return None
        sound = np.isfinite(camera).all(axis=(1, 2)) & (camera[:, 2] == (0, 0, 1)).all(axis=1)
        sound &= (camera[:, 0, 0] > 0) & (camera[:, 1, 1] > 0)
        self._refuse(~sound, "has no camera of the form fx 0 cx, 0 fy cy, 0 0 1 in px")
        return camera

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
        sizes = image_sizes(self.folder, table.file_name)
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
