"""Outputs of an ONNX network → points in px of its input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from handbench.hand import NUM_JOINTS
from handbench.predictors.onnx_spec import OnnxSpec

Floats = npt.NDArray[np.float64]


def decode_outputs(spec: OnnxSpec, outputs: Sequence[npt.NDArray[Any]]) -> tuple[Floats, Floats]:
    """Points and scores of a batch.

    Parameters
    ----------
    spec
        What the outputs mean.
    outputs
        The arrays named in `spec.outputs`.

    Returns
    -------
    points (N, 21, 2) px of the input, pixel centres at integers, and scores (N, 21), NaN where the
    network gives none; both in canonical order.
    """
    arrays = [np.asarray(each, dtype=np.float64) for each in outputs]
    if spec.kind == "simcc":
        points, scores = decode_simcc(arrays[0], arrays[1], spec.split, spec.score)
    elif spec.kind == "heatmaps":
        points, scores = decode_heatmaps(arrays[0], spec)
    else:
        points, scores = _coordinates(arrays, spec)
    order = list(spec.joint_order)
    return points[:, order], scores[:, order]


def decode_simcc(x: Floats, y: Floats, split: float, rule: str) -> tuple[Floats, Floats]:
    """Highest bins of two one-dimensional classifications (RTMPose).

    Parameters
    ----------
    x, y
        (N, J, bins).
    split
        Bins a pixel.
    rule
        The score is the ``mean`` of the two highest values, as in rtmlib, or the ``min``, as in
        mmpose. Where it is not positive both put the joint at bin -1.

    Returns
    -------
    points (N, J, 2) px and scores (N, J).
    """
    bins = np.stack([x.argmax(axis=-1), y.argmax(axis=-1)], axis=-1).astype(np.float64)
    highest = np.stack([x.max(axis=-1), y.max(axis=-1)], axis=-1)
    scores: Floats = highest.mean(axis=-1) if rule == "mean" else highest.min(axis=-1)
    bins[scores <= 0] = -1.0
    return bins / split, scores


def decode_heatmaps(maps: Floats, spec: OnnxSpec) -> tuple[Floats, Floats]:
    """Peaks of (N, J, h, w) maps, px of the input, and their heights."""
    import torch

    from handbench.models.architecture import Decoding
    from handbench.models.heatmaps import decode

    method = cast("Decoding", spec.decoding)
    cells, peaks = decode(torch.from_numpy(maps.astype(np.float32)), method, spec.sigma)
    sides = np.array([maps.shape[-1], maps.shape[-2]], dtype=np.float64)
    places = cells.double().numpy()
    if spec.grid == "udp":
        points = places * (spec.size - 1) / (sides - 1)
    elif spec.grid == "corner":
        points = places * (spec.size / sides)
    else:
        points = (places + 0.5) * (spec.size / sides) - 0.5
    return points, peaks.double().numpy()


def _coordinates(arrays: Sequence[Floats], spec: OnnxSpec) -> tuple[Floats, Floats]:
    values = arrays[0].reshape(len(arrays[0]), NUM_JOINTS, -1)
    points = values[..., :2]
    if spec.unit == "normalised":
        points = points * spec.size - 0.5
    if len(arrays) > 1:
        return points, arrays[1]
    if spec.third == "score" and values.shape[2] > 2:
        return points, values[..., 2]
    return points, np.full(points.shape[:2], np.nan)
