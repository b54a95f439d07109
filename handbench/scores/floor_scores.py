"""The mean pose scored like a model: the floor of every metric, under every protocol.

A protocol names few floors of its own (``of=mean-pose``). Here the average hand is handed in as
predictions, so that any metric of joints, any curve and any alignment has one. Camera-space metrics
have none: the mean pose does not say where a hand is, and would have to be given its depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handbench.hand import JOINT_NAMES, WRIST
from handbench.predictions.record import Predictions
from handbench.scores.floor import mean_pose, mean_pose_3d
from handbench.scores.matching import match
from handbench.scores.measuring import measure
from handbench.scores.numbers import make_numbers
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation
from handbench.scores.truth import Truth

NAME = "mean pose"


def score_mean_pose(truth: Truth, protocols: Sequence[Protocol]) -> Evaluation:
    """Score the mean pose of `truth` itself: in 2D in every box, in 3D from the wrist.

    Parameters
    ----------
    truth
        Hands with labels in 2D, in 3D or both.
    protocols
        Presets.

    Returns
    -------
    Evaluation of a model named :data:`NAME`. What it has no value for is None there, with the
    reason: meshes, positions in camera space, metrics without joints.
    """
    # Where the floor cannot be drawn (a box without area) it is left out, not wrong.
    drawable = np.asarray((truth.bbox[:, 2:] > 0).all(axis=1))
    if drawable.any() and not drawable.all():
        truth = truth.rows(drawable)
    points = mean_pose(truth.keypoints, truth.valid, truth.bbox, truth.is_right)
    points_3d = None
    if truth.keypoints_3d is not None and truth.has_3d:
        points_3d = mean_pose_3d(truth.keypoints_3d, truth.valid_3d, truth.is_right)
    predictions = Predictions(
        dataset=truth.dataset,
        split=truth.split,
        model={"name": NAME},
        id=truth.sample_id,
        keypoints=points if np.isfinite(points).any() else None,
        keypoints_3d=points_3d,
        gt_used=("box", "pose"),
        frame_3d=f"root:{JOINT_NAMES[WRIST]}",
    )
    matched = match(predictions, truth)
    about: dict[str, Any] = {"provenance": {}, "warnings": []}
    return make_numbers(measure(matched, protocols, about), protocols)
