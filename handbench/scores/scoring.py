"""Score predictions: match, measure under each protocol, sign, and keep what it came from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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
from handbench.scores.definitions import define
from handbench.scores.distances import Distances
from handbench.scores.intervals import (
    MIN_CLUSTERS,
    RELIABLE_CLUSTERS,
    RESAMPLES,
    ClusterSums,
    bootstrap,
    cluster_sums,
)
from handbench.scores.matching import Matched, match
from handbench.scores.names import Metric, parse
from handbench.scores.protocols import Protocol, custom_protocol, find_protocol
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
        truth = read_truth(file, predictions.split)
    finally:
        if file is not data:
            file.close()
    if ids is not None:
        truth = truth.only(ids, ids_from)
    return score(predictions, truth, presets, {"data_sha256": sha256_file(file.path)})


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
    matched = match(predictions, truth)
    distances = Distances(matched)
    made = {**provenance(), **(origin or {}), "predictions_sha256": predictions.sha256 or None}
    groups = Groups.of(truth)
    return Evaluation(
        results=[_results(protocol, distances, groups, made) for protocol in protocols],
        errors=_sample_errors(distances),
        missing=matched.missing,
        extra=matched.extra,
        duplicate=matched.duplicate,
        warnings=warnings_about(matched),
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
        return interval + (", unreliable" if self.number < RELIABLE_CLUSTERS else "")


def measured(
    metric: Metric, distances: Distances, protocol: Protocol
) -> tuple[Floats, Metric, Floats]:
    """Errors as `metric` compares them, the metric in their unit, and the score of each error.

    Averaging the scores (N, 21) gives the metric, so intervals and paired tests work on them.
    """
    errors = distances.errors(metric, replace_bad_boxes=protocol.replaces_bad_boxes)
    if protocol.single_precision and not metric.is_distance:
        metric, errors = _single_precision(metric, errors)
    if metric.quantity == "PCK":
        return errors, metric, m.pck_scores(errors, metric.high, cmp=metric.cmp)
    if metric.quantity == "AUC":
        scores = m.auc_scores(
            errors, metric.low, metric.high, rule=metric.rule, n=metric.n, cmp=metric.cmp
        )
        return errors, metric, scores
    return errors, metric, np.where(np.isfinite(errors), errors, np.nan)
