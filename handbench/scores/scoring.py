"""Score predictions: match, measure under each protocol, sign, and keep what it came from."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.errors import ScoreError
from handbench.files import sha256_file
from handbench.hdf5.reader import HandFile
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions
from handbench.provenance import provenance
from handbench.scores.average_precision import oks_ap
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
from handbench.scores.matching import Matched, match
from handbench.scores.metric import Metric
from handbench.scores.names import parse
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import custom_protocol, find_protocol
from handbench.scores.refusals import check_predictions, check_truth
from handbench.scores.results import Evaluation, MetricValue, Results, SampleErrors
from handbench.scores.sanity import warnings_about
from handbench.scores.truth import Truth, read_truth

Floats = npt.NDArray[np.float64]
PathLike = str | os.PathLike[str]


def evaluate(
    predictions: PathLike | Predictions,
    data: PathLike | HandFile,
    protocol: str | Sequence[str] = ("handbench", "mmpose"),
    *,
    metrics: Sequence[str] = (),
    ids: Iterable[str] | None = None,
    ids_from: str = "ids",
) -> Evaluation:
    """Score one predictions file against the truth of its split.

    Parameters
    ----------
    predictions
        A file (:func:`~handbench.predictions.read.read_predictions`) or predictions in memory.
    data
        The HDF5 file that was predicted on. Scores are computed in *source* pixels and in the
        source camera, whatever the crop of this file.
    protocol
        Name or names of protocols.
    metrics
        Names of further metrics, scored as protocol ``custom``.
    ids
        Score only these samples.
    ids_from
        Where `ids` come from, for messages.

    Returns
    -------
    Evaluation with one :class:`Results` a protocol.

    Raises
    ------
    PredictionsError
        If the predictions cannot be read or do not belong to this data.
    ScoreError
        If a protocol, metric or id is unknown, or the split has no labels.
    """
    names = (protocol,) if isinstance(protocol, str) else tuple(protocol)
    presets = [find_protocol(name) for name in dict.fromkeys(names)]
    if metrics:
        presets.append(custom_protocol(tuple(metrics)))
    if not presets:
        raise ScoreError("nothing to score: name at least one protocol or metric")
    file = data if isinstance(data, HandFile) else HandFile(data)
    try:
        if not isinstance(predictions, Predictions):
            predictions = read_predictions(Path(predictions), file)
        meshes = predictions.vertices is not None and any(p.needs_meshes for p in presets)
        truth = read_truth(file, predictions.split, vertices=meshes)
    finally:
        if file is not data:
            file.close()
    if ids is not None:
        truth = truth.only(ids, ids_from)
    state = file.path.stat()
    digest = _file_sha256(file.path, state.st_size, state.st_mtime_ns)
    return score(predictions, truth, presets, {"data_sha256": digest})


@functools.lru_cache(maxsize=4)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Hash of a data file, read once for several models."""
    return sha256_file(path)


def score(
    predictions: Predictions,
    truth: Truth,
    protocols: Sequence[Protocol],
    origin: dict[str, str] | None = None,
) -> Evaluation:
    """Score predictions in memory against truth in memory.

    Parameters
    ----------
    predictions, truth
        Matched by sample id.
    protocols
        Presets.
    origin
        Further provenance, such as ``data_sha256``.

    Returns
    -------
    Evaluation; see :func:`evaluate` for what is raised.
    """
    check_truth(truth)
    check_predictions(predictions)
    matched = match(predictions, truth)
    contributions = Contributions(matched, protocols)
    made = {**provenance(), **(origin or {}), "predictions_sha256": predictions.sha256 or None}
    groups = Groups.of(truth)
    primary = {
        protocol.name: contributions.of(protocol.primary, protocol)
        for protocol in protocols
        if contributions.reason_without(protocol.primary) is None
        and protocol.primary.quantity not in ("coverage", "OKS-AP")
    }
    return Evaluation(
        results=[_results(protocol, contributions, groups, made) for protocol in protocols],
        errors=_sample_errors(contributions),
        missing=matched.missing,
        extra=matched.extra,
        duplicate=matched.duplicate,
        warnings=[*predictions.notes, *warnings_about(matched)],
        primary=primary,
        label_noise=truth.label_noise,
    )


@dataclass(frozen=True)
class Groups:
    """What the bootstrap resamples: `index` (N,) of each hand's group, and their number."""

    index: npt.NDArray[np.intp]
    number: int
    unit: str

    @classmethod
    def of(cls, truth: Truth) -> Groups:
        """Groups of the truth's cluster unit."""
        names, index = np.unique(truth.cluster, return_inverse=True)
        return cls(index.astype(np.intp), len(names), truth.cluster_unit)

    def remark(self) -> str:
        """How far an interval over these groups can be trusted, for definitions."""
        if self.number < MIN_CLUSTERS:
            return f"no interval: only {self.number} groups ({self.unit})"
        interval = f"interval: {RESAMPLES:,} resamples of {self.number:,} groups ({self.unit})"
        interval += ", unreliable" if self.number < RELIABLE_CLUSTERS else ""
        return interval + "; without the variance between training runs"


