"""RHD, the Rendered Hand Pose Dataset: people rendered with both hands, labels without error.

Facts are in ``manifests/rhd.toml``. A record of the label file holds 42 joints, left hand first;
every hand that shows enough of itself becomes a row, so one image gives one or two. References:
Zimmermann and Brox, ICCV 2017; lmb-freiburg/hand3d (create_binary_db.py, BinaryDbReader.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS, OCCLUDED, UNLABELLED, VISIBLE, to_canonical
from handbench.images import decode, encode_mask
from handbench.pickles import load_pickle
from handbench.sources.archive import RawFiles, open_raw
from handbench.sources.bad_entries import BadEntries
from handbench.sources.block import SampleBlock
from handbench.sources.manifest import Manifest
from handbench.sources.table import HandTable, TableSource

OPTIONS = frozenset({"source"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS = frozenset({"mask"})
"""Words of ``--with`` that it knows."""

_TOP = "RHD_published_v2"
_SIDES = ("left", "right")
"""Order of the two hands in every record, and the value of `is_right`."""
_MASK_LABELS = ((2, 17), (18, 33))
"""First and last label of the left and the right hand; 0 is background, 1 the person."""
_RECORD = {"xyz": (2 * NUM_JOINTS, 3), "uv_vis": (2 * NUM_JOINTS, 3), "K": (3, 3)}


@dataclass
class _Records:
    """What one label file says about the N images that it describes well, in native joints.

    Attributes
    ----------
    where
        Names the file in messages.
    entries
        How many images it describes, well or not.
    number
        N native ids, ascending.
    xyz
        (N, 2, 21, 3) m, camera frame.
    uv
        (N, 2, 21, 2) px.
    seen
        (N, 2, 21) bool.
    camera
        (N, 3, 3) px.
    """

    where: str
    entries: int
    number: list[int]
    xyz: npt.NDArray[np.float64]
    uv: npt.NDArray[np.float64]
    seen: npt.NDArray[np.bool_]
    camera: npt.NDArray[np.float64]


class RHD(TableSource):
    """An RHD folder or its archive, found and checked; make one with :func:`open_source`."""

    def __init__(self, raw: RawFiles, manifest: Manifest, *, lenient: bool = False) -> None:
        super().__init__(manifest, raw, {}, cuts_val=True, lenient=lenient)
        short = []
        for top in ("", f"{_TOP}/"):
            for split, facts in manifest.splits.items():
                bad = BadEntries(lenient=lenient)
                records = self._open_native(top, facts.native, bad)
                if records is None:
                    continue
                self.bad[split] = bad.sentences
                self._tables[split] = self._hands(top, facts.native, records)
                if records.entries != facts.annotations:
                    found = f"{records.entries:,} of {facts.annotations:,} images"
                    short.append(f"{facts.native} has {found}")
            if self._tables:
                break
        if not self._tables:
            names = raw.listing("")
            raise SourceError(
                f"expected RHD in {raw.path}: training/anno_training.pickle or "
                "evaluation/anno_evaluation.pickle, found "
                f"{describe_names(names) if names else 'no files'}; point --source at the folder "
                f"{_TOP} or at RHD_v1-1.zip"
            )
        if short:
            self.name = f"{manifest.name}-subset"
            self.notes.append(
                f"a subset: {'; '.join(short)}; results will call it {self.name!r} so that it "
                "never stands beside published rows"
            )

    # -- finding and checking -----------------------------------------------------------------

    def _open_native(self, top: str, native: str, bad: BadEntries) -> _Records | None:
        labels = f"{top}{native}/anno_{native}.pickle"
        images = self._images(f"{top}{native}/color")
        if not self._files.has(labels):
            if images:
                raise SourceError(
                    f"expected {labels} beside the images in {self.path}, found no such file; "
                    "take it from the original archive"
                )
            return None
        where = self._files.where(labels)
        data = load_pickle(self._files.read(labels), "RHD labels", where, SourceError)
        records = _parse(data, where, bad)
        self._check_images(f"{top}{native}/color", images, data, where)
        self._label_files.append(labels)
        return records

    def _images(self, folder: str) -> set[str]:
        names = self._files.listing(folder) if self._files.has(folder) else []
        return {name for name in names if name.endswith(".png") and not name.startswith(".")}

    def _check_images(
        self, folder: str, found: set[str], numbers: Iterable[int], where: str
    ) -> None:
        expected = {f"{number:05d}.png" for number in numbers}
        if not found:
            raise SourceError(
                f"expected images in {self._files.where(folder)}, found none; unpack the archive "
                "there"
            )
        if found != expected:
            parts = [
                f"{word}: {describe_names(sorted(names), 3)}"
                for word, names in (
                    ("missing", expected - found),
                    ("without a record", found - expected),
                )
                if names
            ]
            raise SourceError(
                f"{where} has {len(expected):,} records, so {self._files.where(folder)} "
                f"should hold their images and no others; {'; '.join(parts)}"
            )

    # -- hands --------------------------------------------------------------------------------

    def _hands(self, top: str, native: str, records: _Records) -> HandTable:
        """The usable hands of one split: left before right, image by image."""
        height, width = self.manifest.image_size
        count = len(records.number)
        order = self.manifest.joint_order
        xyz = self.manifest.to_canonical_3d(records.xyz).reshape(2 * count, NUM_JOINTS, 3)
        uv = to_canonical(records.uv, order).reshape(2 * count, NUM_JOINTS, 2)
        seen = to_canonical(records.seen, order, axis=-1).reshape(2 * count, NUM_JOINTS)
        with np.errstate(invalid="ignore"):
            in_front = np.isfinite(xyz).all(axis=-1) & (xyz[..., 2] > 0)
            # From the outer edge of the first pixel, whose centre is 0, to where the file's own
            # flags end: they call joints visible up to the full width.
            in_image = ((uv >= -0.5) & (uv <= (width, height))).all(axis=-1)
        labelled = in_image & in_front
        visible = labelled & seen
        kept = self._usable(native, records, uv, seen & ~in_front, labelled, visible)
        stem = [f"{native}/{records.number[row]:05d}" for row in kept // 2]
        shown = np.bincount(kept // 2, minlength=count)[kept // 2]
        side = kept % 2
        masks = self._files.has(f"{top}{native}/mask")
        points = np.where(labelled[..., None], uv, np.nan)[kept]
        return HandTable(
            sample_id=[f"{name}/{_SIDES[right]}" for name, right in zip(stem, side.tolist())],
            file_name=[_file(top, name, "color") for name in stem],
            mask_name=[_file(top, name, "mask") for name in stem] if masks else None,
            image_size=np.tile(np.array([height, width], dtype=np.int32), (len(kept), 1)),
            keypoints_2d=points,
            visibility=np.where(labelled, np.where(visible, VISIBLE, OCCLUDED), UNLABELLED).astype(
                np.uint8
            )[kept],
            bbox=keypoint_box(points, labelled[kept]),
            is_right=side.astype(np.int8),
            keypoints_3d=np.where(in_front[..., None], xyz, np.nan)[kept],
            camera=records.camera[kept // 2],
            ids={
                "image_id": stem,
                "native_image_id": [str(records.number[row]) for row in kept // 2],
                "hand_type": [
                    "interacting" if hands == 2 else _SIDES[right]
                    for hands, right in zip(shown.tolist(), side.tolist())
                ],
            },
        )

    def _usable(
        self,
        native: str,
        records: _Records,
        uv: npt.NDArray[np.float64],
        impossible: npt.NDArray[np.bool_],
        labelled: npt.NDArray[np.bool_],
        visible: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.intp]:
        """Rows of the hands to keep; the others are counted under the first reason that fits."""
        with np.errstate(invalid="ignore"):
            sides = keypoint_box(uv, visible)[:, 2:]
            flat = ~(sides > 0).all(axis=1)
        usable = np.ones(len(uv), dtype=bool)
        here: dict[str, int] = {}
        for reason, applies in (
            ("hand with a joint that is called visible behind the camera", impossible.any(axis=1)),
            ("hand outside the image", ~labelled.any(axis=1)),
            ("hand without a visible joint", ~visible.any(axis=1)),
            ("hand whose visible joints span no box", flat),
        ):
            if (usable & applies).any():
                here[f"{reason} in {native}"] = int((usable & applies).sum())
            usable &= ~applies
        self.dropped |= here
        self.notes += [f"left out: {count:,} × {reason}" for reason, count in here.items()]
        if not usable.any():
            found = ", ".join(f"{count:,} × {reason}" for reason, count in here.items())
            raise SourceError(
                f"expected hands in {records.where}, found {found}; is the file in metres, px and "
                "OpenCV axes?"
            )
        return np.flatnonzero(usable)

    # -- the Source interface -----------------------------------------------------------------

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in order; a mask shows the row's own hand only."""
        native = self.manifest.splits[split].native
        if "mask" in extras and self._tables[split].mask_name is None:
            self.notes.append(f"{native} has no mask: no {native}/mask in the source")
        yield from super().blocks(split, extras, limit)

    def _read_mask(self, part: HandTable, row: int) -> bytes:
        return _hand_mask(
            super()._read_mask(part, row),
            int(part.is_right[row]),
            self.manifest.image_size,
            f"the mask of {part.sample_id[row]}",
        )


