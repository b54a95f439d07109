"""Pure functions on arrays: errors of keypoints → PCK, AUC, EPE; sizes of a hand.

Alignment in 3D and F-scores of meshes are offered here too, from their own modules.

Everything starts from an array of errors (N, K): N hands, K joints, one distance each.

- NaN: the joint is not labelled; it is neither right nor wrong and is left out.
- inf: the joint is labelled, but the hand was missed; it is wrong at every threshold.

The training monitor and ``handbench evaluate`` call the same functions, so a number seen during
training is the number in the report. ``docs/metrics.md`` works each definition out by hand.

References
----------
PCK, AUC and EPE of 2D hands: mmpose, ``evaluation/functional/keypoint_eval.py`` (strict
comparison, left Riemann sum). AUC over 3D thresholds: Zimmermann and Brox 2017, and FreiHAND's
``utils/eval_util.py`` (loose comparison, trapezoid).
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from handbench.alignment import align_bone as align_bone
from handbench.alignment import align_procrustes as align_procrustes
from handbench.alignment import align_root as align_root
from handbench.alignment import align_scale as align_scale
from handbench.camera import keypoint_box
from handbench.errors import ScoreError
from handbench.hand import KNUCKLES, WRIST
from handbench.surfaces import f_scores as f_scores

FloatArray = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
Compare = Literal["le", "lt"]
Average = Literal["joint", "pool", "hand", "side"]
Rule = Literal["trapz", "left", "exact"]
Missing = Literal["wrong", "drop"]

PALM = (WRIST, *KNUCKLES)
"""The palm: wrist and the MCP joints of the four fingers. Bending fingers does not move them."""


# --- errors -----------------------------------------------------------------------------------


def keypoint_errors(
    prediction: npt.ArrayLike,
    truth: npt.ArrayLike,
    valid: npt.ArrayLike,
    *,
    missing: Missing = "wrong",
) -> FloatArray:
    """Euclidean distance of every joint, in the unit of the inputs.

    Parameters
    ----------
    prediction, truth
        (N, K, D) with D = 2 or 3, in one frame and unit. NaN in `prediction`: not predicted.
    valid
        (N, K) bool: labelled.
    missing
        What a labelled joint without prediction gets: ``"wrong"`` inf, ``"drop"`` NaN.

    Returns
    -------
    (N, K) float64: NaN where not labelled.

    Raises
    ------
    ScoreError
        If the shapes do not fit.

    >>> keypoint_errors([[[3.0, 4.0]]], [[[0.0, 0.0]]], [[True]])
    array([[5.]])
    """
    predicted = np.asarray(prediction)
    labelled = np.asarray(truth)
    keep = np.asarray(valid, dtype=bool)
    if predicted.shape != labelled.shape or predicted.shape[:-1] != keep.shape:
        raise ScoreError(
            "predictions, truth and valid must have the shapes (N, K, D), (N, K, D) and (N, K), "
            f"found {predicted.shape}, {labelled.shape} and {keep.shape}"
        )
    squares = np.zeros(keep.shape, dtype=np.float64)
    for axis in range(predicted.shape[-1]):
        # One coordinate at a time: summing over a last axis of length 2 is several times slower.
        step = np.subtract(predicted[..., axis], labelled[..., axis], dtype=np.float64)
        np.multiply(step, step, out=step)
        squares += step
    errors: FloatArray = np.sqrt(squares, out=squares)
    errors[np.isnan(errors)] = np.inf if missing == "wrong" else np.nan
    errors[~keep] = np.nan
    return errors


def normalise(errors: Floats, sizes: npt.ArrayLike) -> FloatArray:
    """Divide every hand's errors by its size.

    Parameters
    ----------
    errors
        (N, K).
    sizes
        (N,) in the unit of `errors`. Where a size is NaN, 0 or negative the hand cannot be
        normalised and becomes NaN, missed or not.

    Returns
    -------
    (N, K) float64 without unit.
    """
    size = np.asarray(sizes, dtype=np.float64)
    usable = np.where(size > 0, size, np.nan)
    scaled: FloatArray = np.asarray(errors, dtype=np.float64) / usable[:, None]
    return scaled


# --- sizes of a hand in the image ---------------------------------------------------------------


def box_size(bbox: npt.ArrayLike) -> FloatArray:
    """Longer side of boxes (N, 4) given as x, y, w, h. Returns (N,) in the unit of the box."""
    box = np.asarray(bbox, dtype=np.float64)
    size: FloatArray = np.maximum(box[..., 2], box[..., 3])
    return size


def tight_size(keypoints: npt.ArrayLike, valid: npt.ArrayLike) -> FloatArray:
    """Longer side of the tight box around the labelled keypoints.

    Parameters
    ----------
    keypoints
        (N, K, 2) px.
    valid
        (N, K) bool.

    Returns
    -------
    (N,) px; NaN where no joint is labelled, 0 where only one is.
    """
    return box_size(keypoint_box(keypoints, valid))


def palm_size(keypoints: npt.ArrayLike, valid: npt.ArrayLike) -> FloatArray:
    """Projected palm: the largest distance between any two of wrist and four finger knuckles.

    These five points are nearly rigid, so a fist does not shrink its own unit as it shrinks its
    tight box. Wrist to middle knuckle alone would vanish when the palm points at the camera;
    the largest of ten distances then falls back on the palm's width, since a rigid plane cannot
    be foreshortened along both of its directions at once.

    Parameters
    ----------
    keypoints
        (N, 21, 2) px, canonical order.
    valid
        (N, 21) bool.

    Returns
    -------
    (N,) px; NaN unless all five points are labelled, because a maximum over fewer would be a
    smaller unit and make the same error look larger.
    """
    palm = np.asarray(keypoints, dtype=np.float64)[:, PALM, :]
    size = np.zeros(len(palm))
    for i in range(len(PALM)):
        for j in range(i):
            step = palm[:, i] - palm[:, j]
            size = np.maximum(size, np.sqrt((step * step).sum(axis=-1)))
    complete = np.asarray(valid, dtype=bool)[:, PALM].all(axis=1)
    return np.where(complete, size, np.nan)


def _floating(values: npt.ArrayLike) -> Floats:
    """`values` as they are if they are float32 or float64; whole numbers become float64."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


