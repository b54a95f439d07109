"""Slips of 3D keypoints: units, OpenGL axes, a root that is not in camera space, mirror images."""

from __future__ import annotations

import numpy as np

from handbench.hand import JOINT_NAMES, WRIST
from handbench.metrics import keypoint_errors
from handbench.scores.distances import MM_PER_M
from handbench.scores.evidence import (
    SMALL,
    Floats,
    Hands,
    Repair,
    declare,
    diagonals,
    fits_far_better,
    mean,
    middle,
    of_hands,
)
from handbench.scores.matching import Matched

# No joint is farther than this from its hand's root, and whole hands are farther from the camera.
_NEAR_M = 0.3
# A joint that was subtracted is at the origin up to rounding; one that another was subtracted from
# is centimetres away; one in camera space is farther than any root of a hand.
_AT_ORIGIN_M = 0.001
_NOT_AT_ORIGIN_M = 0.02
_IN_CAMERA_SPACE_M = 0.2
# A hand smaller than this is collapsed, and has neither root nor axes.
_COLLAPSED_M = 0.005
# Aligned hands with smaller errors, as a share of the hand, have the right shape: then a wrong size
# is a factor, and not the noise or the mean of a bad model.
_FITS = 0.15
_OPENGL = np.array([1.0, -1.0, -1.0])
_BEHIND = np.array([1.0, 1.0, -1.0])


def wrong_unit(hands: Hands) -> str | None:
    """Sentence if hands are a thousand or hundred times too large, or far from a hand's size.

    Parameters
    ----------
    hands
        3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    found, expected = _across(hands.predicted, hands), _across(hands.labelled, hands)
    if not (found > 0 and 0 < expected < np.inf):
        return None
    ratio = found / expected
    seen = f"expected hands {expected:.2f} m across as in the truth, found {found:.3g} m"
    for factor, what, advice in (
        (1000, "in millimetres", f"divide by 1,000 or {declare('unit', 'mm')}"),
        (100, "in centimetres", "divide by 100"),
        (0.001, "divided by 1,000 once too often", f"multiply by 1,000 or {declare('unit', 'm')}"),
    ):
        if 0.6 < ratio / factor < 1.7:
            return f"3D keypoints seem to be {what}: {seen}; {advice}"
    if not 0.2 < ratio < 5 and middle(hands.errors()) < _FITS * hands.size:
        return (
            f"3D hands have an impossible size: {seen}; are they in units of a bone, or is a "
            "factor of the network's output missing? Write metres"
        )
    return None


def wrong_root(sample: Matched, hands: Hands) -> str | None:
    """Sentence if hands are root-relative but declared as absolute, or the other way round.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    hands
        Its 3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    if _across(hands.predicted, hands) < _COLLAPSED_M:
        return None
    declared = sample.predictions.frame_3d
    away = np.median(np.linalg.norm(hands.predicted, axis=-1), axis=0)
    nearest = int(away.argmin())
    from_centre = float(np.median(np.linalg.norm(hands.predicted.mean(axis=1), axis=-1)))
    if declared == "camera":
        depth = float(np.median(hands.labelled[..., 2][hands.valid]))
        reach = float(np.quantile(np.linalg.norm(hands.predicted, axis=-1), 0.99))
        if away[nearest] < _AT_ORIGIN_M:
            root, centre = nearest, f"{JOINT_NAMES[nearest]} at the origin"
        elif from_centre < _AT_ORIGIN_M:
            root, centre = WRIST, "the mean of all joints at the origin"
        elif reach < _NEAR_M < depth:
            root, centre = WRIST, "no joint at the origin"
        else:
            return None
        return (
            "3D keypoints seem to be root-relative, though declared in camera space: expected "
            f"hands at a depth of about {depth:.2f} m, found all joints within {reach:.2f} m of "
            f"the camera and {centre}; {declare('frame_3d', f'root:{JOINT_NAMES[root]}')}, or add "
            f"the position of the root{_mesh_remark(sample)}"
        )
    name = declared.removeprefix("root:")
    known = name in JOINT_NAMES
    distance = float(away[JOINT_NAMES.index(name)]) if known else from_centre
    said = f"3D keypoints are declared relative to {name}, so it is expected at the origin"
    if known and distance > _NOT_AT_ORIGIN_M and away[nearest] < _AT_ORIGIN_M:
        return (
            f"{said}, but found {distance:.2f} m away while {JOINT_NAMES[nearest]} is there: set "
            f'"frame_3d": "root:{JOINT_NAMES[nearest]}"'
        )
    if distance > _IN_CAMERA_SPACE_M:
        return (
            f"{said}, but found {distance:.2f} m away: if they are in camera space, set "
            '"frame_3d": "camera", and absolute metrics are computed too'
        )
    return None


