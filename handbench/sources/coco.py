"""Any COCO keypoints JSON with 21 points a hand, with or without camera and 3D.

The layout is that of https://cocodataset.org/#format-data with optional additions in common
use for hands: ``cam_param`` {focal, princpt} px an image, ``joint_cam`` 21×3 mm an annotation; and
``head_size`` px an annotation, as MMPose's files of CMU Panoptic hands have it. What our own export
adds is read by :mod:`handbench.sources.coco_export`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import keypoint_box
from handbench.errors import SourceError
from handbench.files import describe_names, read_json
from handbench.hand import NUM_JOINTS, UNLABELLED, to_canonical
from handbench.sources.bad_entries import BadEntries
from handbench.sources.coco_export import read_export
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
from handbench.sources.table import HandTable

OPTIONS = frozenset({"annotations", "images_dir", "name", "joint_order", "split_blocks"})
"""Options of ``handbench convert`` that this reader takes."""
EXTRAS: frozenset[str] = frozenset()
"""Words of ``--with`` that it knows."""

_IMAGE_FIELDS = ("id", "file_name")
_ANNOTATION_FIELDS = ("id", "image_id")
_SIDES = {"right": 1, "left": 0}

_Hand = tuple[dict[str, Any], dict[str, Any]]
"""An annotation and its image record."""


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
    lenient
        Leave out malformed label entries; see :class:`handbench.sources.block.Source`.

    Raises
    ------
    SourceError
        If a file or image is missing or does not hold 21 keypoints a hand.
    """
    own = own_manifest(manifest, name, joint_order)

    def read(path: Path, bad: BadEntries) -> OwnTable:
        return _read(path, own, bad)

    return OwnData(annotations, Path(images_dir), own, blocks, read, lenient=lenient)


def _read(path: Path, manifest: Manifest, bad: BadEntries) -> OwnTable:
    """The usable hands of one file, in file order."""
    data = read_json(path, "COCO keypoint annotations", SourceError)
    if not isinstance(data, dict) or not {"images", "annotations"} <= data.keys():
        raise SourceError(
            f"expected a COCO file with 'images' and 'annotations' in {path}, found "
            f"{describe_names(data) if isinstance(data, dict) else type(data).__name__}"
        )
    export = read_export(data, path)
    if export is not None and list(manifest.joint_order) != list(range(NUM_JOINTS)):
        raise SourceError(
            f"{path} is an export, whose joints are in the order of handbench already; leave "
            "--joint-order out"
        )
    records = _records(data, "images", _IMAGE_FIELDS, path, bad)
    images = {image["id"]: image for image in records}
    hands: list[_Hand] = []
    said: list[dict[str, Any]] = []
    without_points = without_box = without_labels = 0
    for annotation in _records(data, "annotations", _ANNOTATION_FIELDS, path, bad):
        if "keypoints" not in annotation:
            without_points += 1
            continue
        with bad.entry():
            if annotation["image_id"] not in images:
                raise SourceError(
                    f"annotation {annotation['id']} in {path} names image "
                    f"{annotation['image_id']!r}, which is not among its {len(images):,} images; "
                    "add the image or remove this annotation"
                )
            hand = annotation, images[annotation["image_id"]]
            _check(hand, path)
            if "bbox" not in annotation and not _spans_a_box(annotation, path):
                without_box += 1
                continue
            if export is None and not _has_labels(annotation, path):
                without_labels += 1
                continue
            if export is not None:
                said.append(export.row(*hand, lambda image: _camera(image, path)))
            hands.append(hand)
    bad.check_few(len(hands) + without_points + without_box + without_labels)
    if not hands:
        raise SourceError(f"expected annotations with keypoints in {path}, found none")
    heads = sum(hand.get("head_size") is not None for hand, _ in hands)
    table = _columns(path, hands, manifest)
    if export is not None:
        export.complete(table, said)
    return OwnTable(
        table,
        boxed=all("bbox" in hand for hand, _ in hands),
        notes=[f"{heads:,} of {len(hands):,} annotations have a head_size: none is stored"]
        if 0 < heads < len(hands) and export is None
        else [],
        dropped={
            f"annotation without keypoints in {path.name}": without_points,
            f"annotation without a box or labels in {path.name}": without_box,
            f"annotation without a labelled keypoint in {path.name}": without_labels,
        },
        origin=None if export is None else export.origin(),
    )


