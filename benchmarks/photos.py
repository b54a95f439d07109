"""Files of drawn photos for the benchmarks of training; not a benchmark itself."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from handbench.hdf5.writer import HandFileWriter

SIZE = 224
DIFFERENT = 64


def write_photos(path: Path, count: int, size: int = SIZE) -> None:
    """Write a file with the split ``train``: smooth blobs under noise, and random keypoints.

    JPEGs of quality 92 with halved colours; of 224 px they have about 22 kB, as FreiHAND's.

    Parameters
    ----------
    path
        Of the file.
    count
        Number of images; :data:`DIFFERENT` of them differ.
    size
        Their side.
    """
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(DIFFERENT):
        small = Image.fromarray(rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8))
        smooth = np.asarray(small.resize((size, size), Image.Resampling.BICUBIC)).astype(float)
        noisy = (smooth + rng.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(noisy).save(buffer, "JPEG", quality=92)
        pictures.append(buffer.getvalue())
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "drawn")
    header |= {"dataset": "drawn", "publish_images": True, "sources": []}
    keypoints = rng.uniform(0.2 * size, 0.8 * size, (count, 21, 2))
    labelled = np.ones((count, 21), dtype=bool)
    ids = [f"{row:06d}" for row in range(count)]
    bbox = np.tile([-0.5, -0.5, size, size], (count, 1))
    columns = {
        "sample_id": ids,
        "instant_id": ids,
        "image_size": np.full((count, 2), size),
        "keypoints_2d": keypoints,
        "valid_2d": labelled,
        "valid_3d": ~labelled,
        "visibility": np.full((count, 21), 2),
        "crop": np.tile(np.eye(3), (count, 1, 1)),
        "bbox": bbox,
        "is_right": np.ones(count),
        "mirrored": np.zeros(count),
    }
    with HandFileWriter(path, header) as writer:
        group = writer.split("train", split_unit="instant_id", cluster_unit="instant_id")
        group.append(columns, [pictures[row % DIFFERENT] for row in range(count)])
        group.add_truth(
            sample_id=ids,
            keypoints_2d=keypoints,
            keypoints_3d=None,
            valid_2d=labelled,
            valid_3d=~labelled,
            bbox=bbox,
        )
        group.attributes["bbox"] = {"source": "annotation", "padding": 1.0}
