"""Fake tables of points, written from the documented columns alone, with 21 points a row.

Nothing of handbench is imported here.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.freihand import picture, project, right_hand, seen_from_elsewhere

NAMES = (
    "wrist",
    *("thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip"),
    *("index_mcp", "index_pip", "index_dip", "index_tip"),
    *("middle_mcp", "middle_pip", "middle_dip", "middle_tip"),
    *("ring_mcp", "ring_pip", "ring_dip", "ring_tip"),
    *("pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip"),
)
TIP_TO_PALM = (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17)
CAMERA = np.array([[480.0, 0, 115.5], [0, 481.0, 108.25], [0, 0, 1]])


@dataclass
class FakePoints:
    """Hands and their pictures; the table is written by :meth:`csv` or :meth:`npz`.

    Attributes
    ----------
    folder, images
        Where tables go, and the folder of pictures.
    names
        N picture names below `images`.
    uv, xyz
        (N, 21, 2) px and (N, 21, 3) m in the canonical order.
    is_right
        (N,) bool.
    boxes
        (N, 4) x, y, w, h.
    """

    folder: Path
    images: Path
    names: list[str]
    uv: npt.NDArray[np.float64]
    xyz: npt.NDArray[np.float64]
    is_right: npt.NDArray[np.bool_]
    boxes: npt.NDArray[np.float64]

    def rows(self, *, by_name: bool = False, order: Sequence[int] = range(21)) -> list[dict]:
        """A dictionary a row with `image` and coordinates; `order` is that of numbered columns."""
        columns = NAMES if by_name else [str(joint) for joint in range(21)]
        rows = []
        for name, points in zip(self.names, self.uv):
            row: dict[str, Any] = {"image": name}
            for native, column in enumerate(columns):
                x, y = points[order[native]].tolist()
                row |= {f"{column}_x": x, f"{column}_y": y} if by_name else {
                    f"x{column}": x,
                    f"y{column}": y,
                }  # fmt: skip
            rows.append(row)
        return rows

    def csv(self, rows: list[dict] | None = None, name: str = "points.csv") -> Path:
        """Write rows as CSV; the first one has all columns."""
        path = self.folder / name
        rows = self.rows() if rows is None else rows
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), restval="")
            writer.writeheader()
            writer.writerows(rows)
        return path

    def arrays(self) -> dict[str, Any]:
        """All arrays of an NPZ file."""
        return {
            "image": np.array(self.names),
            "keypoints": self.uv,
            "visibility": np.full((len(self.names), 21), 2),
            "is_right": self.is_right,
            "bbox": self.boxes,
            "keypoints_3d": self.xyz,
            "camera": CAMERA,
        }

    def npz(self, arrays: dict[str, Any] | None = None, name: str = "points.npz") -> Path:
        """Write arrays as NPZ."""
        path = self.folder / name
        np.savez(path, **(self.arrays() if arrays is None else arrays))
        return path


def write_points(
    folder: Path, count: int = 10, *, name: str = "{:05d}.jpg", seed: int = 0
) -> FakePoints:
    """Make hands, every third of them left, and write their pictures of 224×224 px.

    Parameters
    ----------
    folder
        Made if need be.
    count
        Number of hands.
    name
        Format of the picture names.
    seed
        Of the hands.
    """
    rng = np.random.default_rng(seed)
    is_right = np.arange(count) % 3 != 2
    mirror = np.where(is_right, 1.0, -1.0)[:, None] * [1, 0, 0] + [0, 1, 1]
    hands = [right_hand(rng) * side for side in mirror]
    xyz = np.stack([seen_from_elsewhere(hand, rng) for hand in hands])
    uv = project(np.tile(CAMERA, (count, 1, 1)), xyz)
    names = [name.format(row) for row in range(count)]
    for points, file_name in zip(uv, names):
        path = folder / "images" / file_name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(points, (80, 100, 120)))
    low, high = uv.min(axis=1), uv.max(axis=1)
    boxes = np.concatenate([low - 4, high - low + 8], axis=1)
    return FakePoints(folder, folder / "images", names, uv, xyz, is_right, boxes)


def write_fake(folder: Path, name: str) -> list[str]:
    """A small dataset for the contract tests; returns what follows ``handbench convert NAME``.

    Parameters
    ----------
    folder
        Empty; paths in the words lie below it.
    name
        Dataset, where several share this layout.
    """
    fake = write_points(folder / "data", 24)
    return ["--annotations", str(fake.npz()), "--images-dir", str(fake.images)]
