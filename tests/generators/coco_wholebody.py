"""Fake COCO-WholeBody, written from its data_format.md alone.

Nothing of handbench is imported here: names, orders and flags are literals, so that the reader
and the data that tests it cannot share a mistake.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from generators.freihand import right_hand, seen_from_elsewhere, write_json
from generators.pictures import drawn, jpeg

WIDTH, HEIGHT = 320, 240
TIP_TO_PALM = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]

Fault = Literal["order", "axes", "units", "side"]


@dataclass
class FakeWholeBody:
    """What was written.

    Attributes
    ----------
    folder
        COCO's folder.
    data
        Native split → content of its label file; change it and call :meth:`save`.
    uv
        ``val2017/000000000100#5000/left`` → (21, 2) px of that valid hand.
    """

    folder: Path
    labels: str
    data: dict[str, dict[str, Any]] = field(default_factory=dict)
    uv: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)

    def path(self, native: str) -> Path:
        """The label file of a native split."""
        return self.folder / self.labels / f"coco_wholebody_{native}_v1.0.json"

    def save(self) -> None:
        """Write the label files again."""
        for native, data in self.data.items():
            self.path(native).parent.mkdir(parents=True, exist_ok=True)
            write_json(self.path(native), data)


def write_coco_wholebody(
    folder: Path,
    *,
    train: int = 24,
    val: int = 8,
    labels: str = "annotations",
    images: str = "",
    fault: Fault | None = None,
    seed: int = 0,
) -> FakeWholeBody:
    """Write photos with one or two persons each; a person has two, one or no valid hands.

    Parameters
    ----------
    folder
        Made if need be.
    train, val
        Photos; 0 leaves the split out.
    labels, images
        Folders below it that hold the label files and the folders of photos.
    fault
        Write the labels wrongly: fingers tip to palm, x and y swapped, fractions of the image
        instead of px, left and right swapped.
    seed
        Of the hands.
    """
    rng = np.random.default_rng(seed)
    fake = FakeWholeBody(folder, labels)
    for native, count, first in (("train", train, 900), ("val", val, 100)):
        if count:
            photos = folder / images / f"{native}2017"
            photos.mkdir(parents=True)
            fake.data[native] = _split(fake, native, count, first, photos, rng, fault)
    fake.save()
    return fake


def _split(
    fake: FakeWholeBody,
    native: str,
    count: int,
    first: int,
    photos: Path,
    rng: np.random.Generator,
    fault: Fault | None,
) -> dict[str, Any]:
    images, annotations = [], []
    number = 5001 if native == "val" else 70001
    for row in range(count):
        name = f"{first + 7 * row:012d}"
        hands = []
        for person in range(1 + row % 2):
            # Every fourth person has no valid right hand, every eighth no left one either.
            sides = ("left", "right") if number % 4 else ("left",) if number % 8 else ()
            annotation: dict[str, Any] = {
                "segmentation": [[1.0, 1.0, 90.5, 1.0, 90.5, 200.0]],
                "num_keypoints": 0,
                "area": 9000.25 + number,
                "iscrowd": 0,
                "keypoints": [0] * 51,
                "image_id": first + 7 * row,
                "bbox": [1.0, 1.0, 89.5, 199.0],
                "category_id": 1,
                "id": number,
                "face_box": [0.0, 0.0, 0.0, 0.0],
                "face_kpts": [0.0] * 204,
                "face_valid": False,
                "foot_kpts": [0.0] * 18,
                "foot_valid": False,
            }
            for column, side in enumerate(("left", "right")):
                uv = _place(rng, side, column, person)
                valid = side in sides
                if valid:
                    hands.append(uv)
                    fake.uv[f"{native}2017/{name}#{number}/{side}"] = uv
                annotation |= _fields(_written_side(side, fault), uv, valid, fault)
            annotations.append(annotation)
            number += 1
        photo = drawn(hands, (WIDTH, HEIGHT), (90, 110, 100), line=4)
        (photos / f"{name}.jpg").write_bytes(jpeg(photo))
        images.append(
            {
                "license": 4,
                "file_name": f"{name}.jpg",
                "coco_url": f"http://images.cocodataset.org/{native}2017/{name}.jpg",
                "height": HEIGHT,
                "width": WIDTH,
                "id": first + 7 * row,
            }
        )
    # COCO's annotations do not follow the order of its images.
    annotations = annotations[::2] + annotations[1::2]
    return {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1}]}


def _place(
    rng: np.random.Generator, side: str, column: int, person: int
) -> npt.NDArray[np.float64]:
    """(21, 2) px: a hand in its own quarter of the photo."""
    xyz = right_hand(rng)
    if side == "left":
        xyz = xyz * [-1, 1, 1]
    xyz = seen_from_elsewhere(xyz, rng)
    uv = xyz[:, :2] / xyz[:, 2:]
    uv = (uv - uv.min(axis=0)) / np.ptp(uv, axis=0).max()
    corner = (30 + 150 * column, 20 + 110 * person)
    return (corner + rng.uniform(40, 70) * uv).round(2)


def _written_side(side: str, fault: Fault | None) -> str:
    return {"left": "right", "right": "left"}[side] if fault == "side" else side


def _fields(
    side: str, uv: npt.NDArray[np.float64], valid: bool, fault: Fault | None
) -> dict[str, Any]:
    if not valid:
        zeros = {f"{side}hand_box": [0.0] * 4, f"{side}hand_kpts": [0.0] * 63}
        return {**zeros, f"{side}hand_valid": False}
    low, high = uv.min(axis=0) - 3, uv.max(axis=0) + 3
    box = [*low, *(high - low)]
    points = uv
    if fault == "order":
        points = uv[TIP_TO_PALM]
    if fault == "axes":
        points = uv[:, ::-1]
    if fault == "units":
        points = uv / [WIDTH, HEIGHT]
        box = [box[0] / WIDTH, box[1] / HEIGHT, box[2] / WIDTH, box[3] / HEIGHT]
    flags = [2] * 17 + [1] * 4
    keypoints = [float(n) for n in points.ravel()]
    return {
        f"{side}hand_box": [float(n) for n in box],
        f"{side}hand_kpts": [
            n for k, v in enumerate(flags) for n in (keypoints[2 * k], keypoints[2 * k + 1], v)
        ],
        f"{side}hand_valid": True,
    }


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    return ["--source", str(write_coco_wholebody(folder / "data").folder)]
