"""Everything that the metrics of some protocols need to know of every hand, measured once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.scores.average_precision import oks_ap
from handbench.scores.distances import errors_name, hand_sizes, joint_errors, plain_distance
from handbench.scores.matching import Matched
from handbench.scores.meshes import comparable, mesh_scores
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.pairs import handedness, relative_root_errors
from handbench.scores.protocol import Protocol
from handbench.scores.reasons import reason_without
from handbench.scores.sample_errors import SampleErrors

Floats = npt.NDArray[np.float64]

ALWAYS = tuple(
    map(
        parse,
        (
            *("EPE[px]", "EPE[px,of=mean-pose]", "MPJPE[mm,cam]", "MPJPE[mm,root=0]"),
            *("PA-MPJPE[mm]", "MPJPE[mm,pa-reflect]"),
        ),
    )
)
"""Measured whatever is asked for, so that stored errors serve other metrics too."""


def measure(
    matched: Matched, protocols: Sequence[Protocol], about: dict[str, Any] | None = None
) -> SampleErrors:
    """Errors of every joint and scores of every hand, for all metrics of `protocols`.

    Parameters
    ----------
    matched
        Truth and predictions in the same rows.
    protocols
        What numbers will be made from the errors.
    about
        Further entries of the header, such as ``provenance``.
    """
    truth, predictions = matched.truth, matched.predictions
    asked = {*ALWAYS}
    asked.update(m for p in protocols for m in p.measured(with_3d=truth.has_3d))
    joints: dict[str, Floats] = {}
    reasons: dict[str, str] = {}
    hands: dict[str, Floats] = {}
    values: dict[str, float | None] = {}
    meshes: set[Metric] = set()
    for metric in sorted(asked, key=str):
        if metric.per_joint:
            name, plain = errors_name(metric), plain_distance(metric)
        else:
            plain = plain_hands(metric)
            name = str(plain)
        if name in joints or name in reasons or metric.quantity == "coverage":
            continue
        reason = reason_without(plain, matched)
        if reason is not None:
            reasons[name] = reason
        elif metric.per_joint:
            joints[name] = joint_errors(matched, metric)
        elif metric.mesh:
            meshes.add(plain)
        elif metric.quantity == "OKS-AP":
            value = oks_ap(matched, metric)
            values[name] = value if np.isfinite(value) else None
        else:
            scores = handedness if metric.quantity == "handedness" else relative_root_errors
            hands[name] = scores(matched)[:, 0]
    for metric, of_mesh in mesh_scores(matched, sorted(meshes, key=str)).items():
        missed = np.isnan(of_mesh[:, 0]) & comparable(matched, metric)
        hands[str(metric)] = np.where(missed, np.inf, of_mesh[:, 0])
    keypoints = matched.keypoints
    return SampleErrors(
        sample_id=truth.sample_id,
        predicted=matched.predicted,
        cluster=truth.cluster,
        visibility=truth.visibility,
        is_right=truth.is_right,
        labelled_2d=truth.valid,
        labelled_3d=truth.valid_3d,
        keypoints_px=np.full_like(truth.keypoints, np.nan) if keypoints is None else keypoints,
        joints=joints,
        sizes={str(name): size for name, size in hand_sizes(truth).items()},
        hands=hands,
        hand_type=truth.hand_type,
        about={
            "dataset": truth.dataset,
            "split": truth.split,
            "model": _model(matched),
            "truth_sha256": truth.truth_sha256,
            "columns": truth.columns_sha256,
            "cluster_unit": truth.cluster_unit,
            "subset": truth.subset,
            # Undeclared is not the same as nothing used.
            "gt_used": None if predictions.gt_used is None else list(predictions.gt_used),
            "box": _box(predictions.input),
            "label_noise": truth.label_noise,
            "extra": matched.extra,
            "duplicate": matched.duplicate,
            "values": values,
            "reasons": reasons,
            **(about or {}),
        },
    )


def plain_hands(metric: Metric) -> Metric:
    """The metric whose scores serve `metric`, one of whole hands, too: of all that were found."""
    if metric.quantity == "OKS-AP":
        return metric
    return replace(metric, missing="drop", hands="all")


def _box(given: Mapping[str, Any]) -> Any:
    """Where boxes came from; boxes moved on purpose share no column with true ones."""
    jitter = given.get("jitter")
    if jitter is None:
        return given.get("box")
    return f"{given.get('box')} moved by up to {jitter['amount']:g} (seed {jitter.get('seed', 0)})"


def _model(matched: Matched) -> dict[str, Any]:
    predictions = matched.predictions
    model = dict(predictions.model)
    if predictions.input:
        model["input"] = predictions.input
    if predictions.gt_used is not None:
        model["gt_used"] = list(predictions.gt_used)
    return model
