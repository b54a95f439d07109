"""Any COCO keypoints JSON with 21 points a hand, with or without camera and 3D.

The layout is that of https://cocodataset.org/#format-data with two optional additions in common
use for hands: ``cam_param`` {focal, princpt} px an image, ``joint_cam`` 21×3 mm an annotation.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names, read_json
from handbench.hand import (
    NUM_JOINTS,
    OCCLUDED,
    UNLABELLED,
    VISIBILITY_UNKNOWN,
    VISIBLE,
    to_canonical,
)
from handbench.sources.archive import Folder
from handbench.sources.manifest import Manifest
from handbench.sources.manifest import names as manifest_names
from handbench.sources.table import HandTable, TableSource

OPTIONS = frozenset({"annotations", "images_dir", "name", "joint_order", "split_blocks"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

_IMAGE_FIELDS = ("id", "file_name")
_ANNOTATION_FIELDS = ("id", "image_id")
_SIDES = {"right": 1, "left": 0}


@dataclass(frozen=True)
class SplitBlocks:
    """How to cut one file into splits: runs of consecutive annotations, dealt out in turn.

    Attributes
    ----------
    shares
        Split → blocks it takes in every round: ``{"train": 2, "test": 1}``.
    block_size
        Annotations in a block.
    """

    shares: Mapping[str, int]
    block_size: int

    def split_of(self, block: int) -> str:
        """Split that the block of this number goes to.

        >>> cut = SplitBlocks({"train": 2, "test": 1}, block_size=20)
        >>> [cut.split_of(block) for block in range(4)]
        ['train', 'train', 'test', 'train']
        """
        turn = [split for split, share in self.shares.items() for _ in range(share)]
        return turn[block % len(turn)]


_Hand = tuple[dict[str, Any], dict[str, Any]]
"""An annotation and its image record."""


class COCO(TableSource):
    """One or several COCO keypoint files with one folder of images; see :func:`open_source`."""

    def __init__(
        self,
        annotations: Mapping[str, Path],
        images_dir: Path,
        manifest: Manifest,
        blocks: SplitBlocks | None,
    ) -> None:
        unit = "sequence_id" if blocks else None
        super().__init__(manifest, Folder(images_dir), {}, split_unit=unit, cluster_unit=unit)
        self._annotations = dict(annotations)
        if blocks is not None and len(annotations) > 1:
            raise SourceError(
                f"split blocks cut one annotation file, found {len(annotations)}: "
                f"{describe_names(str(path) for path in annotations.values())}"
            )
        if not images_dir.is_dir():
            raise SourceError(f"expected a folder of images at {images_dir}, found none")
        boxes = set()
        for split, path in annotations.items():
            hands = self._read(path)
            boxes.add(all("bbox" in hand for hand, _ in hands))
            whole = self._columns(path, hands)
            self._tables |= {split: whole} if blocks is None else _dealt_out(whole, blocks)
        self._note_shared_photos()
        # One word for the whole file: boxes given for some hands only are not used at all.
        self.box_source = "annotation" if boxes == {True} else "keypoints"
        if self.box_source == "keypoints":
            self.notes.append("not every annotation has a bbox: boxes are those of the keypoints")
            for part in self._tables.values():
                valid = part.visibility != UNLABELLED
                part.bbox = keypoint_box(part.keypoints_2d, valid)

    # -- reading ------------------------------------------------------------------------------

    def _read(self, path: Path) -> list[_Hand]:
        """(annotation, image) of every hand, in file order."""
        data = read_json(path, "COCO keypoint annotations", SourceError)
        if not isinstance(data, dict) or not {"images", "annotations"} <= data.keys():
            raise SourceError(
                f"expected a COCO file with 'images' and 'annotations' in {path}, found "
                f"{describe_names(data) if isinstance(data, dict) else type(data).__name__}"
            )
        images = {image["id"]: image for image in _records(data, "images", _IMAGE_FIELDS, path)}
        hands = []
        without_points = 0
        for annotation in _records(data, "annotations", _ANNOTATION_FIELDS, path):
            if "keypoints" not in annotation:
                without_points += 1
                continue
            if annotation["image_id"] not in images:
                raise SourceError(
                    f"annotation {annotation['id']} in {path} names image "
                    f"{annotation['image_id']!r}, which is not among its {len(images):,} images"
                )
            hands.append((annotation, images[annotation["image_id"]]))
        self._drop(without_points, f"annotation without keypoints in {path.name}")
        return self._placed(hands, path)

    def _placed(self, hands: list[_Hand], path: Path) -> list[_Hand]:
        """`hands` without those that have neither a box nor labels enough to make one."""
        kept = [hand for hand in hands if "bbox" in hand[0] or _spans_a_box(hand[0], path)]
        self._drop(len(hands) - len(kept), f"annotation without a box or labels in {path.name}")
        if not kept:
            raise SourceError(f"expected annotations with keypoints in {path}, found none")
        return kept

    def _drop(self, count: int, reason: str) -> None:
        if count:
            self.dropped[reason] = count
            self.notes.append(f"left out: {count:,} × {reason}")

    def _note_shared_photos(self) -> None:
        photos = {split: set(part.ids["image_id"]) for split, part in self._tables.items()}
        for one, other in itertools.combinations(photos, 2):
            shared = photos[one] & photos[other]
            if shared:
                self.notes.append(
                    f"{len(shared):,} photos are in both {one} and {other}, for example "
                    f"{min(shared)}: scores on them will look better than they are"
                )

    def _columns(self, path: Path, hands: list[_Hand]) -> HandTable:
        table = np.stack([_keypoints(hand, path) for hand, _ in hands])
        table = to_canonical(table, self.manifest.joint_order)
        visibility = _visibility(table[..., 2])
        points = np.where((visibility != UNLABELLED)[..., None], table[..., :2], np.nan)
        lost = (~np.isfinite(points).all(axis=-1) & (visibility != UNLABELLED)).any(axis=1)
        if lost.any():
            raise SourceError(
                f"annotation {hands[int(lost.argmax())][0]['id']} in {path} labels a keypoint "
                "without finite coordinates; correct it, or give it v = 0"
            )
        with_3d = any(hand.get("joint_cam") is not None for hand, _ in hands)
        with_camera = all(image.get("cam_param") is not None for _, image in hands)
        return HandTable(
            sample_id=_sample_ids(hands),
            file_name=[_slashes(image["file_name"]) for _, image in hands],
            image_size=np.array([_stated_size(image) for _, image in hands], dtype=np.int32),
            ids={
                "image_id": [_stem(image["file_name"]) for _, image in hands],
                "native_image_id": [str(image["id"]) for _, image in hands],
            },
            keypoints_2d=points,
            visibility=visibility,
            bbox=np.array([_box(hand, path) for hand, _ in hands]),
            is_right=np.array(
                [_SIDES.get(str(hand.get("hand_type", "")).lower(), -1) for hand, _ in hands],
                dtype=np.int8,
            ),
            keypoints_3d=self.manifest.to_canonical_3d(
                np.stack([_joints_3d(hand, path) for hand, _ in hands])
            )
            if with_3d
            else None,
            camera=np.stack([_camera(image, path) for _, image in hands]) if with_camera else None,
        )

    def files(self) -> list[dict[str, Any]]:
        """The annotation files with size and sha256."""
        return [
            described
            for path in self._annotations.values()
            for described in Folder(path.parent).describe([path.name])
        ]


def open_source(
    annotations: Mapping[str, Path],
    images_dir: Path,
    manifest: Manifest,
    *,
    name: str | None = None,
    joint_order: Sequence[int] | None = None,
    blocks: SplitBlocks | None = None,
) -> COCO:
    """Find and check a COCO keypoints dataset.

    Parameters
    ----------
    annotations
        Split → JSON file.
    images_dir
        Folder that the files' ``file_name`` are relative to.
    manifest
        That of ``coco``.
    name, joint_order
        Replace those of the manifest: the dataset's own name and native joint order.
    blocks
        Cut the one file into splits by runs of consecutive annotations.

    Raises
    ------
    SourceError
        If a file or image is missing or does not hold 21 keypoints a hand.
    """
    changes: dict[str, Any] = {}
    if name:
        if name.startswith(".") or any(mark in name for mark in "/\\"):
            raise SourceError(
                f"expected a dataset name that can be a file name, found {name!r}; pass --name"
            )
        if name.removesuffix("-subset") in set(manifest_names()) - {manifest.name}:
            raise SourceError(
                f"{name!r} is the name of another dataset, beside whose published rows these "
                "results would stand; pass another --name"
            )
        changes |= {"name": name, "title": name}
    if joint_order is not None:
        changes["joint_order"] = tuple(joint_order)
    return COCO(annotations, Path(images_dir), replace(manifest, **changes), blocks)


def _dealt_out(whole: HandTable, blocks: SplitBlocks) -> dict[str, HandTable]:
    """Cut one file into splits by runs of consecutive annotations; a photo is never torn apart."""
    block_of_photo: dict[str, int] = {}
    chosen: dict[str, list[int]] = {}
    whole.ids["sequence_id"] = []
    for row, photo in enumerate(whole.ids["image_id"]):
        block = block_of_photo.setdefault(photo, row // blocks.block_size)
        whole.ids["sequence_id"].append(f"block-{block:05d}")
        chosen.setdefault(blocks.split_of(block), []).append(row)
    return {split: whole.take(rows) for split, rows in chosen.items()}


def _stated_size(image: dict[str, Any]) -> tuple[int, int]:
    """Height and width as the record says; -1 where it does not."""
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return -1, -1


def _records(
    data: dict[str, Any], name: str, needed: Sequence[str], path: Path
) -> list[dict[str, Any]]:
    """The list `name` of a COCO file, every entry of which must hold `needed`."""
    records = data[name]
    if not isinstance(records, list):
        raise SourceError(f"expected a list of {name} in {path}, found {type(records).__name__}")
    for number, record in enumerate(records):
        missing = [f for f in needed if not isinstance(record, dict) or f not in record]
        if missing:
            raise SourceError(
                f"entry {number} of {name} in {path} has no {missing[0]!r}: expected COCO's fields"
            )
        file_name = record.get("file_name", "image")
        parts = PurePosixPath(_slashes(str(file_name))).parts
        outside = ".." in parts or _slashes(str(file_name)).startswith("/") or ":" in str(file_name)
        if not isinstance(file_name, str) or not parts or outside:
            raise SourceError(
                f"entry {number} of {name} in {path}: expected 'file_name' as a path below the "
                f"images folder, found {file_name!r}"
            )
        if not all(isinstance(record[f], int | str) for f in needed if f != "file_name"):
            raise SourceError(
                f"entry {number} of {name} in {path}: expected numbers or strings as ids"
            )
    return records


def _stem(file_name: str) -> str:
    return str(PurePosixPath(_slashes(file_name)).with_suffix(""))


def _slashes(file_name: str) -> str:
    # Files written on Windows may hold backslashes.
    return file_name.replace("\\", "/")


def _sample_ids(hands: list[_Hand]) -> list[str]:
    """Path without extension; ``#<annotation id>`` where an image has several hands."""
    stems = [_stem(image["file_name"]) for _, image in hands]
    hands_on = Counter(stems)
    return [
        stem if hands_on[stem] == 1 else f"{stem}#{hand['id']}"
        for stem, (hand, _) in zip(stems, hands)
    ]