def open_source(path: Path, manifest: Manifest, *, lenient: bool = False) -> RHD:
    """Find and check RHD.

    Parameters
    ----------
    path
        Folder ``RHD_published_v2``, the folder that holds it, or ``RHD_v1-1.zip``.
    manifest
        That of ``rhd``.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If what is there is not RHD, or its parts do not fit together; one sentence.
    """
    raw = open_raw(Path(path), [archive.file for archive in manifest.archives])
    return RHD(raw, manifest, lenient=lenient)


def _file(top: str, stem: str, kind: str) -> str:
    native, number = stem.split("/")
    return f"{top}{native}/{kind}/{number}.png"


def _parse(data: Any, where: str, bad: BadEntries) -> _Records:
    """A label file's dictionary as arrays, checked."""
    if not isinstance(data, dict) or not data:
        found = "an empty one" if isinstance(data, dict) else type(data).__name__
        raise SourceError(
            f"expected a dictionary with one record an image in {where}, found {found}"
        )
    for number in data:
        if type(number) is not int or number < 0:
            raise SourceError(f"expected image numbers as keys of {where}, found {number!r:.40}")
    columns = {key: np.empty((len(data), *shape)) for key, shape in _RECORD.items()}
    numbers: list[int] = []
    for number in sorted(data):
        with bad.entry():
            for key, array in _arrays(data[number], f"record {number} of {where}").items():
                columns[key][len(numbers)] = array
            numbers.append(number)
    columns = {key: column[: len(numbers)] for key, column in columns.items()}
    hands = (len(numbers), 2, NUM_JOINTS)
    xyz, uv_vis = columns["xyz"].reshape(*hands, 3), columns["uv_vis"].reshape(*hands, 3)
    seen = uv_vis[..., 2] == 1
    camera = columns["K"]
    focal = camera[:, (0, 1), (0, 1)]
    lost = seen & ~(np.isfinite(xyz) & np.isfinite(uv_vis)).all(axis=-1)
    sound = np.ones(len(numbers), dtype=bool)
    for what, faulty in (
        ("0 or 1 as third column of uv_vis", ~np.isin(uv_vis[..., 2], (0, 1)).all(axis=(1, 2))),
        ("finite coordinates of visible joints", lost.any(axis=(1, 2))),
        (
            "K as a matrix of intrinsics in px",
            ~np.isfinite(camera).all(axis=(1, 2))
            | (focal <= 0).any(axis=1)
            | (camera[:, 2] != (0, 0, 1)).any(axis=1),
        ),
    ):
        sound &= bad.sound(
            sound & faulty,
            lambda row, what=what: (  # type: ignore[misc]
                f"record {numbers[row]} of {where}: expected {what}, found something else; take "
                "the file from the original archive"
            ),
        )
    bad.check_few(int(sound.sum()))
    return _Records(
        where=where,
        entries=len(data),
        number=[number for number, fine in zip(numbers, sound.tolist()) if fine],
        xyz=xyz[sound],
        uv=uv_vis[sound][..., :2],
        seen=seen[sound],
        camera=camera[sound],
    )


