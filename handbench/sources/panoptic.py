"""CMU Panoptic HandDB: manual, synthetic and multiview labels, each part optional.

Facts are in ``manifests/panoptic.toml``. Reference: Simon et al., CVPR 2017. 2D only.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names, parse_json, sha256_bytes
from handbench.hand import NUM_JOINTS, UNLABELLED, VISIBILITY_UNKNOWN, to_canonical
from handbench.sources.archive import RawFiles, open_raw
from handbench.sources.bad_entries import BadEntries
from handbench.sources.image_sizes import image_sizes
from handbench.sources.manifest import Manifest
from handbench.sources.own_data import is_below, sample_ids, slashes, stem
from handbench.sources.placement import inside_image
from handbench.sources.table import HandTable, TableSource

OPTIONS = frozenset({"source"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

_MANUAL, _SYNTHETIC, _MULTIVIEW = "hand_labels", "hand_labels_synth", "hand143_panopticdb"
_LABELS = f"{_MULTIVIEW}/hands_v143_14817.json"
_PARTS = {
    f"{_MANUAL}/manual_train": ("train", 1912),
    f"{_SYNTHETIC}/synth1": ("train", 6546),
    f"{_SYNTHETIC}/synth2": ("train", 3243),
    f"{_SYNTHETIC}/synth3": ("train", 2348),
    f"{_SYNTHETIC}/synth4": ("train", 2124),
    _MULTIVIEW: ("train", 14_817),
    f"{_MANUAL}/manual_test": ("test", 846),
}
"""Folder → split and published number of labels, in the order of the rows."""

_LABELLED = 1
"""The flag of a labelled point; other values were seen in points that mean nothing."""

_SIDED = re.compile(r"(?P<frame>.+)_(?P<side>[lr])")
_NUMBERED = re.compile(r"(?P<origin>.+)_\d+")


@dataclass
class _Hand:
    """A label as it was read.

    Attributes
    ----------
    file_name
        Its image below the root.
    number
        Position among the labels of its part.
    where
        Name of the label in messages.
    points
        (21, 3) x, y in px, flag.
    is_right
        1, 0, -1 unknown.
    image_id, sequence_id
        Its photo, and what may not be torn apart.
    size
        Height, width in px as the label states them; None where it does not.
    """

    file_name: str
    number: int
    where: str
    points: npt.NDArray[np.float64]
    is_right: int
    image_id: str
    sequence_id: str
    size: tuple[int, int] | None = None


class _Reader:
    """Reads the parts of one source, and keeps account of what was left out."""

    def __init__(self, raw: RawFiles, manifest: Manifest, *, lenient: bool) -> None:
        self.raw = raw
        self.manifest = manifest
        self.lenient = lenient
        self.bad: dict[str, list[str]] = {}
        self.notes: list[str] = []
        self.dropped: Counter[str] = Counter()
        self.counts: dict[str, int] = {}
        self.label_files: list[str] = []
        self.sides_disagree = 0

    def tables(self) -> dict[str, HandTable]:
        """Split → its hands; splits without a part are left out."""
        hands: dict[str, list[_Hand]] = {}
        for part, (split, _) in _PARTS.items():
            if self.raw.has(part):
                bad = BadEntries(lenient=self.lenient)
                found = self._multiview(bad) if part == _MULTIVIEW else self._folder(part, bad)
                self.bad.setdefault(split, []).extend(bad.sentences)
                hands.setdefault(split, []).extend(found)
        if not hands:
            found_names = self.raw.listing("")
            raise SourceError(
                f"expected {_MANUAL}, {_SYNTHETIC} or {_MULTIVIEW} in {self.raw.path}, found "
                f"{describe_names(found_names) if found_names else 'no files'}; point --source at "
                "the folder that holds them, unpacked"
            )
        tables = {split: self._table(found, split) for split, found in hands.items() if found}
        tables = {split: table for split, table in tables.items() if len(table)}
        if not tables:
            raise SourceError(
                f"expected hands with 21 points in {self.raw.path}, found none: "
                f"{'; '.join(f'{count:,} × {why}' for why, count in self.dropped.items())}"
            )
        self._take_notes(tables)
        return tables

    # -- one JSON file an image ---------------------------------------------------------------

    def _folder(self, part: str, bad: BadEntries) -> list[_Hand]:
        """Manual or synthetic hands, by file name."""
        names = [name for name in self.raw.listing(part) if not name.startswith(".")]
        labels = {name[:-5] for name in names if name.endswith(".json")}
        images = {name[:-4] for name in names if name.endswith(".jpg")}
        where = self.raw.path / part
        if not labels:
            raise SourceError(
                f"expected labels (NAME.json beside NAME.jpg) in {where}, found "
                f"{f'{len(images):,} images and no label' if images else 'none'}; unpack the "
                "original archive again"
            )
        for suffix, missing in ((".jpg", labels - images), (".json", images - labels)):
            if missing:
                listed = describe_names((name + suffix for name in sorted(missing)), 3)
                raise SourceError(
                    f"expected a .jpg and a .json of every hand in {where}, found no {listed}; "
                    "unpack the original archive again"
                )
        self.counts[part] = len(labels)
        self.label_files += [f"{part}/{name}.json" for name in sorted(labels)]
        hands = []
        partial = 0
        for number, name in enumerate(sorted(labels)):
            text = self.raw.read(f"{part}/{name}.json")
            with bad.entry():
                hand = self._labelled_file(part, name, number, text)
                if hand is None:
                    partial += 1
                else:
                    hands.append(hand)
        bad.check_few(len(hands) + partial)
        if partial:
            self.dropped[f"label of {part} without {NUM_JOINTS} points"] += partial
        return hands

    def _labelled_file(self, part: str, name: str, number: int, text: bytes) -> _Hand | None:
        where = self.raw.where(f"{part}/{name}.json")
        data = _parsed(text, where)
        points = data.get("hand_pts") if isinstance(data, dict) else None
        if not isinstance(points, list):
            raise SourceError(
                f"expected hand_pts (21 × x, y, flag) in {where}, found "
                f"{describe_names(data) if isinstance(data, dict) else type(data).__name__}; is "
                "this CMU Panoptic HandDB?"
            )
        synthetic = part.startswith(_SYNTHETIC)
        if synthetic and len(points) != NUM_JOINTS:
            return None
        image_id, sequence_id = f"{part}/{name}", part
        if not synthetic:
            image_id, sequence_id = _photo_and_recording(name)
        return _Hand(
            file_name=f"{part}/{name}.jpg",
            number=number,
            where=where,
            points=_points(points, "hand_pts", where),
            is_right=self._side(name, data.get("is_left")),
            image_id=image_id,
            sequence_id=sequence_id,
        )

    def _side(self, name: str, is_left: Any) -> int:
        """Side by field and file name; unknown where neither speaks, or they disagree."""
        sided = _SIDED.fullmatch(name)
        said = {int(sided["side"] == "r")} if sided else set()
        if is_left in (0, 1):
            said.add(1 - int(is_left))
        self.sides_disagree += len(said) == 2
        return said.pop() if len(said) == 1 else -1

    # -- one JSON file for all ----------------------------------------------------------------

    def _multiview(self, bad: BadEntries) -> list[_Hand]:
        where = self.raw.where(_LABELS)
        if not self.raw.has(_LABELS):
            raise SourceError(f"expected {where} beside imgs, found no such file; unpack it again")
        data = _parsed(self.raw.read(_LABELS), where)
        entries = data.get("root") if isinstance(data, dict) else None
        if not isinstance(entries, list) or not entries:
            raise SourceError(f"expected a list 'root' with an entry for every hand in {where}")
        images = {f"imgs/{name}" for name in self.raw.listing(f"{_MULTIVIEW}/imgs")}
        self.counts[_MULTIVIEW] = len(entries)
        self.label_files.append(_LABELS)
        hands = []
        for number, entry in enumerate(entries):
            with bad.entry():
                hands.append(_multiview_hand(entry, number, f"entry {number} of {where}"))
        bad.check_few(len(hands))
        for hand in hands:
            path = hand.file_name.removeprefix(f"{_MULTIVIEW}/")
            if path not in images:
                raise SourceError(
                    f"{hand.where} names {path}, found no such file in {self.raw.path}/{_MULTIVIEW}"
                    "; unpack the original archive again"
                )
        # Hands of one image follow each other; all else stays as it was.
        first = {hand.file_name: hand.number for hand in reversed(hands)}
        return sorted(hands, key=lambda hand: first[hand.file_name])

    # -- all parts ----------------------------------------------------------------------------

    def _table(self, hands: list[_Hand], split: str) -> HandTable:
        points = to_canonical(np.stack([hand.points for hand in hands]), self.manifest.joint_order)
        labelled = points[..., 2] == _LABELLED
        pixels = np.where(labelled[..., None], points[..., :2], np.nan)
        box = keypoint_box(pixels, labelled)
        sizes = self._sizes(hands)
        spans = (box[:, 2:] > 0).all(axis=1)
        none = ~labelled.any(axis=1)
        away = spans & ~inside_image(pixels, sizes).any(axis=1)
        for rows, why in (
            (none, "without a labelled point"),
            (~spans & ~none, "with too few labelled points to span a box"),
            (away, "outside its image"),
        ):
            if rows.any():
                self.dropped[f"hand of {split} {why}"] += int(rows.sum())
        names = [hand.file_name for hand in hands]
        return HandTable(
            sample_id=sample_ids(names, [hand.number for hand in hands]),
            file_name=names,
            keypoints_2d=pixels,
            visibility=np.where(labelled, VISIBILITY_UNKNOWN, UNLABELLED).astype(np.uint8),
            bbox=box,
            is_right=np.array([hand.is_right for hand in hands], dtype=np.int8),
            image_size=sizes,
            ids={
                "image_id": [hand.image_id for hand in hands],
                "sequence_id": [hand.sequence_id for hand in hands],
            },
        ).take(np.asarray(spans & ~away))

    def _sizes(self, hands: list[_Hand]) -> npt.NDArray[np.int32]:
        """(N, 2) height, width in px: as stated, else from the image."""
        unsaid = [hand.file_name for hand in hands if hand.size is None]
        known = dict(zip(unsaid, image_sizes(self.raw, unsaid, lenient=self.lenient).tolist()))
        sizes = [hand.size or known[hand.file_name] for hand in hands]
        return np.array(sizes, dtype=np.int32).reshape(-1, 2)

    def _take_notes(self, tables: dict[str, HandTable]) -> None:
        read = ", ".join(f"{part} {count:,}" for part, count in self.counts.items())
        self.notes.append(f"labels read: {read}")
        self.notes += [f"left out: {count:,} × {why}" for why, count in self.dropped.items()]
        if self.sides_disagree:
            self.notes.append(
                f"{self.sides_disagree:,} labels have an is_left that contradicts the _l or _r of "
                "their file name: their side is stored as unknown"
            )
        if len(tables) == 2:
            shared = set.intersection(*(set(t.ids["sequence_id"]) for t in tables.values()))
            if shared:
                self.notes.append(
                    f"{len(shared):,} photos or videos are in both manual_train and manual_test "
                    f"as published, for example {min(shared)}"
                )


class Panoptic(TableSource):
    """CMU Panoptic HandDB, found and checked; make one with :func:`open_source`."""

    def files(self) -> list[dict[str, Any]]:
        """Label files or archives, with size and sha256; the many of a folder as one entry.

        The hash of a folder is that of the hashes of its files, by name.
        """
        described: list[dict[str, Any]] = []
        folders: dict[str, list[dict[str, Any]]] = {}
        for file in super().files():
            part = file["file"].rpartition("/")[0]
            if part in _PARTS and part != _MULTIVIEW:
                folders.setdefault(part, []).append(file)
            else:
                described.append(file)
        for part, files in folders.items():
            digest = sha256_bytes(*(bytes.fromhex(file["sha256"]) for file in files))
            size = sum(file["size"] for file in files)
            described.append({"file": f"{part}/*.json", "size": size, "sha256": digest})
        return described


def open_source(path: Path, manifest: Manifest, *, lenient: bool = False) -> Panoptic:
    """Find and check CMU Panoptic HandDB.

    Parameters
    ----------
    path
        Folder that holds ``hand_labels``, ``hand_labels_synth`` or ``hand143_panopticdb``, some or
        all; or the first two as the original zip files.
    manifest
        That of ``panoptic``.
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If no part is there, or one is damaged; one sentence with what was expected and found.
    """
    path = Path(path)
    packed = [archive.file for archive in manifest.archives]
    if path.is_file() and path.suffix == ".tar":
        raise SourceError(f"expected a folder or zip archive, found {path}; unpack it first")
    raw = open_raw(path, [name for name in packed if name.endswith(".zip")])
    reader = _Reader(raw, manifest, lenient=lenient)
    tables = reader.tables()
    read = {part.partition("/")[0] for part in reader.counts}
    folder = path if path.is_dir() else path.parent
    left = [name for name in packed if Path(name).stem not in read and (folder / name).is_file()]
    if left:
        reader.notes.append(f"not read, because still packed: {', '.join(left)}; unpack it there")
    return Panoptic(
        manifest,
        raw,
        tables,
        label_files=reader.label_files,
        name=_dataset_name(reader, tables),
        notes=reader.notes,
        dropped=reader.dropped,
        cuts_val=True,
        lenient=lenient,
        bad=reader.bad,
    )


def _dataset_name(reader: _Reader, tables: dict[str, HandTable]) -> str:
    """The manifest's name where every part that is there is whole; parts may be absent."""
    short = [
        f"{part} has {count:,} labels, published are {_PARTS[part][1]:,}"
        for part, count in reader.counts.items()
        if count != _PARTS[part][1]
    ]
    expected = reader.manifest.splits["test"].samples
    if not short and "test" in tables and len(tables["test"]) != expected:
        short.append(f"{len(tables['test']):,} of the {expected:,} test hands can be used")
    if not short:
        return reader.manifest.name
    name = f"{reader.manifest.name}-subset"
    reader.notes.append(
        f"a subset: {'; '.join(short)}; results will call it {name!r} so that it never stands "
        "beside published rows"
    )
    return name


