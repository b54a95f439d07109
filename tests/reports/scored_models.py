"""Models that are off by a known amount, scored for real."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from handbench.hdf5.reader import HandFile
from handbench.predictions.record import Predictions
from handbench.scores.protocols import find_protocol
from handbench.scores.results import Evaluation
from handbench.scores.scoring import score
from handbench.scores.truth import read_truth

HANDS = 24


@functools.cache
def scored(
    data: HandFile,
    name: str = "net",
    *,
    shift: float = 3.0,
    missing: int = 0,
    protocols: tuple[str, ...] = ("handbench", "mmpose"),
    noise: float = 0.0,
    gt_used: tuple[str, ...] = ("box",),
    extra: tuple[str, ...] = (),
    keypoints: bool = True,
) -> Evaluation:
    """Score a model that is off by `shift` px to the right and misses the first hands.

    Parameters
    ----------
    data
        The truth, with a split `test`.
    name
        Of the model.
    shift, noise
        Error of every joint, source px.
    missing
        How many of the first hands have no prediction.
    protocols
        Names of protocols.
    gt_used
        As declared in the predictions.
    extra
        Ids that are predicted but not in the split.
    keypoints
        False for a model without 2D.
    """
    truth = read_truth(data, "test")
    points = truth.keypoints + np.array([shift, 0.0])
    points += np.random.default_rng(0).normal(0, noise, points.shape) if noise else 0.0
    points = np.concatenate([points[missing:], np.zeros((len(extra), 21, 2))])
    ids = np.array([*truth.sample_id[missing:].tolist(), *extra], dtype=np.str_)
    model: dict[str, Any] = {"name": name, "training_data": ["tiny/train"], "params": 1234567}
    predictions = Predictions(
        data.dataset,
        "test",
        model,
        ids,
        points if keypoints else None,
        input={"box": "gt_annotation", "padding": 1.5},
        gt_used=gt_used,
    )
    return score(predictions, truth, [find_protocol(name) for name in protocols])
