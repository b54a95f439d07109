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

from handbench.errors import ScoreError
from handbench.hand import FINGERS, NUM_JOINTS, WRIST
from handbench.metrics import keypoint_errors, normalise, tight_size
from handbench.scores.matching import Matched

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]

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
"""Least depth of a keypoint before or behind the joint at which it may be mirrored, metres: a
finger's thickness. Nearer ones are mirrored by noise alone."""

TURNS = 4
"""Other directions in which every unexplained error is tried, to see what chance explains."""


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

MEANINGS: tuple[str, ...] = (
    f"within {GOOD:g} of its place",
    f"within {JITTER:g} of its place",
    "near nothing that would explain it",
    "at a joint of another finger",
    "at another joint of its own finger",
    "at the same joint of another hand in the image",
    "right once the hand is shifted and scaled",
    "right in the image, mirrored in depth",
    "two explanations are equally near",
    "nothing was predicted",
)
"""What each class means, in tight boxes, by code."""

NOT_DIAGNOSED = 255
"""Code of keypoints without 2D label, and of hands whose labels span no box."""

_FINGER: npt.NDArray[np.intp] = np.array([-1, *np.repeat(np.arange(len(FINGERS)), 4)])
"""Finger 0-4 of every joint; -1 for the wrist."""

_BASE: npt.NDArray[np.intp] = np.array([WRIST, *np.repeat([f[0] for f in FINGERS.values()], 4)])
"""The joint at which every joint's finger starts; the wrist for the wrist."""


@dataclass(frozen=True)
class Classified:
    """The class of every keypoint of N hands.

    Attributes
    ----------
    codes
        (N, 21) uint8: a :class:`KeypointClass`, or :data:`NOT_DIAGNOSED`.
    errors
        (N, 21) distance of each keypoint from its place, tight boxes: NaN where not diagnosed,
        inf where nothing was predicted.
    landed
        (N, 21) int8: the joint at which a swapped or inverted point lies; -1 elsewhere.
    shift
        (N, 2) of hands misplaced as a whole, in tight boxes: way right and down of the hand's
        centre, the mean of its labelled keypoints. NaN for other hands.
    scale
        (N,) of such hands: size of the prediction over that of the truth. NaN for others.
    by_chance
        (C,) float64: keypoints that each class would hold if the errors that need an explanation
        of their own had the same lengths and other directions.
    """

    codes: Codes
    errors: Floats
    landed: npt.NDArray[np.int8]
    shift: Floats
    scale: Floats
    by_chance: Floats


def classify(matched: Matched) -> Classified:
    """Sort every labelled keypoint of every expected hand into exactly one class.

    Parameters
    ----------
    matched
        Truth with 2D labels, and 2D predictions.

    Raises
    ------
    ScoreError
        If there are no 2D labels or no 2D predictions.

    Notes
    -----
    What explains the whole hand comes first (other hand, whole hand), then what lies near its own
    place (depth flip, good, jitter), then what single points suggest (swap, inversion, other hand,
    ambiguous). The rest is a miss.
    """
    truth, predicted = matched.truth, matched.keypoints
    if predicted is None or not truth.valid.any():
        raise ScoreError(_nothing_to_diagnose(matched))
    size = tight_size(truth.keypoints, truth.valid)
    size = np.where(size > 0, size, np.nan)
    labelled = truth.valid & np.isfinite(size)[:, None]
    points: Floats = np.where(labelled[..., None], truth.keypoints, np.nan)
    errors = normalise(keypoint_errors(predicted, points, labelled), size)
    near = errors <= JITTER
    wrong = np.isfinite(errors) & ~near

    codes = np.full(labelled.shape, NOT_DIAGNOSED, dtype=np.uint8)
    codes[labelled] = KeypointClass.MISSED_HAND
    codes[near] = KeypointClass.JITTER
    codes[errors <= GOOD] = KeypointClass.GOOD
    codes[near & _mirrored_depth(matched, near)] = KeypointClass.DEPTH_FLIP

    other, on_other = _other_hand(predicted, points, size, truth.image_id)
    at_home = near.sum(axis=1) >= MOST * labelled.sum(axis=1)  # though it may touch another
    on_other &= wrong & ~at_home[:, None]
    codes[on_other] = KeypointClass.OTHER_HAND
    fit = _fit_whole_hand(predicted, points, size, errors)
    whole = ((fit.errors <= GOOD) & (errors > GOOD)) | ((fit.errors <= JITTER) & wrong)
    whole &= ~on_other.any(axis=1, keepdims=True)
    codes[whole] = KeypointClass.WHOLE_HAND
    alone = wrong & ~on_other & ~whole
    landed = _explain(codes, alone, predicted, points, size, other)

    misplaced = (codes == KeypointClass.WHOLE_HAND).any(axis=1)
    return Classified(
        codes=codes,
        errors=errors,
        landed=landed,
        shift=np.where(misplaced[:, None], fit.shift, np.nan),
        scale=np.where(misplaced, fit.scale, np.nan),
        by_chance=_by_chance(alone, predicted, points, size, truth.image_id),
    )