def _arrays(record: Any, where: str) -> dict[str, npt.NDArray[np.float64]]:
    """The arrays of a record by key, in the shapes of `_RECORD`."""
    missing = [key for key in _RECORD if not isinstance(record, dict) or key not in record]
    if missing:
        raise SourceError(f"{where} has no {missing[0]!r}: expected xyz, uv_vis and K")
    arrays = {}
    for key, shape in _RECORD.items():
        try:
            array = np.asarray(record[key], dtype=np.float64)
        except (TypeError, ValueError):
            array = np.empty(0)
        if array.shape != shape:
            raise SourceError(
                f"{where}: expected {shape[0]}×{shape[1]} numbers as {key}, found something else; "
                "take the file from the original archive"
            )
        arrays[key] = array
    return arrays


def _hand_mask(data: bytes, is_right: int, size: Sequence[int], where: str) -> bytes:
    """The pixels of one hand in a label image, as a one-bit PNG."""
    channels = decode(data, where)
    labels = channels[..., 0]
    last = _MASK_LABELS[-1][1]
    if (channels != labels[..., None]).any() or labels.max() > last:
        raise SourceError(
            f"expected labels 0 to {last} in {where}, found another kind of picture; take it from "
            "the original archive"
        )
    if labels.shape != tuple(size):
        raise SourceError(
            f"expected {where} to have {size[1]}×{size[0]} px as its image, found "
            f"{labels.shape[1]}×{labels.shape[0]}; take it from the original archive"
        )
    first, final = _MASK_LABELS[is_right]
    return encode_mask((labels >= first) & (labels <= final))
