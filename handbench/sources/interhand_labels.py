"""InterHand2.6M's label files as compact columns.

Parsed whole, the 1.36 million annotations of ``train`` would fill many gigabytes with Python lists.
Here they come in pieces (:mod:`handbench.sources.flat_json`), and about 130 bytes an image stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError
from handbench.files import describe_names, read_json
from handbench.sources.bad_entries import BadEntries
from handbench.sources.flat_json import keyed_records, parse_records, record_lists

NATIVE_JOINTS = 42
"""0-20 the right hand, 21-41 the left one."""
HAND_TYPES = ("right", "left", "interacting")

_IMAGE_NUMBERS = ("id", "capture", "frame_idx", "height", "width")
_IMAGE_NAMES = ("file_name", "subject", "seq_name", "camera")
_ANNOTATION_FIELDS = ("image_id", "joint_valid", "hand_type", "hand_type_valid")
_SENTINEL_MM = 1.0
_WRONG_KIND = (AttributeError, KeyError, TypeError, ValueError, OverflowError)
"""What numpy and Python raise at values of another kind; SourceError is a ValueError."""

_Columns = TypeVar("_Columns")


@dataclass
class Cameras:
    """C cameras of all captures.

    Attributes
    ----------
    rotation, position
        (C, 3, 3) and (C, 3) mm: camera frame = rotation · (world - position), OpenCV axes.
    matrix
        (C, 3, 3) intrinsics in px.
    row
        (capture, camera) → row of the other columns.
    faults
        (capture, camera) → what is wrong with a malformed one, whose row means nothing.
    """

    rotation: npt.NDArray[np.float64]
    position: npt.NDArray[np.float64]
    matrix: npt.NDArray[np.float64]
    row: dict[tuple[str, str], int]
    faults: dict[tuple[str, str], str]


@dataclass
class Instants:
    """3D labels of T moments.

    Attributes
    ----------
    world
        (T, 42, 3) mm, native joints, world frame.
    valid
        (T, 42) bool: labelled, and not the sentinel.
    key
        (T,) int64 number of capture and frame, ascending; see :func:`moment`.
    sentinels
        Joints called valid whose place is the sentinel (1, 1, 1).
    """

    world: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]
    key: npt.NDArray[np.int64]
    sentinels: int


@dataclass
class SplitLabels:
    """Labels of a split: M images in file order that have a sound annotation.

    Attributes
    ----------
    split
        Native name.
    entries
        Annotations in the file, sound or not.
    file_name
        (M,) UTF-8 bytes, below ``images/<split>/``.
    image_id, capture, frame
        (M,) int64.
    image_size
        (M, 2) int32 height, width.
    subject, sequence, camera
        (M,) int16 places in `names` of that key.
    names
        The different names of subjects, sequences and cameras.
    camera_row
        (M,) int32 row of `cameras`.
    instant
        (M,) int32 row of `instants`; -1 where the moment has no 3D labels.
    hand_type
        (M,) int8 place in :data:`HAND_TYPES`.
    hand_type_valid
        (M,) bool.
    joint_valid
        (M, 6) uint8, 42 packed bits: labelled and inside the image.
    unannotated
        Images without an annotation, left out.
    """

    split: str
    entries: int
    file_name: npt.NDArray[np.bytes_]
    image_id: npt.NDArray[np.int64]
    capture: npt.NDArray[np.int64]
    frame: npt.NDArray[np.int64]
    image_size: npt.NDArray[np.int32]
    subject: npt.NDArray[np.int16]
    sequence: npt.NDArray[np.int16]
    camera: npt.NDArray[np.int16]
    names: dict[str, list[str]]
    camera_row: npt.NDArray[np.int32]
    instant: npt.NDArray[np.int32]
    hand_type: npt.NDArray[np.int8]
    hand_type_valid: npt.NDArray[np.bool_]
    joint_valid: npt.NDArray[np.uint8]
    cameras: Cameras
    instants: Instants
    unannotated: int

    def __len__(self) -> int:
        return len(self.image_id)

    def valid(self, rows: npt.NDArray[np.intp] | slice) -> npt.NDArray[np.bool_]:
        """(B, 42) bool: valid in the image and at that moment, and no sentinel."""
        in_image = np.unpackbits(self.joint_valid[rows], axis=1, count=NATIVE_JOINTS) > 0
        instant = self.instant[rows]
        at_moment = self.instants.valid[np.maximum(instant, 0)] & (instant >= 0)[:, None]
        both: npt.NDArray[np.bool_] = in_image & at_moment
        return both


def label_files(split: str) -> tuple[str, str, str]:
    """Names of data, camera and joint file of a split, below the root."""
    stem = f"annotations/{split}/InterHand2.6M_{split}"
    return f"{stem}_data.json", f"{stem}_camera.json", f"{stem}_joint_3d.json"


def read_labels(root: Path, split: str, bad: BadEntries) -> SplitLabels:
    """Read the three label files of a split.

    Parameters
    ----------
    root, split
        Where, and which (native name).
    bad
        Gives account of malformed records. Images of a malformed moment are there, without it.

    Raises
    ------
    SourceError
        If one is missing, damaged, or does not fit the others.
    """
    data, camera, joint_3d = (root / name for name in label_files(split))
    for path in (camera, joint_3d):  # before the large file is read for nothing
        if not path.is_file():
            raise SourceError(
                f"expected {path.name} beside {data.name} in {data.parent}, found no such file"
            )
    cameras = _read_cameras(camera)
    instants = _read_instants(joint_3d, bad)
    images, annotations = _Images(data, bad), _Annotations(data, bad)
    for name, text in record_lists(data):
        if name == "images":
            images.add(parse_records(text, data))
        elif name == "annotations":
            # A list around each flag, [[1], [0], …], costs more than all the rest of the file.
            flat = text.replace(b"[1]", b"1").replace(b"[0]", b"0")
            annotations.add(parse_records(flat, data))
    return _joined(split, data, images, annotations, cameras, instants, bad)


class _Images:
    """Columns of the image records."""

    def __init__(self, path: Path, bad: BadEntries) -> None:
        self.path = path
        self.bad = bad
        self.numbers: list[npt.NDArray[np.int64]] = []
        self.files: list[npt.NDArray[np.bytes_]] = []
        self.codes: list[npt.NDArray[np.int16]] = []
        self.places: dict[str, dict[str, int]] = {"subject": {}, "seq_name": {}, "camera": {}}

    def add(self, records: list[dict[str, Any]]) -> None:
        needed = (*_IMAGE_NUMBERS, *_IMAGE_NAMES)
        numbers, files, codes = _sound_columns(records, self._columns, needed, self.path, self.bad)
        self.numbers.append(numbers.reshape(-1, len(_IMAGE_NUMBERS)))
        self.files.append(files)
        self.codes.append(codes)

    def _columns(
        self, records: list[dict[str, Any]]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bytes_], npt.NDArray[np.int16]]:
        numbers = [[image[name] for name in _IMAGE_NUMBERS] for image in records]
        table = np.array(numbers, dtype=np.int64)
        files = [image["file_name"] for image in records]
        for outside in (name for name in files if not _below(name)):
            raise SourceError(
                f"expected 'file_name' in {self.path} as a path below the folder of images, found "
                f"{outside!r}"
            )
        codes = [
            [places.setdefault(str(image[name]), len(places)) for image in records]
            for name, places in self.places.items()
        ]
        encoded = np.array([name.encode() for name in files], dtype=np.bytes_)
        return table, encoded, np.array(codes, dtype=np.int16).T


class _Annotations:
    """Columns of the annotation records."""

    def __init__(self, path: Path, bad: BadEntries) -> None:
        self.path = path
        self.bad = bad
        self.entries = 0
        self.image_id: list[npt.NDArray[np.int64]] = []
        self.hand_type: list[npt.NDArray[np.int8]] = []
        self.hand_type_valid: list[npt.NDArray[np.bool_]] = []
        self.joint_valid: list[npt.NDArray[np.uint8]] = []

    def add(self, records: list[dict[str, Any]]) -> None:
        self.entries += len(records)
        image_id, kinds, known, valid = _sound_columns(
            records, self._columns, _ANNOTATION_FIELDS, self.path, self.bad
        )
        self.image_id.append(image_id)
        self.hand_type.append(kinds)
        self.hand_type_valid.append(known)
        self.joint_valid.append(np.packbits(valid, axis=1))

    @staticmethod
    def _columns(
        records: list[dict[str, Any]],
    ) -> tuple[
        npt.NDArray[np.int64],
        npt.NDArray[np.int8],
        npt.NDArray[np.bool_],
        npt.NDArray[np.bool_],
    ]:
        types = {name: number for number, name in enumerate(HAND_TYPES)}
        image_id = np.array([hand["image_id"] for hand in records], dtype=np.int64)
        kinds = np.array([types[hand["hand_type"]] for hand in records], dtype=np.int8)
        known = np.array([hand["hand_type_valid"] for hand in records]).reshape(len(records)) > 0
        flags = np.array([hand["joint_valid"] for hand in records])
        return image_id, kinds, known, flags.reshape(len(records), NATIVE_JOINTS) > 0


def _sound_columns(
    records: list[dict[str, Any]],
    columns: Callable[[list[dict[str, Any]]], _Columns],
    needed: Sequence[str],
    path: Path,
    bad: BadEntries,
) -> _Columns:
    """`columns` of the sound ones among `records`, which are looked at singly if one is not."""
    try:
        return columns(records)
    except _WRONG_KIND:
        pass
    sound = []
    for record in records:
        with bad.entry():
            try:
                columns([record])
            except SourceError:
                raise
            except _WRONG_KIND as error:
                raise _bad_record(record, needed, path) from error
            sound.append(record)
    try:
        return columns(sound)
    except _WRONG_KIND as error:
        raise SourceError(
            f"records in {path} hold values of different kinds under one name; take the file from "
            "the original archive"
        ) from error


def _joined(
    split: str,
    path: Path,
    images: _Images,
    annotations: _Annotations,
    cameras: Cameras,
    instants: Instants,
    bad: BadEntries,
) -> SplitLabels:
    """Every annotation with its image, camera and moment."""
    if not images.numbers or not annotations.image_id:
        raise SourceError(
            f"expected 'images' and 'annotations' with records in {path}, found none: this is no "
            "InterHand2.6M data file"
        )
    wanted = np.concatenate(annotations.image_id)
    numbers = np.concatenate(images.numbers)
    order = np.argsort(numbers[:, 0], kind="stable")
    bad.check_few(min(len(numbers), len(wanted)))
    found = order[np.searchsorted(numbers[:, 0], wanted, sorter=order).clip(max=len(order) - 1)]
    kept = _with_partners(wanted, numbers[:, 0], found, path, bad)
    found = found[kept]
    unannotated = len(order) - len(found)
    numbers = numbers[found]
    codes = np.concatenate(images.codes)[found]
    names = {
        key: list(images.places[field])
        for key, field in (("subject", "subject"), ("sequence", "seq_name"), ("camera", "camera"))
    }
    seen = _camera_rows(numbers[:, 1], codes[:, 2], names["camera"], cameras, path, bad)
    fine = seen >= 0
    if not fine.all():
        kept[kept] = fine
        found, numbers, codes, seen = found[fine], numbers[fine], codes[fine], seen[fine]
    bad.check_few(len(found))
    capture, frame = numbers[:, 1].copy(), numbers[:, 2].copy()
    return SplitLabels(
        split=split,
        entries=annotations.entries,
        file_name=np.concatenate(images.files)[found],
        image_id=wanted[kept],
        capture=capture,
        frame=frame,
        image_size=numbers[:, 3:5].astype(np.int32),
        subject=codes[:, 0].copy(),
        sequence=codes[:, 1].copy(),
        camera=codes[:, 2].copy(),
        names=names,
        camera_row=seen,
        instant=_instant_rows(capture, frame, instants),
        hand_type=np.concatenate(annotations.hand_type)[kept],
        hand_type_valid=np.concatenate(annotations.hand_type_valid)[kept],
        joint_valid=np.concatenate(annotations.joint_valid)[kept],
        cameras=cameras,
        instants=instants,
        unannotated=unannotated,
    )


def _with_partners(
    wanted: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    found: npt.NDArray[np.intp],
    path: Path,
    bad: BadEntries,
) -> npt.NDArray[np.bool_]:
    """Which annotations name an image that is there."""
    kept = bad.sound(
        ids[found] != wanted,
        lambda row: (
            f"an annotation in {path} names image {wanted[row]}, which is not among its "
            f"{len(ids):,} images; take the file from the original archive"
        ),
    )
    times = np.bincount(found[kept], minlength=len(ids))
    if times.max() > 1:
        raise SourceError(
            f"expected one annotation an image in {path}, found {times.max()} of image "
            f"{ids[times.argmax()]}"
        )
    return kept


def _camera_rows(
    capture: npt.NDArray[np.int64],
    camera: npt.NDArray[np.int16],
    names: Sequence[str],
    cameras: Cameras,
    path: Path,
    bad: BadEntries,
) -> npt.NDArray[np.int32]:
    """Row of the camera of every image; -1 where that is malformed."""
    pairs, place = np.unique(capture * len(names) + camera, return_inverse=True)
    rows, faults = [], []
    for number, name in ((p // len(names), names[p % len(names)]) for p in pairs.tolist()):
        faults.append(cameras.faults.get((str(number), name), ""))
        row = cameras.row.get((str(number), name))
        if row is None:
            raise SourceError(
                f"{path} has images of camera {name} in capture {number}, which "
                f"{path.name.replace('_data', '_camera')} does not describe; take both files from "
                "the same archive"
            )
        rows.append(row)
    place = place.reshape(-1)
    sound = bad.sound(
        np.array([bool(fault) for fault in faults], dtype=bool)[place],
        lambda row: f"{faults[place[row]]} (images of it are useless)",
    )
    return np.where(sound, np.array(rows, dtype=np.int32)[place], -1).astype(np.int32)


def moment(
    capture: npt.NDArray[np.int64] | int, frame: npt.NDArray[np.int64] | int
) -> npt.NDArray[np.int64]:
    """One number for capture and frame, by which moments are looked up."""
    return np.asarray(capture, dtype=np.int64) * 2**32 + np.asarray(frame, dtype=np.int64)


def _instant_rows(
    capture: npt.NDArray[np.int64], frame: npt.NDArray[np.int64], instants: Instants
) -> npt.NDArray[np.int32]:
    key = moment(capture, frame)
    row = np.searchsorted(instants.key, key).clip(max=len(instants.key) - 1)
    return np.where(instants.key[row] == key, row, -1).astype(np.int32)


def _read_instants(path: Path, bad: BadEntries) -> Instants:
    keys, worlds, valids = [], [], []
    for capture, frame, record in keyed_records(path):
        with bad.entry():
            number, joints, flags = _instant(capture, frame, record, path)
            keys.append(number)
            worlds.append(joints)
            valids.append(flags)
    bad.check_few(len(keys))
    if not keys:
        raise SourceError(f"expected 3D joints under capture and frame in {path}, found none")
    order = np.argsort(np.array(keys, dtype=np.int64), kind="stable")
    world, valid = np.stack(worlds)[order], np.stack(valids)[order]
    sentinel = (world == _SENTINEL_MM).all(axis=-1)
    key = np.array(keys, dtype=np.int64)[order]
    return Instants(world, valid & ~sentinel, key, int((valid & sentinel).sum()))


def _instant(
    capture: str, frame: str, record: dict[str, Any], path: Path
) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Key, (42, 3) mm and (42,) bool of a moment."""
    try:
        key = int(moment(int(capture), int(frame)))
        world = np.array(record["world_coord"], dtype=np.float64).reshape(NATIVE_JOINTS, 3)
        valid = np.array(record["joint_valid"], dtype=np.float64).reshape(NATIVE_JOINTS) > 0
        if not np.isfinite(world[valid]).all():
            raise ValueError("a valid joint is not finite")
    except _WRONG_KIND as error:
        raise SourceError(
            f"record {capture}/{frame} in {path}: expected world_coord 42×3 and joint_valid 42 "
            "under numbers of capture and frame, finite where valid, found something else"
        ) from error
    return key, world, valid