def signature(protocol: Protocol, matched: Matched) -> str:
    """What must be equal for two results to share a ranked column, as one line of text."""
    truth, predictions = matched.truth, matched.predictions
    gt_used = predictions.gt_used
    parts = {
        "protocol": protocol.tag,
        "metrics": " ".join(map(str, protocol.metrics(with_3d=truth.has_3d))),
        "expected": str(len(truth)),
        "truth": truth.truth_sha256,
        "ids": truth.subset or "all",
        # Undeclared is not the same as nothing used, so it does not share a column with it.
        "gt_used": "unknown" if gt_used is None else "+".join(sorted(gt_used)) or "nothing",
        "box": str(predictions.input.get("box", "unknown")),
        "missing": protocol.missing_rule,
    }
    # Semicolons part the parts, so none may hide in a value.
    return "; ".join(f"{key}: {value.replace(';', ',')}" for key, value in parts.items())


def _results(
    protocol: Protocol, contributions: Contributions, groups: Groups, made: dict[str, Any]
) -> Results:
    matched = contributions.matched
    truth, predictions = matched.truth, matched.predictions
    in_2d = [metric for metric in protocol.metrics_2d if metric.quantity != "coverage"]
    if protocol.metrics_3d and not in_2d and not truth.has_3d:
        raise ScoreError(
            f"{protocol.name}: its metrics ({', '.join(map(str, protocol.metrics_3d[:3]))} …) need "
            f"3D labels, and {truth.dataset} {truth.split} has none; choose a 2D protocol or 2D "
            "metrics (EPE, PCK, AUC in px or of a box)"
        )
    values: dict[str, MetricValue] = {}
    per_joint: dict[str, list[float | None]] = {}
    blocks: dict[str, ClusterSums] = {}
    for metric in protocol.metrics(with_3d=truth.has_3d):
        name, definition = str(metric), define(metric)
        reason = contributions.reason_without(metric)
        if reason is not None:
            values[name] = MetricValue(
                None, metric.result_unit, f"{definition}; no value: {reason}"
            )
            continue
        if metric.quantity == "OKS-AP":
            values[name] = MetricValue(_number(oks_ap(matched, metric)), "fraction", definition)
            continue
        scores = contributions.of(metric, protocol)
        if metric.stat == "mean":
            columns, avg = m.arrange(scores, metric.avg, truth.is_right)
            value = m.average(columns, avg)
            if metric.of == "model":
                blocks[name] = cluster_sums(columns, groups.index, groups.number, avg)
        else:
            value = m.epe(scores, metric.stat, avg=metric.avg)
        definition += contributions.left_out(metric)
        values[name] = MetricValue(_number(value), metric.result_unit, definition)
        if metric.of == "model" and metric.per_joint:
            per_joint[name] = _per_joint(metric, scores)
    for name, interval in zip(blocks, bootstrap(list(blocks.values()))):
        plain = values[name]
        definition = f"{plain.definition}; {groups.remark()}"
        values[name] = replace(plain, definition=definition, ci95=interval)
    model = dict(predictions.model)
    if predictions.input:
        model["input"] = predictions.input
    if predictions.gt_used is not None:
        model["gt_used"] = list(predictions.gt_used)
    return Results(
        dataset=truth.dataset,
        split=truth.split,
        model=model,
        protocol=protocol.name,
        signature=signature(protocol, matched),
        samples={
            "expected": len(truth),
            "predicted": int(matched.predicted.sum()),
            "missing": len(matched.missing),
            "extra": len(matched.extra),
            "duplicate": len(matched.duplicate),
        },
        metrics=values,
        per_joint=per_joint,
        curves=_curves(protocol, contributions),
        provenance=made,
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
            errors: m.Floats = contributions.distances.errors(curve.metric)
            if protocol.single_precision:
                errors = errors.astype(np.float32)
            fractions = m.pck_curve(errors, thresholds, cmp=curve.metric.cmp, avg=curve.metric.avg)
            if not np.isnan(fractions).any():
                curves[curve.name] = {"x": thresholds.tolist(), "y": fractions.tolist()}
    return curves


_PIXELS, _CAMERA = parse("EPE[px]"), parse("MPJPE[mm,cam]")
_FROM_WRIST, _ALIGNED = parse("MPJPE[mm,root=0]"), parse("PA-MPJPE[mm]")
_REFLECTED = parse("MPJPE[mm,pa-reflect]")


def _sample_errors(contributions: Contributions) -> SampleErrors:
    matched, truth = contributions.matched, contributions.matched.truth
    sizes = contributions.distances.sizes

    def errors(metric: Metric) -> Floats | None:
        if contributions.reason_without(metric) is not None:
            return None
        return contributions.distances.errors(replace(metric, missing="wrong"))

    pixels = errors(_PIXELS)
    keypoints = matched.keypoints
    return SampleErrors(
        sample_id=truth.sample_id,
        errors_px=np.full(truth.valid.shape, np.nan) if pixels is None else pixels,
        predicted=matched.predicted,
        box_px=sizes["bbox"],
        tight_px=sizes["tight"],
        palm_px=sizes["palm"],
        cluster=truth.cluster,
        visibility=truth.visibility,
        is_right=truth.is_right,
        keypoints_px=np.full_like(truth.keypoints, np.nan) if keypoints is None else keypoints,
        cam_mm=errors(_CAMERA),
        root_mm=errors(_FROM_WRIST),
        pa_mm=errors(_ALIGNED),
        pa_reflect_mm=errors(_REFLECTED),
    )