# --- averages, PCK, AUC, EPE ---------------------------------------------------------------------


def average(
    values: Floats, avg: Average = "joint", is_right: npt.NDArray[np.int8] | None = None
) -> float:
    """Mean of values (N, K), NaN left out.

    ``"joint"``: the mean of each joint, then the mean of the joints that have values.
    ``"pool"``: one mean over all values. They differ when joints are labelled unequally often.
    ``"hand"``: the mean of each hand, then the mean of hands. ``"side"``: like ``"joint"``, with
    the joints of left and right hands told apart by `is_right` (N,), as for 42 joints.
    Returns NaN when there is no value.
    """
    values, avg = arrange(values, avg, is_right)
    per_joint, counts = joint_means(values)
    return _average_counts(per_joint * counts, counts, avg)


def arrange(
    values: Floats, avg: Average, is_right: npt.NDArray[np.int8] | None = None
) -> tuple[Floats, Literal["joint", "pool"]]:
    """Bring values (N, K) into columns that only need a mean of columns or one pooled mean.

    Returns
    -------
    values
        (N, K) as they are; (N, 1) means of hands for ``"hand"``; (N, 2 K) for ``"side"``, left
        hands in the second half, hands of unknown side in the first.
    avg
        What is left to do.
    """
    if avg == "hand":
        there = ~np.isnan(values)
        counts = there.sum(axis=1, keepdims=True)
        totals = np.sum(values, axis=1, where=there, keepdims=True, dtype=np.float64)
        return np.where(counts > 0, totals / np.maximum(counts, 1), np.nan), "joint"
    if avg == "side":
        if is_right is None:
            raise ScoreError("avg 'side' needs the side of every hand, found none: pass is_right")
        left = (np.asarray(is_right) == 0)[:, None]
        halves = [np.where(left, np.nan, values), np.where(left, values, np.nan)]
        return np.concatenate(halves, axis=1), "joint"
    if avg not in ("joint", "pool"):
        raise ScoreError(f"avg must be 'joint', 'pool', 'hand' or 'side', found {avg!r}")
    return values, avg


