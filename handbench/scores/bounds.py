"""Numbers that bound each other: which of a result's numbers cannot stand together.

A wider threshold cannot find fewer points, the 95th percentile cannot lie below the median, a
metric that is a mean of joints must be the mean of its joints, and a PCK must lie on its own curve.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from handbench.hand import NUM_JOINTS
from handbench.scores.metric import Metric
from handbench.scores.protocol import Protocol
from handbench.scores.results import Results

AGAIN = "evaluate the predictions again, and leave the file as it is written"
SLACK = 1e-6
"""Room for sums in another order, and for protocols that compare in single precision."""


def contradictions(
    results: Results, metrics: Mapping[str, Metric], protocol: Protocol | None
) -> Iterator[str]:
    """Sentences about numbers of `results` that contradict each other.

    Parameters
    ----------
    results
        The numbers.
    metrics
        Its metric names that could be read, parsed.
    protocol
        The preset that made them, which says what its curves sweep; None where unknown.
    """
    yield from _order(results, metrics)
    yield from _joints(results, metrics)
    yield from _curves(results, metrics, protocol)


def _order(results: Results, metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Pairs of metrics of which one can never be above the other."""
    known = {
        metric: name for name, metric in metrics.items() if value_of(results, name) is not None
    }
    for low, high, why in _known_bounds(tuple(known)):
        one, other = value_of(results, known[low]), value_of(results, known[high])
        if one is not None and other is not None and one > other + SLACK * max(1.0, abs(other)):
            yield (
                f"{known[high]} is {other:.6g}, below {known[low]} with {one:.6g}: impossible, "
                f"because {why}; {AGAIN}"
            )


@functools.lru_cache(maxsize=64)
def _known_bounds(metrics: tuple[Metric, ...]) -> tuple[tuple[Metric, Metric, str], ...]:
    """The same for every result of a protocol, and a leaderboard has a thousand of them."""
    return tuple(_bounds(metrics))


def _bounds(metrics: Sequence[Metric]) -> Iterator[tuple[Metric, Metric, str]]:
    """(never above, the other, why) of metrics that are the same but for one thing."""
    for one in metrics:
        # A smaller threshold, a stricter comparison or another percentile of the same thing.
        if one.quantity in ("PCK", "F"):
            wider = [m for m in metrics if m.high > one.high and replace(m, high=one.high) == one]
            for metric in sorted(wider, key=lambda m: m.high)[:1]:
                yield one, metric, "what is right at a threshold is right at a wider one"
        if one.quantity == "AUC":
            at_end = replace(one, quantity="PCK", low=0.0, rule="exact", n=0)
            if at_end in metrics:
                yield one, at_end, "no point of a PCK curve lies above its last"
            wider = [m for m in metrics if m.high > one.high and replace(m, high=one.high) == one]
            if one.rule == "exact" and one.low == 0:
                for metric in sorted(wider, key=lambda m: m.high)[:1]:
                    yield one, metric, "the PCK rises with its threshold, and so does its mean"
        if one.cmp == "lt" and one.quantity in ("PCK", "AUC"):
            loose = replace(one, cmp="le")
            if loose in metrics:
                yield one, loose, "what is below a threshold is not above it"
        if one.missing == "wrong" and one.quantity in ("PCK", "AUC", "F"):
            found = replace(one, missing="drop")
            if found in metrics:
                yield one, found, "a missed hand that counts as wrong cannot raise a score"
    by_stat: dict[Metric, list[Metric]] = {}
    for metric in metrics:
        if metric.stat != "mean":
            by_stat.setdefault(replace(metric, stat="mean"), []).append(metric)
    for same in by_stat.values():
        same.sort(key=_percent)
        for one, other in itertools.pairwise(same):
            yield one, other, "percentiles rise"


def _percent(metric: Metric) -> float:
    return 50.0 if metric.stat == "median" else float(metric.stat[1:])


def _joints(results: Results, metrics: Mapping[str, Metric]) -> Iterator[str]:
    """The value of a metric is made from those of its joints."""
    for name, listed in results.per_joint.items():
        metric, value = metrics.get(name), value_of(results, name)
        if len(listed) != NUM_JOINTS:
            yield f"per_joint of {name}: {len(listed)} numbers, expected {NUM_JOINTS}: {AGAIN}"
            continue
        there = [number for number in listed if number is not None]
        if metric is None or value is None or not there:
            continue
        slack = SLACK * max(1.0, abs(value))
        if metric.avg == "joint" and abs(sum(there) / len(there) - value) > slack:
            yield (
                f"{name} is {value:.6g}, but the mean of its joints is "
                f"{sum(there) / len(there):.6g}: {AGAIN}"
            )
        elif metric.stat == "mean" and not min(there) - slack <= value <= max(there) + slack:
            yield (
                f"{name} is {value:.6g}, but its joints lie between {min(there):.6g} and "
                f"{max(there):.6g}: {AGAIN}"
            )


def _curves(
    results: Results, metrics: Mapping[str, Metric], preset: Protocol | None
) -> Iterator[str]:
    swept = {} if preset is None else {curve.name: curve.metric for curve in preset.curves}
    for name, curve in results.curves.items():
        x, y = curve["x"], curve["y"]
        if len(x) != len(y) or len(x) < 2:
            yield (
                f"curve {name}: {len(x)} thresholds and {len(y)} fractions, expected as many of "
                f"both and at least two: {AGAIN}"
            )
            continue
        if any(number is None or not -SLACK <= number <= 1 + SLACK for number in y):
            yield f"curve {name}: a fraction is missing or not between 0 and 1: {AGAIN}"
            continue
        if any(a >= b for a, b in itertools.pairwise(x)):
            yield f"curve {name}: thresholds do not rise: {AGAIN}"
            continue
        falls = [(a, b) for a, b in itertools.pairwise(y) if b < a - SLACK]
        if falls:
            yield (
                f"curve {name} falls from {falls[0][0]:.6g} to {falls[0][1]:.6g}: impossible, "
                f"because what is right at a threshold is right at a wider one; {AGAIN}"
            )
            continue
        if name in swept:
            yield from _on_curve(results, metrics, swept[name], name, x, y)


def _on_curve(
    results: Results,
    metrics: Mapping[str, Metric],
    swept: Metric,
    curve: str,
    x: Sequence[float],
    y: Sequence[float],
) -> Iterator[str]:
    """PCK and AUC of the metric that a curve sweeps must be what the curve says."""
    for name, metric in metrics.items():
        value = value_of(results, name)
        if value is None or metric.quantity not in ("PCK", "AUC"):
            continue
        told: float | None = None
        if replace(metric, high=swept.high) == swept:
            near = int(np.argmin(np.abs(np.subtract(x, metric.high))))
            told = y[near] if math.isclose(x[near], metric.high, rel_tol=1e-9) else None
        elif metric.quantity == "AUC" and metric.rule == "trapz" and metric.low == 0:
            end = replace(metric, quantity="PCK", rule="exact", n=0)
            if end == swept and metric.n == len(x):
                heights = np.asarray(y)
                area = float(((heights[1:] + heights[:-1]) / 2 * np.diff(x)).sum())
                told = area / (x[-1] - x[0])
        if told is not None and abs(told - value) > 10 * SLACK:
            yield f"{name} is {value:.6g}, but its curve {curve} says {told:.6g}: {AGAIN}"


def value_of(results: Results, name: str) -> float | None:
    """Value of the metric `name`; None where it has none."""
    entry = results.metrics.get(name)
    return None if entry is None else entry.value