def _numbers(
    values: Any, shape: tuple[int, ...], what: str, hand: dict[str, Any], path: Path
) -> npt.NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
        # Flat or nested, but never of another shape: a 3×21 table is no 21×3 one.
        if array.ndim > 1 and array.shape != shape:
            raise ValueError(f"shape {array.shape}")
        return array.reshape(shape)
    except (TypeError, ValueError) as error:
        raise SourceError(
            f"record {hand['id']} in {path}: expected {what}, found something else; a hand has "
            "21 keypoints"
        ) from error


def _keypoints(hand: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    # Both the flat list of the standard and a nested one are in use.
    return _numbers(
        hand["keypoints"], (NUM_JOINTS, 3), "21 keypoints as x, y, v (63 numbers)", hand, path
    )


def _spans_a_box(hand: dict[str, Any], path: Path) -> bool:
    """Whether the labelled keypoints have a box with an area."""
    points = _keypoints(hand, path)
    return bool((keypoint_box(points[:, :2], points[:, 2] > 0)[2:] > 0).all())


def _joints_3d(hand: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    given = hand.get("joint_cam")
    if given is None:
        return np.full((NUM_JOINTS, 3), np.nan)
    return _numbers(given, (NUM_JOINTS, 3), "joint_cam of 21×3 mm", hand, path)


def _box(hand: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    return _numbers(hand.get("bbox", [0, 0, 0, 0]), (4,), "bbox as x, y, w, h", hand, path)


def _camera(image: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    given = image["cam_param"] if isinstance(image["cam_param"], dict) else {}
    (fx, fy) = _numbers(given.get("focal"), (2,), "cam_param.focal as fx, fy", image, path)
    (cx, cy) = _numbers(given.get("princpt"), (2,), "cam_param.princpt as cx, cy", image, path)
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def _visibility(flags: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """COCO's v as ours; unknown where a file never says 2 or gives scores."""
    labelled = flags > 0
    speaks_of_occlusion = bool((flags == 2).any()) and bool(np.isin(flags, (0, 1, 2)).all())
    meaning = np.where(flags == 2, VISIBLE, OCCLUDED) if speaks_of_occlusion else VISIBILITY_UNKNOWN
    return np.where(labelled, meaning, UNLABELLED).astype(np.uint8)
