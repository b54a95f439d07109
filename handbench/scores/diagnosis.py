"""Error diagnosis: which kinds of errors a model makes, and what each of them costs.

The kinds are those of :mod:`handbench.scores.error_classes`. The cost of a kind is what a metric
would gain if every keypoint of that kind were exactly right and nothing else changed, as in the
analysis of Ronchi and Perona (ICCV 2017). PCK and AUC are means of one score a keypoint, and every
keypoint has one kind, so the costs of all kinds add up to what is missing to a perfect score.
``docs/diagnosis.md`` defines everything and shows how far it can be trusted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from handbench import metrics as m
from handbench.errors import ScoreError
from handbench.hand import FINGERS, JOINT_NAMES, WRIST
from handbench.scores.error_classes import (
    MEANINGS,
    NAMES,
    NOT_DIAGNOSED,
    Classified,
    KeypointClass,
    classify,
)
from handbench.scores.matching import Matched
from handbench.scores.metric import number
from handbench.scores.names import parse

if TYPE_CHECKING:
    import pandas as pd

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

FORMAT = 1
"""Version of what :meth:`Diagnosis.to_dict` returns."""

_DEPTH_MM = 50.0

_ALONE = (
    KeypointClass.MISS,
    KeypointClass.SWAP,
    KeypointClass.INVERSION,
    KeypointClass.OTHER_HAND,
    KeypointClass.AMBIGUOUS,
)
"""Classes that a keypoint can be in by chance of where it lies."""


@dataclass(frozen=True)
class Diagnosis:
    """What went wrong with the keypoints of one model. N expected hands, C classes.

    Attributes
    ----------
    model, dataset, split
        What was diagnosed.
    sample_id
        (N,) str.
    classified
        The class of each keypoint of these hands, and how hands are misplaced.
    values
        Metric name → its value as the model is, over the keypoints that are diagnosed.
    costs
        Metric name → (C,) what it would gain if all keypoints of one class were right.
    not_judged
        Class → why no keypoint could be in it.
    """

    model: str
    dataset: str
    split: str
    sample_id: npt.NDArray[np.str_]
    classified: Classified
    values: dict[str, float]
    costs: dict[str, Floats]
    not_judged: dict[str, str]

    @cached_property
    def per_joint(self) -> Counts:
        """(C, 21) keypoints of each class and joint."""
        codes = self.classified.codes
        return np.stack([(codes == kind).sum(axis=0, dtype=np.int64) for kind in KeypointClass])

    @property
    def counts(self) -> Counts:
        """(C,) keypoints of each class."""
        counts: Counts = self.per_joint.sum(axis=1)
        return counts

    @property
    def keypoints(self) -> int:
        """Number of keypoints diagnosed."""
        return int(self.per_joint.sum())

    @cached_property
    def hands(self) -> Counts:
        """(C,) hands with at least one keypoint of each class."""
        codes = self.classified.codes
        return np.array([(codes == kind).any(axis=1).sum() for kind in KeypointClass], np.int64)

    @cached_property
    def finger_pairs(self) -> Counts:
        """(5, 5) keypoints of the row's finger that lie at a joint of the column's finger.

        Swaps, and on the diagonal inversions; thumb to pinky.
        """
        landed = self.classified.landed
        rows, joints = np.nonzero(landed >= 0)
        pairs = np.zeros((len(FINGERS), len(FINGERS)), dtype=np.int64)
        # Joints 1-4 are finger 0, joints 5-8 finger 1, and so on; the wrist never lands anywhere.
        np.add.at(pairs, ((joints - 1) // 4, (landed[rows, joints] - 1) // 4), 1)
        return pairs

    def by_chance(self, code: int) -> float | None:
        """Keypoints of a class if misses had random directions; None where this has no part."""
        return float(self.classified.by_chance[code]) if code in _ALONE else None

    @property
    def whole_hand(self) -> tuple[int, float, tuple[float, float]]:
        """Hands misplaced as a whole, their median scale and median shift (x, y); else NaN."""
        misplaced = np.isfinite(self.classified.scale)
        if not misplaced.any():
            return 0, float("nan"), (float("nan"), float("nan"))
        x, y = np.median(self.classified.shift[misplaced], axis=0)
        scale = np.median(self.classified.scale[misplaced])
        return int(misplaced.sum()), float(scale), (float(x), float(y))

    def to_frame(self) -> pd.DataFrame:
        """A frame with one row a kind of error and metric.

        See :func:`handbench.scores.frames.diagnosis_frame`.
        """
        from handbench.scores.frames import diagnosis_frame

        return diagnosis_frame(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the arrays of single keypoints, for JSON."""
        total = max(1, self.keypoints)
        hands, scale, shift = self.whole_hand
        return {
            "handbench_diagnosis": FORMAT,
            "model": self.model,
            "dataset": self.dataset,
            "split": self.split,
            "hands": len(self.sample_id),
            "keypoints": self.keypoints,
            "values": {name: _number(value) for name, value in self.values.items()},
            "classes": {
                name: {
                    "meaning": meaning,
                    "keypoints": int(self.counts[code]),
                    "share": int(self.counts[code]) / total,
                    "hands": int(self.hands[code]),
                    "by_chance": self.by_chance(code),
                    "costs": {key: _number(cost[code]) for key, cost in self.costs.items()},
                    "per_joint": self.per_joint[code].tolist(),
                }
                for code, (name, meaning) in enumerate(zip(NAMES, MEANINGS))
            },
            "joints": list(JOINT_NAMES),
            "fingers": list(FINGERS),
            "finger_pairs": self.finger_pairs.tolist(),
            "whole_hand": {
                "hands": hands,
                "median_scale": _number(scale),
                "median_shift": [_number(value) for value in shift],
            },
            "not_judged": dict(self.not_judged),
        }


