"""Kinds of keypoint errors: what happened to each labelled keypoint of each expected hand.

That a wrong keypoint is told by *where it lies* is the idea of Ronchi and Perona, "Benchmarking
and Error Diagnosis in Multi-Instance Pose Estimation" (ICCV 2017), who sort the keypoints of
bodies into good, jitter, inversion, swap and miss. A hand has twenty joints that look alike, a
bone apart, and is often misplaced as a whole, so the classes are defined anew here, in units of
the hand's tight box. ``docs/diagnosis.md`` states them in words, with the reasons for every limit
and a measurement of how often they are right.

This module decides; :mod:`handbench.scores.diagnosis` counts and weighs.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERS, NUM_JOINTS, WRIST
from handbench.metrics import keypoint_errors, normalise, tight_size
from handbench.scores.matching import Matched

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GOOD = 0.05
"""Largest error of a good keypoint, and largest distance at which a point is taken for another
joint; tight boxes. About 6 mm: half a finger's thickness, and half of what usually separates two
joints in the image."""

JITTER = 0.1
"""Largest error of jitter, tight boxes. The ratio to :data:`GOOD` is that of the paper's limits:
similarities of 0.5 and 0.85 are a factor of sqrt(ln 0.5 / ln 0.85) = 2.07 apart in distance."""

CLEAR = 0.01
"""Explanations whose distances differ by no more than this are equally good; tight boxes."""

MOST = 2 / 3
"""Share of a hand's labelled keypoints that decides about the hand as a whole."""

FIT_JOINTS = 6
"""Fewest keypoints for a shift and a scale: twelve coordinates for three unknowns."""

FIT_PASSES = 4
"""Fits of shift and scale: one to all keypoints, then to the :data:`MOST` that fitted best."""

MIRRORED_M = 0.015
"""Depth error from which a mirrored depth counts, metres: a finger's thickness."""

DEPTH_M = 0.03
"""Largest depth error of a keypoint that is right in the image, metres: about a phalanx."""


class KeypointClass(IntEnum):
    """What happened to a keypoint."""

    GOOD = 0
    JITTER = 1
    MISS = 2
    SWAP = 3
    INVERSION = 4
    OTHER_HAND = 5
    WHOLE_HAND = 6
    DEPTH_FLIP = 7
    AMBIGUOUS = 8
    MISSED_HAND = 9


NAMES: tuple[str, ...] = tuple(kind.name.lower().replace("_", " ") for kind in KeypointClass)
"""Names of the classes, by code."""

NOT_DIAGNOSED = 255
"""Code of keypoints without 2D label, and of hands whose labels span no box."""

_FINGER: npt.NDArray[np.intp] = np.array([-1, *np.repeat(np.arange(len(FINGERS)), 4)])
"""Finger 0-4 of every joint; -1 for the wrist."""


@dataclass(frozen=True)
class Classified:
    """The class of every keypoint of N hands.

    Attributes
    ----------
    codes
        (N, 21) uint8: a :class:`KeypointClass`, or :data:`NOT_DIAGNOSED`.
    landed
        (N, 21) int8: the joint at which a swapped or inverted point lies; -1 elsewhere.
    shift
        (N, 2) of hands misplaced as a whole, in tight boxes: centre of the prediction minus
        centre of the truth. NaN for other hands.
    scale
        (N,) of such hands: size of the prediction over that of the truth. NaN for others.
    """

    codes: npt.NDArray[np.uint8]
    landed: npt.NDArray[np.int8]
    shift: Floats
    scale: Floats


def classify(matched: Matched) -> Classified:
    """Sort every labelled keypoint of every expected hand into exactly one class.

    Parameters
    ----------
    matched
        Truth with 2D labels, and predictions; without 2D predictions every hand is missed.

    Notes
    -----
    What explains the whole hand comes first (other hand, whole hand), then what lies near its own
    place (good, jitter, depth flip), then what single points suggest (swap, inversion, other hand,
    ambiguous). The rest is a miss.
    """
    truth = matched.truth
    size = tight_size(truth.keypoints, truth.valid)
    size = np.where(size > 0, size, np.nan)
    labelled = truth.valid & np.isfinite(size)[:, None]
    points = np.where(labelled[..., None], truth.keypoints, np.nan)
    predicted = np.full_like(points, np.nan) if matched.keypoints is None else matched.keypoints
    errors = normalise(keypoint_errors(predicted, points, labelled), size)
    near = errors <= JITTER
    wrong = np.isfinite(errors) & ~near

    codes = np.full(labelled.shape, NOT_DIAGNOSED, dtype=np.uint8)
    codes[labelled] = KeypointClass.MISSED_HAND
    codes[near] = KeypointClass.JITTER
    codes[errors <= GOOD] = KeypointClass.GOOD
    codes[near & _wrong_depth(matched, near)] = KeypointClass.DEPTH_FLIP

    other, on_other = _other_hand(predicted, points, size, truth.image_id)
    landed = _explain(codes, wrong, predicted, points, size, other)

    fit = _fit_whole_hand(predicted, points, size, errors)
    whole = ((fit.errors <= GOOD) & (errors > GOOD)) | ((fit.errors <= JITTER) & wrong)
    codes[whole] = KeypointClass.WHOLE_HAND
    codes[on_other & wrong] = KeypointClass.OTHER_HAND

    moved = ((codes == KeypointClass.SWAP) | (codes == KeypointClass.INVERSION)) & wrong
    misplaced = (codes == KeypointClass.WHOLE_HAND).any(axis=1)
    return Classified(
        codes=codes,
        landed=np.where(moved, landed, np.int8(-1)),
        shift=np.where(misplaced[:, None], fit.shift, np.nan),
        scale=np.where(misplaced, fit.scale, np.nan),
    )


