"""Lists that went wrong as a whole: rows shifted or reversed, one hand for all, zeros, sides."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.camera import transform_points
from handbench.metrics import align_root, keypoint_errors
from handbench.scores.distances import MM_PER_M
from handbench.scores.evidence import (
    FEWEST,
    MOST,
    SAMPLED,
    SMALL,
    Bools,
    Floats,
    diagonals,
    every_nth,
    fits_far_better,
    middle,
    of_hands,
    on_one_point,
)
from handbench.scores.matching import Matched

Rows = npt.NDArray[np.intp]

# Neighbours may be alike, as the frames of a video are, so more must be gained than elsewhere.
_ENOUGH = 0.5
# Predictions that differ by less than this share of a hand are one hand; the truth varies by more.
_SAME = 0.01
_VARIED = 0.05
# Of fewer hands a model that guesses the side gets most wrong by chance.
_FEWEST_SIDES = 20


def wrong_rows(matched: Matched) -> str | None:
    """Sentence if hands fit another sample's truth far better: the next, the previous, a reversal.

    Parameters
    ----------
    matched
        All hands, not a sample of them: neighbours are needed.
    """
    space = _space(matched)
    if space is None:
        return None
    points, labelled, valid, unit = space
    usable = np.isfinite(points).all(axis=(1, 2)) & valid.any(axis=1) & ~on_one_point(points)
    rows = every_nth(np.flatnonzero(usable), SAMPLED)
    if len(rows) < FEWEST:
        return None

    def errors(here: Rows, there: Rows) -> Floats:
        return of_hands(keypoint_errors(points[here], labelled[there], valid[there]))

    own = errors(rows, rows)
    before = middle(own)
    if not before > SMALL * middle(diagonals(labelled[rows], valid[rows])):
        return None
    best: tuple[float, str, str] | None = None
    for what, advice, partner in _partners(matched, rows):
        inside = (partner >= 0) & (partner < len(points))
        if inside.sum() < FEWEST:
            continue
        after = errors(rows[inside], partner[inside])
        better = fits_far_better(own[inside], after, _ENOUGH)
        if better and (best is None or middle(after) < best[0]):
            best = (middle(after), what, advice)
    if best is None:
        return None
    fallen, what, advice = best
    scale = MM_PER_M if unit == "mm" else 1.0
    return (
        f"predictions fit {what} far better than their own: the error of the median hand falls "
        f"from {scale * before:.1f} to {scale * fallen:.1f} {unit}; {advice}"
    )


def same_hand(sample: Matched) -> str | None:
    """Sentence if the model predicts one hand for all samples, in pixels or as a pose.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    """
    truth = sample.truth
    told = []
    if sample.keypoints is not None:
        crop = truth.crop
        if _same(sample.keypoints, truth.keypoints, truth.valid):
            told.append("its 2D keypoints")
        elif _same(
            transform_points(crop, sample.keypoints),
            transform_points(crop, truth.keypoints),
            truth.valid,
        ):
            told.append("its 2D keypoints in the stored image")
    if sample.keypoints_3d is not None and truth.keypoints_3d is not None:
        found, labelled = align_root(sample.keypoints_3d), align_root(truth.keypoints_3d)
        if _same(found, labelled, truth.valid_3d):
            told.append("its 3D keypoints, seen from the wrist,")
    if not told:
        return None
    return (
        f"the model predicts the same hand for every sample: {' and '.join(told)} differ by less "
        f"than {_SAME:.0%} of a hand ({len(sample.predicted):,} hands), the truth by far more; was "
        "one image read again and again, or did training collapse to the mean?"
    )


def zero_hands(matched: Matched) -> str | None:
    """Sentence if predicted hands are single points: zeros written for hands that were not found.

    Parameters
    ----------
    matched
        All hands, not a sample of them: these may be few.
    """
    told, rows = [], np.zeros(len(matched.truth), dtype=bool)
    for space, points in (("2D", matched.keypoints), ("3D", matched.keypoints_3d)):
        if points is not None:
            single = on_one_point(points)
            rows |= single
            if single.any():
                told.append(f"all {space} joints of {int(single.sum()):,}")
    if not told:
        return None
    predicted, first = int(matched.predicted.sum()), matched.truth.sample_id[int(rows.argmax())]
    return (
        f"{' and '.join(told)} of {predicted:,} predicted hands lie on one point (first: {first}): "
        "expected null for a hand that was not found, so that it counts as missed and not as a "
        "hand at that place"
    )


def swapped_sides(sample: Matched) -> str | None:
    """Sentence if the predicted side disagrees with the truth for most hands.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    """
    sides = sample.predictions.is_right
    if sides is None:
        return None
    side_of: dict[str, int] = {}
    for name, side in zip(sample.predictions.id.tolist(), sides.tolist()):
        side_of.setdefault(name, side)
    found = np.array([side_of.get(name, -1) for name in sample.truth.sample_id.tolist()])
    expected = sample.truth.is_right
    known = ((found == 0) | (found == 1)) & ((expected == 0) | (expected == 1))
    if known.sum() < _FEWEST_SIDES:
        return None
    other = float((found[known] != expected[known]).mean())
    if other < MOST:
        return None
    return (
        f"the predicted side disagrees with the truth for {other:.0%} of {int(known.sum()):,} "
        "hands: expected is_right to name the real hand; MediaPipe names it as in a mirrored "
        "selfie, so swap left and right if that is where it comes from"
    )


def _space(matched: Matched) -> tuple[Floats, Floats, Bools, str] | None:
    """Predictions and truth where rows can be compared: declared pixels, or 3D from the wrist."""
    truth = matched.truth
    if matched.keypoints is not None and truth.valid.any():
        if matched.predictions.frame == "source":
            return matched.keypoints, truth.keypoints, truth.valid, "px"
        # A stored hand came through the crop of the row it was matched to.
        stored = [transform_points(truth.crop, p) for p in (matched.keypoints, truth.keypoints)]
        return stored[0], stored[1], truth.valid, "px"
    if matched.keypoints_3d is not None and truth.keypoints_3d is not None:
        valid = truth.valid_3d & truth.valid_3d[:, :1]
        return align_root(matched.keypoints_3d), align_root(truth.keypoints_3d), valid, "mm"
    return None


def _partners(matched: Matched, rows: Rows) -> list[tuple[str, str, Rows]]:
    """Samples that rows may have been meant for: words, advice, (n,) rows, out of range if none."""
    count = len(matched.truth)
    partners = [
        (
            "the next sample of the split",
            "does the list lack its first hand?",
            rows + 1,
        ),
        (
            "the previous sample of the split",
            "does the list hold one hand too many at its start?",
            rows - 1,
        ),
        (
            "the sample at the same place from the end",
            "is the list in reversed order?",
            count - 1 - rows,
        ),
    ]
    ids = matched.truth.sample_id
    if (ids[1:] < ids[:-1]).any():
        by_name = np.argsort(ids, kind="stable")
        partners.append(
            (
                "the sample at their place in alphabetical order",
                "the split has another order: write each hand with its sample_id",
                by_name[rows],
            )
        )
    return partners


def _same(points: Floats, labelled: Floats, valid: Bools) -> bool:
    """Whether `points` are one hand, though the truth is not."""
    known = np.isfinite(points).all(axis=(1, 2)) & valid.all(axis=1)
    if known.sum() < FEWEST:
        return False
    found, expected, whole = points[known], labelled[known], valid[known]
    if on_one_point(found).all():
        return False
    # Each in its own size: predictions may be in another unit, or all in one point.
    return _spread(found) <= _SAME * middle(diagonals(found, whole)) and _spread(
        expected
    ) > _VARIED * middle(diagonals(expected, whole))


def _spread(points: Floats) -> float:
    """Largest over joints of the 95th percentile of the distance to the median hand."""
    away = np.linalg.norm(points - np.median(points, axis=0), axis=-1)
    return float(np.quantile(away, 0.95, axis=0).max())
