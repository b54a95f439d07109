"""Predictions brought to the rows and the frame of the truth; what is missing is accounted for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import transform_points
from handbench.errors import PredictionsError
from handbench.files import describe_names
from handbench.hand import NUM_JOINTS
from handbench.predictions.record import Predictions
from handbench.scores.truth import Truth

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """Predictions in the rows of the truth. N hands.

    Attributes
    ----------
    truth
        The labels.
    predictions
        As read.
    predicted
        (N,) bool: a hand was predicted here.
    keypoints
        (N, 21, 2) source px, NaN where missed; None if the model predicts no 2D.
    keypoints_3d
        (N, 21, 3) m, axes of the source camera, NaN where missed; None if no 3D.
    vertices
        (N, V, 3) m, axes of the source camera, NaN where missed; None if no meshes, or if the
        truth was read without.
    missing, extra, duplicate
        Sample ids: expected but not predicted; predicted but not in the split; predicted more
        than once, where the first prediction counts.
    """

    truth: Truth
    predictions: Predictions
    predicted: npt.NDArray[np.bool_]
    keypoints: Floats | None
    keypoints_3d: Floats | None
    missing: list[str]
    extra: list[str]
    duplicate: list[str]
    vertices: npt.NDArray[np.floating[Any]] | None = None


def match(predictions: Predictions, truth: Truth) -> Matched:
    """Match by sample id and map to source pixels.

    Raises
    ------
    PredictionsError
        If the predictions are for another dataset or split, share no id with the truth, or are
        in the stored frame of another crop.
    """
    where = predictions.origin or f"predictions of {predictions.name}"
    _check_identity(predictions, truth, where)
    row_of = {name: row for row, name in enumerate(truth.sample_id.tolist())}
    first: dict[str, int] = {}
    duplicate: dict[str, None] = {}
    for row, name in enumerate(predictions.id.tolist()):
        if name in first:
            duplicate[name] = None
        else:
            first[name] = row
    extra = [name for name in first if name not in truth.known]
    here = [name for name in first if name in row_of]
    if first and len(extra) == len(first):
        raise PredictionsError(
            f"{where}: none of its {len(first):,} ids is in {truth.dataset} {truth.split}: "
            f"expected ids such as {str(truth.sample_id[0])!r}, found {describe_names(extra, 2)}; "
            "use the sample_id column of the HDF5 file"
        )
    rows = np.array([row_of[name] for name in here], dtype=np.intp)
    taken = np.array([first[name] for name in here], dtype=np.intp)
    stored = predictions.frame == "stored"

    keypoints = None
    if predictions.keypoints is not None:
        keypoints = np.full((len(truth), NUM_JOINTS, 2), np.nan)
        points = predictions.keypoints[taken]
        if stored:
            points = transform_points(np.linalg.inv(truth.crop[rows]), points)
        keypoints[rows] = points
    keypoints_3d = None
    if predictions.keypoints_3d is not None:
        keypoints_3d = np.full((len(truth), NUM_JOINTS, 3), np.nan)
        points = predictions.keypoints_3d[taken]
        if stored:
            points = np.einsum("nij,nkj->nki", truth.to_source_3d[rows], points)
        keypoints_3d[rows] = points

    vertices = None
    if predictions.vertices is not None and truth.vertices is not None:
        vertices = _in_rows(predictions.vertices, taken, rows, len(truth))
        if stored:
            vertices[rows] = np.einsum("nij,nkj->nki", truth.to_source_3d[rows], vertices[rows])

    predicted = np.zeros(len(truth), dtype=bool)
    for found in (keypoints, keypoints_3d):
        if found is not None:
            predicted |= ~np.isnan(found).any(axis=(1, 2))
    return Matched(
        truth=truth,
        predictions=predictions,
        predicted=predicted,
        keypoints=keypoints,
        keypoints_3d=keypoints_3d,
        missing=truth.sample_id[~predicted].tolist(),
        extra=extra,
        duplicate=list(duplicate),
        vertices=vertices,
    )


def _in_rows(
    values: npt.NDArray[np.floating[Any]],
    taken: npt.NDArray[np.intp],
    rows: npt.NDArray[np.intp],
    total: int,
) -> npt.NDArray[np.floating[Any]]:
    """Rows `taken` of `values`, placed at `rows` of `total` rows; NaN elsewhere."""
    placed = np.full((total, *values.shape[1:]), np.nan, dtype=values.dtype)
    placed[rows] = values[taken]
    return placed


def _check_identity(predictions: Predictions, truth: Truth, where: str) -> None:
    if predictions.dataset != truth.dataset:
        raise PredictionsError(
            f"{where}: these are predictions for dataset {predictions.dataset!r}, but the data is "
            f"{truth.dataset!r}: choose the file that was predicted on with --data"
        )
    if predictions.split != truth.split:
        raise PredictionsError(
            f"{where}: these are predictions for split {predictions.split!r}, not "
            f"{truth.split!r}: ask for the split that was predicted"
        )
    if predictions.frame == "stored" and predictions.crop_sha256 != truth.crop_sha256:
        raise PredictionsError(
            f"{where}: keypoints are in pixels of stored images cropped otherwise (crop_sha256 "
            f"{str(predictions.crop_sha256)[:12]}…, this file has {truth.crop_sha256[:12]}…): "
            "use the HDF5 file that was predicted on, or write keypoints in source pixels"
        )