def _multiview_hand(entry: Any, number: int, where: str) -> _Hand:
    path = entry.get("img_paths") if isinstance(entry, dict) else None
    if not isinstance(path, str) or not is_below(path) or "joint_self" not in entry:
        raise SourceError(
            f"{where}: expected img_paths (a path below {_MULTIVIEW}) and joint_self; is this CMU "
            "Panoptic HandDB?"
        )
    file_name = f"{_MULTIVIEW}/{slashes(path)}"
    height, width = entry.get("img_height"), entry.get("img_width")
    stated = isinstance(height, int) and isinstance(width, int)
    return _Hand(
        file_name=file_name,
        number=number,
        where=where,
        points=_points(entry["joint_self"], "joint_self", where),
        is_right=-1,
        image_id=stem(file_name),
        sequence_id=_MULTIVIEW,
        size=(height, width) if stated else None,
    )


def _photo_and_recording(name: str) -> tuple[str, str]:
    """Photo and recording of a manual label, by its name.

    >>> _photo_and_recording("000015774_01_l"), _photo_and_recording("ex2_2.flv_000040_r")
    (('000015774', '000015774'), ('ex2_2.flv_000040', 'ex2_2.flv'))
    """
    sided = _SIDED.fullmatch(name)
    frame = sided["frame"] if sided else name
    numbered = _NUMBERED.fullmatch(frame)
    if not numbered:
        return frame, frame
    origin = numbered["origin"]
    # MPII photos are numbers, and what follows counts people; else it is a video and its frame.
    return (origin if origin.isdecimal() else frame), origin


def _parsed(data: bytes, where: str) -> Any:
    try:
        # Unlike faster parsers, this one takes NaN: points without a label may hold anything.
        return json.loads(data)
    except ValueError:
        return parse_json(data, "hand labels", where, SourceError)  # says what is wrong


def _points(values: Any, name: str, where: str) -> npt.NDArray[np.float64]:
    try:
        points = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        points = np.empty(0)
    if points.shape != (NUM_JOINTS, 3):
        raise SourceError(
            f"expected {name} of {NUM_JOINTS}×3 numbers (x, y, flag) in {where}, found something "
            "else; take the file from the original archive"
        )
    if not np.isfinite(points[points[:, 2] == _LABELLED, :2]).all():
        raise SourceError(
            f"{where} labels a point without finite coordinates; take the file from the original "
            "archive"
        )
    return points