def joint_means(values: Floats) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Mean of every joint over the hands where it is not NaN.

    Parameters
    ----------
    values
        (N, K).

    Returns
    -------
    means
        (K,); 0 where a joint has no value.
    counts
        (K,) int64: hands with a value.
    """
    values = _floating(values)
    there = ~np.isnan(values)
    counts = there.sum(axis=0)
    totals = np.sum(values, axis=0, where=there, dtype=np.float64)
    return totals / np.maximum(counts, 1), counts


def _average_counts(totals: npt.NDArray[Any], counts: npt.NDArray[np.int64], avg: Average) -> float:
    """Mean from totals (K,) and counts (K,)."""
    labelled = counts > 0
    if not labelled.any():
        return float("nan")
    if avg == "joint":
        return float((totals[labelled] / counts[labelled]).mean())
    if avg == "pool":
        return float(totals[labelled].sum() / counts.sum())
    raise ScoreError(f"avg must be 'joint' or 'pool', found {avg!r}")


def pck_counts(
    errors: Floats, thresholds: npt.ArrayLike, *, cmp: Compare = "le"
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count correct joints.

    Parameters
    ----------
    errors
        (N, K). Their dtype is the precision of the comparison: thresholds are rounded to it, as
        scripts that keep float32 distances do.
    thresholds
        (T,) in the unit of `errors`.
    cmp
        Correct means ``"le"``: error ≤ threshold, or ``"lt"``: error < threshold.

    Returns
    -------
    hits
        (T, K) int64.
    counts
        (K,) int64: labelled joints.
    """
    if cmp not in ("le", "lt"):
        raise ScoreError(f"cmp must be 'le' or 'lt', found {cmp!r}")
    errors = _floating(errors)
    compare = np.less_equal if cmp == "le" else np.less
    limits = np.atleast_1d(np.asarray(thresholds)).astype(errors.dtype)
    # One joint at a time stays in the processor's cache; counting bools is then nearly free.
    columns = np.ascontiguousarray(errors.T)
    hits = np.empty((len(limits), len(columns)), dtype=np.int64)
    counts = np.empty(len(columns), dtype=np.int64)
    buffer = np.empty(columns.shape[1], dtype=bool)
    for joint, column in enumerate(columns):
        counts[joint] = np.count_nonzero(np.equal(column, column, out=buffer))
        for row, limit in enumerate(limits):
            hits[row, joint] = np.count_nonzero(compare(column, limit, out=buffer))
    return hits, counts


def pck_curve(
    errors: Floats, thresholds: npt.ArrayLike, *, cmp: Compare = "le", avg: Average = "joint"
) -> FloatArray:
    """Fraction of correct keypoints at every threshold.

    Parameters
    ----------
    errors
        (N, K): NaN left out, inf wrong.
    thresholds
        (T,) in the unit of `errors`.
    cmp
        See :func:`pck_counts`.
    avg
        See :func:`average`.

    Returns
    -------
    (T,) fractions; NaN when nothing is labelled.
    """
    hits, counts = pck_counts(errors, thresholds, cmp=cmp)
    return np.array([_average_counts(row, counts, avg) for row in hits])


def pck(errors: Floats, threshold: float, *, cmp: Compare = "le", avg: Average = "joint") -> float:
    """Fraction of correct keypoints at one threshold; see :func:`pck_curve`.

    >>> pck(np.array([[1.0, 100.0], [1.0, np.nan]]), 10.0, avg="joint")
    0.5
    """
    return float(pck_curve(errors, [threshold], cmp=cmp, avg=avg)[0])


def auc_grid(low: float, high: float, n: int, rule: Rule) -> tuple[FloatArray, FloatArray]:
    """Thresholds and weights such that AUC = Σ weight · PCK(threshold).

    ``"trapz"``: n thresholds from `low` to `high`, both ends included, trapezoid divided by the
    range (FreiHAND, hand3d). ``"left"``: n thresholds low + i · (high - low) / n for i = 0 …
    n-1, plain mean (mmpose).

    Returns
    -------
    thresholds, weights
        (n,) each; the weights sum to 1.
    """
    if not high > low:
        raise ScoreError(f"an AUC needs a range with low < high, found {low:g} to {high:g}")
    if rule == "left" and n >= 1:
        return low + (high - low) * np.arange(n) / n, np.full(n, 1.0 / n)
    if rule == "trapz" and n >= 2:
        weights = np.ones(n)
        weights[[0, -1]] = 0.5
        return np.linspace(low, high, n), weights / (n - 1)
    raise ScoreError(
        f"an AUC on a grid needs rule 'left' with n ≥ 1 or 'trapz' with n ≥ 2, found {rule!r} "
        f"with n = {n}"
    )


