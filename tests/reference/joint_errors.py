"""Errors kept joint by joint, as the scripts of hand3d, FreiHAND, HO-3D and DexYCB keep them.

Written from the formulas, in plain loops, for tests only: nothing of handbench is imported, and
nothing here is fast. Mean, median, PCK and AUC are each computed for every joint first and then
averaged over the joints that have data. A distance equal to the threshold is correct.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class JointErrors:
    """Collects distances of hands, then averages them."""

    def __init__(self, joints: int = 21) -> None:
        self.errors: list[list[float]] = [[] for _ in range(joints)]

    def add(self, truth: Floats, prediction: Floats, seen: Sequence[bool] | None = None) -> None:
        """One hand: truth and prediction (K, D), and which of its joints count."""
        steps = np.asarray(truth, dtype=np.float64) - np.asarray(prediction, dtype=np.float64)
        for joint, step in enumerate(steps.tolist()):
            if seen is None or seen[joint]:
                self.errors[joint].append(math.sqrt(sum(part * part for part in step)))

    def mean(self) -> float:
        return _mean_of([float(np.mean(column)) for column in self.errors if column])

    def median(self) -> float:
        return _mean_of([float(np.median(column)) for column in self.errors if column])

    def pck(self, joint: int, threshold: float) -> float:
        """Share of one joint's distances that are at most `threshold`."""
        return float(np.mean(np.array(self.errors[joint]) <= threshold))

    def mean_pck(self, threshold: float) -> float:
        joints = [joint for joint, column in enumerate(self.errors) if column]
        return _mean_of([self.pck(joint, threshold) for joint in joints])

    def auc(self, low: float, high: float, n: int) -> float:
        """Trapezoid over n thresholds, both ends included, divided by the range."""
        thresholds = np.linspace(low, high, n).tolist()
        areas = []
        for joint, column in enumerate(self.errors):
            if not column:
                continue
            curve = [self.pck(joint, threshold) for threshold in thresholds]
            area = 0.0
            for i in range(1, n):
                area += (thresholds[i] - thresholds[i - 1]) * (curve[i] + curve[i - 1]) / 2
            areas.append(area / (high - low))
        return _mean_of(areas)


def _mean_of(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