def _wrong_depth(matched: Matched, near: Bools) -> Bools:
    """(N, 21): the depth from the wrist is mirrored, or wrong by more than :data:`DEPTH_M`.

    An image does not tell the size of a hand. So the predicted hand is first scaled to fit the
    truth's x and y from the wrist; keypoints that are right in the image (`near`) decide.
    """
    truth, found = matched.truth, matched.keypoints_3d
    if truth.keypoints_3d is None or found is None:
        return np.zeros(near.shape, dtype=bool)
    g = truth.keypoints_3d - truth.keypoints_3d[:, [WRIST]]
    p = found - found[:, [WRIST]]
    there = np.asarray(np.isfinite(p + g).all(axis=-1))
    used = (near & truth.valid_3d & there)[..., None]
    x, y = np.where(used, p, 0.0)[..., :2], np.where(used, g, 0.0)[..., :2]
    spread = (x * x).sum(axis=(1, 2))
    scale = (x * y).sum(axis=(1, 2)) / np.where(spread > 0, spread, np.nan)
    expected, predicted = g[..., 2], np.where(scale > 0, scale, np.nan)[:, None] * p[..., 2]
    error, error_if_mirrored = np.abs(predicted - expected), np.abs(predicted + expected)
    mirrored = (error > MIRRORED_M) & (error_if_mirrored < 0.5 * error)
    known = truth.valid_3d & truth.valid_3d[:, [WRIST]]
    wrong: Bools = known & (mirrored | (error > DEPTH_M))
    return wrong


def _explain(
    codes: npt.NDArray[np.uint8],
    wrong: Bools,
    predicted: Floats,
    points: Floats,
    size: Floats,
    other: Floats,
) -> npt.NDArray[np.int8]:
    """Write the class of each wrong point, by what lies nearest to it, into `codes`.

    Parameters
    ----------
    codes
        (N, 21), changed where `wrong`.
    wrong
        (N, 21): points that are not near their own place.
    predicted, points
        (N, 21, 2) px; NaN where unlabelled.
    size
        (N,) px.
    other
        (N, 21): distance to the same joint of another hand (:func:`_other_hand`).

    Returns
    -------
    (N, 21) int8: nearest joint of the same hand that explains the point, or -1.
    """
    landed = np.full(codes.shape, -1, dtype=np.int8)
    kinds = np.array(
        [KeypointClass.INVERSION, KeypointClass.SWAP, KeypointClass.OTHER_HAND], dtype=np.uint8
    )
    for joint in range(NUM_JOINTS):
        rows = np.flatnonzero(wrong[:, joint])
        gap = _distances(predicted[rows, joint, None], points[rows], size[rows, None])
        # No finger is left for the wrist, and the wrist is left out of every finger.
        same = (_FINGER[joint] == _FINGER) & (_FINGER >= 0) & (np.arange(NUM_JOINTS) != joint)
        foreign = (_FINGER[joint] != _FINGER) & (_FINGER >= 0) & (_FINGER[joint] >= 0)
        own = np.where(same, gap, np.inf)
        others = np.where(foreign, gap, np.inf)
        found = np.stack([own.min(axis=1), others.min(axis=1), other[rows, joint]], axis=1)
        best = found.argmin(axis=1)
        first, second = np.sort(found, axis=1)[:, :2].T
        kind = np.where(first <= GOOD, kinds[best], np.uint8(KeypointClass.MISS))
        # A second explanation counts only where it would do on its own.
        unclear = (second <= GOOD) & (second <= first + CLEAR)
        codes[rows, joint] = np.where(unclear, np.uint8(KeypointClass.AMBIGUOUS), kind)
        landed[rows, joint] = np.where(best == 0, own.argmin(axis=1), others.argmin(axis=1))
    return landed


def _distances(a: Floats, b: Floats, size: Floats) -> Floats:
    """Distance of points (…, 2) over `size`; inf where either is unknown."""
    x, y = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    gap: Floats = np.sqrt(x * x + y * y) / size
    gap[np.isnan(gap)] = np.inf
    return gap


