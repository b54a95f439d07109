"""Which hands a report shows: the worst, typical and best, and examples of every kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.metrics import normalise
from handbench.reports.summary import hand_means
from handbench.scores.error_classes import GOOD, JITTER, NOT_DIAGNOSED, KeypointClass
from handbench.scores.results import Evaluation
from handbench.scores.sample_errors import SampleErrors

Codes = npt.NDArray[np.uint8]

OFF = 254
"""Code of a keypoint that is neither good nor jitter, where nobody said what it is instead."""

HARMLESS = (int(KeypointClass.GOOD), int(KeypointClass.JITTER), NOT_DIAGNOSED)
"""Codes that are no error to look for."""


@dataclass(frozen=True)
class Picks:
    """Rows chosen for pictures; every row is in one group at most.

    Attributes
    ----------
    worst, median, best
        Rows of scored hands, each from its most extreme (or most typical) on.
    missed
        Rows of labelled hands without a prediction.
    """

    worst: list[int]
    median: list[int]
    best: list[int]
    missed: list[int]


def pick_samples(errors: SampleErrors, count: int) -> Picks:
    """Choose the worst, most typical and best hands, and the first missed ones.

    Parameters
    ----------
    errors
        Of all hands.
    count
        How many of each kind at most. With few hands the worst are chosen first.
    """
    mean_px = hand_means(errors.errors_px)
    order = np.flatnonzero(np.isfinite(mean_px))
    order = order[np.argsort(mean_px[order], kind="stable")]
    share = min(count, max(1, len(order) // 3)) if len(order) else 0
    worst = order[len(order) - share :][::-1]
    rest = order[: len(order) - share]
    best, rest = rest[:share], rest[share:]
    middle = max(0, (len(order) - share) // 2 - share)
    median = rest[middle : middle + share]
    missed = np.flatnonzero(np.isinf(mean_px) & ~errors.predicted)[:count]
    return Picks(*(rows.tolist() for rows in (worst, median, best, missed)))


def codes_from_size(errors: SampleErrors) -> Codes:
    """(N, 21) codes by the size of the error alone, where there is no diagnosis.

    Good, jitter and missed hand are those of :mod:`handbench.scores.error_classes`; any other
    keypoint is :data:`OFF`.
    """
    size = np.where(errors.tight_px > 0, errors.tight_px, np.nan)
    relative = normalise(errors.errors_px, size)
    codes = np.full(relative.shape, NOT_DIAGNOSED, dtype=np.uint8)
    codes[relative > JITTER] = OFF
    codes[relative <= JITTER] = KeypointClass.JITTER
    codes[relative <= GOOD] = KeypointClass.GOOD
    codes[np.isposinf(relative)] = KeypointClass.MISSED_HAND
    return codes


def pick_of_each_kind(codes: Codes, kinds: Sequence[int], count: int) -> list[int]:
    """Rows with the most keypoints of each kind, up to `count` a kind, every row once."""
    rows: dict[int, None] = {}
    for kind in kinds:
        number = (codes == kind).sum(axis=1)
        order = np.argsort(-number, kind="stable")[:count]
        rows.update(dict.fromkeys(order[number[order] > 0].tolist()))
    return list(rows)


def pick_of_each_pair(codes: Codes, kinds: Sequence[int], taken: Sequence[int]) -> list[int]:
    """Rows such that every kind of error that a joint has somewhere is shown at that joint.

    Parameters
    ----------
    codes
        (N, 21) of all hands.
    kinds
        Codes to show, the most important first.
    taken
        Rows that are shown anyway: what they show needs no other.
    """
    rows = [*taken]
    for kind in kinds:
        this = codes == kind
        number = this.sum(axis=1)
        for joint in np.flatnonzero(this.any(axis=0)).tolist():
            if not this[rows, joint].any():
                rows.append(int(np.where(this[:, joint], number, -1).argmax()))
    return rows[len(taken) :]


def disagreements(evaluations: Sequence[Evaluation], count: int) -> list[str]:
    """Sample ids where the mean errors of the models lie furthest apart, furthest first.

    Only hands that every model found are compared: a hand found by some models alone shows in
    their coverage.
    """
    ids = evaluations[0].errors.sample_id
    table = np.full((len(evaluations), len(ids)), np.nan)
    for k, evaluation in enumerate(evaluations):
        found = dict(
            zip(evaluation.errors.sample_id.tolist(), hand_means(evaluation.errors.errors_px))
        )
        table[k] = [found.get(name, np.nan) for name in ids.tolist()]
    shared = np.flatnonzero(np.isfinite(table).all(axis=0))
    gap = np.ptp(table[:, shared], axis=0)
    order = np.argsort(-gap, kind="stable")[:count]
    return [str(ids[shared[i]]) for i in order if gap[i] > 0]
