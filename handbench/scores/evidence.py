"""What the guards share: a small sample of hands, and repairs that are tried on it.

A guard knows one slip. It undoes the slip on a copy of at most 2,000 hands and looks whether they
fit the truth far better; what it says holds what was expected, what was found, and what to do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERS, NUM_JOINTS, WRIST
from handbench.metrics import align_procrustes, keypoint_errors
from handbench.scores.distances import MM_PER_M
from handbench.scores.matching import Matched

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

SAMPLED = 2000
"""Hands that a guard looks at: medians of more do not change, and the guards cost nothing."""

FEWEST = 8
"""Fewer hands can fit a repair by chance, so nothing is said about them."""

FAR_BETTER = 0.6
"""A repair must bring the error of the median hand below this share."""

MOST = 0.8
"""Share of hands that must fit better: a slip is made on all of them, luck helps about half."""

SMALL = 0.04
"""Errors below this share of the hand are no slip, whatever would make them smaller."""

_COLLAPSED = 0.25

# Hands that choose among many repairs; all of them then measure the chosen one.
_SCREENED = 500
_ROUNDING = 1e-9

ALL_JOINTS = tuple(range(NUM_JOINTS))
_MIDDLE_MCP = FINGERS["middle"][0]


def sampled(matched: Matched) -> Matched:
    """At most :data:`SAMPLED` predicted hands, spread evenly over the split.

    The truth and every array of `matched` keep these rows; `predictions` stays as it was read.
    """
    rows = every_nth(np.flatnonzero(matched.predicted), SAMPLED)
    arrays: dict[str, Any] = {
        f.name: value[rows]
        for f in fields(matched)
        if isinstance(value := getattr(matched, f.name), np.ndarray)
    }
    return replace(matched, truth=matched.truth.rows(rows), **arrays)


def every_nth(rows: npt.NDArray[Any], most: int) -> npt.NDArray[Any]:
    """At most `most` of `rows`, spread evenly.

    >>> every_nth(np.arange(10), 4)
    array([0, 3, 6, 9])
    """
    return rows[:: max(1, -(-len(rows) // most))]


def on_one_point(points: npt.NDArray[np.floating[Any]]) -> Bools:
    """Whether all joints of a predicted hand (N, 21, D) are on one point, such as the origin."""
    # Two joints that differ settle nearly all hands; only the others are looked at in full.
    found: Bools = (points[:, WRIST] == points[:, _MIDDLE_MCP]).all(axis=-1)
    doubt = np.flatnonzero(found)
    found[doubt] = (points[doubt] == points[doubt, :1]).all(axis=(1, 2))
    return found


@dataclass(frozen=True)
class Hands:
    """Predicted hands beside their labels, in one space. N hands, all of them predicted.

    Attributes
    ----------
    predicted, labelled
        (N, 21, D) float64: D = 2 source px, or D = 3 metres in the source camera. NaN in
        `labelled` where not labelled.
    valid
        (N, 21) bool, labelled.
    rows
        (N,) their rows in the sample that they were taken from.
    """

    predicted: Floats
    labelled: Floats
    valid: Bools
    rows: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.predicted)

    @property
    def is_3d(self) -> bool:
        """Whether these are hands in metres."""
        return bool(self.predicted.shape[-1] == 3)

    @property
    def space(self) -> Literal["2D", "3D"]:
        """How these keypoints are called in sentences."""
        return "3D" if self.is_3d else "2D"

    @cached_property
    def size(self) -> float:
        """Median diagonal of the labelled joints' box, px or mm."""
        return middle(diagonals(self.labelled, self.valid)) * self._scale

    @cached_property
    def collapsed(self) -> bool:
        """Whether hands are so small that their shape is chance, as in the mean of all views."""
        return middle(diagonals(self.predicted, self.valid)) * self._scale < _COLLAPSED * self.size

    @property
    def _scale(self) -> float:
        return MM_PER_M if self.is_3d else 1.0

    def every(self, step: int) -> Hands:
        """Every `step`-th hand."""
        return Hands(
            self.predicted[::step], self.labelled[::step], self.valid[::step], self.rows[::step]
        )

    def errors(self, points: Floats | None = None) -> Floats:
        """Errors (N, 21) of `points`, or of what was predicted; NaN where not labelled.

        2D: source px. 3D: mm after Procrustes alignment by a proper rotation, because rotation,
        scale and place of a hand say nothing about the slips that are tried on whole hands.
        """
        moved = self.predicted if points is None else points
        if self.is_3d:
            moved = align_procrustes(moved, self.labelled, self.valid)
        return self._scale * keypoint_errors(moved, self.labelled, self.valid)


def pixels(sample: Matched) -> Hands | None:
    """2D hands of a sample; None if there are too few with labels."""
    return _hands(sample.keypoints, sample.truth.keypoints, sample.truth.valid)


def metres(sample: Matched) -> Hands | None:
    """3D hands of a sample; None if there are too few with labels."""
    return _hands(sample.keypoints_3d, sample.truth.keypoints_3d, sample.truth.valid_3d)


