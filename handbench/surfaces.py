"""F-score of surfaces: how much of two meshes lies within a distance of the other.

References
----------
Knapitsch et al., "Tanks and Temples", 2017, as used by FreiHAND's and HO-3D's ``eval.py``
(``calculate_fscore``): nearest neighbours among vertices, strict comparison.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]


def f_scores(prediction: Points, truth: Points, thresholds: Sequence[float]) -> Floats:
    """F-score of every hand at every threshold.

    Precision is the share of predicted vertices with a true vertex nearer than t, recall the share
    of true vertices with a predicted one nearer than t, F their harmonic mean, 0 where both are 0.

    Parameters
    ----------
    prediction
        (N, V, 3); a row with NaN was not predicted.
    truth
        (N, W, 3) in the same unit.
    thresholds
        T distances in that unit.

    Returns
    -------
    (N, T) float64 in 0-1; NaN where there is no prediction.
    """
    limits = np.asarray(thresholds, dtype=np.float64)

    def score(row: int) -> Floats:
        return _f_score(prediction[row], truth[row], limits)

    # The tree releases the interpreter while it searches.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = list(pool.map(score, range(len(prediction)), chunksize=64))
    return np.stack(rows) if rows else np.empty((0, len(limits)))


def _f_score(prediction: Points, truth: Points, limits: Floats) -> Floats:
    if np.isnan(prediction).any() or np.isnan(truth).any():
        return np.full(len(limits), np.nan)
    reach = float(limits.max())
    gap = np.maximum(
        truth.min(axis=0) - prediction.max(axis=0), prediction.min(axis=0) - truth.max(axis=0)
    )
    if float(gap.max()) >= reach:
        return np.zeros(len(limits))
    near = np.zeros(0, dtype=bool)
    if prediction.shape == truth.shape:
        # A vertex whose own partner is within the smallest threshold is a hit at all of them, and
        # for most predictions that settles most vertices without a search.
        step = prediction - truth
        near = np.sqrt((step * step).sum(axis=1)) < limits.min()
    precision = _share_near(prediction, truth, limits, near)
    recall = _share_near(truth, prediction, limits, near)
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1.0), 0.0)


def _share_near(
    points: Points, surface: Points, limits: Floats, near: npt.NDArray[np.bool_]
) -> Floats:
    """Share of `points` (V, 3) with a point of `surface` nearer than each limit."""
    from scipy.spatial import cKDTree

    searched = points[~near] if near.size else points
    if not len(searched):
        return np.ones(len(limits))
    tree = cKDTree(surface, balanced_tree=False, compact_nodes=False)
    reach = np.nextafter(limits.max(), np.inf)
    distances, _ = tree.query(searched, distance_upper_bound=reach)
    hits = (distances[:, None] < limits).sum(axis=0) + near.sum()
    share: Floats = hits / len(points)
    return share
