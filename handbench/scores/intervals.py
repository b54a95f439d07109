"""95 % intervals by resampling whole groups of hands.

Hands of one group (a recording, the views of one instant, a pose in its four versions) are not
independent, so the bootstrap draws groups with replacement, never single hands. Every metric that
is a mean is a ratio of sums, and a group enters it only through its sums: a thousand resamples are
a thousand weightings of one small table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.metrics import Average, Floats

MIN_CLUSTERS = 6
"""Fewer groups than this give no interval: their resamples repeat each other."""
RELIABLE_CLUSTERS = 20
"""Fewer groups than this give an interval that is marked as unreliable."""
RESAMPLES = 1000
SEED = 0

# Weights are kept for blocks of about this many numbers, which bounds the memory at 32 MB.
_BLOCK = 4_000_000


@dataclass(frozen=True)
class ClusterSums:
    """What the bootstrap needs of one metric.

    Attributes
    ----------
    totals, counts
        (C, K): sum and number of a metric's scores in every group, for each of K joints; K is 1
        when joints need not be told apart.
    """

    totals: npt.NDArray[np.float64]
    counts: npt.NDArray[np.float64]

    @property
    def groups(self) -> int:
        """Number of groups with a score: those without tell nothing, however many there are."""
        return int((self.counts > 0).any(axis=1).sum())


def cluster_sums(
    scores: Floats, cluster: npt.NDArray[np.intp], clusters: int, avg: Average
) -> ClusterSums:
    """Sums of scores (N, K) over groups.

    Parameters
    ----------
    scores
        (N, K); NaN and inf are left out.
    cluster
        (N,) index of each hand's group, 0 to `clusters` - 1.
    clusters
        C, the number of groups.
    avg
        ``"joint"`` keeps joints apart, ``"pool"`` adds them up.
    """
    there = np.isfinite(scores)
    values = np.where(there, scores, 0.0)
    # Joints that are labelled together in every hand have equal counts, and the mean of their
    # means is the pooled mean: one column then does for all.
    if avg == "pool" or (there == there[:, :1]).all():
        values, there = values.sum(axis=1, keepdims=True), there.sum(axis=1, keepdims=True)
    columns = range(values.shape[1])
    totals = [np.bincount(cluster, weights=values[:, k], minlength=clusters) for k in columns]
    counts = [np.bincount(cluster, weights=there[:, k], minlength=clusters) for k in columns]
    return ClusterSums(np.stack(totals, axis=1), np.stack(counts, axis=1))


def bootstrap(
    blocks: Sequence[ClusterSums], *, resamples: int = RESAMPLES, seed: int = SEED
) -> list[tuple[float, float] | None]:
    """Percentile intervals of several metrics from the same resamples.

    Parameters
    ----------
    blocks
        One a metric, all with the same C groups.
    resamples
        How often C groups are drawn with replacement.
    seed
        Of the random numbers.

    Returns
    -------
    For each metric the 2.5th and 97.5th percentile; None where fewer than :data:`MIN_CLUSTERS`
    groups have a score.
    """
    if not blocks or len(blocks[0].totals) < MIN_CLUSTERS:
        return [None] * len(blocks)
    clusters = len(blocks[0].totals)
    table = np.concatenate([part for b in blocks for part in (b.totals, b.counts)], axis=1)
    rng = np.random.default_rng(seed)
    sums = np.empty((resamples, table.shape[1]))
    step = max(1, _BLOCK // clusters)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        weights = np.empty((rows, clusters))
        for row in weights:
            drawn = rng.integers(0, clusters, size=clusters)
            row[:] = np.bincount(drawn, minlength=clusters)
        sums[start : start + rows] = weights @ table
    intervals: list[tuple[float, float] | None] = []
    column = 0
    for block in blocks:
        width = block.totals.shape[1]
        totals = sums[:, column : column + width]
        counts = sums[:, column + width : column + 2 * width]
        intervals.append(_percentiles(totals, counts) if block.groups >= MIN_CLUSTERS else None)
        column += 2 * width
    return intervals


def _percentiles(totals: Floats, counts: Floats) -> tuple[float, float] | None:
    """Interval of the mean of joint means over resamples (B, K)."""
    labelled = counts > 0
    joints = labelled.sum(axis=1)
    # A resample can miss every hand that has some rare joint: average over the others.
    means = np.where(labelled, totals / np.where(labelled, counts, 1.0), 0.0).sum(axis=1)
    values = means[joints > 0] / joints[joints > 0]
    if not values.size:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
