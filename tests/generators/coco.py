"""Fake COCO keypoint files with 21 points a hand, written from the published layout alone.

Nothing of handbench is imported here. The layout is that of https://cocodataset.org/#format-data;
`cam_param` and `joint_cam` (mm) are what MMPose's converted hand sets add.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import picture, project, right_hand, seen_from_elsewhere, write_json


@dataclass
class FakeCOCO:
    """What was written.

    Attributes
    ----------
    annotations, images
        The JSON file, the folder of images.
    data
        Content of the JSON file; change it and call :meth:`save`.
    uv, xyz
        (N, 21, 2) px and (N, 21, 3) m in the canonical order.
    camera
        (N, 3, 3).
    """

    annotations: Path
    images: Path
    data: dict[str, Any]
    uv: npt.NDArray[np.float64]
    xyz: npt.NDArray[np.float64]
    camera: npt.NDArray[np.float64]

    def save(self) -> None:
        """Write the JSON file again."""
        write_json(self.annotations, self.data)


def write_coco(
    folder: Path,
    count: int = 10,
    *,
    native_order: Sequence[int] | None = None,
    with_3d: bool = True,
    name: str = "{:05d}.jpg",
    seed: int = 0,
) -> FakeCOCO:
    """Write `count` photos of 224×224 px with one hand each.

    Parameters
    ----------
    folder
        Made if need be.
    count
        Number of hands.
    native_order
        ``canonical[i] = native[order[i]]`` of the file to write; canonical by default.
    with_3d
        Add `cam_param` and `joint_cam`.
    name
        Format of the file names.
    seed
        Of the hands.
    """
    rng = np.random.default_rng(seed)
    xyz = np.stack([seen_from_elsewhere(right_hand(rng), rng) for _ in range(count)])
    camera = np.tile([[480.0, 0, 115.5], [0, 481.0, 108.25], [0, 0, 1]], (count, 1, 1))
    uv = project(camera, xyz)
    order = np.arange(21) if native_order is None else np.asarray(native_order)
    images_dir = folder / "images"
    images, annotations = [], []
    for row in range(count):
        native_uv, native_xyz = np.empty((21, 2)), np.empty((21, 3))
        native_uv[order], native_xyz[order] = uv[row], xyz[row]
        image: dict[str, Any] = {"id": 100 + row, "file_name": name.format(row)}
        image |= {"width": 224, "height": 224}
        low, high = uv[row].min(axis=0), uv[row].max(axis=0)
        annotation: dict[str, Any] = {
            "id": 7000 + row,
            "image_id": 100 + row,
            "category_id": 1,
            "bbox": [*(low - 5).tolist(), *(high - low + 10).tolist()],
            "keypoints": [n for x, y in native_uv.tolist() for n in (x, y, 2)],
            "hand_type": "right",
        }
        if with_3d:
            image["cam_param"] = {"focal": [480.0, 481.0], "princpt": [115.5, 108.25]}
            annotation["joint_cam"] = (native_xyz * 1000).tolist()
        path = images_dir / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(uv[row], (80, 100, 120)))
        images.append(image)
        annotations.append(annotation)
    data = {"info": {}, "images": images, "annotations": annotations, "categories": [{"id": 1}]}
    fake = FakeCOCO(folder / "annotations.json", images_dir, data, uv, xyz, camera)
    fake.save()
    return fake


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    fake = write_coco(folder / "data")
    return ["--annotations", str(fake.annotations), "--images-dir", str(fake.images)]
