"""Errors → the numbers of a protocol: values, intervals, curves, and the signature over them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.errors import ScoreError
from handbench.scores.contributions import Contributions
from handbench.scores.definitions import define
from handbench.scores.intervals import (
    MIN_CLUSTERS,
    RELIABLE_CLUSTERS,
    RESAMPLES,
    ClusterSums,
    bootstrap,
    cluster_sums,
)
from handbench.scores.metric import Metric
from handbench.scores.protocol import Protocol
from handbench.scores.results import Evaluation, MetricValue, Results
from handbench.scores.sample_errors import SampleErrors

Floats = npt.NDArray[np.float64]


def make_numbers(errors: SampleErrors, protocols: Sequence[Protocol]) -> Evaluation:
    """Score measured errors under protocols.

    Parameters
    ----------
    errors
        Measured just now (:func:`handbench.scores.measuring.measure`) or read from a file.
    protocols
        Presets.

    Raises
    ------
    ScoreError
        If a protocol needs labels that the split has not.
    """
    contributions = Contributions(errors)
    groups = Groups.of(errors)
    about = errors.about
    ranks_by = {
        protocol.name: metric
        for protocol in protocols
        # The first that has a value stays.
        for metric in reversed(protocol.ranking_metrics)
        if contributions.reason_without(metric) is None
        and metric.quantity not in ("coverage", "OKS-AP")
    }
    primary = {
        protocol.name: contributions.of(ranks_by[protocol.name], protocol)
        for protocol in protocols
        if protocol.name in ranks_by
    }
    return Evaluation(
        results=[_results(protocol, contributions, groups) for protocol in protocols],
        errors=errors,
        missing=errors.sample_id[~errors.predicted].tolist(),
        extra=list(about.get("extra", [])),
        duplicate=list(about.get("duplicate", [])),
        warnings=list(about.get("warnings", [])),
        primary=primary,
        ranks_by=ranks_by,
        label_noise=dict(about.get("label_noise", {})),
    )


@dataclass(frozen=True)
class Groups:
    """What the bootstrap resamples: `index` (N,) of each hand's group, and their number."""

    index: npt.NDArray[np.intp]
    number: int
    unit: str

    @classmethod
    def of(cls, errors: SampleErrors) -> Groups:
        """Groups of the truth's cluster unit."""
        names, index = np.unique(errors.cluster, return_inverse=True)
        return cls(index.astype(np.intp), len(names), errors.about["cluster_unit"])

    def remark(self, scored: int) -> str:
        """How far the interval of a metric can be trusted that `scored` of these groups score."""
        if scored < MIN_CLUSTERS:
            return f"no interval: only {scored} groups ({self.unit})"
        interval = f"interval: {RESAMPLES:,} resamples of {self.number:,} groups ({self.unit})"
        interval += f", {scored:,} with a score" if scored < self.number else ""
        interval += ", unreliable" if scored < RELIABLE_CLUSTERS else ""
        return interval + "; without the variance between training runs"


def signature(protocol: Protocol, errors: SampleErrors) -> str:
    """What must be equal for two results to share a ranked column, as one line of text."""
    about = errors.about
    gt_used = about.get("gt_used")
    metrics = protocol.metrics(with_3d=bool(errors.labelled_3d.any()))
    parts = {
        "protocol": protocol.tag,
        "metrics": " ".join(map(str, metrics)),
        "expected": str(len(errors)),
        "truth": about["truth_sha256"],
        "ids": about["subset"] or "all",
        # Undeclared is not the same as nothing used, so it does not share a column with it.
        "gt_used": "unknown" if gt_used is None else "+".join(sorted(set(gt_used))) or "nothing",
        "box": str(about.get("box") or "unknown"),
        "missing": protocol.missing_rule,
    }
    # The hash of the truth covers labels and boxes alone.
    hashes = about.get("columns", {})
    columns = sorted({column for metric in metrics for column in metric.truth_columns})
    if columns:
        parts["columns"] = ", ".join(f"{name} {hashes.get(name, 'none')}" for name in columns)
    # Semicolons part the parts, so none may hide in a value.
    return "; ".join(f"{key}: {value.replace(';', ',')}" for key, value in parts.items())


