"""Truth and predictions in memory for tests of scores: small, seeded, with known geometry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from generators.tiny_hdf5 import template

from handbench.hand import NUM_JOINTS
from handbench.predictions.record import Predictions
from handbench.scores.truth import Truth

SIZE = 200.0


def make_truth(
    hands: int = 12, *, groups: int | None = None, seed: int = 0, **changes: Any
) -> Truth:
    """Hands of about 100 px in 200 px images that are stored at half size; 3D included."""
    rng = np.random.default_rng(seed)
    flat = template() * rng.uniform(0.8, 1.2, (hands, 1, 1))
    depth = 0.3 * np.sin(np.arange(NUM_JOINTS) + rng.uniform(0, 6, (hands, 1)))
    points_3d = 0.08 * np.concatenate([flat, depth[..., None]], axis=-1)
    points_3d += [0.0, 0.0, 0.6]
    points = 100 * flat + [100.0, 150.0] + rng.uniform(-10, 10, (hands, 1, 2))
    low, high = points.min(axis=1), points.max(axis=1)
    names = np.array([f"hands/{i:04d}" for i in range(hands)])
    crop = np.tile([[0.5, 0.0, -0.25], [0.0, 0.5, -0.25], [0.0, 0.0, 1.0]], (hands, 1, 1))
    truth = Truth(
        dataset="sample",
        split="test",
        truth_sha256="0" * 64,
        cluster_unit="instant_id",
        sample_id=names,
        keypoints=points,
        valid=np.ones((hands, NUM_JOINTS), dtype=bool),
        valid_3d=np.ones((hands, NUM_JOINTS), dtype=bool),
        visibility=np.full((hands, NUM_JOINTS), 2, dtype=np.uint8),
        bbox=np.concatenate([low - 10, high - low + 20], axis=1),
        crop=crop,
        stored_width=np.full(hands, SIZE / 2),
        is_right=np.ones(hands, dtype=np.int8),
        cluster=np.array([f"g{i % (groups or hands)}" for i in range(hands)]),
        keypoints_3d=points_3d,
        to_source_3d=np.tile(np.eye(3), (hands, 1, 1)),
        image_id=names,
        image_px=np.full(hands, SIZE),
        crop_sha256="c" * 64,
        known=frozenset(names.tolist()),
    )
    return replace(truth, **changes)


def make_predictions(
    truth: Truth,
    noise: float = 3.0,
    *,
    seed: int = 1,
    rows: npt.NDArray[Any] | slice = slice(None),
    **changes: Any,
) -> Predictions:
    """The truth of `rows` with Gaussian noise of `noise` px (and as many mm)."""
    rng = np.random.default_rng(seed)
    points = truth.keypoints + rng.normal(0, noise, truth.keypoints.shape)
    assert truth.keypoints_3d is not None
    points_3d = truth.keypoints_3d + rng.normal(0, noise / 1000, truth.keypoints_3d.shape)
    predictions = Predictions(
        dataset=truth.dataset,
        split=truth.split,
        model={"name": "my-net"},
        id=truth.sample_id[rows],
        keypoints=points[rows],
        keypoints_3d=points_3d[rows],
        input={"box": "gt_annotation"},
        gt_used=("box",),
    )
    return replace(predictions, **changes)
