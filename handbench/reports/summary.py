"""Per-sample errors as rows for a table or a figure: joints, fingers, groups, samples to look at.

Errors keep their meaning: NaN is a joint without a label, infinite a labelled joint of a hand that
was missed. Means and percentiles are those of the joints of predicted hands, and are always shown
with the number that was missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERS, JOINT_NAMES, JOINT_TYPES, finger_of
from handbench.metrics import epe, normalise
from handbench.scores.results import Evaluation, SampleErrors

Floats = npt.NDArray[np.float64]

SIDES = {1: "right", 0: "left", -1: "side unknown"}
VISIBILITIES = {2: "visible", 1: "occluded", 255: "labelled, visibility unknown"}


@dataclass(frozen=True)
class GroupErrors:
    """Errors of one group of joints over all hands.

    Attributes
    ----------
    name
        ``"index_tip"``, ``"thumb"``, ``"occluded"`` …
    labelled, missed
        Labelled joints, and how many of these belong to hands that were missed.
    median_px, mean_px, p95_px
        Of the joints of predicted hands, source px; None where there are none.
    median_box
        Median error over the longer side of the box around the hand's labelled joints (a
        fraction); None where undefined.
    finger
        The finger whose colour marks the row, or "".
    """

    name: str
    labelled: int
    missed: int
    median_px: float | None
    mean_px: float | None
    p95_px: float | None
    median_box: float | None
    finger: str = ""


def group_errors(name: str, errors_px: Floats, tight_px: Floats, finger: str = "") -> GroupErrors:
    """Summarise the errors of one group.

    Parameters
    ----------
    name, finger
        Shown as they are.
    errors_px
        (N, K) source px, NaN unlabelled, inf missed.
    tight_px
        (N,) normaliser in source px.
    """
    return GroupErrors(
        name=name,
        labelled=int(np.count_nonzero(~np.isnan(errors_px))),
        missed=int(np.count_nonzero(np.isinf(errors_px))),
        median_px=_known(epe(errors_px, "median")),
        mean_px=_known(epe(errors_px, "mean")),
        p95_px=_known(epe(errors_px, "p95")),
        median_box=_known(epe(normalise(errors_px, tight_px), "median")),
        finger=finger,
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def by_joint(errors: SampleErrors) -> list[GroupErrors]:
    """One row a joint, in canonical order."""
    return [
        group_errors(name, errors.errors_px[:, [j]], errors.tight_px, finger_of(j))
        for j, name in enumerate(JOINT_NAMES)
    ]


def by_finger(errors: SampleErrors) -> list[GroupErrors]:
    """One row for the wrist and each finger."""
    groups = {"wrist": (0,), **FINGERS}
    return [
        group_errors(name, errors.errors_px[:, list(joints)], errors.tight_px, name)
        for name, joints in groups.items()
    ]


def by_joint_type(errors: SampleErrors) -> list[GroupErrors]:
    """One row a place along the finger, from wrist to tip."""
    return [
        group_errors(name, errors.errors_px[:, list(joints)], errors.tight_px)
        for name, joints in JOINT_TYPES.items()
    ]


def by_visibility(errors: SampleErrors) -> list[GroupErrors]:
    """One row a kind of visibility among labelled joints; empty where only one kind occurs."""
    rows = [
        group_errors(
            name,
            np.where(errors.visibility == code, errors.errors_px, np.nan),
            errors.tight_px,
        )
        for code, name in VISIBILITIES.items()
    ]
    return _if_several(rows)


def by_side(errors: SampleErrors) -> list[GroupErrors]:
    """One row a side of the hand; empty where only one occurs."""
    rows = [
        group_errors(
            name,
            errors.errors_px[errors.is_right == code],
            errors.tight_px[errors.is_right == code],
        )
        for code, name in SIDES.items()
    ]
    return _if_several(rows)


def _if_several(rows: list[GroupErrors]) -> list[GroupErrors]:
    present = [row for row in rows if row.labelled]
    return present if len(present) > 1 else []


def mean_error_px(errors: SampleErrors) -> Floats:
    """Mean error of every hand over its joints that are labelled and predicted.

    Returns
    -------
    (N,) source px; NaN where nothing is labelled, inf where the hand was missed.
    """
    found = np.isfinite(errors.errors_px)
    count = found.sum(axis=1)
    total = np.where(found, errors.errors_px, 0.0).sum(axis=1)
    labelled = (~np.isnan(errors.errors_px)).any(axis=1)
    mean: Floats = np.where(labelled, np.inf, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean


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


def pick_samples(mean_px: Floats, count: int) -> Picks:
    """Choose the worst, most typical and best hands, and the first missed ones.

    Parameters
    ----------
    mean_px
        (N,) as :func:`mean_error_px` gives it.
    count
        How many of each kind at most. With few hands the worst are chosen first.
    """
    order = np.flatnonzero(np.isfinite(mean_px))
    order = order[np.argsort(mean_px[order], kind="stable")]
    share = min(count, max(1, len(order) // 3)) if len(order) else 0
    worst = order[len(order) - share :][::-1]
    rest = order[: len(order) - share]
    best, rest = rest[:share], rest[share:]
    middle = max(0, (len(order) - share) // 2 - share)
    median = rest[middle : middle + share]
    missed = np.flatnonzero(np.isinf(mean_px))[:count]
    return Picks(*(rows.tolist() for rows in (worst, median, best, missed)))


def disagreements(evaluations: Sequence[Evaluation], count: int) -> list[str]:
    """Sample ids where the mean errors of the models lie furthest apart, furthest first.

    Only hands that every model found are compared: a hand found by some models alone shows in
    their coverage.
    """
    ids = evaluations[0].errors.sample_id
    table = np.full((len(evaluations), len(ids)), np.nan)
    for k, evaluation in enumerate(evaluations):
        found = dict(zip(evaluation.errors.sample_id.tolist(), mean_error_px(evaluation.errors)))
        table[k] = [found.get(name, np.nan) for name in ids.tolist()]
    shared = np.flatnonzero(np.isfinite(table).all(axis=0))
    gap = np.ptp(table[:, shared], axis=0)
    order = np.argsort(-gap, kind="stable")[:count]
    return [str(ids[shared[i]]) for i in order if gap[i] > 0]
