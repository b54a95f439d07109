"""Photos of several people's hands, left and right, away from the image centre, as a source.

Numbers are made here with NumPy alone; only the container they are put in is handbench's.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import project, right_hand
from PIL import Image, ImageDraw

from handbench.sources import manifest
from handbench.sources.archive import Folder
from handbench.sources.table import HandTable, TableSource

WIDTH, HEIGHT = 320, 240
CAMERA = np.array([[300.0, 0.0, 158.5], [0.0, 302.0, 121.0], [0.0, 0.0, 1.0]])
MIRROR = np.diag([-1.0, 1.0, 1.0])


@dataclass
class Crowd:
    """What was written.

    Attributes
    ----------
    folder
        Of the images.
    table
        Labels, two rows a photo: a right hand, then a left one.
    uv, xyz
        (N, 21, 2) px and (N, 21, 3) m.
    options
        Passed on to :class:`handbench.sources.table.TableSource`.
    """

    folder: Path
    table: HandTable
    uv: npt.NDArray[np.float64]
    xyz: npt.NDArray[np.float64]
    options: dict[str, Any] = dataclass_field(default_factory=dict)

    def source(self, **options: Any) -> TableSource:
        """The table as the split `test` of a dataset called `crowd`."""
        return TableSource(
            manifest.load("coco"),
            Folder(self.folder),
            {"test": self.table},
            **{"name": "crowd", **self.options, **options},
        )


def write_crowd(folder: Path, photos: int = 6, seed: int = 0) -> Crowd:
    """Write `photos` of two hands each: people p0, p1 and p2 in turn, cameras a and b in turn."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    xyz = np.empty((2 * photos, 21, 3))
    for row in range(len(xyz)):
        hand = right_hand(rng)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        rotation *= np.sign(np.linalg.det(rotation))
        side = MIRROR if row % 2 else np.eye(3)
        place = np.array([0.17 if row % 2 else -0.17, rng.uniform(-0.08, 0.08), 0.55])
        xyz[row] = (hand - hand[9]) @ side @ rotation.T + place
    camera = np.tile(CAMERA, (len(xyz), 1, 1))
    uv = project(camera, xyz)
    low, high = uv.min(axis=1), uv.max(axis=1)
    for photo in range(photos):
        image = Image.new("RGB", (WIDTH, HEIGHT), (90, 110, 120))
        draw = ImageDraw.Draw(image)
        for row in (2 * photo, 2 * photo + 1):
            for x, y in uv[row]:
                draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(250, 240, 60))
        image.save(folder / f"{photo:03d}.png")
        mask = Image.new("L", (WIDTH, HEIGHT), 0)
        draw = ImageDraw.Draw(mask)
        for x, y in uv[2 * photo : 2 * photo + 2].reshape(-1, 2):
            draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=255)
        buffer = io.BytesIO()
        mask.save(buffer, "PNG")
        (folder / f"{photo:03d}.mask.png").write_bytes(buffer.getvalue())
    of_row = np.arange(len(xyz)) // 2
    table = HandTable(
        sample_id=[f"{p:03d}/{side}" for p in range(photos) for side in ("right", "left")],
        file_name=[f"{photo:03d}.png" for photo in of_row],
        keypoints_2d=uv,
        visibility=np.full((len(xyz), 21), 2, dtype=np.uint8),
        bbox=np.concatenate([low - 4, high - low + 8], axis=1),
        is_right=np.tile(np.array([1, 0], dtype=np.int8), photos),
        keypoints_3d=xyz,
        camera=camera,
        ids={
            "image_id": [f"{photo:03d}" for photo in of_row],
            "subject_id": [f"p{photo % 3}" for photo in of_row],
            "sequence_id": [f"s{photo // 2}" for photo in of_row],
            "camera_id": ["ab"[photo % 2] for photo in of_row],
        },
        extra={
            "vertices": (xyz[:, [0, 5, 9]] + 0.01).astype(np.float32),
            "palm_3d": xyz[:, 9].astype(np.float32),
            "mano_pose": rng.normal(0, 0.5, (len(xyz), 48)).astype(np.float32),
            "mano_shape": rng.normal(0, 0.5, (len(xyz), 10)).astype(np.float32),
            "mano_trans": xyz[:, 9].astype(np.float32),
        },
        mask_name=[f"{photo:03d}.mask.png" for photo in of_row],
    )
    attributes = {"mano_trans": {"root_joint": 9}}
    return Crowd(folder, table, uv, xyz, {"attributes": attributes})
