"""COCO-WholeBody: the hands of the people on COCO's photos, each a sample of its own.

Facts are in ``manifests/coco_wholebody.toml``. References: Jin et al., ECCV 2020;
jin-s13/COCO-WholeBody (README.md, data_format.md); the hand loader of MMPose, whose boxes, order
and choice of hands these are.
"""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS, OCCLUDED, UNLABELLED, VISIBILITY_UNKNOWN, VISIBLE
from handbench.sources.archive import Archives, Folder
from handbench.sources.bad_entries import BadEntries
from handbench.sources.json_records import iterate_records
from handbench.sources.manifest import Manifest
from handbench.sources.placement import check_placed, inside_crop, inside_image
from handbench.sources.table import HandTable, TableSource

OPTIONS = frozenset({"source"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

_LABELS = "coco_wholebody_{}_v1.0.json"
_WHAT = "COCO-WholeBody annotations"
_SIDES = (("left", 0), ("right", 1))
_SMALLEST_BOX_PX = 1.0
"""A hand of less than a pixel is a wrong box, or one in fractions of the image."""


class _Photo(NamedTuple):
    """An image record."""

    place: int
    file_name: str
    height: int
    width: int


class _Hand(NamedTuple):
    """A valid hand of an annotation, not yet joined with its photo."""

    annotation_id: int
    image_id: int
    is_right: int
    keypoints: npt.NDArray[np.float64]
    box: npt.NDArray[np.float64]
    person_area_px2: float


class _Photos(Folder):
    """COCO's folder: photos are read from `val2017/`, or straight from `val2017.zip`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._packed: dict[str, Archives] = {}

    def folder_of(self, native: str) -> str | None:
        """The folder of photos below the root, real or packed; None where there is none."""
        for folder in (native, f"images/{native}"):
            if (self.path / folder).is_dir():
                return folder
            archive = self.path / f"{folder}.zip"
            if archive.is_file():
                self._packed[folder] = Archives([archive])
                return folder
        return None

    def labels_of(self, native: str) -> str | None:
        """The annotation file below the root."""
        name = _LABELS.format(native)
        return next((n for n in (name, f"annotations/{name}") if (self.path / n).is_file()), None)

    def listing(self, folder: str) -> list[str]:
        """Names of the photos in `folder`, sorted."""
        if folder in self._packed:
            return self._packed[folder].listing(PurePosixPath(folder).name)
        return super().listing(folder)

    def read(self, name: str) -> bytes:
        """Bytes of one file."""
        archive, member = self._place(name)
        return super().read(name) if archive is None else archive.read(member)

    def where(self, name: str) -> str:
        """How to call one file in a message."""
        archive, member = self._place(name)
        return super().where(name) if archive is None else archive.where(member)

    def _place(self, name: str) -> tuple[Archives | None, str]:
        folder = str(PurePosixPath(name).parent)
        return self._packed.get(folder), name.removeprefix("images/")


class COCOWholeBody(TableSource):
    """Hands of COCO-WholeBody, found and checked; see :func:`open_source`."""

    def __init__(self, path: Path, manifest: Manifest, *, lenient: bool = False) -> None:
        photos = _Photos(path)
        natives = {split: facts.native for split, facts in manifest.splits.items()}
        labels = {split: photos.labels_of(native) for split, native in natives.items()}
        folders = {split: photos.folder_of(f"{native}2017") for split, native in natives.items()}
        whole = [split for split in natives if labels[split] and folders[split]]
        super().__init__(
            manifest,
            photos,
            {},
            label_files=[labels[s] or "" for s in whole],
            cuts_val=True,
            lenient=lenient,
        )
        self._photos = photos
        for split in natives:
            if bool(labels[split]) != bool(folders[split]):
                lacking = self._lacking(natives[split], labels[split])
                if not whole:
                    raise SourceError(f"{lacking}; put it there, as COCO and its labels unpack")
                self.notes.append(f"{natives[split]} is left out: {lacking}")
        if not whole:
            raise SourceError(
                f"expected {_LABELS.format('val')} and val2017/ in {path} (labels may lie in "
                f"annotations/, photos in images/), found {_contents(path)}; point --source at "
                "COCO's folder, with the labels of jin-s13/COCO-WholeBody beside its own"
            )
        short = []
        for split in whole:
            bad = BadEntries(lenient=lenient)
            found, table = self._read(labels[split] or "", folders[split] or "", bad)
            self._tables[split] = table
            self.bad[split] = bad.sentences
            expected = manifest.splits[split].annotations
            if expected and found != expected:
                short.append(f"{natives[split]} has {found:,} of {expected:,} persons")
        if short:
            self.name = f"{manifest.name}-subset"
            self.notes.append(
                f"a subset: {'; '.join(short)}; results will call it {self.name!r} so that it "
                "never stands beside published rows"
            )

    def _lacking(self, native: str, labels: str | None) -> str:
        name = f"{native}2017/ or {native}2017.zip" if labels else _LABELS.format(native)
        inside = "images/" if labels else "annotations/"
        return f"expected {name} in {self.path} or in {inside} there, found neither"

    # -- reading ------------------------------------------------------------------------------

    def _read(self, labels: str, folder: str, bad: BadEntries) -> tuple[int, HandTable]:
        """Number of persons in a label file, and its hands in the order of its photos."""
        path = self.path / labels
        photos: dict[int, _Photo] = {}
        hands: list[_Hand] = []
        lost: Counter[str] = Counter()
        persons = plain = images = 0
        for kind, record in iterate_records(path, ("images", "annotations"), _WHAT):
            if kind == "images":
                with bad.entry():
                    photo = _photo(record, images, path)
                    photos[record["id"]] = photo
                images += 1
                continue
            persons += 1
            plain += isinstance(record, dict) and "lefthand_kpts" not in record
            hands += _hands(record, path, lost, bad)
        if persons and plain == persons:
            raise SourceError(
                f"expected lefthand_kpts and righthand_kpts in the annotations of {path}, found "
                "none: this is plain COCO; get the file from jin-s13/COCO-WholeBody"
            )
        known = bad.sound(
            np.array([hand.image_id not in photos for hand in hands], dtype=bool),
            lambda row: (
                f"annotation {hands[row].annotation_id} in {path} names image "
                f"{hands[row].image_id}, which is not among its {len(photos):,} images; take the "
                "file from jin-s13/COCO-WholeBody again, or add the image or remove the annotation"
            ),
        )
        hands = list(itertools.compress(hands, known.tolist()))
        bad.check_few(len(hands))
        table = _table(hands, photos, folder) if hands else None
        if table is not None:
            table = self._usable(table, lost, path)
        for reason, count in sorted(lost.items()):
            key = f"{reason} in {path.name}"
            self.dropped[key] = count
            self.notes.append(f"left out: {count:,} × {key}")
        if table is None or not len(table):
            why = "; ".join(f"{count:,} × {reason}" for reason, count in sorted(lost.items()))
            raise SourceError(
                f"expected labelled hands in {path}, found none that can be used among "
                f"{persons:,} annotations ({why or 'no hand is marked valid'})"
            )
        self._check_photos(table, folder)
        self._note_cut_off(table, path)
        return persons, table

    def _usable(self, table: HandTable, lost: Counter[str], path: Path) -> HandTable:
        """The hands that can be cut out; reasons of all others are counted in `lost`."""
        points, padding = table.keypoints_2d, self.manifest.box_padding
        unknown = np.full((len(table), 2), -1, dtype=np.int32)
        size = unknown if table.image_size is None else table.image_size
        check_placed(points, table.bbox, padding, str(path))
        sides = table.bbox[:, 2:]
        tests = {
            "hand marked valid without a labelled keypoint": (table.visibility > 0).any(axis=1),
            "hand with a box of less than a pixel": (sides > 0).all(axis=1)
            & (sides.max(axis=1) >= _SMALLEST_BOX_PX),
            "hand outside its image": inside_image(points, size).any(axis=1),
            "hand outside its own box": inside_crop(points, table.bbox, padding).any(axis=1),
        }
        keep = np.ones(len(table), dtype=bool)
        for reason, passed in tests.items():
            if count := int((keep & ~passed).sum()):
                lost[reason] += count
            keep &= passed
        return table.take(np.flatnonzero(keep))

    def _check_photos(self, table: HandTable, folder: str) -> None:
        there = set(self._photos.listing(folder))
        needed = {PurePosixPath(name).name for name in table.file_name}
        missing = sorted(needed - there)
        if missing:
            raise SourceError(
                f"expected {len(needed):,} photos with hands in {self.path / folder}, found "
                f"{len(missing):,} of them missing: {describe_names(missing, 3)}; unpack all of "
                f"{PurePosixPath(folder).name}.zip"
            )

    def _note_cut_off(self, table: HandTable, path: Path) -> None:
        held = inside_crop(table.keypoints_2d, table.bbox, self.manifest.box_padding)
        cut = int(((table.visibility != UNLABELLED) & ~held).any(axis=1).sum())
        if cut:
            self.notes.append(
                f"{cut:,} of {len(table):,} hands in {path.name} have keypoints outside their crop:"
                " the published boxes do not always hold the hand; a larger --padding shows more"
            )


def open_source(path: Path, manifest: Manifest, *, lenient: bool = False) -> COCOWholeBody:
    """Find and check COCO-WholeBody.

    Parameters
    ----------
    path
        COCO's folder: ``coco_wholebody_{train,val}_v1.0.json`` in it or in ``annotations/``, and
        ``train2017/``, ``val2017/`` (or these as zip archives) in it or in ``images/``. One of
        both is enough.
    manifest
        That of ``coco_wholebody``.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If what is there is not COCO-WholeBody, is damaged, or holds no hand that can be used.
    """
    path = Path(path)
    if not path.is_dir():
        found = "a file" if path.is_file() else "nothing there"
        raise SourceError(
            f"expected COCO's folder with its photos and {_LABELS.format('val')} at {path}, found "
            f"{found}; pass --source"
        )
    return COCOWholeBody(path, manifest, lenient=lenient)


def _photo(record: Any, place: int, path: Path) -> _Photo:
    name = record.get("file_name") if isinstance(record, dict) else None
    if not isinstance(name, str) or not isinstance(record.get("id"), int):
        raise SourceError(
            f"entry {place} of images in {path}: expected COCO's 'id' and 'file_name', found "
            f"{_shown(record)}"
        )
    if not name or name in (".", "..") or any(mark in name for mark in "/\\:"):
        raise SourceError(
            f"image {record['id']} in {path}: expected 'file_name' as a plain name such as "
            f"000000000785.jpg, found {name!r}"
        )
    height, width = record.get("height"), record.get("width")
    if not (isinstance(height, int) and isinstance(width, int)):
        height = width = -1
    return _Photo(place, name, height, width)


def _hands(record: Any, path: Path, lost: Counter[str], bad: BadEntries) -> list[_Hand]:
    """The valid hands of an annotation; what is odd about the others is counted in `lost`."""
    number, image_id = (
        (record.get("id"), record.get("image_id")) if isinstance(record, dict) else (None, None)
    )
    if not isinstance(number, int) or not isinstance(image_id, int):
        with bad.entry():
            raise SourceError(
                f"an annotation in {path}: expected COCO's 'id' and 'image_id', found "
                f"{_shown(record)}"
            )
        return []
    where = f"annotation {number} in {path}"
    hands = []
    for side, is_right in _SIDES:
        given, box = record.get(f"{side}hand_kpts"), record.get(f"{side}hand_box")
        if given is None:
            continue
        if not record.get(f"{side}hand_valid"):
            # Invalid hands are all zeros, as data_format.md says: nothing to lose.
            if isinstance(given, list) and any(given):
                lost["hand with keypoints but marked invalid"] += 1
            continue
        if record.get("iscrowd"):
            lost["hand of a crowd"] += 1
            continue
        with bad.entry():
            points = _numbers(given, 63, f"{side}hand_kpts as 21 × x, y, v", where)
            area = _numbers([record.get("area")], 1, "the area of the person", where)
            hands.append(
                _Hand(
                    annotation_id=number,
                    image_id=image_id,
                    is_right=is_right,
                    keypoints=points.reshape(NUM_JOINTS, 3),
                    box=_numbers(box, 4, f"{side}hand_box as x, y, w, h", where),
                    person_area_px2=float(area[0]),
                )
            )
    return hands


def _numbers(values: Any, count: int, what: str, where: str) -> npt.NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (count,) or not np.isfinite(array).all():
        raise SourceError(
            f"{where}: expected {what} ({count} finite numbers), found {_shown(values)}"
        )
    return array


def _table(hands: list[_Hand], photos: dict[int, _Photo], folder: str) -> HandTable:
    """Hands as columns, by photo in the order of the file; within one by annotation, left first."""
    hands = sorted(hands, key=lambda hand: photos[hand.image_id].place)
    of_hand = [photos[hand.image_id] for hand in hands]
    stems = [
        f"{PurePosixPath(folder).name}/{PurePosixPath(photo.file_name).stem}" for photo in of_hand
    ]
    sides = {is_right: side for side, is_right in _SIDES}
    points = np.stack([hand.keypoints for hand in hands])
    visibility, confidence = _visibility(points[..., 2])
    return HandTable(
        sample_id=[
            f"{stem}#{hand.annotation_id}/{sides[hand.is_right]}"
            for stem, hand in zip(stems, hands)
        ],
        file_name=[f"{folder}/{photo.file_name}" for photo in of_hand],
        keypoints_2d=np.where((visibility != UNLABELLED)[..., None], points[..., :2], np.nan),
        visibility=visibility,
        bbox=np.stack([hand.box for hand in hands]),
        is_right=np.array([hand.is_right for hand in hands], dtype=np.int8),
        image_size=np.array([(photo.height, photo.width) for photo in of_hand], dtype=np.int32),
        ids={"image_id": stems, "native_image_id": [str(hand.image_id) for hand in hands]},
        extra={
            "person_area_px2": np.array([hand.person_area_px2 for hand in hands]),
            "label_confidence": confidence,
        },
    )


def _visibility(
    flags: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """COCO-WholeBody's v (N, 21) as our visibility, and the confidence of pseudo-labels.

    0 is unlabelled; 1 and 2 are a person's word, occluded and visible; a fraction is the score of
    a pseudo-label. In a hand with fractions a 1 is a score as well.
    """
    labelled = flags > 0
    scored = (labelled & (flags % 1 != 0)).any(axis=1)[:, None]
    by_hand = np.select([flags == 2, (flags == 1) & ~scored], [VISIBLE, OCCLUDED])
    meaning = np.where(by_hand == 0, VISIBILITY_UNKNOWN, by_hand)
    confidence = np.where(labelled & scored & (flags <= 1), flags, np.nan)
    return (
        np.where(labelled, meaning, UNLABELLED).astype(np.uint8),
        confidence.astype(np.float32),
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _contents(path: Path) -> str:
    names = sorted(entry.name for entry in path.iterdir())
    return describe_names(names) if names else "an empty folder"
