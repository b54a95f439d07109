"""Who is best at what: results that may share a ranked column, ordered and marked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from handbench.scores.results import Evaluation, MetricValue, Results

# A metric whose name begins like this is an error: the smaller, the better.
_ERROR_NAME = re.compile(r"^(PA-)?(EPE|MPJPE|MPVPE|PVE|NME)\b", re.IGNORECASE)


def smaller_is_better(metric: str) -> bool:
    """Whether a metric of this name is an error (EPE, MPJPE, NME …) rather than a score."""
    return _ERROR_NAME.match(metric) is not None


def display(metric: MetricValue) -> str:
    """Return the value as text: fractions with four decimals, lengths with two."""
    return number(metric.value, metric.unit)


def number(value: float | None, unit: str) -> str:
    """Return `value` as text for its unit; a dash where there is none."""
    if value is None or not np.isfinite(value):
        return "–"
    return f"{value:.4f}" if unit == "fraction" else f"{value:,.2f}"


@dataclass(frozen=True)
class Ranking:
    """Models that may share ranked columns: same protocol, same signature.

    Attributes
    ----------
    protocol, signature
        What they share.
    metrics
        Columns: metric name → definition and unit, from the first model.
    rows
        (index of the evaluation, its results), best first by the first metric that has values.
    best
        Metric name → indices of the evaluations with the best value.
    ranked_by
        The metric that orders the rows, or "".
    """

    protocol: str
    signature: str
    metrics: dict[str, MetricValue]
    rows: list[tuple[int, Results]]
    best: dict[str, set[int]]
    ranked_by: str


def rankings(evaluations: Sequence[Evaluation]) -> list[Ranking]:
    """Group results by protocol and signature and rank each group.

    Numbers under different signatures are different quantities, so they never share a column.
    """
    groups: dict[tuple[str, str], list[tuple[int, Results]]] = {}
    for i, evaluation in enumerate(evaluations):
        for results in evaluation.results:
            groups.setdefault((results.protocol, results.signature), []).append((i, results))
    return [_ranked(protocol, signature, rows) for (protocol, signature), rows in groups.items()]


def _ranked(protocol: str, signature: str, rows: list[tuple[int, Results]]) -> Ranking:
    metrics: dict[str, MetricValue] = {}
    for _, results in rows:
        for name, metric in results.metrics.items():
            metrics.setdefault(name, metric)
    values = {
        name: {i: v for i, results in rows if (v := _value(results, name)) is not None}
        for name in metrics
    }
    best = {}
    for name, known in values.items():
        if known:
            top = min(known.values()) if smaller_is_better(name) else max(known.values())
            best[name] = {i for i, value in known.items() if value == top}
    ranked_by = _ranking_metric(values)
    if ranked_by:
        sign = 1.0 if smaller_is_better(ranked_by) else -1.0
        known = values[ranked_by]
        # Python's sort is stable: models without a value keep their order at the end.
        rows = sorted(rows, key=lambda row: sign * known[row[0]] if row[0] in known else np.inf)
    return Ranking(protocol, signature, metrics, rows, best, ranked_by)


def _value(results: Results, name: str) -> float | None:
    metric = results.metrics.get(name)
    if metric is None or metric.value is None or not np.isfinite(metric.value):
        return None
    return metric.value


def _ranking_metric(values: dict[str, dict[int, float]]) -> str:
    """First metric that tells models apart, preferring those that count missed hands as wrong."""
    known = [name for name, column in values.items() if column and name != "coverage"]
    scores = [name for name in known if not smaller_is_better(name)]
    areas = [name for name in scores if name.startswith(("AUC", "OKS-AP"))]
    return next(iter(areas or scores or known), "")