def _hands(points: Floats | None, labelled: Floats | None, valid: Bools) -> Hands | None:
    if points is None or labelled is None:
        return None
    usable = np.isfinite(points).all(axis=(1, 2)) & valid.any(axis=1) & ~on_one_point(points)
    rows = np.flatnonzero(usable)
    return Hands(points[rows], labelled[rows], valid[rows], rows) if len(rows) >= FEWEST else None


def diagonals(points: npt.NDArray[np.floating[Any]], valid: Bools) -> Floats:
    """Diagonal (N,) of the tight box around the valid joints of `points` (N, K, D); NaN if none."""
    low = np.full((len(points), points.shape[-1]), np.inf)
    high = -low
    for joint in range(points.shape[1]):
        # Joint by joint: reducing over the short middle axis is ten times slower.
        keep = valid[:, joint, None]
        np.minimum(low, points[:, joint], out=low, where=keep)
        np.maximum(high, points[:, joint], out=high, where=keep)
    away: Floats = np.linalg.norm(np.where(high >= low, high - low, np.nan), axis=-1)
    return away


def middle(values: Floats) -> float:
    """Median of the finite values; inf if there is none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else np.inf


def mean(values: Floats) -> float:
    """Mean of the finite values; inf if there is none."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else np.inf


def of_hands(errors: Floats) -> Floats:
    """Mean error (N,) of each hand, of errors (N, K) over its labelled joints; NaN if none is."""
    labelled = ~np.isnan(errors)
    count = labelled.sum(axis=1)
    total = np.where(labelled, errors, 0.0).sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fits_far_better(before: Floats, after: Floats, enough: float = FAR_BETTER) -> bool:
    """Whether a repair is one: the median hand gains enough, and nearly every hand gains.

    Parameters
    ----------
    before, after
        (N,) mean error of each hand; NaN where nothing is labelled.
    enough
        Share of the median error that must not remain.
    """
    hands = int((~np.isnan(before)).sum())
    # As though two more hands had not gained: eight of ten do so by chance once in a while.
    gained = float((after < before).sum()) / (hands + 2)
    return gained >= MOST and middle(after) < enough * middle(before)


@dataclass(frozen=True)
class Repair:
    """A slip undone.

    Attributes
    ----------
    points
        (N, 21, D): the predicted hands as they would be without the slip.
    what
        Completes "keypoints seem to be …".
    advice
        What to do, in the imperative.
    joints
        Joints that the repair changes: only they can tell whether it is one.
    enough
        Share of the median error that must not remain.
    """

    points: Floats
    what: str
    advice: str
    joints: tuple[int, ...] = ALL_JOINTS
    enough: float = FAR_BETTER


@dataclass(frozen=True)
class Finding:
    """A repair that fits: `before` and `after` are mean errors over all joints, px or mm."""

    repair: Repair
    space: Literal["2D", "3D"]
    hands: int
    before: float
    after: float

    @property
    def fall(self) -> str:
        """How far the error falls: ``EPE falls from 48.1 to 3.2 px on 2,000 hands``."""
        measure, unit = ("PA-MPJPE", "mm") if self.space == "3D" else ("EPE", "px")
        return (
            f"{measure} falls from {self.before:.1f} to {self.after:.1f} {unit} "
            f"on {self.hands:,} hands"
        )


def find(hands: Hands, repairs: Sequence[Repair]) -> Finding | None:
    """The repair after which `hands` fit far better than as they are, if there is one.

    Parameters
    ----------
    hands
        As predicted.
    repairs
        Best named first: of several that fit about equally well the first is taken.
    """
    step = max(1, -(-len(hands) // _SCREENED))
    few = hands.every(step)
    before = few.errors()
    fits: list[tuple[float, Repair]] = []
    for repair in repairs:
        after = few.errors(repair.points[::step])
        judged = list(repair.joints)
        was, is_now = of_hands(before[:, judged]), of_hands(after[:, judged])
        if middle(was) > SMALL * few.size and fits_far_better(was, is_now, repair.enough):
            fits.append((middle(of_hands(after)), repair))
    if not fits:
        return None
    least = min(fit for fit, _ in fits)
    # A repair with free parameters imitates the named one and fits a little better by chance.
    repair = next(repair for fit, repair in fits if fit <= 1.1 * least + _ROUNDING)
    return Finding(
        repair, hands.space, len(hands), mean(hands.errors()), mean(hands.errors(repair.points))
    )


def sentences(findings: Sequence[Finding | None]) -> list[str]:
    """One sentence for each slip: one that 2D and 3D share is told once, with both numbers."""
    told: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        if finding is not None:
            told.setdefault((finding.repair.what, finding.repair.advice), []).append(finding)
    return [
        f"{' and '.join(f.space for f in same)} keypoints seem to be {what}: "
        f"{' and '.join(f.fall for f in same)} once that is undone; {advice}"
        for (what, advice), same in told.items()
    ]


def declare(key: str, value: str) -> str:
    """Advice to say in the header, or on the command line, what the hands are.

    >>> declare("axes", "opengl")
    'set "axes": "opengl" (or --assume axes=opengl for a file without a header)'
    """
    return f'set "{key}": "{value}" (or --assume {key}={value} for a file without a header)'
