"""Tiny HDF5 files for tests: coloured dots at the joints of a moving, turning hand template."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from handbench.camera import transform_points
from handbench.hand import FINGER_COLORS, NUM_JOINTS, finger_of
from handbench.hdf5.writer import HandFileWriter

_ANGLES = np.radians([-150.0, -115.0, -95.0, -75.0, -55.0])


def template() -> npt.NDArray[np.float64]:
    """(21, 2) an open hand of about unit size, wrist in the origin."""
    fingers = [
        radius * np.array([np.cos(angle), np.sin(angle)])
        for angle in _ANGLES
        for radius in (0.4, 0.6, 0.75, 0.9)
    ]
    return np.concatenate([np.zeros((1, 2)), fingers])


def tiny_hands(
    count: int, size: int, seed: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """(N, size, size, 3) uint8 images and (N, 21, 2) keypoints in px."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(-0.5, 0.5, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=-1).reshape(
        -1, 2, 2
    )
    hands = template() @ turn.transpose(0, 2, 1) * size * rng.uniform(0.5, 0.7, (count, 1, 1))
    hands += size * (np.array([0.5, 0.75]) + rng.uniform(-0.06, 0.06, (count, 1, 2)))
    y, x = np.mgrid[:size, :size]
    images = rng.uniform(0, 40, (count, size, size, 3))
    for joint in range(NUM_JOINTS):
        color = FINGER_COLORS[finger_of(joint)]
        rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
        rgb = rgb * (0.4 + 0.2 * ((joint - 1) % 4))
        squared = (x - hands[:, joint, 0, None, None]) ** 2
        squared = squared + (y - hands[:, joint, 1, None, None]) ** 2
        weight = np.exp(-squared / (2 * (size / 32) ** 2))[..., None]
        images = images * (1 - weight) + rgb * weight
    return images.clip(0, 255).astype(np.uint8), hands


def png(image: npt.NDArray[np.uint8]) -> bytes:
    """Encode an image without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def write_tiny(
    path: Path,
    splits: dict[str, int],
    *,
    size: int = 64,
    seed: int = 0,
    source_scale: float = 2.0,
    unlabelled: tuple[str, ...] = (),
    unit: str = "instant_id",
    sizes: tuple[int, ...] = (),
    dataset: str = "tiny",
) -> Path:
    """Write a file of format 1.0.

    Parameters
    ----------
    path
        Target.
    splits
        Split → number of rows.
    size, seed
        Of the images.
    source_scale
        Source px a stored px.
    unlabelled
        Splits in which no joint is labelled.
    unit
        `split_unit`; pairs of neighbouring rows share an ``instant_id``.
    sizes
        Image sides to take in turn instead of `size`.
    dataset
        Name in the header.
    """
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "tiny")
    header |= {"dataset": dataset, "publish_images": True, "sources": []}
    with HandFileWriter(path, header) as writer:
        for number, (split, count) in enumerate(splits.items()):
            images, keypoints = tiny_hands(count, size, seed + number)
            sides = [sizes[i % len(sizes)] for i in range(count)] if sizes else [size] * count
            valid = np.full((count, NUM_JOINTS), split not in unlabelled)
            crop = np.tile(np.diag([1 / source_scale, 1 / source_scale, 1.0]), (count, 1, 1))
            crop[:, :2, 2] = 0.5 * (1 / source_scale - 1) - 3.0
            keypoints = np.where(valid[..., None], keypoints, np.nan)
            bbox = np.tile([-0.5, -0.5, size, size], (count, 1))
            ids = [f"{split}/{row:04d}" for row in range(count)]
            columns = {
                "sample_id": ids,
                "instant_id": [f"{split}-{row // 2}" for row in range(count)],
                "image_size": [(side, side) for side in sides],
                "keypoints_2d": keypoints,
                "valid_2d": valid,
                "valid_3d": np.zeros_like(valid),
                "visibility": np.where(valid, 2, 0),
                "crop": crop,
                "bbox": bbox,
                "is_right": np.ones(count),
                "mirrored": np.zeros(count),
            }
            group = writer.split(split, split_unit=unit, cluster_unit="instant_id")
            pictures = [
                png(np.asarray(Image.fromarray(image).resize((side, side))))
                for image, side in zip(images, sides)
            ]
            group.append(columns, pictures)
            back = np.linalg.inv(crop)
            group.add_truth(
                sample_id=ids,
                keypoints_2d=transform_points(back, keypoints),
                keypoints_3d=None,
                valid_2d=valid,
                valid_3d=columns["valid_3d"],
                bbox=bbox,
            )
            group.attributes["bbox"] = {"source": "annotation", "padding": 1.5}
    return path