def _columns(path: Path, hands: list[_Hand], manifest: Manifest) -> HandTable:
    table = np.stack([_keypoints(hand, path) for hand, _ in hands])
    table = to_canonical(table, manifest.joint_order)
    visibility = visibility_of(table[..., 2])
    points = np.where((visibility != UNLABELLED)[..., None], table[..., :2], np.nan)
    with_3d = any(hand.get("joint_cam") is not None for hand, _ in hands)
    with_camera = all(image.get("cam_param") is not None for _, image in hands)
    with_heads = all(hand.get("head_size") is not None for hand, _ in hands)
    file_names = [slashes(image["file_name"]) for _, image in hands]
    return HandTable(
        sample_id=sample_ids(file_names, [hand["id"] for hand, _ in hands]),
        file_name=file_names,
        image_size=np.array([_stated_size(image) for _, image in hands], dtype=np.int32),
        ids={
            "image_id": [stem(name) for name in file_names],
            "native_image_id": [str(image["id"]) for _, image in hands],
        },
        keypoints_2d=points,
        visibility=visibility,
        bbox=np.array([_box(hand, path) for hand, _ in hands]),
        is_right=np.array(
            [_SIDES.get(str(hand.get("hand_type", "")).lower(), -1) for hand, _ in hands],
            dtype=np.int8,
        ),
        keypoints_3d=manifest.to_canonical_3d(
            np.stack([_joints_3d(hand, path) for hand, _ in hands])
        )
        if with_3d
        else None,
        camera=np.stack([_camera(image, path) for _, image in hands]) if with_camera else None,
        extra={"head_size_px": np.array([_head_size(hand, path) for hand, _ in hands])}
        if with_heads
        else {},
    )


def _stated_size(image: dict[str, Any]) -> tuple[int, int]:
    """Height and width as the record says; -1 where it does not."""
    height, width = image.get("height"), image.get("width")
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    return -1, -1


def _records(
    data: dict[str, Any], name: str, needed: Sequence[str], path: Path, bad: BadEntries
) -> list[dict[str, Any]]:
    """The entries of the list `name` of a COCO file, each of which must hold `needed`."""
    records = data[name]
    if not isinstance(records, list):
        raise SourceError(f"expected a list of {name} in {path}, found {type(records).__name__}")
    sound = []
    for number, record in enumerate(records):
        with bad.entry():
            _check_record(record, needed, f"entry {number} of {name} in {path}")
            sound.append(record)
    return sound


def _check_record(record: Any, needed: Sequence[str], where: str) -> None:
    missing = [f for f in needed if not isinstance(record, dict) or f not in record]
    if missing:
        raise SourceError(f"{where} has no {missing[0]!r}: expected COCO's fields")
    file_name = record.get("file_name", "image")
    if not isinstance(file_name, str) or not is_below(file_name):
        raise SourceError(
            f"{where}: expected 'file_name' as a path below the images folder, found {file_name!r}"
        )
    if not all(isinstance(record[f], int | str) for f in needed if f != "file_name"):
        raise SourceError(f"{where}: expected numbers or strings as ids")


def _check(hand: _Hand, path: Path) -> None:
    """Refuse an annotation that cannot become a row of :func:`_columns`."""
    annotation, image = hand
    points = _keypoints(annotation, path)
    if not np.isfinite(points[points[:, 2] > 0, :2]).all():
        raise SourceError(
            f"annotation {annotation['id']} in {path} labels a keypoint without finite "
            "coordinates; correct it, or give it v = 0"
        )
    _box(annotation, path)
    _joints_3d(annotation, path)
    if annotation.get("head_size") is not None:
        _head_size(annotation, path)
    if image.get("cam_param") is not None:
        _camera(image, path)


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


def _has_labels(hand: dict[str, Any], path: Path) -> bool:
    """Whether anything is known of the hand beside its box."""
    return hand.get("joint_cam") is not None or bool((_keypoints(hand, path)[:, 2] > 0).any())


def _joints_3d(hand: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    given = hand.get("joint_cam")
    if given is None:
        return np.full((NUM_JOINTS, 3), np.nan)
    return _numbers(given, (NUM_JOINTS, 3), "joint_cam of 21×3 mm", hand, path)


def _box(hand: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    return _numbers(hand.get("bbox", [0, 0, 0, 0]), (4,), "bbox as x, y, w, h", hand, path)


def _head_size(hand: dict[str, Any], path: Path) -> float:
    return float(_numbers(hand["head_size"], (), "head_size as one number of px", hand, path))


def _camera(image: dict[str, Any], path: Path) -> npt.NDArray[np.float64]:
    given = image["cam_param"] if isinstance(image["cam_param"], dict) else {}
    (fx, fy) = _numbers(given.get("focal"), (2,), "cam_param.focal as fx, fy", image, path)
    (cx, cy) = _numbers(given.get("princpt"), (2,), "cam_param.princpt as cx, cy", image, path)
    if not np.isfinite((fx, fy, cx, cy)).all():
        raise SourceError(f"record {image['id']} in {path}: expected a finite cam_param in px")
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
