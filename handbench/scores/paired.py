"""Is one model better than another, or was it the luck of these hands? A paired test on groups.

If two models were alike, exchanging their scores on any group of hands would change nothing. So the
signs of the groups' differences are flipped at random, and the p-value is the share of such
patterns with a difference as large as the one seen. Hands of one group (a recording, the views of
one instant) are flipped together, because they are not independent.

References
----------
Paired randomisation tests of systems: Riezler and Maxwell, "On some pitfalls in automatic
evaluation and significance testing for MT", 2005. Effect size: Cohen's d of paired differences.
Correction: Holm, "A simple sequentially rejective multiple test procedure", 1979.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.metrics import Average, arrange
from handbench.scores.intervals import MIN_CLUSTERS

Floats = npt.NDArray[np.float64]

ROUNDING = 1e-9
"""Differences below this share of the largest score are rounding."""
PERMUTATIONS = 9999
SEED = 0


@dataclass(frozen=True)
class PairedTest:
    """One model compared with another on the same hands.

    Attributes
    ----------
    difference
        Mean of the one's scores minus the other's, averaged as the metric is; None if no joint is
        shared.
    p
        Two-sided; None with fewer than :data:`~handbench.scores.intervals.MIN_CLUSTERS` groups.
    effect
        Cohen's d_z: mean over standard deviation of what the groups add to the difference. About
        0.2 is a small effect, 0.8 a large one, however many groups there are. None where the
        difference is the same in all groups, or there is no `p`.
    groups
        Groups that share a joint.
    """

    difference: float | None = None
    p: float | None = None
    effect: float | None = None
    groups: int = 0


def paired_test(
    scores: Floats,
    other: Floats,
    cluster: npt.NDArray[np.str_],
    avg: Average,
    is_right: npt.NDArray[np.int8] | None = None,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> PairedTest:
    """Sign-flip permutation test on groups of hands.

    Parameters
    ----------
    scores, other
        (N, K) scores of two models on the same hands; a joint counts where both have a score.
    cluster
        (N,) group of each hand: its difference is kept or flipped as a whole.
    avg
        How the metric averages (:func:`handbench.metrics.average`).
    is_right
        (N,) sides, for ``avg="side"``.
    permutations
        Random sign patterns; with the observed one added, the smallest possible p is
        1 / (permutations + 1).
    seed
        Of the random numbers.

    Raises
    ------
    ScoreError
        If the two models were scored on different hands.
    """
    if scores.shape != other.shape:
        raise ScoreError(
            f"a paired test needs the same hands, found shapes {scores.shape} and {other.shape}"
        )
    both = np.isfinite(scores) & np.isfinite(other)
    if not both.any():
        return PairedTest()
    gaps = np.where(both, scores - other, np.nan)
    # What two machines or libraries round otherwise is no difference.
    gaps[np.abs(gaps) <= ROUNDING * np.abs(scores[both]).max()] = 0.0
    columns, avg = arrange(gaps, avg, is_right)
    there = ~np.isnan(columns)
    counts = there.sum(axis=0)
    if avg == "joint":
        weights = 1.0 / (np.maximum(counts, 1) * (counts > 0).sum())
    else:
        weights = np.full(len(counts), 1.0 / counts.sum())
    added = np.where(there, columns, 0.0) @ weights
    shared = there.any(axis=1)
    names, index = np.unique(cluster[shared], return_inverse=True)
    sums: Floats = np.bincount(index, added[shared], len(names)).astype(np.float64)
    total = float(sums.sum())
    if len(names) < MIN_CLUSTERS:
        return PairedTest(total, groups=len(names))
    spread = float(sums.std(ddof=1))
    # Equal differences leave rounding errors, not a spread.
    known = spread > 1e-9 * float(np.abs(sums).max())
    effect = float(sums.mean()) / spread if known else None
    return PairedTest(total, _p_value(sums, permutations, seed), effect, len(names))


def _p_value(sums: Floats, permutations: int, seed: int) -> float:
    """Share of sign patterns under which the sum is as large as it is; `sums` (C,) of groups."""
    rng = np.random.default_rng(seed)
    as_large = 0
    # Sums that are equal but for rounding count as equally large.
    limit = abs(float(sums.sum())) * (1 - 1e-9)
    step = max(1, 4_000_000 // len(sums))
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        signs = rng.integers(0, 2, size=(rows, len(sums)), dtype=np.int8) * 2.0 - 1.0
        as_large += int((np.abs(signs @ sums) >= limit).sum())
    return (as_large + 1) / (permutations + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None stays None and does not count as a test.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for place, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - place)))
        corrected[i] = largest
    return corrected
