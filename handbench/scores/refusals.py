"""What cannot be scored at all: placeholder truth, and predictions that are no numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import ScoreError
from handbench.hand import FINGERS, HAND_DIAGONAL_M, WRIST
from handbench.predictions.record import Predictions, check_columns
from handbench.scores.evidence import FEWEST, SAMPLED, diagonals, every_nth, middle
from handbench.scores.truth import Truth

_FIRST, _SECOND = WRIST, FINGERS["middle"][0]


def check_truth(truth: Truth) -> None:
    """Refuse labels that are no labels: not finite, all zero, or the same for every hand.

    Benchmarks that keep their labels fill them with such values, and some projects ship them.
    Fewer than eight equal hands may be one hand in several versions, as FreiHAND has them.

    Raises
    ------
    ScoreError
        If labelled 2D or 3D keypoints are NaN or infinite, with the first sample; or if 2D, 3D or
        mesh labels are all zero, or all the same.
    """
    name = f"the truth of {truth.dataset} {truth.split}"
    joints = (
        ("2D keypoints", truth.keypoints, truth.valid),
        ("3D keypoints", truth.keypoints_3d, truth.valid_3d),
    )
    for what, points, valid in joints:
        if points is None:
            continue
        # One coordinate at a time: reducing over a last axis of two is several times slower.
        finite = np.logical_and.reduce(
            [np.isfinite(column) for column in np.moveaxis(points, -1, 0)]
        )
        broken = (~finite & valid).any(axis=1)
        if broken.any():
            raise ScoreError(
                f"{name}: expected finite {what} where they are marked as labelled, found NaN or "
                f"infinity in {int(broken.sum()):,} of {len(truth):,} samples (first: "
                f"{truth.sample_id[int(broken.argmax())]}): convert again, and run handbench verify"
            )
    for what, labels, keep in (*joints, ("vertices", truth.vertices, None)):
        found = None if labels is None else _constant(labels, keep)
        if found is not None:
            raise ScoreError(
                f"{name} is {found} in every sample ({what}): it looks like the placeholder of a "
                "benchmark that keeps its labels; get the released annotations and convert again"
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
    # Some joints of a hand may well lie closer together than a hand is long.
    whole = every_nth(np.flatnonzero(truth.valid_3d.all(axis=1)), SAMPLED)
    if truth.keypoints_3d is not None and len(whole):
        across = middle(diagonals(truth.keypoints_3d[whole], truth.valid_3d[whole]))
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
    first = np.full(points.shape[1:], np.nan)
    hands = 0
    # Honest labels differ within the first rows, and a mesh of every hand is a lot to read.
    for start in range(0, len(points), 256):
        some = points[start : start + 256]
        keep = ~np.isnan(some).any(axis=-1)
        if valid is not None:
            keep &= valid[start : start + 256]
        unseen = keep.any(axis=0) & np.isnan(first).any(axis=-1)
        first[unseen] = some[keep.argmax(axis=0)[unseen], unseen]
        if ((some != first).any(axis=-1) & keep).any():
            return None
        hands += int(keep.any(axis=1).sum())
    if not hands:
        return None
    if not np.nan_to_num(first).any():
        return "zero"
    return "the same" if hands >= FEWEST else None
