"""Several models on the same data: who may be ranked with whom, and which differences are real.

Only results with equal signatures share a ranking. Within one, each model is tested against the
best by a paired permutation test on whole groups: if two models were alike, swapping their errors
on any group of hands would change nothing, so the signs of the groups' differences are flipped at
random. p-values are corrected by Holm's method for the number of models tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.scores.intervals import MIN_CLUSTERS
from handbench.scores.metric import Metric
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation, MetricValue, Results

Floats = npt.NDArray[np.float64]

PERMUTATIONS = 9999
SEED = 0
LEVEL = 0.05


@dataclass(frozen=True)
class Row:
    """A model in a ranking.

    Attributes
    ----------
    rank
        1 is best; None when the metric has no value or may not be ranked.
    label
        Name of the model.
    metric
        Value of the metric that ranks.
    coverage
        Share of expected hands that were predicted.
    difference, p
        To the best model: mean difference of paired scores and Holm-corrected p-value; None for
        the best itself and where a test is not possible.
    """

    rank: int | None
    label: str
    metric: MetricValue
    coverage: float
    difference: float | None = None
    p: float | None = None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the difference to the best is significant at 5 %; None if not tested."""
        return None if self.p is None else self.p < LEVEL


@dataclass(frozen=True)
class Ranking:
    """Models that may be ranked together: same protocol, same signature.

    `remark` says why there are no ranks, or is empty.
    """

    protocol: str
    signature: str
    metric: str
    rows: list[Row]
    remark: str = ""


def rank(
    evaluations: Sequence[Evaluation], labels: Sequence[str], protocol: Protocol
) -> list[Ranking]:
    """One ranking for every signature, by the protocol's primary metric.

    Parameters
    ----------
    evaluations
        All scored under `protocol`, among others.
    labels
        A name for each, unique.
    protocol
        Its `primary` ranks.
    """
    by_signature: dict[str, list[tuple[str, Evaluation, Results]]] = {}
    for label, evaluation in zip(labels, evaluations, strict=True):
        for results in evaluation.results:
            if results.protocol == protocol.name:
                group = by_signature.setdefault(results.signature, [])
                group.append((label, evaluation, results))
    return [_rank(group, protocol) for group in by_signature.values()]


def _rank(models: Sequence[tuple[str, Evaluation, Results]], protocol: Protocol) -> Ranking:
    metric, name = protocol.primary, str(protocol.primary)
    values = [results.metrics[name] for _, _, results in models]
    coverages = [_coverage(results) for _, _, results in models]
    remark = ""
    if metric.missing == "drop" and metric.quantity != "coverage" and len(set(coverages)) > 1:
        remark = (
            f"not ranked: {name} is over the hands found, and coverage differs "
            f"({min(coverages):.1%} to {max(coverages):.1%})"
        )
    worst = np.inf if metric.is_distance else -np.inf
    keys = [worst if value.value is None else value.value for value in values]
    order = sorted(range(len(models)), key=keys.__getitem__, reverse=not metric.is_distance)
    ranked = [i for i in order if values[i].value is not None and not remark]
    differences: dict[int, tuple[float | None, float | None]] = {}
    if ranked:
        best = models[ranked[0]][1]
        tests = {i: _test(models[i][1], best, protocol) for i in ranked[1:]}
        corrected = holm([p for _, p in tests.values()])
        differences = {i: (tests[i][0], p) for i, p in zip(tests, corrected)}
    rows = []
    for i in order:
        # A tie shares its rank.
        place = 1 + sum(_better(keys[j], keys[i], metric) for j in ranked) if i in ranked else None
        difference, p = differences.get(i, (None, None))
        rows.append(Row(place, models[i][0], values[i], coverages[i], difference, p))
    return Ranking(protocol.tag, models[0][2].signature, name, rows, remark)


def _test(
    evaluation: Evaluation, best: Evaluation, protocol: Protocol
) -> tuple[float | None, float | None]:
    scores, other = evaluation.primary.get(protocol.name), best.primary.get(protocol.name)
    if scores is None or other is None:
        return None, None
    return paired_test(scores, other, best.errors.cluster, protocol.primary)


def _better(one: float, other: float, metric: Metric) -> bool:
    return one < other if metric.is_distance else one > other


def _coverage(results: Results) -> float:
    return results.samples["predicted"] / max(1, results.samples["expected"])


def paired_test(
    scores: Floats,
    other: Floats,
    cluster: npt.NDArray[np.str_],
    metric: Metric,
    *,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> tuple[float | None, float | None]:
    """Sign-flip permutation test on groups of hands.

    Parameters
    ----------
    scores, other
        (N, K) scores of two models on the same hands; a joint counts where both have a score.
    cluster
        (N,) group of each hand: its difference is kept or flipped as a whole.
    metric
        Says whether joints are averaged first.
    permutations
        Random sign patterns; with the observed one added, the smallest possible p is
        1 / (permutations + 1).
    seed
        Of the random numbers.

    Returns
    -------
    difference
        Mean of `scores` - `other`, averaged as the metric is; None if no joint is shared.
    p
        Two-sided; None with fewer than :data:`~handbench.scores.intervals.MIN_CLUSTERS` groups.
    """
    if scores.shape != other.shape:
        raise ScoreError(
            f"a paired test needs the same hands, found shapes {scores.shape} and {other.shape}"
        )
    both = np.isfinite(scores) & np.isfinite(other)
    if not both.any():
        return None, None
    counts = both.sum(axis=0)
    if metric.avg == "joint":
        weights = 1.0 / (np.maximum(counts, 1) * (counts > 0).sum())
    else:
        weights = np.full(len(counts), 1.0 / counts.sum())
    differences = np.where(both, scores - other, 0.0) @ weights
    names, index = np.unique(cluster, return_inverse=True)
    sums = np.bincount(index, weights=differences, minlength=len(names))
    total = float(sums.sum())
    if len(names) < MIN_CLUSTERS:
        return total, None
    rng = np.random.default_rng(seed)
    as_large = 0
    # Sums that are equal but for rounding count as equally large.
    limit = abs(total) * (1 - 1e-9)
    step = max(1, 4_000_000 // len(names))
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        signs = rng.integers(0, 2, size=(rows, len(names)), dtype=np.int8) * 2.0 - 1.0
        as_large += int((np.abs(signs @ sums) >= limit).sum())
    return total, (as_large + 1) / (permutations + 1)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction; None stays None and does not count as a test.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    tested = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank_, (p, i) in enumerate(tested):
        largest = max(largest, min(1.0, p * (len(tested) - rank_)))
        corrected[i] = largest
    return corrected
