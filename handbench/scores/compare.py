"""Several models on the same data: who may be ranked with whom, and which differences are real.

Only results with equal signatures share a ranking. Within one, each model is tested against the
best (:mod:`handbench.scores.paired`), and p-values are corrected by Holm's method for the number of
models tested. Where the error of the labels themselves is known, smaller differences are marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from handbench.metrics import epe
from handbench.scores.contributions import Contributions
from handbench.scores.metric import Metric
from handbench.scores.paired import PairedTest, holm, paired_test
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation, MetricValue, Results

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
        Share of expected hands that were predicted. For a metric of the hands found: in what it
        measures, which may be 3D alone.
    difference, p, effect
        To the best model: mean difference of paired scores, Holm-corrected p-value and Cohen's d
        of the groups' differences; None for the best itself and where a test is not possible.
    below_noise
        Says that the mean errors differ from the best's by less than the labels' own error; ""
        where they do not, or that error is not known.
    """

    rank: int | None
    label: str
    metric: MetricValue
    coverage: float
    difference: float | None = None
    p: float | None = None
    effect: float | None = None
    below_noise: str = ""

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
    metric = next((m for m in protocol.ranking_metrics if _any_value(models, m)), protocol.primary)
    name = str(metric)
    values = [results.metrics[name] for _, _, results in models]
    coverages = [_coverage(evaluation, results, metric) for _, evaluation, results in models]
    valued = {coverage for coverage, v in zip(coverages, values) if v.value is not None}
    remark = ""
    if not valued:
        remark = f"not ranked: no model has a value of {name}"
    elif over_found(metric) and len(valued) > 1:
        remark = (
            f"not ranked: {name} is over the hands found, and coverage differs "
            f"({min(valued):.1%} to {max(valued):.1%})"
        )
    worst = np.inf if metric.is_distance else -np.inf
    keys = [worst if value.value is None else value.value for value in values]
    order = sorted(range(len(models)), key=keys.__getitem__, reverse=not metric.is_distance)
    ranked = [i for i in order if values[i].value is not None and not remark]
    tests: dict[int, PairedTest] = {}
    noise: dict[int, str] = {}
    if ranked:
        best = models[ranked[0]][1]
        tests = {i: _test(models[i][1], best, protocol.name) for i in ranked[1:]}
        corrected = holm([test.p for test in tests.values()])
        tests = {i: replace(tests[i], p=p) for i, p in zip(tests, corrected)}
        noise = {i: _below_noise(models[i][1], best, metric) for i in ranked[1:]}
    rows = []
    for i in order:
        # A tie shares its rank.
        place = 1 + sum(_better(keys[j], keys[i], metric) for j in ranked) if i in ranked else None
        test = tests.get(i, PairedTest())
        rows.append(
            Row(
                place,
                models[i][0],
                values[i],
                coverages[i],
                difference=test.difference,
                p=test.p,
                effect=test.effect,
                below_noise=noise.get(i, ""),
            )
        )
    return Ranking(protocol.tag, models[0][2].signature, name, rows, remark)


def _any_value(models: Sequence[tuple[str, Evaluation, Results]], metric: Metric) -> bool:
    found = (results.metrics.get(str(metric)) for _, _, results in models)
    return any(value is not None and value.value is not None for value in found)


def _test(evaluation: Evaluation, best: Evaluation, protocol: str) -> PairedTest:
    scores, other = evaluation.primary.get(protocol), best.primary.get(protocol)
    if scores is None or other is None or best.ranks_by[protocol].stat != "mean":
        return PairedTest()  # not a mean of scores of hands
    errors = best.errors
    avg = best.ranks_by[protocol].avg
    return paired_test(scores, other, errors.cluster, avg, errors.is_right)


def _below_noise(evaluation: Evaluation, best: Evaluation, metric: Metric) -> str:
    """Sentence if two models' mean errors differ by less than the labels' own error."""
    unit = "mm" if metric.is_3d else "px"
    noise = best.label_noise.get(unit)
    one, other = (
        e.errors.root_mm if metric.is_3d else e.errors.errors_px for e in (evaluation, best)
    )
    if noise is None or one is None or other is None:
        return ""
    # A missed hand has no distance, so only hands that both found can be compared.
    both = np.isfinite(one) & np.isfinite(other)
    if not both.any():
        return ""
    gap = abs(epe(np.where(both, one - other, np.nan)))
    if gap >= noise:
        return ""
    measure = "MPJPE[mm,root=0]" if metric.is_3d else "EPE[px]"
    return f"{measure} differs by {gap:.2g} {unit}, less than the labels' own error ({noise:g})"


def _better(one: float, other: float, metric: Metric) -> bool:
    return one < other if metric.is_distance else one > other


def over_found(metric: Metric) -> bool:
    """Whether a metric is of the hands that were found alone, so that it needs its coverage."""
    return metric.missing == "drop" and metric.quantity != "coverage"


def _coverage(evaluation: Evaluation, results: Results, metric: Metric) -> float:
    predicted = results.samples["predicted"] / max(1, results.samples["expected"])
    if not over_found(metric) or results.metrics[str(metric)].value is None:
        return predicted
    # A model may predict a hand in 2D and leave its 3D out.
    return min(predicted, Contributions(evaluation.errors).coverage(metric))