def wrong_axes(sample: Matched, hands: Hands) -> str | None:
    """Sentence if hands fit far better with y and z negated, or lie behind the camera.

    Parameters
    ----------
    sample
        Predictions in the rows of the truth.
    hands
        Its 3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    if _across(hands.predicted, hands) < _COLLAPSED_M:
        return None
    away = np.linalg.norm(hands.predicted, axis=-1)
    absolute = sample.predictions.frame_3d == "camera" and np.quantile(away, 0.99) > _NEAR_M
    depth, true_depth = (
        float(np.median(points[..., 2][hands.valid]))
        for points in (hands.predicted, hands.labelled)
    )
    behind = absolute and depth < -0.05 and true_depth > 0
    before, opengl, negated = (
        _errors_mm(hands.predicted * signs, hands, centred=not absolute)
        for signs in (np.ones(3), _OPENGL, _BEHIND)
    )
    turned = middle(of_hands(opengl)) <= middle(of_hands(negated))
    fits = middle(before) > SMALL * hands.size and fits_far_better(
        of_hands(before), of_hands(opengl)
    )
    if turned and (fits or behind):
        measure = "MPJPE in camera space" if absolute else "MPJPE of centred hands"
        return (
            f"3D keypoints seem to be in OpenGL axes: {measure} goes from {mean(before):.1f} to "
            f"{mean(opengl):.1f} mm when y and z are negated (Procrustes-aligned numbers cannot "
            f"show it); {declare('axes', 'opengl')}, or negate y and z"
        )
    if behind:
        return (
            f"3D hands lie behind the camera: expected z of about {true_depth:.2f} m, found "
            f"{depth:.2f} m; negate z"
        )
    return None


def mirror_repairs(hands: Hands) -> list[Repair]:
    """Repair of mirrored 3D hands: mirror images in one plane differ by a rotation and a shift.

    Parameters
    ----------
    hands
        3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    if hands.collapsed:
        return []
    before = of_hands(_errors_mm(hands.predicted, hands, centred=True))
    mirrored = {
        name: hands.predicted * signs
        for name, signs in (("x", [-1.0, 1, 1]), ("y", [1.0, -1, 1]), ("z", [1.0, 1, -1]))
    }
    after = {
        name: of_hands(_errors_mm(points, hands, centred=True)) for name, points in mirrored.items()
    }
    axis = min(after, key=lambda name: middle(after[name]))
    named = axis if fits_far_better(before, after[axis]) else "one axis"
    hint = "" if named in "yz" else " (were images flipped, and hands not flipped back?)"
    return [Repair(mirrored[axis], "mirrored", f"negate {named}{hint}")]


def _across(points: Floats, hands: Hands) -> float:
    """Median diagonal of the box around the labelled joints, metres."""
    return middle(diagonals(points, hands.valid))


def _mesh_remark(sample: Matched) -> str:
    """Say that only the joints were moved to the root, where that is so."""
    if sample.vertices is None:
        return ""
    known = sample.vertices[np.isfinite(sample.vertices).all(axis=(1, 2))]
    if not len(known) or np.median(np.linalg.norm(known.mean(axis=1), axis=-1)) < _NEAR_M:
        return ""
    return "; the vertices are in camera space, as in files that HaMeR exports"


def _errors_mm(points: Floats, hands: Hands, *, centred: bool) -> Floats:
    labelled, keep = hands.labelled, hands.valid[..., None]
    if centred:
        count = np.maximum(keep.sum(axis=1, keepdims=True), 1)
        points = points - np.where(keep, points, 0.0).sum(axis=1, keepdims=True) / count
        labelled = labelled - np.where(keep, labelled, 0.0).sum(axis=1, keepdims=True) / count
    return MM_PER_M * keypoint_errors(points, labelled, hands.valid)