def _results(protocol: Protocol, contributions: Contributions, groups: Groups) -> Results:
    errors = contributions.errors
    about, with_3d = errors.about, bool(errors.labelled_3d.any())
    in_2d = [metric for metric in protocol.metrics_2d if metric.quantity != "coverage"]
    if protocol.metrics_3d and not in_2d and not with_3d:
        raise ScoreError(
            f"{protocol.name}: its metrics ({', '.join(map(str, protocol.metrics_3d[:3]))} …) need "
            f"3D labels, and {about['dataset']} {about['split']} has none; choose a 2D protocol or "
            "2D metrics (EPE, PCK, AUC in px or of a box)"
        )
    values: dict[str, MetricValue] = {}
    per_joint: dict[str, list[float | None]] = {}
    blocks: dict[str, ClusterSums] = {}
    for metric in protocol.metrics(with_3d=with_3d):
        name, definition = str(metric), define(metric)
        reason = contributions.reason_without(metric)
        if reason is not None:
            no_value = f"{definition}; no value: {reason}"
            values[name] = MetricValue(None, metric.result_unit, no_value)
            continue
        if metric.quantity == "OKS-AP":
            definition += "; no interval: not a mean of hands"
            values[name] = MetricValue(about["values"][name], "fraction", definition)
            continue
        scores = contributions.of(metric, protocol)
        if metric.stat == "mean":
            columns, avg = m.arrange(scores, metric.avg, errors.is_right)
            value = m.average(columns, avg)
            if metric.of == "model":
                blocks[name] = cluster_sums(columns, groups.index, groups.number, avg)
        else:
            value = m.epe(scores, metric.stat, avg=metric.avg)
        definition += contributions.left_out(metric, protocol)
        values[name] = MetricValue(_number(value), metric.result_unit, definition)
        if metric.of == "model" and metric.per_joint:
            per_joint[name] = _per_joint(metric, scores)
    for (name, block), interval in zip(blocks.items(), bootstrap(list(blocks.values()))):
        plain = values[name]
        definition = f"{plain.definition}; {groups.remark(block.groups)}"
        values[name] = replace(plain, definition=definition, ci95=interval)
    predicted = int(errors.predicted.sum())
    return Results(
        dataset=about["dataset"],
        split=about["split"],
        model=dict(about["model"]),
        protocol=protocol.name,
        signature=signature(protocol, errors),
        samples={
            "expected": len(errors),
            "predicted": predicted,
            "missing": len(errors) - predicted,
            "extra": len(about.get("extra", [])),
            "duplicate": len(about.get("duplicate", [])),
        },
        metrics=values,
        per_joint=per_joint,
        curves=_curves(protocol, contributions),
        provenance=dict(about.get("provenance", {})),
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _per_joint(metric: Metric, scores: Floats) -> list[float | None]:
    if metric.stat == "mean":
        means, counts = m.joint_means(scores)
        return [_number(mean) if count else None for mean, count in zip(means, counts)]
    return [_number(m.epe(scores[:, [joint]], metric.stat)) for joint in range(scores.shape[1])]


def _curves(protocol: Protocol, contributions: Contributions) -> dict[str, dict[str, list[float]]]:
    curves = {}
    for curve in protocol.curves:
        if contributions.reason_without(curve.metric) is None:
            thresholds = np.linspace(0.0, curve.metric.high, curve.points)
            errors: m.Floats = contributions.distances(curve.metric)
            if protocol.single_precision:
                errors = errors.astype(np.float32)
            fractions = m.pck_curve(errors, thresholds, cmp=curve.metric.cmp, avg=curve.metric.avg)
            if not np.isnan(fractions).any():
                curves[curve.name] = {"x": thresholds.tolist(), "y": fractions.tolist()}
    return curves
