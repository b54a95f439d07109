"""Scores of meshes: vertex errors and F-scores, reduced to one number a hand.

Every vertex of a mesh is labelled wherever the mesh is, so the mean over vertices of the means
over hands is the mean over hands of the means over vertices. A block of hands is aligned, measured
and forgotten, which keeps memory flat.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.alignment import (
    Similarity,
    alignable,
    bone_factor,
    fit_similarity,
    scale_factor,
)
from handbench.hand import NUM_JOINTS
from handbench.metrics import auc_scores, keypoint_errors, pck_scores
from handbench.scores.distances import MM_PER_M
from handbench.scores.matching import Matched
from handbench.scores.metric import Metric
from handbench.surfaces import f_scores

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]

_BLOCK = 1000


@dataclass(frozen=True)
class _Meshes:
    """Meshes of both sides, with the joints that may move them. N hands, all m.

    `predicted` (N, V, 3) and `truth` (N, W, 3), NaN where there is none; `joints` and
    `true_joints` (N, 21, 3); `valid` (N, 21) where the latter are labelled.
    """

    predicted: Points
    truth: Points
    joints: Floats
    true_joints: Floats
    valid: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, matched: Matched) -> _Meshes:
        truth = matched.truth
        if matched.vertices is None or truth.vertices is None:
            raise ValueError("mesh scores need vertices on both sides")
        nothing = np.full((len(truth), NUM_JOINTS, 3), np.nan)
        joints, true_joints = matched.keypoints_3d, truth.keypoints_3d
        return cls(
            matched.vertices,
            truth.vertices,
            nothing if joints is None else joints,
            nothing if true_joints is None else true_joints,
            truth.valid_3d,
        )

    @property
    def paired(self) -> bool:
        """Whether vertex i of one side is vertex i of the other."""
        return bool(self.predicted.shape[1] == self.truth.shape[1])

    def rows(self, rows: npt.NDArray[Any]) -> _Meshes:
        """The hands chosen by a mask or index array."""
        return _Meshes(*(getattr(self, field.name)[rows] for field in fields(self)))

    def aligned(self, metric: Metric) -> tuple[Points, Similarity | None]:
        """Predicted meshes as `metric` aligns them, and the similarity where one is fitted."""
        if metric.alignment == "root":
            start = self.joints[:, metric.root, None]
            end = self.true_joints[:, metric.root, None]
            factor = np.ones(len(self.truth))
            if metric.bone is not None:
                factor = bone_factor(self.joints, self.true_joints, metric.bone)
            return (self.predicted - start) * factor[:, None, None] + end, None
        if metric.alignment == "scale":
            factor = self._scale_factor()
            return self.predicted * factor[:, None, None], None
        if metric.alignment == "cam":
            return self.predicted, None
        reflect = metric.alignment == "pa-reflect"
        if self.paired:
            every = np.ones(self.predicted.shape[:2], dtype=bool)
            fit = fit_similarity(self.predicted, self.truth, every, reflect=reflect)
            return fit.apply(self.predicted), fit
        # Without partners for its vertices a mesh is moved by what fits the joints.
        fit = fit_similarity(self.joints, self.true_joints, self.valid, reflect=reflect)
        move = fit.apply_to_foreign_mesh if reflect else fit.apply
        return move(self.predicted), fit

    def _scale_factor(self) -> Floats:
        """(N,) least-squares scale of the vertices or, without partners for them, of the joints."""
        if self.paired:
            every = np.ones(self.predicted.shape[:2], dtype=bool)
            return scale_factor(self.predicted, self.truth, every)
        return scale_factor(self.joints, self.true_joints, self.valid)


def comparable(matched: Matched, metric: Metric) -> npt.NDArray[np.bool_]:
    """(N,) hands whose labels allow a score: a mesh, and the joints that an alignment needs."""
    truth = matched.truth
    if truth.vertices is None:
        return np.zeros(len(truth), dtype=bool)
    # A mesh is there as a whole or not at all.
    there: npt.NDArray[np.bool_] = ~np.isnan(truth.vertices[:, 0, 0])
    if metric.alignment == "root":
        for joint in (metric.root, *(metric.bone or ())):
            there &= truth.valid_3d[:, joint]
    foreign = matched.vertices is not None and matched.vertices.shape[1] != truth.vertices.shape[1]
    if foreign and truth.keypoints_3d is not None:
        if metric.alignment in ("pa", "pa-reflect"):
            there &= alignable(truth.keypoints_3d, truth.valid_3d)
        elif metric.alignment == "scale":
            there &= truth.valid_3d.any(axis=1)
    return there


def mesh_scores(matched: Matched, metrics: Iterable[Metric]) -> dict[Metric, Floats]:
    """Score of every hand under metrics of meshes.

    Parameters
    ----------
    matched
        With vertices on both sides.
    metrics
        With ``mesh`` and a value here (:func:`handbench.scores.reasons.reason_without`).

    Returns
    -------
    Metric → (N, 1): mm for distances, else 0-1; NaN where either side has no mesh, or lacks the
    joints that the alignment needs.
    """
    # With reflections first: the proper rotation is the same one wherever none was chosen.
    asked = sorted(dict.fromkeys(metrics), key=lambda metric: metric.alignment != "pa-reflect")
    scores = {metric: np.full((len(matched.truth), 1), np.nan) for metric in asked}
    if not asked:
        return scores
    meshes = _Meshes.of(matched)
    for start in range(0, len(meshes.truth), _BLOCK):
        block = meshes.rows(np.arange(start, min(start + _BLOCK, len(meshes.truth))))
        found = _complete(block.truth) & _complete(block.predicted)
        for metric, values in _score(block.rows(found), asked).items():
            scores[metric][start : start + _BLOCK, 0][found] = values
    return scores


def _score(meshes: _Meshes, metrics: Sequence[Metric]) -> dict[Metric, Floats]:
    """One number a hand for metrics of any alignment; no hand is missing here."""
    scores: dict[Metric, Floats] = {}
    by_alignment: dict[tuple[Any, ...], list[Metric]] = {}
    for metric in metrics:
        by_alignment.setdefault((metric.alignment, metric.root, metric.bone), []).append(metric)
    reflected = np.ones(len(meshes.truth), dtype=bool)
    for (alignment, *_), group in by_alignment.items():
        mesh, fit = meshes.aligned(group[0])
        if alignment == "pa-reflect" and fit is not None:
            reflected = fit.reflects()
        twins = {metric: replace(metric, alignment="pa-reflect") for metric in group}
        if alignment == "pa" and meshes.paired and scores.keys() >= set(twins.values()):
            scores.update({metric: scores[twin].copy() for metric, twin in twins.items()})
            changed = _measure(mesh[reflected], meshes.truth[reflected], group)
            for metric in group:
                scores[metric][reflected] = changed[metric]
        else:
            scores.update(_measure(mesh, meshes.truth, group))
    return scores


def _complete(meshes: Points) -> npt.NDArray[np.bool_]:
    """(N,) meshes without NaN."""
    unknown = np.isnan(meshes).reshape(len(meshes), -1)
    return np.logical_not(unknown.any(axis=1))


def _measure(mesh: Points, truth: Points, metrics: Sequence[Metric]) -> dict[Metric, Floats]:
    """One number a hand (n,) for metrics of one alignment."""
    measured: dict[Metric, Floats] = {}
    errors_mm: Floats | None = None
    surfaces = [metric for metric in metrics if metric.quantity == "F"]
    if surfaces:
        limits = sorted({metric.high / MM_PER_M for metric in surfaces})
        shares = f_scores(mesh, truth, limits)
        for metric in surfaces:
            measured[metric] = shares[:, limits.index(metric.high / MM_PER_M)]
    for metric in metrics:
        if metric.quantity == "F":
            continue
        if errors_mm is None:
            every = np.ones(truth.shape[:2], dtype=bool)
            errors_mm = keypoint_errors(mesh, truth, every, missing="drop") * MM_PER_M
        if metric.quantity == "PCK":
            scores = pck_scores(errors_mm, metric.high, cmp=metric.cmp)
        elif metric.quantity == "AUC":
            low, high = metric.low, metric.high
            scores = auc_scores(errors_mm, low, high, rule=metric.rule, n=metric.n, cmp=metric.cmp)
        else:
            scores = errors_mm
        measured[metric] = scores.mean(axis=1)
    return measured