def auc(
    errors: Floats,
    low: float,
    high: float,
    *,
    rule: Rule = "exact",
    n: int = 0,
    cmp: Compare = "le",
    avg: Average = "joint",
) -> float:
    """Area under the PCK curve between two thresholds, divided by the range.

    Parameters
    ----------
    errors
        (N, K).
    low, high
        Range of thresholds in the unit of `errors`.
    rule
        ``"trapz"`` or ``"left"`` on n thresholds (:func:`auc_grid`), or ``"exact"``: the limit
        of infinitely many thresholds, which is the mean of clip((high - d) / (high - low), 0, 1).
    n
        Number of thresholds; unused by ``"exact"``.
    cmp, avg
        See :func:`pck_counts` and :func:`average`.

    >>> auc(np.full((4, 21), 5.0), 0.0, 20.0)
    0.75
    """
    if rule == "exact":
        return average(auc_scores(errors, low, high, rule="exact"), avg)
    thresholds, weights = auc_grid(low, high, n, rule)
    return float(weights @ pck_curve(errors, thresholds, cmp=cmp, avg=avg))


def auc_scores(
    errors: Floats,
    low: float,
    high: float,
    *,
    rule: Rule = "exact",
    n: int = 0,
    cmp: Compare = "le",
) -> FloatArray:
    """What each joint adds to the AUC: :func:`average` of these scores is :func:`auc`.

    Returns
    -------
    (N, K) float64 in 0-1; NaN where the error is NaN, 0 where it is inf.
    """
    if rule == "exact":
        if not high > low:
            raise ScoreError(f"an AUC needs a range with low < high, found {low:g} to {high:g}")
        scores = (high - np.asarray(errors, dtype=np.float64)) / (high - low)
        return np.clip(scores, 0.0, 1.0, out=scores)
    errors = _floating(errors)
    thresholds, weights = auc_grid(low, high, n, rule)
    # reached[i]: score of an error that passes threshold i and all later ones, but none before.
    reached = np.append(np.cumsum(weights[::-1])[::-1], 0.0)
    side: Literal["left", "right"] = "left" if cmp == "le" else "right"
    first = np.searchsorted(thresholds.astype(errors.dtype), errors, side=side)
    return np.where(np.isnan(errors), np.nan, reached[first])


def pck_scores(errors: Floats, threshold: float, *, cmp: Compare = "le") -> FloatArray:
    """1 where a joint is correct, 0 where wrong, NaN where not labelled. (N, K) float64."""
    errors = _floating(errors)
    limit = np.asarray(threshold).astype(errors.dtype)
    correct = errors <= limit if cmp == "le" else errors < limit
    return np.where(np.isnan(errors), np.nan, correct.astype(np.float64))


def epe(errors: Floats, stat: str = "mean", *, avg: Average = "pool") -> float:
    """End-point error over the labelled joints of the hands that were found.

    Parameters
    ----------
    errors
        (N, K). NaN *and* inf are left out: a mean over hands that were found needs its coverage
        beside it.
    stat
        ``"mean"``, ``"median"`` or a percentile such as ``"p95"``.
    avg
        ``"pool"``: over all joints at once; ``"joint"``: of each joint, then the mean of joints.

    Returns
    -------
    In the unit of `errors`; NaN when there is nothing to average.
    """
    errors = _floating(errors)
    found = np.isfinite(errors)
    if stat == "mean":
        counts = np.count_nonzero(found, axis=0)
        totals = np.where(found, errors, 0.0).sum(axis=0, dtype=np.float64)
        return _average_counts(totals, counts, avg)
    percentile = _percentile(stat)
    if avg == "pool":
        values = errors[found]
        return float(np.percentile(values, percentile)) if values.size else float("nan")
    joints = [column[keep] for column, keep in zip(errors.T, found.T)]
    values = np.array([np.percentile(column, percentile) for column in joints if column.size])
    return float(values.mean()) if values.size else float("nan")


def _percentile(stat: str) -> float:
    if stat == "median":
        return 50.0
    if stat.startswith("p") and stat[1:].isdigit() and 0 < int(stat[1:]) < 100:
        return float(stat[1:])
    raise ScoreError(f"stat must be 'mean', 'median' or 'p1' to 'p99', found {stat!r}")
