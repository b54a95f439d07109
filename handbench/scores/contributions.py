"""What each joint, hand or image adds to a metric: values, intervals and tests are made from it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.alignment import alignable
from handbench.scores.distances import Distances
from handbench.scores.matching import Matched
from handbench.scores.meshes import comparable, mesh_scores
from handbench.scores.metric import Metric
from handbench.scores.pairs import handedness, relative_root_errors
from handbench.scores.protocol import Protocol
from handbench.scores.reasons import reason_without

Floats = npt.NDArray[np.float64]


class Contributions:
    """Scores of one model under all metrics of some protocols.

    Parameters
    ----------
    matched
        Truth and predictions in the same rows.
    protocols
        What will be asked for: metrics of meshes are computed in one pass over the meshes.
    """

    def __init__(self, matched: Matched, protocols: Iterable[Protocol]) -> None:
        self.matched = matched
        self.distances = Distances(matched)
        with_3d = matched.truth.has_3d
        asked = [metric for protocol in protocols for metric in protocol.metrics(with_3d=with_3d)]
        meshes = {_plain(m) for m in asked if m.mesh and self.reason_without(m) is None}
        self._meshes = mesh_scores(matched, sorted(meshes, key=str))

    def reason_without(self, metric: Metric) -> str | None:
        """Why `metric` has no value for this model on this truth, or None if it has one."""
        return reason_without(metric, self.matched)

    def of(self, metric: Metric, protocol: Protocol) -> Floats:
        """Contributions (N, K) to `metric`: its average is the metric's value.

        PCK: 1 or 0. AUC: the share of thresholds that an error passes. Distances: themselves. NaN:
        left out. K is 21 for metrics of joints, else 1.
        """
        if metric.mesh:
            scores = self._meshes[_plain(metric)]
            if metric.missing == "wrong":
                labelled = comparable(self.matched, metric)[:, None]
                scores = np.where(np.isnan(scores) & labelled, 0.0, scores)
            return self._of_hands(metric, scores)
        if metric.quantity == "coverage":
            return self._of_hands(metric, self.matched.predicted[:, None].astype(np.float64))
        if metric.quantity == "MRRPE":
            return relative_root_errors(self.matched)
        if metric.quantity == "handedness":
            return handedness(self.matched)
        errors = self.distances.errors(metric, replace_bad_boxes=protocol.replaces_bad_boxes)
        if metric.is_distance:
            return np.where(np.isfinite(errors), errors, np.nan)
        return _judged(metric, errors, single_precision=protocol.single_precision)

    def _of_hands(self, metric: Metric, scores: Floats) -> Floats:
        if metric.hands == "all":
            return scores
        return np.where(self.distances.hands(metric)[:, None], scores, np.nan)

    def left_out(self, metric: Metric) -> str:
        """Say what a metric cannot use, "" if it uses all: hands, or everything there is.

        Metrics of which nothing is left have no value, and this says why.
        """
        if metric.mesh:
            return self._without_meshes(metric)
        if metric.quantity == "MRRPE" and np.isnan(relative_root_errors(self.matched)).all():
            return "; no value: no image's two hands were both found"
        if metric.quantity == "handedness" and np.isnan(handedness(self.matched)).all():
            return "; no value: every image has a hand of unknown side"
        if not metric.per_joint:
            return ""
        truth = self.matched.truth
        labelled = self.distances.labelled(metric)
        if not labelled.any():
            return "; no value: no labelled joint of the split counts here"
        if metric.of == "model" and (metric.is_distance or metric.missing == "drop"):
            points = self.matched.keypoints_3d if metric.is_3d else self.matched.keypoints
            if points is None or not np.isfinite(points[labelled]).any():
                return "; no value: no hand was found"
        if metric.size is not None:
            unusable = ~(self.distances.sizes[metric.size] > 0) & truth.valid.any(axis=1)
            why = "without this size"
        elif truth.keypoints_3d is None:
            return ""
        elif metric.alignment in ("pa", "pa-reflect"):
            fixed = alignable(truth.keypoints_3d, truth.valid_3d)
            unusable = truth.valid_3d.any(axis=1) & ~fixed
            why = "with fewer than four labelled joints, or all on a line,"
        elif metric.alignment == "root":
            unusable = truth.valid_3d.any(axis=1) & ~truth.valid_3d[:, metric.root]
            why = f"without a label for joint {metric.root}"
        else:
            return ""
        count = int(unusable.sum())
        return f"; {count:,} hands {why} are left out" if count else ""

    def _without_meshes(self, metric: Metric) -> str:
        """Why a metric of meshes has no value, or ""."""
        labelled = comparable(self.matched, metric) & self.distances.hands(metric)
        if not labelled.any():
            return "; no value: no labelled mesh of the split counts here"
        found = ~np.isnan(self._meshes[_plain(metric)][labelled]).all()
        counts_missed = metric.missing == "wrong" and not metric.is_distance
        return "" if found or counts_missed else "; no value: no mesh was found"


def _plain(metric: Metric) -> Metric:
    """The metric of meshes whose scores serve this one too: of all hands that were found."""
    return replace(metric, missing="drop", hands="all")


def _judged(metric: Metric, errors: Floats, *, single_precision: bool) -> Floats:
    """Scores 0-1 of PCK and AUC."""
    low, high = metric.low, metric.high
    compared: m.Floats = errors
    if single_precision:
        # Scripts that keep float32 distances divide by the end of an AUC's range first and then
        # compare with i / n.
        if metric.quantity == "AUC":
            compared, low, high = errors / high, low / high, 1.0
        compared = compared.astype(np.float32)
    if metric.quantity == "PCK":
        return m.pck_scores(compared, high, cmp=metric.cmp)
    return m.auc_scores(compared, low, high, rule=metric.rule, n=metric.n, cmp=metric.cmp)
