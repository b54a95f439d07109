"""Any COCO keypoints JSON with 21 points a hand, with or without camera and 3D.

The layout is that of https://cocodataset.org/#format-data with two optional additions in common
use for hands: ``cam_param`` {focal, princpt} px an image, ``joint_cam`` 21×3 mm an annotation.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
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
from handbench.images import encoded_sizes
from handbench.sources.archive import Folder
from handbench.sources.block import SampleBlock
from handbench.sources.manifest import Manifest
from handbench.sources.manifest import names as manifest_names

_BLOCK_ROWS = 512
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


@dataclass
class _Split:
    """The hands of one split as columns, still without images."""

    sample_id: list[str]
    file_name: list[str]
    stated_size: list[tuple[Any, Any]]
    image_id: list[str]
    native_image_id: list[str]
    sequence_id: list[str]
    keypoints_2d: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.uint8]
    bbox: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.int8]
    keypoints_3d: npt.NDArray[np.float64] | None
    camera: npt.NDArray[np.float64] | None

    def take(self, rows: Sequence[int]) -> _Split:
        """The chosen hands, in that order."""

        def pick(value: Any) -> Any:
            if isinstance(value, list):
                return [value[row] for row in rows]
            return None if value is None else value[np.asarray(rows)]

        return _Split(**{part.name: pick(getattr(self, part.name)) for part in fields(self)})


class COCO:
    """One or several COCO keypoint files with one folder of images.

    Implements :class:`handbench.sources.block.Source`; make one with :func:`open_source`.
    """

    cuts_val = False

    def __init__(
        self,
        annotations: Mapping[str, Path],
        images_dir: Path,
        manifest: Manifest,
        blocks: SplitBlocks | None,
    ) -> None:
        self.name = manifest.name
        self.manifest = manifest
        self.path = images_dir
        self.notes: list[str] = []
        self.dropped: dict[str, int] = {}
        self._annotations = dict(annotations)
        self._images = Folder(images_dir)
        self.split_unit = self.cluster_unit = "sequence_id" if blocks else manifest.split_unit
        if blocks is not None and len(annotations) > 1:
            raise SourceError(
                f"split blocks cut one annotation file, found {len(annotations)}: "
                f"{describe_names(str(path) for path in annotations.values())}"
            )
        if not images_dir.is_dir():
            raise SourceError(f"expected a folder of images at {images_dir}, found none")
        self._splits: dict[str, _Split] = {}
        boxes = set()
        for split, path in annotations.items():
            hands = self._read(path)
            boxes.add(all("bbox" in hand for hand, _ in hands))
            whole = self._columns(path, hands)
            self._splits |= {split: whole} if blocks is None else _dealt_out(whole, blocks)
        self._note_shared_photos()
        # One word for the whole file: boxes given for some hands only are not used at all.
        self.box_source = "annotation" if boxes == {True} else "keypoints"
        if self.box_source == "keypoints":
            self.notes.append("not every annotation has a bbox: boxes are those of the keypoints")
            for part in self._splits.values():
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
        for one, other in itertools.combinations(self._splits, 2):
            shared = set(self._splits[one].image_id) & set(self._splits[other].image_id)
            if shared:
                self.notes.append(
                    f"{len(shared):,} photos are in both {one} and {other}, for example "
                    f"{min(shared)}: scores on them will look better than they are"
                )

    def _columns(self, path: Path, hands: list[_Hand]) -> _Split:
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
        return _Split(
            sample_id=_sample_ids(hands),
            file_name=[_slashes(image["file_name"]) for _, image in hands],
            stated_size=[(image.get("height"), image.get("width")) for _, image in hands],
            image_id=[_stem(image["file_name"]) for _, image in hands],
            native_image_id=[str(image["id"]) for _, image in hands],
            sequence_id=[""] * len(hands),
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

    # -- the Source interface -----------------------------------------------------------------

    def splits(self) -> dict[str, int]:
        """Rows in each split."""
        return {name: len(part.sample_id) for name, part in self._splits.items()}

    def blocks(
        self, split: str, extras: frozenset[str] = frozenset(), limit: int | None = None
    ) -> Iterator[SampleBlock]:
        """Rows of `split` in file order; see :class:`handbench.sources.block.Source`."""
        part = self._splits[split]
        stop = len(part.sample_id) if limit is None else min(limit, len(part.sample_id))
        for start in range(0, stop, _BLOCK_ROWS):
            rows = slice(start, min(start + _BLOCK_ROWS, stop))
            images = [self._images.read(name) for name in part.file_name[rows]]
            sizes = encoded_sizes(images, part.file_name[rows], str(self._images.path))
            self._check_sizes(sizes, part.stated_size[rows], part.file_name[rows])
            valid = part.visibility[rows] != UNLABELLED
            xyz = None if part.keypoints_3d is None else part.keypoints_3d[rows]
            valid_3d = np.zeros_like(valid)
            if xyz is not None:
                valid_3d = np.asarray(np.isfinite(xyz).all(axis=-1))
            ids = {
                "image_id": part.image_id[rows],
                "native_image_id": part.native_image_id[rows],
            }
            if part.sequence_id[0]:
                ids["sequence_id"] = part.sequence_id[rows]
            yield SampleBlock(
                sample_id=part.sample_id[rows],
                images=images,
                image_size=sizes,
                keypoints_2d=part.keypoints_2d[rows],
                valid_2d=valid,
                valid_3d=valid_3d,
                visibility=part.visibility[rows],
                bbox=part.bbox[rows],
                is_right=part.is_right[rows],
                keypoints_3d=xyz,
                camera=None if part.camera is None else part.camera[rows],
                ids=ids,
            )

    def _check_sizes(
        self,
        found: npt.NDArray[np.int32],
        stated: Sequence[tuple[Any, Any]],
        names: Sequence[str],
    ) -> None:
        for size, (height, width), name in zip(found.tolist(), stated, names):
            if None not in (height, width) and size != [height, width]:
                raise SourceError(
                    f"expected {self._images.where(name)} to have {width}×{height} px as its "
                    f"record says, found {size[1]}×{size[0]}: the keypoints belong to another "
                    "version of this image (resized, or turned by its EXIF data?)"
                )

    def column_attributes(self) -> dict[str, dict[str, Any]]:
        """Nothing to add."""
        return {}

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


def _dealt_out(whole: _Split, blocks: SplitBlocks) -> dict[str, _Split]:
    """Cut one file into splits by runs of consecutive annotations; a photo is never torn apart."""
    block_of_photo: dict[str, int] = {}
    chosen: dict[str, list[int]] = {}
    for row, photo in enumerate(whole.image_id):
        block = block_of_photo.setdefault(photo, row // blocks.block_size)
        whole.sequence_id[row] = f"block-{block:05d}"
        chosen.setdefault(blocks.split_of(block), []).append(row)
    return {split: whole.take(rows) for split, rows in chosen.items()}


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
