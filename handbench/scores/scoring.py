"""Score predictions: match, measure under each protocol, sign, and keep what it came from."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from handbench.errors import ScoreError
from handbench.files import sha256_file
from handbench.hdf5.reader import HandFile
from handbench.predictions.read import read_predictions
from handbench.predictions.record import Predictions
from handbench.provenance import provenance
from handbench.scores.diagnosis import diagnose
from handbench.scores.matching import match
from handbench.scores.measuring import measure
from handbench.scores.numbers import make_numbers
from handbench.scores.protocol import Protocol
from handbench.scores.protocols import custom_protocol, find_protocol
from handbench.scores.refusals import check_predictions, check_truth
from handbench.scores.results import Evaluation
from handbench.scores.sample_errors import SampleErrors
from handbench.scores.sanity import warnings_about
from handbench.scores.truth import Truth, read_truth

PathLike = str | os.PathLike[str]


def evaluate(
    predictions: PathLike | Predictions,
    data: PathLike | HandFile,
    protocol: str | Sequence[str] = ("handbench", "mmpose"),
    *,
    metrics: Sequence[str] = (),
    ids: Iterable[str] | None = None,
    ids_from: str = "ids",
    diagnosis: bool | None = False,
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
    diagnosis
        Also sort every keypoint into a class of error (:mod:`handbench.scores.diagnosis`). None:
        only where labels and predictions have 2D, which it needs.

    Returns
    -------
    Evaluation with one :class:`~handbench.scores.results.Results` a protocol.

    Raises
    ------
    PredictionsError
        If the predictions cannot be read or do not belong to this data.
    ScoreError
        If a protocol, metric or id is unknown, or the split has no labels.
    """
    presets = _presets(protocol, metrics)
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
    return score(predictions, truth, presets, {"data_sha256": digest}, diagnosis=diagnosis)


@functools.lru_cache(maxsize=4)
def _file_sha256(path: Path, size: int, modified: int) -> str:
    """Hash of a data file, read once for several models."""
    return sha256_file(path)


def score(
    predictions: Predictions,
    truth: Truth,
    protocols: Sequence[Protocol],
    origin: dict[str, str] | None = None,
    *,
    diagnosis: bool | None = False,
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
    diagnosis
        See :func:`evaluate`.

    Returns
    -------
    Evaluation; see :func:`evaluate` for what is raised.
    """
    check_truth(truth)
    check_predictions(predictions)
    matched = match(predictions, truth)
    made = {**provenance(), **(origin or {}), "predictions_sha256": predictions.sha256 or None}
    about = {"provenance": made, "warnings": [*predictions.notes, *warnings_about(matched)]}
    if diagnosis is None:
        diagnosis = matched.keypoints is not None and bool(truth.valid.any())
    found = diagnose(matched) if diagnosis else None
    return replace(make_numbers(measure(matched, protocols, about), protocols), diagnosis=found)


def rescore(
    errors: PathLike | SampleErrors,
    protocol: str | Sequence[str] = (),
    *,
    metrics: Sequence[str] = (),
    ids: Iterable[str] | None = None,
    ids_from: str = "ids",
) -> Evaluation:
    """Make new numbers from stored errors, without predictions or truth.

    Parameters
    ----------
    errors
        A file ``<model>.errors.npz`` that ``handbench evaluate --out`` wrote, or its content.
    protocol, metrics, ids, ids_from
        See :func:`evaluate`.

    Returns
    -------
    Evaluation. A metric that the stored errors do not allow has no value, with the reason. What
    :func:`evaluate` says of the predictions has the same values and the same signature.

    Raises
    ------
    ScoreError
        If the file is none of stored errors, or a protocol, metric or id is unknown.
    """
    presets = _presets(protocol, metrics)
    if not isinstance(errors, SampleErrors):
        errors = SampleErrors.read(Path(errors))
    if ids is not None:
        errors = errors.only(ids, ids_from)
    made = {**errors.about.get("provenance", {}), "rescored": provenance()}
    return make_numbers(replace(errors, about={**errors.about, "provenance": made}), presets)


def _presets(protocol: str | Sequence[str], metrics: Sequence[str]) -> list[Protocol]:
    names = (protocol,) if isinstance(protocol, str) else tuple(protocol)
    presets = [find_protocol(name) for name in dict.fromkeys(names)]
    if metrics:
        presets.append(custom_protocol(tuple(metrics)))
    if not presets:
        raise ScoreError("nothing to score: name at least one protocol or metric")
    return presets
