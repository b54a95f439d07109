"""Made `format_1_0.h5` once, with handbench 0.1.0. Never run it again.

The file is what users of format 1.0 have on their disks: `test_hdf5_golden.py` proves that every
later handbench still reads it. A file made anew would only prove that today's writer and today's
reader agree. A new format version gets a new file and a new script beside this one.

The values are simple arithmetic on purpose, so that the test can state them as literals.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from handbench.hdf5.writer import HandFileWriter

SIZE = 32
HEADER: dict[str, Any] = {
    "dataset": "golden",
    "title": "Golden file of format 1.0",
    "license": "CC0 1.0",
    "citation": "@misc{golden}",
    "homepage": "https://example.org/golden",
    "label_source": "arithmetic",
    "publish_images": True,
    "sources": [{"file": "golden.json", "size": 12, "sha256": "ab" * 32}],
}


def image(row: int) -> bytes:
    """PNG with red = row, green = y, blue = x."""
    pixels = np.zeros((SIZE, SIZE, 3), dtype=np.uint8)
    pixels[..., 0] = row
    pixels[..., 1] = np.arange(SIZE)[:, None]
    pixels[..., 2] = np.arange(SIZE)[None]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def mask(row: int) -> bytes:
    """One-bit PNG whose first `row` + 1 lines are hand."""
    buffer = io.BytesIO()
    Image.fromarray(np.arange(SIZE)[:, None].repeat(SIZE, axis=1) <= row).save(buffer, "PNG")
    return buffer.getvalue()


def columns(split: str, rows: int) -> dict[str, Any]:
    """Joint j of row r lies at (j, r + j / 2) px, 0.5 m away; joint 20 of row 1 is unlabelled."""
    joint, row = np.meshgrid(np.arange(21), np.arange(rows))
    points = np.stack([joint, row + joint / 2], axis=-1).astype(float)
    valid = np.ones((rows, 21), dtype=bool)
    valid[1:2, 20] = False
    points[~valid] = np.nan
    visibility = np.where(valid, 2, 0)
    visibility[:, 0], visibility[:, 1] = 1, 255
    camera = np.tile([[64.0, 0.0, 16.0], [0.0, 64.0, 16.0], [0.0, 0.0, 1.0]], (rows, 1, 1))
    depth = np.full((rows, 21, 1), 0.5)
    xyz = np.concatenate([(points - 16) / 64 * depth, depth], axis=-1)
    xyz[~valid] = np.nan
    crop = np.tile([[0.5, 0.0, -4.25], [0.0, 0.5, -2.25], [0.0, 0.0, 1.0]], (rows, 1, 1))
    return {
        "sample_id": [f"{split}/写真-{r}" for r in range(rows)],
        "image_id": [f"photo-{r}" for r in range(rows)],
        "subject_id": ["anna", "bob", "carla"][:rows],
        "sequence_id": ["walk"] * rows,
        "instant_id": [f"moment-{r // 2}" for r in range(rows)],
        "camera_id": [f"cam{r}" for r in range(rows)],
        "frame_index": np.arange(rows) * 10,
        "image_size": np.full((rows, 2), SIZE),
        "keypoints_2d": points,
        "valid_2d": valid,
        "valid_3d": valid,
        "visibility": visibility,
        "crop": crop,
        "bbox": np.tile([2.0, 3.0, 20.0, 12.5], (rows, 1)),
        "is_right": np.array([1, 0, -1])[:rows],
        "mirrored": np.array([False, True, False])[:rows],
        "keypoints_3d": xyz,
        "camera": camera,
        "scale": np.full(rows, 1.25**0.5 / 64 * 0.5),
        "mano_pose": np.arange(48)[None].repeat(rows, axis=0) / 100,
        "vertices": np.arange(12).reshape(1, 4, 3).repeat(rows, axis=0) / 1000,
        "hand_type": ["right", "left", "interacting"][:rows],
        "head_size_px": np.full(rows, 55.5),
    }


def main() -> None:
    """Write the file beside this script."""
    path = Path(__file__).with_name("format_1_0.h5")
    if path.exists():
        raise SystemExit(f"{path} exists, and must never change")
    with HandFileWriter(path, HEADER) as writer:
        for split, rows in (("train", 3), ("test", 2)):
            group = writer.split(split, split_unit="instant_id", cluster_unit="sequence_id")
            block = columns(split, rows)
            group.append(block, [image(r) for r in range(rows)], [mask(r) for r in range(rows)])
            group.attributes = {
                "bbox": {"source": "annotation", "padding": 1.25},
                "mano_pose": {"flat_hand_mean": False},
            }
            group.add_truth(
                sample_id=block["sample_id"],
                keypoints_2d=block["keypoints_2d"] * 2 + [8.5, 4.5],
                keypoints_3d=block["keypoints_3d"],
                valid_2d=block["valid_2d"],
                valid_3d=block["valid_3d"],
                bbox=block["bbox"] * 2 + [8.5, 4.5, 0, 0],
            )


if __name__ == "__main__":
    main()
