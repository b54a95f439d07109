"""Random hands as an HDF5 file: what a converted dataset with 3D and meshes looks like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from generators.tiny_hdf5 import png
from reference.random_hands import RandomHands

from handbench.hdf5.writer import HandFileWriter


def as_stored(hands: RandomHands) -> RandomHands:
    """The same hands in the precision of the file, which keeps 3D as float32."""
    points, _ = hands.keypoints_3d
    stored = points.astype(np.float32).astype(np.float64)
    return replace(hands, truth=replace(hands.truth, keypoints_3d=stored))


def write_hand_file(path: Path, hands: RandomHands, dataset: str, split: str = "test") -> Path:
    """Write the truth of `hands`; images are single grey pixels, crops the identity."""
    truth = hands.truth
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "random")
    header |= {"dataset": dataset, "publish_images": True, "sources": []}
    count = len(truth)
    columns = {
        "sample_id": truth.sample_id.tolist(),
        "image_id": truth.image_id.tolist(),
        "instant_id": truth.cluster.tolist(),
        "image_size": np.ones((count, 2)),
        "keypoints_2d": truth.keypoints,
        "valid_2d": truth.valid,
        "valid_3d": truth.valid_3d,
        "visibility": truth.visibility,
        "crop": np.tile(np.eye(3), (count, 1, 1)),
        "bbox": truth.bbox,
        "is_right": truth.is_right,
        "mirrored": np.zeros(count),
        "keypoints_3d": truth.keypoints_3d,
    }
    if truth.vertices is not None:
        columns["vertices"] = truth.vertices
    if truth.hand_type is not None:
        columns["hand_type"] = truth.hand_type.tolist()
    with HandFileWriter(path, header) as writer:
        group = writer.split(split, split_unit="instant_id", cluster_unit="instant_id")
        group.append(columns, [png(np.full((1, 1, 3), 128, dtype=np.uint8))] * count)
        group.add_truth(
            sample_id=columns["sample_id"],
            keypoints_2d=truth.keypoints,
            keypoints_3d=truth.keypoints_3d,
            valid_2d=truth.valid,
            valid_3d=truth.valid_3d,
            bbox=truth.bbox,
        )
        group.attributes["bbox"] = {"source": "annotation", "padding": 1.0}
    return path