def _nothing_to_diagnose(matched: Matched) -> str:
    truth, predictions = matched.truth, matched.predictions
    lacking = (
        f"the labels of {truth.dataset} {truth.split}"
        if matched.keypoints is not None
        else predictions.origin or f"the predictions of {predictions.name}"
    )
    return (
        "a diagnosis sorts errors by where keypoints lie in the image and needs 2D labels and "
        f"2D predictions, but {lacking} hold no 2D keypoints: project them, or leave the "
        "diagnosis out"
    )


def _mirrored_depth(matched: Matched, near: Bools) -> Bools:
    """(N, 21): the depth is mirrored at the wrist, or at the base of the finger.

    An image does not tell the size of a hand. So the predicted hand is first scaled to fit the
    truth's x and y from the wrist; keypoints that are right in the image (`near`) decide.
    """
    truth, found = matched.truth, matched.keypoints_3d
    if truth.keypoints_3d is None or found is None:
        return np.zeros(near.shape, dtype=bool)
    labels = np.where(truth.valid_3d[..., None], truth.keypoints_3d, np.nan)
    g, p = labels - labels[:, [WRIST]], found - found[:, [WRIST]]
    used = near & np.isfinite(p + g).all(axis=-1)
    x = np.where(used[..., None], p, 0.0)[..., :2]
    y = np.where(used[..., None], g, 0.0)[..., :2]
    spread = (x * x).sum(axis=(1, 2))
    scale = (x * y).sum(axis=(1, 2)) / np.where(spread > 0, spread, np.nan)
    scale[(used.sum(axis=1) < FIT_JOINTS) | ~(scale > 0)] = np.nan
    depth, expected = scale[:, None] * p[..., 2], g[..., 2]
    mirrored = np.zeros(near.shape, dtype=bool)
    for plane in (np.zeros_like(expected), expected[:, _BASE]):
        image = 2 * plane - expected
        could = np.abs(expected - plane) >= MIRRORED_M
        mirrored |= could & (np.abs(depth - image) < 0.5 * np.abs(depth - expected))
    return mirrored


def _explain(
    codes: Codes, alone: Bools, predicted: Floats, points: Floats, size: Floats, other: Floats
) -> npt.NDArray[np.int8]:
    """Write the class of each point that must be explained alone, by what is nearest to it.

    Parameters
    ----------
    codes
        (N, 21), changed where `alone`.
    alone
        (N, 21): points that are not near their own place, and of no hand misplaced as a whole.
    predicted, points
        (N, 21, 2) px; `points` are NaN where unlabelled.
    size
        (N,) px.
    other
        (N, 21): distance to the same joint of another hand (:func:`_other_hand`).

    Returns
    -------
    (N, 21) int8: joint at which a swapped or inverted point lies, -1 elsewhere.
    """
    landed = np.full(codes.shape, -1, dtype=np.int8)
    kinds = np.array(
        [KeypointClass.INVERSION, KeypointClass.SWAP, KeypointClass.OTHER_HAND], dtype=np.uint8
    )
    for joint in range(NUM_JOINTS):
        rows = np.flatnonzero(alone[:, joint])
        gap = _distances(predicted[rows, joint, None], points[rows], size[rows, None])
        # The wrist is of no finger: it lies at no finger's joint, and no joint lies at it.
        fingers = (_FINGER >= 0) & (_FINGER[joint] >= 0)
        same = fingers & (_FINGER[joint] == _FINGER) & (np.arange(NUM_JOINTS) != joint)
        own = np.where(same, gap, np.inf)
        foreign = np.where(fingers & (_FINGER[joint] != _FINGER), gap, np.inf)
        found = np.stack([own.min(axis=1), foreign.min(axis=1), other[rows, joint]], axis=1)
        best = found.argmin(axis=1)
        first, second = np.sort(found, axis=1)[:, :2].T
        kind = np.where(first <= GOOD, kinds[best], np.uint8(KeypointClass.MISS))
        # A second explanation counts only where it would do on its own.
        unclear = (second <= GOOD) & (second <= first + CLEAR)
        kind[unclear] = KeypointClass.AMBIGUOUS
        codes[rows, joint] = kind
        nearest = np.where(best == 0, own.argmin(axis=1), foreign.argmin(axis=1))
        moved = (kind == KeypointClass.SWAP) | (kind == KeypointClass.INVERSION)
        landed[rows, joint] = np.where(moved, nearest, -1)
    return landed