def diagnose(matched: Matched, threshold: float = 0.1) -> Diagnosis:
    """Sort every labelled keypoint into one class of error, and weigh the classes.

    Parameters
    ----------
    matched
        Truth with 2D labels, and 2D predictions, in the same rows.
    threshold
        Costs are given for ``PCK@<threshold>[tight]``, for the AUC from 0 to twice the threshold,
        and where both sides have 3D for ``AUC@0-50mm[root=0]``.

    Raises
    ------
    ScoreError
        If there are no 2D labels or no 2D predictions, or the threshold is not above 0.

    See Also
    --------
    handbench.scores.diagnosis_text.diagnosis_text : The result as a table.
    """
    if not (threshold > 0 and np.isfinite(threshold)):
        raise ScoreError(f"a diagnosis needs a PCK threshold above 0, found {threshold:g}")
    classified = classify(matched)
    values: dict[str, float] = {}
    costs: dict[str, Floats] = {}
    for name, scores in _scores(matched, classified, threshold).items():
        values[name] = m.average(scores)
        perfect = [_corrected(scores, classified, kind) for kind in KeypointClass]
        costs[name] = np.array([m.average(other) - values[name] for other in perfect])
    return Diagnosis(
        model=matched.predictions.name,
        dataset=matched.truth.dataset,
        split=matched.truth.split,
        sample_id=matched.truth.sample_id,
        classified=classified,
        values=values,
        costs=costs,
        not_judged=_not_judged(matched, classified),
    )


def _scores(matched: Matched, classified: Classified, threshold: float) -> dict[str, Floats]:
    """Metric name → score of every keypoint (N, 21): 1 perfect, 0 wrong, NaN left out."""
    truth, errors = matched.truth, classified.errors
    low, high = number(threshold), number(2 * threshold)
    scores = {
        f"PCK@{low}[tight]": m.pck_scores(errors, threshold),
        f"AUC@0-{high}[tight,rule=exact]": m.auc_scores(errors, 0.0, 2 * threshold),
    }
    # What has no class has no part in a score either, or the costs would not add up.
    known = truth.valid_3d & truth.valid_3d[:, [WRIST]] & (classified.codes != NOT_DIAGNOSED)
    if truth.keypoints_3d is not None and known.any() and matched.keypoints_3d is not None:
        from_wrist = m.keypoint_errors(
            m.align_root(matched.keypoints_3d), m.align_root(truth.keypoints_3d), known
        )
        scores[f"AUC@0-{number(_DEPTH_MM)}mm[root={WRIST},rule=exact]"] = m.auc_scores(
            1000.0 * from_wrist, 0.0, _DEPTH_MM
        )
    return {str(parse(name)): values for name, values in scores.items()}


def _corrected(scores: Floats, classified: Classified, kind: KeypointClass) -> Floats:
    """Scores if all keypoints of one class were right; what has no score keeps none."""
    return np.where((classified.codes == kind) & ~np.isnan(scores), 1.0, scores)


def _not_judged(matched: Matched, classified: Classified) -> dict[str, str]:
    """Classes that no keypoint could be in, and why."""
    truth = matched.truth
    reasons: dict[str, str] = {}
    diagnosed = (classified.codes != NOT_DIAGNOSED).any(axis=1)
    photos = truth.image_id[diagnosed & (truth.image_id != "")]
    if len(np.unique(photos)) == len(photos):
        reasons[NAMES[KeypointClass.OTHER_HAND]] = "no image has a second labelled hand"
    if not truth.has_3d:
        reasons[NAMES[KeypointClass.DEPTH_FLIP]] = "no 3D labels"
    elif matched.keypoints_3d is None:
        reasons[NAMES[KeypointClass.DEPTH_FLIP]] = "no 3D predictions"
    return reasons


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
