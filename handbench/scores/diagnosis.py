"""Error diagnosis: which kinds of errors a model makes, and what each of them costs.

The kinds are those of :mod:`handbench.scores.error_classes`. The cost of a kind is what a metric
would gain if every keypoint of that kind were exactly right and nothing else changed, as in the
"oracle" analysis of Ronchi and Perona (ICCV 2017). PCK and AUC are means of one score a keypoint,
and every keypoint has one kind, so the costs of all kinds add up to what is missing to a perfect
score. ``docs/diagnosis.md`` defines everything and shows how far it can be trusted.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.errors import ScoreError
from handbench.hand import FINGERS, JOINT_NAMES
from handbench.metrics import Average
from handbench.scores.error_classes import (
    NAMES,
    Classified,
    KeypointClass,
    classify,
)
from handbench.scores.matching import Matched
from handbench.scores.text import table

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

MEANINGS: tuple[str, ...] = (
    "within 0.05 of its place",
    "within 0.1 of its place",
    "near nothing that would explain it",
    "at a joint of another finger",
    "at another joint of its own finger",
    "at the same joint of another hand in the image",
    "right once the hand is shifted and scaled",
    "right in the image, wrong or mirrored in depth",
    "two explanations are equally near",
    "nothing was predicted",
)
"""What each class means, in tight boxes; in the order of :data:`NAMES`."""

SHOWN_PAIRS = 5
"""Pairs of fingers that the text names."""

_DEPTH_MM = 50.0


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong with the keypoints of one model. N expected hands, C classes.

    Attributes
    ----------
    model, dataset, split
        What was diagnosed.
    sample_id
        (N,) str.
    codes
        (N, 21) uint8: class of each keypoint, an index into :attr:`names`, or 255 where there is
        nothing to diagnose (:data:`~handbench.scores.error_classes.NOT_DIAGNOSED`).
    landed
        (N, 21) int8: joint at which a swapped or inverted keypoint lies; -1 elsewhere.
    counts
        (C,) int64 keypoints of each class.
    hands
        (C,) int64 hands with at least one such keypoint.
    per_joint
        (C, 21) int64 keypoints of each class and joint.
    finger_pairs
        (5, 5) int64: keypoints of the row's finger that lie at a joint of the column's finger:
        swaps, and on the diagonal inversions. Thumb to pinky.
    values
        Metric name → its value as the model is.
    costs
        Metric name → (C,) what it would gain if all keypoints of one class were right.
    shift, scale
        (N, 2) in tight boxes and (N,): how hands are misplaced as a whole; NaN for all others.
    not_judged
        Class → why no keypoint could be in it.
    """

    model: str
    dataset: str
    split: str
    sample_id: npt.NDArray[np.str_]
    codes: npt.NDArray[np.uint8]
    landed: npt.NDArray[np.int8]
    counts: Counts
    hands: Counts
    per_joint: Counts
    finger_pairs: Counts
    values: dict[str, float]
    costs: dict[str, Floats]
    shift: Floats
    scale: Floats
    not_judged: dict[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return NAMES

    @property
    def keypoints(self) -> int:
        """Number of keypoints diagnosed."""
        return int(self.counts.sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays of single keypoints, for JSON."""
        total = max(1, self.keypoints)
        misplaced = np.isfinite(self.scale)
        return {
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split,
            "hands": len(self.codes),
            "keypoints": self.keypoints,
            "values": {name: _number(value) for name, value in self.values.items()},
            "classes": {
                name: {
                    "meaning": meaning,
                    "keypoints": int(self.counts[code]),
                    "share": int(self.counts[code]) / total,
                    "hands": int(self.hands[code]),
                    "costs": {key: _number(cost[code]) for key, cost in self.costs.items()},
                    "per_joint": self.per_joint[code].tolist(),
                }
                for code, (name, meaning) in enumerate(zip(NAMES, MEANINGS))
            },
            "joints": list(JOINT_NAMES),
            "fingers": list(FINGERS),
            "finger_pairs": self.finger_pairs.tolist(),
            "whole_hand": {
                "hands": int(misplaced.sum()),
                "median_scale": _median(self.scale[misplaced]),
                "median_shift": [_median(self.shift[misplaced, axis]) for axis in range(2)],
            },
            "not_judged": dict(self.not_judged),
        }


def diagnose(matched: Matched, *, threshold: float = 0.1, avg: Average = "joint") -> Diagnosis:
    """Sort every labelled keypoint into one class of error, and weigh the classes.

    Parameters
    ----------
    matched
        Truth with 2D labels, and 2D predictions, in the same rows.
    threshold
        Costs are given for ``PCK@<threshold>[tight]``, for the AUC from 0 to twice the threshold,
        and where both sides have 3D for ``AUC@0-50mm[root=0]``.
    avg
        ``"joint"``, as in the protocol ``handbench``, or ``"pool"``.

    Raises
    ------
    ScoreError
        If there are no 2D labels or no 2D predictions, or the threshold is not above 0.

    See Also
    --------
    diagnosis_text : The result as a table.
    """
    truth, predictions = matched.truth, matched.predictions
    if not threshold > 0:
        raise ScoreError(f"a diagnosis needs a PCK threshold above 0, found {threshold:g}")
    if matched.keypoints is None or not truth.valid.any():
        lacking = (
            f"the labels of {truth.dataset} {truth.split}"
            if matched.keypoints is not None
            else predictions.origin or f"the predictions of {predictions.name}"
        )
        raise ScoreError(
            "a diagnosis sorts errors by where keypoints lie in the image and needs 2D labels and "
            f"2D predictions, but {lacking} hold no 2D keypoints: project them, or leave the "
            "diagnosis out"
        )
    kinds = classify(matched)
    per_joint = np.stack([(kinds.codes == kind).sum(axis=0) for kind in KeypointClass])
    hands = np.array([int((kinds.codes == kind).any(axis=1).sum()) for kind in KeypointClass])
    values, costs = _costs(matched, kinds, threshold, avg)
    return Diagnosis(
        model=predictions.name,
        dataset=truth.dataset,
        split=truth.split,
        sample_id=truth.sample_id,
        codes=kinds.codes,
        landed=kinds.landed,
        counts=per_joint.sum(axis=1),
        hands=hands,
        per_joint=per_joint,
        finger_pairs=_finger_pairs(kinds),
        values=values,
        costs=costs,
        shift=kinds.shift,
        scale=kinds.scale,
        not_judged=_not_judged(matched),
    )


def _finger_pairs(kinds: Classified) -> Counts:
    """(5, 5): finger of the label, finger at which the point lies."""
    rows, joints = np.nonzero(kinds.landed >= 0)
    # Joints 1-4 are finger 0, joints 5-8 finger 1, and so on; the wrist is never landed at.
    pairs = (joints - 1) // 4 * len(FINGERS) + (kinds.landed[rows, joints].astype(np.intp) - 1) // 4
    counts = np.bincount(pairs, minlength=len(FINGERS) ** 2)
    return counts.reshape(len(FINGERS), len(FINGERS)).astype(np.int64)


def _costs(
    matched: Matched, kinds: Classified, threshold: float, avg: Average
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Value of each metric, and what it would gain from each class."""
    values: dict[str, float] = {}
    costs: dict[str, Floats] = {}
    for name, scores in _scores(matched, threshold, avg).items():
        value = m.average(scores, avg)
        values[name] = value
        costs[name] = np.array(
            [m.average(_corrected(scores, kinds, kind), avg) - value for kind in KeypointClass]
        )
    return values, costs


def _corrected(scores: Floats, kinds: Classified, kind: KeypointClass) -> Floats:
    """Scores if all keypoints of one class were right; what has no score keeps none."""
    return np.where((kinds.codes == kind) & ~np.isnan(scores), 1.0, scores)


def _scores(matched: Matched, threshold: float, avg: Average) -> dict[str, Floats]:
    """Metric name → score of every keypoint (N, 21): 1 perfect, 0 wrong, NaN left out."""
    truth, ending = matched.truth, "" if avg == "joint" else f",avg={avg}"
    points = (
        np.full_like(truth.keypoints, np.nan) if matched.keypoints is None else matched.keypoints
    )
    errors = m.keypoint_errors(points, truth.keypoints, truth.valid)
    relative = m.normalise(errors, m.tight_size(truth.keypoints, truth.valid))
    low, high = _plain(threshold), _plain(2 * threshold)
    scores = {
        f"PCK@{low}[tight{ending}]": m.pck_scores(relative, threshold),
        f"AUC@0-{high}[tight,rule=exact{ending}]": m.auc_scores(relative, 0.0, 2 * threshold),
    }
    if truth.keypoints_3d is not None and truth.valid_3d.any() and matched.keypoints_3d is not None:
        known = truth.valid_3d & truth.valid_3d[:, [0]]
        from_wrist = m.keypoint_errors(
            m.align_root(matched.keypoints_3d), m.align_root(truth.keypoints_3d), known
        )
        scores[f"AUC@0-{_plain(_DEPTH_MM)}mm[root=0,rule=exact{ending}]"] = m.auc_scores(
            1000.0 * from_wrist, 0.0, _DEPTH_MM
        )
    return scores


def _plain(value: float) -> str:
    return np.format_float_positional(value, trim="-")


def _not_judged(matched: Matched) -> dict[str, str]:
    truth = matched.truth
    reasons: dict[str, str] = {}
    if len(np.unique(truth.image_id[truth.valid.any(axis=1)])) == truth.valid.any(axis=1).sum():
        reasons[NAMES[KeypointClass.OTHER_HAND]] = "no image has a second labelled hand"
    if not truth.has_3d:
        reasons[NAMES[KeypointClass.DEPTH_FLIP]] = "no 3D labels"
    elif matched.keypoints_3d is None:
        reasons[NAMES[KeypointClass.DEPTH_FLIP]] = "no 3D predictions"
    return reasons


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _median(values: Floats) -> float | None:
    return float(np.median(values)) if values.size else None


def diagnosis_text(diagnosis: Diagnosis, width: int = 0) -> str:
    """The diagnosis as an aligned table, the costliest class first.

    Parameters
    ----------
    diagnosis
        Of one model.
    width
        Of the terminal; 0 never wraps.
    """
    metrics = list(diagnosis.costs)
    first = diagnosis.costs[metrics[0]]
    order = sorted(range(len(NAMES)), key=lambda code: (-first[code], -diagnosis.counts[code]))
    total = max(1, diagnosis.keypoints)
    rows = [
        [
            NAMES[code],
            f"{diagnosis.counts[code]:,}",
            f"{diagnosis.counts[code] / total:.1%}",
            f"{diagnosis.hands[code]:,}",
            *(f"{diagnosis.costs[name][code]:+.4f}" for name in metrics),
            MEANINGS[code],
        ]
        for code in order
        if diagnosis.counts[code]
    ]
    now = ", ".join(f"{name} is {value:.4f}" for name, value in diagnosis.values.items())
    lines = [
        f"{diagnosis.model} on {diagnosis.dataset} {diagnosis.split}: {diagnosis.keypoints:,} "
        f"labelled keypoints of {len(diagnosis.codes):,} hands, by what happened to them",
        textwrap.indent(
            table(
                ["class", "keypoints", "share", "hands", *metrics, "meaning"],
                rows,
                width=max(0, width - 2),
            ),
            "  ",
        ),
        f"reading: {now}; a class adds its number if all its keypoints were right",
        *_finger_lines(diagnosis.finger_pairs),
        *_whole_hand_line(diagnosis),
        *_empty_line(diagnosis),
    ]
    return "\n".join(lines)


def _finger_lines(pairs: Counts) -> list[str]:
    """Which finger's joints lie at which other finger, the most frequent first."""
    fingers = list(FINGERS)
    ranked = sorted(np.ndindex(*pairs.shape), key=lambda pair: -int(pairs[pair]))
    swaps = [
        f"{fingers[a]} at {fingers[b]} {pairs[a, b]:,}" for a, b in ranked if a != b and pairs[a, b]
    ]
    along = [f"{fingers[a]} {pairs[a, a]:,}" for a, b in ranked if a == b and pairs[a, a]]
    return [
        f"{what}: {', '.join(found[:SHOWN_PAIRS])}" + (", …" if len(found) > SHOWN_PAIRS else "")
        for what, found in (("swaps", swaps), ("inversions", along))
        if found
    ]


def _whole_hand_line(diagnosis: Diagnosis) -> list[str]:
    """How hands are misplaced: the same scale on all of them points at the crop, not the model."""
    misplaced = np.isfinite(diagnosis.scale)
    if not misplaced.any():
        return []
    x, y = np.median(diagnosis.shift[misplaced], axis=0)
    return [
        f"whole hands: {misplaced.sum():,}, median scale "
        f"{np.median(diagnosis.scale[misplaced]):.2f}, median shift ({x:+.2f}, {y:+.2f}) of the "
        "tight box"
    ]


def _empty_line(diagnosis: Diagnosis) -> list[str]:
    """Classes without keypoints, and why those had no chance that had none."""
    empty = [
        f"{name} ({diagnosis.not_judged[name]})" if name in diagnosis.not_judged else name
        for name, count in zip(NAMES, diagnosis.counts)
        if not count
    ]
    return [f"none: {', '.join(empty)}"] if empty else []