def _by_chance(
    alone: Bools, predicted: Floats, points: Floats, size: Floats, image_id: npt.NDArray[np.str_]
) -> Floats:
    """(C,) how :func:`_explain` sorts the same errors, turned about the places of the keypoints."""
    counts = np.zeros(len(NAMES))
    rows = np.isin(image_id, image_id[alone.any(axis=1)])  # with the other hands of their images
    alone, points, size, image_id = alone[rows], points[rows], size[rows], image_id[rows]
    x, y = np.moveaxis(predicted[rows] - points, -1, 0)
    for turn in range(1, TURNS + 1):
        angle = 2 * np.pi * turn / (TURNS + 1)
        cos, sin = np.cos(angle), np.sin(angle)
        turned = points + np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1)
        codes = np.zeros(alone.shape, dtype=np.uint8)
        other, _ = _other_hand(turned, points, size, image_id)
        _explain(codes, alone, turned, points, size, other)
        counts += np.bincount(codes[alone], minlength=len(NAMES))
    return counts / TURNS


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
    names, image, members = np.unique(image_id, return_inverse=True, return_counts=True)
    order = np.argsort(image, kind="stable")
    start = np.cumsum(members) - members
    members[names == ""] = 1  # hands of unknown photos have no partner
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
        mean_p, mean_g, scale = _shift_and_scale(p, g, kept)
        moved = scale[:, None, None] * (p - mean_p[:, None]) + mean_g[:, None]
        after = np.where(found, _distances(moved, g, size[rows, None]), np.inf)
        rank = after.argsort(axis=1, kind="stable").argsort(axis=1)
        kept = found & (rank < np.ceil(MOST * count)[:, None])

    before = np.where(found, errors[rows], np.inf)
    explained = (
        (scale > 0)
        & ((after <= JITTER).sum(axis=1) >= MOST * count)
        & (_median(after, count) <= 0.5 * _median(before, count))
    )
    larger = 1.0 / np.where(explained, scale, np.nan)
    centre = g.sum(axis=1) / count[:, None]
    shift = mean_p + larger[:, None] * (centre - mean_g) - centre
    fit.errors[rows[explained]] = after[explained]
    fit.scale[rows] = larger
    fit.shift[rows] = shift / size[rows, None]
    return fit


def _shift_and_scale(p: Floats, g: Floats, kept: Bools) -> tuple[Floats, Floats, Floats]:
    """Least squares Σ |s·(p - p̄) + ḡ - g|² over the kept points: p̄ (N, 2), ḡ (N, 2), s (N,)."""
    weight = kept[..., None] / kept.sum(axis=1)[:, None, None]
    mean_p, mean_g = (weight * p).sum(axis=1), (weight * g).sum(axis=1)
    from_mean = p - mean_p[:, None]
    spread = (weight * from_mean * from_mean).sum(axis=(1, 2))
    # A prediction collapsed to a point has no scale; 0 is refused by the caller.
    scale = (weight * from_mean * g).sum(axis=(1, 2)) / np.where(spread > 0, spread, np.inf)
    return mean_p, mean_g, scale


def _median(values: Floats, count: npt.NDArray[np.intp]) -> Floats:
    """Lower median of the first `count` sorted values of each row; the others are inf."""
    middle = (count - 1) // 2
    return np.sort(values, axis=1)[np.arange(len(values)), middle]
