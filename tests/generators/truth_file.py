"""A truth in memory as an HDF5 file, with further columns, for tests that go through the reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from generators.scored import SIZE
from generators.tiny_hdf5 import png

from handbench.camera import transform_points
from handbench.hdf5.reader import HandFile
from handbench.hdf5.writer import HandFileWriter
from handbench.scores.truth import Truth


def write_truth(path: Path, truth: Truth, **columns: npt.ArrayLike) -> HandFile:
    """Write `truth` with black pictures of half the source's side, and open the file.

    Parameters
    ----------
    path
        Target.
    truth
        In the source frame, as made by :func:`generators.scored.make_truth`.
    columns
        Further columns of the format, one value a hand.
    """
    hands, side = len(truth), int(SIZE / 2)
    header = dict.fromkeys(("title", "license", "citation", "homepage", "label_source"), "x")
    header |= {"dataset": truth.dataset, "publish_images": True, "sources": []}
    corners = truth.bbox.reshape(hands, 2, 2).cumsum(axis=1)
    low, high = np.split(transform_points(truth.crop, corners), 2, axis=1)
    rows = {
        "sample_id": truth.sample_id,
        "instant_id": truth.cluster,
        "image_size": np.full((hands, 2), side),
        "keypoints_2d": transform_points(truth.crop, truth.keypoints),
        "valid_2d": truth.valid,
        "valid_3d": truth.valid_3d,
        "visibility": truth.visibility,
        "crop": truth.crop,
        "bbox": np.concatenate([low, high - low], axis=2)[:, 0],
        "is_right": truth.is_right,
        "mirrored": np.zeros(hands, dtype=bool),
        **columns,
    }
    if truth.keypoints_3d is not None:
        rows["keypoints_3d"] = truth.keypoints_3d
    with HandFileWriter(path, header) as writer:
        split = writer.split(truth.split, split_unit="sample_id", cluster_unit="instant_id")
        split.append(rows, [png(np.zeros((side, side, 3), dtype=np.uint8))] * hands)
        split.add_truth(
            sample_id=truth.sample_id.tolist(),
            keypoints_2d=truth.keypoints,
            keypoints_3d=truth.keypoints_3d,
            valid_2d=truth.valid,
            valid_3d=truth.valid_3d,
            bbox=truth.bbox,
        )
    return HandFile(path)
