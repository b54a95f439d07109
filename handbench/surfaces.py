"""F-score of surfaces: how much of two meshes lies within a distance of the other.

References
----------
Knapitsch et al., "Tanks and Temples", 2017, as used by FreiHAND's and HO-3D's ``eval.py``
(``calculate_fscore``): nearest neighbours among vertices, strict comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Points = npt.NDArray[np.floating[Any]]

# Products of 64 × 5 × some hundred numbers stay in the processor's cache, and BLAS libraries start
# no threads for them, which would cost more than the product.
_STRIP = 64


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

    >>> hand = np.zeros((1, 1, 3))
    >>> f_scores(hand + [0.01, 0.0, 0.0], hand, [0.005, 0.015])
    array([[0., 1.]])
    """
    limits = np.asarray(thresholds, dtype=np.float64)
    rows = [_f_score(found, true, limits) for found, true in zip(prediction, truth)]
    return np.stack(rows) if rows else np.empty((0, len(limits)))


def _f_score(prediction: Points, truth: Points, limits: Floats) -> Floats:
    if np.isnan(prediction).any() or np.isnan(truth).any():
        return np.full(len(limits), np.nan)
    found, true = nearest_squares(prediction, truth, float(limits.max()))
    precision, recall = (
        np.array([np.count_nonzero(squares < limit**2) for limit in limits]) / len(squares)
        for squares in (found, true)
    )
    total = precision + recall
    return np.where(total > 0, 2 * precision * recall / np.where(total > 0, total, 1.0), 0.0)


def nearest_squares(first: Points, second: Points, reach: float) -> tuple[Floats, Floats]:
    """Squared distance from every point to the nearest one of the other cloud, both ways.

    Both clouds are sorted along the longest side of `second` and compared strip by strip, each
    strip with what may lie within `reach` of it. For the size of hands that takes less than half
    the time of a k-d tree.

    Parameters
    ----------
    first, second
        (V, 3) and (W, 3).
    reach
        Distance up to which the answer matters.

    Returns
    -------
    (V,) and (W,) float64 in no particular order; where the nearest point is farther than `reach`,
    the square is that of some farther point, or inf.
    """
    middle = second.mean(axis=0, dtype=np.float64)
    points, others = first - middle, second - middle
    axis = int((others.max(axis=0) - others.min(axis=0)).argmax())
    points = points[points[:, axis].argsort()]
    others = others[others[:, axis].argsort()]
    # |p - q|² = [p, |p|², 1] · [-2 q, 1, |q|²]. About the middle of a hand the squares are small,
    # and their difference keeps about twelve digits of a threshold's.
    left, right = np.ones((len(points), 5)), np.ones((len(others), 5))
    left[:, :3], left[:, 3] = points, (points * points).sum(axis=1)
    right[:, :3], right[:, 4] = -2.0 * others, (others * others).sum(axis=1)
    right = np.ascontiguousarray(right.T)

    nearest = np.full(len(points), np.inf)
    nearest_back = np.full(len(others), np.inf)
    starts = np.arange(0, len(points), _STRIP)
    ends = np.minimum(starts + _STRIP, len(points))
    low = np.searchsorted(others[:, axis], points[starts, axis] - reach)
    high = np.searchsorted(others[:, axis], points[ends - 1, axis] + reach, side="right")
    for start, end, first_near, last_near in zip(
        starts.tolist(), ends.tolist(), low.tolist(), high.tolist()
    ):
        if first_near < last_near:
            squares = left[start:end] @ right[:, first_near:last_near]
            np.minimum.reduce(squares, axis=1, out=nearest[start:end])
            back = nearest_back[first_near:last_near]
            np.minimum(back, np.minimum.reduce(squares, axis=0), out=back)
    return nearest, nearest_back