def _read_cameras(path: Path) -> Cameras:
    captures = read_json(path, "cameras of InterHand2.6M", SourceError)
    row: dict[tuple[str, str], int] = {}
    faults: dict[tuple[str, str], str] = {}
    found = []
    try:
        named = [(str(c), str(n)) for c, facts in captures.items() for n in facts["campos"]]
    except _WRONG_KIND as error:
        raise SourceError(
            f"expected campos, camrot, focal and princpt of every camera of every capture in "
            f"{path}, found something else ({error})"
        ) from error
    for capture, camera in named:
        row[capture, camera] = len(row)
        try:
            found.append(_camera(captures[capture], camera))
        except _WRONG_KIND as error:
            found.append((np.eye(3), np.zeros(3), np.eye(3)))
            faults[capture, camera] = (
                f"camera {camera} of capture {capture}: expected campos, camrot, focal and princpt "
                f"as finite numbers in {path}, found something else ({error})"
            )
    if not row:
        raise SourceError(f"expected cameras in {path}, found none")
    rotations, positions, matrices = (np.stack(part) for part in zip(*found))
    return Cameras(rotations, positions, matrices, row, faults)


def _camera(
    facts: dict[str, Any], camera: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rotation, position in mm, and intrinsics."""
    (fx, fy), (cx, cy) = facts["focal"][camera], facts["princpt"][camera]
    rotation = np.array(facts["camrot"][camera], dtype=float).reshape(3, 3)
    position = np.array(facts["campos"][camera], dtype=float).reshape(3)
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=float)
    if not all(np.isfinite(part).all() for part in (rotation, position, matrix)):
        raise ValueError("a number is missing")
    return rotation, position, matrix


def _below(name: Any) -> bool:
    """Whether `name` is a path that stays below its folder."""
    if not isinstance(name, str) or not name or name[0] == "/" or "\\" in name or ":" in name:
        return False
    return ".." not in name.split("/")


def _bad_record(record: Any, needed: Sequence[str], path: Path) -> SourceError:
    """What is wrong with a record: it lacks a field, or holds something else in one."""
    missing = [name for name in needed if not isinstance(record, dict) or name not in record]
    if missing:
        return SourceError(f"a record in {path} has no {missing[0]!r}: {str(record)[:80]}")
    return SourceError(
        f"a record in {path} holds something else than expected (whole numbers, 42 flags, a "
        f"hand_type of {describe_names(HAND_TYPES)}): {str(record)[:80]}"
    )