def _other_hand(
    predicted: Floats, points: Floats, size: Floats, image_id: npt.NDArray[np.str_]
) -> tuple[Floats, Bools]:
    """How near each point lies to the same joint of another labelled hand of its image.

    Returns
    -------
    distance
        (N, 21) in tight boxes of that other hand, the nearest one; inf without another hand.
    together
        (N, 21): the point lies within :data:`JITTER` of a hand on which :data:`MOST` of the
        labelled keypoints lie so.
    """
    _, image, members = np.unique(image_id, return_inverse=True, return_counts=True)
    order = np.argsort(image, kind="stable")
    start = np.cumsum(members) - members
    place = np.empty(len(image), dtype=np.intp)
    place[order] = np.arange(len(image)) - start[image[order]]
    labelled = np.asarray(np.isfinite(points).all(axis=-1))

    nearest = np.full(labelled.shape, np.inf)
    together = np.zeros(labelled.shape, dtype=bool)
    for step in range(1, int(members.max(initial=1))):
        # In a photo of k hands the partners of hand i are i+1, i+2, … i+k-1, modulo k.
        rows = np.flatnonzero(members[image] > step)
        photo = image[rows]
        partner = order[start[photo] + (place[rows] + step) % members[photo]]
        gap = _distances(predicted[rows], points[partner], size[partner, None])
        gap[~labelled[rows]] = np.inf
        nearest[rows] = np.minimum(nearest[rows], gap)
        there = gap <= JITTER
        most = there.sum(axis=1) >= MOST * labelled[rows].sum(axis=1)
        together[rows] |= there & most[:, None]
    return nearest, together


@dataclass(frozen=True)
class _Fit:
    """Hands after the best shift and scale; inf and NaN where these do not explain the hand."""

    errors: Floats
    shift: Floats
    scale: Floats


def _fit_whole_hand(predicted: Floats, points: Floats, size: Floats, errors: Floats) -> _Fit:
    """Take one shift and one scale out of each hand, where they explain most of its error.

    They do when fewer than :data:`MOST` of the keypoints are good before, at least as many are
    within :data:`JITTER` afterwards, and the median error falls to half or less.

    Parameters
    ----------
    predicted, points
        (N, 21, 2) px; NaN where unlabelled.
    size
        (N,) px.
    errors
        (N, 21) in tight boxes; NaN unlabelled, inf missed.
    """
    fit = _Fit(
        errors=np.full(errors.shape, np.inf),
        shift=np.full((len(errors), 2), np.nan),
        scale=np.full(len(errors), np.nan),
    )
    found = np.isfinite(errors)
    count = found.sum(axis=1)
    rows = np.flatnonzero((count >= FIT_JOINTS) & ((errors <= GOOD).sum(axis=1) < MOST * count))
    found, count = found[rows], count[rows]
    unknown = ~found[..., None]
    p, g = np.where(unknown, 0.0, predicted[rows]), np.where(unknown, 0.0, points[rows])
    kept = found
    for _ in range(FIT_PASSES):
        moved, scale = _shift_and_scale(p, g, kept)
        after = np.where(found, _distances(moved, g, size[rows, None]), np.inf)
        rank = after.argsort(axis=1, kind="stable").argsort(axis=1)
        kept = found & (rank < np.ceil(MOST * count)[:, None])

    before = np.where(found, errors[rows], np.inf)
    explained = (
        (scale > 0)
        & ((after <= JITTER).sum(axis=1) >= MOST * count)
        & (_median(after, count) <= 0.5 * _median(before, count))
    )
    rows = rows[explained]
    fit.errors[rows] = after[explained]
    fit.scale[rows] = 1.0 / scale[explained]
    mean_shift = (p - g).sum(axis=1)[explained] / count[explained, None]
    fit.shift[rows] = mean_shift / size[rows, None]
    return fit


def _shift_and_scale(p: Floats, g: Floats, kept: Bools) -> tuple[Floats, Floats]:
    """Least squares Σ |s·p + t - g|² over the kept points: s·p + t (N, 21, 2) and s (N,)."""
    weight = kept[..., None] / kept.sum(axis=1)[:, None, None]
    mean_p, mean_g = (weight * p).sum(axis=1), (weight * g).sum(axis=1)
    p, g = p - mean_p[:, None], g - mean_g[:, None]
    spread = (weight * p * p).sum(axis=(1, 2))
    # A prediction collapsed to a point has no scale; 0 is refused by the caller.
    scale = (weight * p * g).sum(axis=(1, 2)) / np.where(spread > 0, spread, np.inf)
    moved: Floats = scale[:, None, None] * p + mean_g[:, None]
    return moved, scale


def _median(values: Floats, count: npt.NDArray[np.intp]) -> Floats:
    """Lower median of the first `count` sorted values of each row; the others are inf."""
    middle = (count - 1) // 2
    return np.sort(values, axis=1)[np.arange(len(values)), middle]
