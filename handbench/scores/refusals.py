"""What cannot be scored at all: placeholder truth, and predictions that are no numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.hand import FINGERS, WRIST
from handbench.predictions.record import Predictions, check_columns
from handbench.scores.evidence import FEWEST, SAMPLED, diagonals, middle
from handbench.scores.truth import Truth

HAND_DIAGONAL_M = (0.05, 0.35)
"""Between a baby's fist and a giant's flat hand: diagonal of the box around 21 joints."""

_FIRST, _SECOND = WRIST, FINGERS["middle"][0]


def check_truth(truth: Truth) -> None:
    """Refuse labels that are placeholders: all zero, or the same for every hand.

    Benchmarks that keep their labels fill them with such values, and some projects ship them.
    Fewer than eight equal hands may be one hand in several versions, as FreiHAND has them.

    Raises
    ------
    ScoreError
        If 2D, 3D or mesh labels are all zero, or all the same.
    """
    for what, points, valid in (
        ("2D keypoints", truth.keypoints, truth.valid),
        ("3D keypoints", truth.keypoints_3d, truth.valid_3d),
        ("vertices", truth.vertices, None),
    ):
        found = None if points is None else _constant(points, valid)
        if found is not None:
            raise ScoreError(
                f"the truth of {truth.dataset} {truth.split} is {found} in every sample ({what}): "
                "it looks like the placeholder of a benchmark that keeps its labels; get the "
                "released annotations and convert again"
            )


def check_predictions(predictions: Predictions) -> None:
    """Check predictions that were made in memory as strictly as a file of them.

    Raises
    ------
    PredictionsError
        If a column has another shape than it should, or holds infinity, numbers that no pixel or
        metre has, or a NaN beside finite numbers; the sample is named.
    """
    check_columns(predictions.columns(), predictions.origin or f"predictions of {predictions.name}")


def truth_warnings(truth: Truth) -> list[str]:
    """Sentences about labels that can be scored, but look wrong: sizes, and unlabelled hands."""
    warnings = []
    name = f"the truth of {truth.dataset} {truth.split}"
    if truth.keypoints_3d is not None and truth.valid_3d.any():
        rows = np.flatnonzero(truth.valid_3d.sum(axis=1) == truth.valid_3d.sum(axis=1).max())
        rows = rows[:: max(1, -(-len(rows) // SAMPLED))]
        across = middle(diagonals(truth.keypoints_3d[rows], truth.valid_3d[rows]))
        low, high = HAND_DIAGONAL_M
        if not low <= across <= high:
            warnings.append(
                f"{name} has hands of {across:.3g} m across (median), expected {low} to {high} m: "
                "was it converted from other units? Run handbench verify on the data"
            )
    for what, points, valid in (
        ("2D", truth.keypoints, truth.valid),
        ("3D", truth.keypoints_3d, truth.valid_3d),
    ):
        if points is None:
            continue
        several = valid.sum(axis=1) >= 2
        # Two joints that differ settle most hands; the others are measured.
        apart = (points[:, _FIRST] != points[:, _SECOND]).any(axis=-1)
        apart &= valid[:, _FIRST] & valid[:, _SECOND]
        doubt = np.flatnonzero(several & ~apart)
        collapsed = doubt[diagonals(points[doubt], valid[doubt]) == 0]
        if len(collapsed):
            first = str(truth.sample_id[collapsed[0]])
            warnings.append(
                f"{name} has {len(collapsed):,} of {int(several.sum()):,} hands with all "
                f"{what} joints on one point (first: {first}): they look unlabelled, and spoil "
                "every mean; leave them out with --ids or convert again"
            )
    return warnings


def _constant(points: npt.NDArray[np.floating], valid: npt.NDArray[np.bool_] | None) -> str | None:
    """``"zero"`` or ``"the same"`` if all valid `points` (N, K, D) are; None if they differ."""
    # A look at a few hands spares one at all of them, unless those few are equal.
    for rows in (slice(None, None, max(1, len(points) // 16)), slice(None)):
        some = points[rows]
        keep = ~np.isnan(some).any(axis=-1)
        if valid is not None:
            keep &= valid[rows]
        hands = keep.any(axis=1)
        if not hands.any():
            continue
        low = np.where(keep[..., None], some, np.inf).min(axis=0)
        high = np.where(keep[..., None], some, -np.inf).max(axis=0)
        labelled = keep.any(axis=0)
        if (high[labelled] != low[labelled]).any():
            return None
        found = "zero" if not high[labelled].any() else "the same"
        enough = found == "zero" or hands.sum() >= FEWEST
    return found if hands.any() and enough else None
