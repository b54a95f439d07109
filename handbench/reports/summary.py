"""Per-sample errors as rows for a table or a figure: joints, fingers, joint types, means of hands.

Errors keep their meaning: NaN is a joint without a label, infinite a labelled joint of a hand that
was missed. Means and percentiles are those of the joints of predicted hands, and are always shown
with the number that was missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERS, JOINT_NAMES, JOINT_TYPES, finger_of
from handbench.metrics import epe, normalise
from handbench.scores.results import Evaluation
from handbench.scores.sample_errors import SampleErrors

Floats = npt.NDArray[np.float64]

SIDES = {1: "right", 0: "left", -1: "side unknown"}


@dataclass(frozen=True)
class Basis:
    """Which errors the page breaks down: pixels, or millimetres where there is no 2D.

    Attributes
    ----------
    unit
        ``"px"`` or ``"mm"``.
    words
        The unit with its frame, for captions.
    """

    unit: str
    words: str

    def errors(self, errors: SampleErrors) -> Floats:
        """(N, 21) errors of one model; NaN throughout where it has none of this kind."""
        chosen = errors.errors_px if self.unit == "px" else errors.root_mm
        return np.full_like(errors.errors_px, np.nan) if chosen is None else chosen


PIXELS = Basis("px", "px of the source image")
MILLIMETRES = Basis("mm", "mm in 3D with the wrists aligned")


def choose_basis(evaluations: Sequence[Evaluation]) -> Basis:
    """Pixels, unless no model has 2D errors and some model has 3D ones."""
    if any((~np.isnan(e.errors.errors_px)).any() for e in evaluations):
        return PIXELS
    return MILLIMETRES if any(e.errors.root_mm is not None for e in evaluations) else PIXELS


@dataclass(frozen=True)
class GroupErrors:
    """Errors of one group of joints over all hands.

    Attributes
    ----------
    name
        ``"index_tip"``, ``"thumb"``, ``"occluded"`` …
    labelled, missed
        Labelled joints, and how many of these belong to hands that were missed.
    median, mean, p95
        Of the joints of predicted hands, in the unit of the basis; None where there are none.
    of_box
        Median error over the longer side of the tight box around the hand's labelled joints (a
        fraction); None where undefined and in 3D.
    finger
        The finger whose colour marks the row, or "".
    """

    name: str
    labelled: int
    missed: int
    median: float | None
    mean: float | None
    p95: float | None
    of_box: float | None
    finger: str = ""


def group_errors(
    name: str, values: Floats, tight_px: Floats | None = None, finger: str = ""
) -> GroupErrors:
    """Summarise the errors of one group.

    Parameters
    ----------
    name, finger
        Shown as they are.
    values
        (N, K), NaN unlabelled, inf missed.
    tight_px
        (N,) size of each hand in source px, if `values` are source px.
    """
    relative = float("nan") if tight_px is None else epe(normalise(values, tight_px), "median")
    return GroupErrors(
        name=name,
        labelled=int(np.count_nonzero(~np.isnan(values))),
        missed=int(np.count_nonzero(np.isinf(values))),
        median=_known(epe(values, "median")),
        mean=_known(epe(values, "mean")),
        p95=_known(epe(values, "p95")),
        of_box=_known(relative),
        finger=finger,
    )


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def by_joint(errors: SampleErrors, basis: Basis) -> list[GroupErrors]:
    """One row a joint, in canonical order."""
    joints = {name: (j,) for j, name in enumerate(JOINT_NAMES)}
    return _by_joints(errors, basis, joints, [finger_of(j) for j in range(len(joints))])


def by_finger(errors: SampleErrors, basis: Basis) -> list[GroupErrors]:
    """One row for the wrist and each finger."""
    groups = {"wrist": (0,), **FINGERS}
    return _by_joints(errors, basis, groups, list(groups))


def by_joint_type(errors: SampleErrors, basis: Basis) -> list[GroupErrors]:
    """One row a place along the finger, from wrist to tip."""
    return _by_joints(errors, basis, JOINT_TYPES, [""] * len(JOINT_TYPES))


def _by_joints(
    errors: SampleErrors,
    basis: Basis,
    groups: Mapping[str, tuple[int, ...]],
    fingers: Sequence[str],
) -> list[GroupErrors]:
    values, tight = basis.errors(errors), _tight(errors, basis)
    return [
        group_errors(name, values[:, list(joints)], tight, finger)
        for (name, joints), finger in zip(groups.items(), fingers, strict=True)
    ]


def _tight(errors: SampleErrors, basis: Basis) -> Floats | None:
    return errors.tight_px if basis == PIXELS else None


def hand_means(values: Floats) -> Floats:
    """Mean error of every hand over its joints that are labelled and predicted.

    Parameters
    ----------
    values
        (N, 21), NaN unlabelled, inf missed.

    Returns
    -------
    (N,) in the unit of `values`; NaN where nothing is labelled, inf where the hand was missed.
    """
    found = np.isfinite(values)
    count = found.sum(axis=1)
    total = np.where(found, values, 0.0).sum(axis=1)
    labelled = (~np.isnan(values)).any(axis=1)
    mean: Floats = np.where(labelled, np.inf, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
