"""Slips of 3D keypoints: units, OpenGL axes, a root that is not in camera space, mirror images."""

from __future__ import annotations

import numpy as np

from handbench.hand import JOINT_NAMES, WRIST
from handbench.metrics import keypoint_errors
from handbench.scores.evidence import (
    FAR_BETTER,
    MM_PER_M,
    Floats,
    Hands,
    Repair,
    diagonals,
    mean,
    middle,
)
from handbench.scores.matching import Matched

# No joint is farther than this from its hand's root, and whole hands are farther from the camera.
_NEAR_M = 0.3
# A joint that was subtracted is at the origin up to rounding; one that another was subtracted from
# is centimetres away; one in camera space is farther than any root of a hand.
_AT_ORIGIN_M = 0.001
_NOT_AT_ORIGIN_M = 0.02
_IN_CAMERA_SPACE_M = 0.2
# A hand smaller than this is collapsed, for example all zeros, and has neither unit nor axes.
_COLLAPSED_M = 0.005
# Aligned hands with smaller errors, as a share of the hand, have the right shape: then a wrong size
# is a factor, and not the noise or the mean of a bad model.
_FITS = 0.15
_OPENGL = np.array([1.0, -1.0, -1.0])


def wrong_unit(hands: Hands) -> str | None:
    """Sentence if hands are a thousand or hundred times too large, or far from a hand's size.

    Parameters
    ----------
    hands
        3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    found, expected = _across(hands.predicted, hands), _across(hands.labelled, hands)
    if found < _COLLAPSED_M or not expected > 0:
        return None
    seen = f"expected hands {expected:.2f} m across as in the truth, found {found:.3g} m"
    for unit, factor in (("millimetres", 1000), ("centimetres", 100)):
        if 0.6 < found / expected / factor < 1.7:
            advice = f"divide by {factor:,}" + (' or set "unit": "mm"' if factor == 1000 else "")
            return f"3D keypoints seem to be in {unit}: {seen}; {advice}"
    if not 0.2 < found / expected < 5 and middle(hands.errors()) < _FITS * hands.size:
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
    root = int(away.argmin())
    if declared == "camera":
        depth = float(np.median(hands.labelled[..., 2][hands.valid]))
        reach = float(np.quantile(np.linalg.norm(hands.predicted, axis=-1), 0.99))
        if not reach < _NEAR_M < depth:
            return None
        return (
            "3D keypoints seem to be root-relative, though declared in camera space: expected "
            f"hands at a depth of about {depth:.2f} m, found all joints within {reach:.2f} m of "
            f"the camera and {_centre(hands.predicted, away)}; set "
            f'"frame_3d": "root:{JOINT_NAMES[root if away[root] < _AT_ORIGIN_M else WRIST]}", or '
            f"add the position of the root{_mesh_remark(sample)}"
        )
    name = declared.removeprefix("root:")
    distance = float(away[JOINT_NAMES.index(name)]) if name in JOINT_NAMES else 0.0
    said = f"3D keypoints are declared relative to {name}, so it is expected at the origin"
    if distance > _NOT_AT_ORIGIN_M and away[root] < _AT_ORIGIN_M:
        return (
            f"{said}, but found {distance:.2f} m away while {JOINT_NAMES[root]} is there: set "
            f'"frame_3d": "root:{JOINT_NAMES[root]}"'
        )
    if distance > _IN_CAMERA_SPACE_M:
        return (
            f"{said}, but found {distance:.2f} m away: if they are in camera space, set "
            '"frame_3d": "camera", and absolute metrics are computed too'
        )
    return None


def wrong_axes(sample: Matched, hands: Hands) -> str | None:
    """Sentence if hands fit far better, or come before the camera, with y and z negated.

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
    behind = absolute and float(np.median(hands.predicted[..., 2])) < -0.05
    in_front = float(np.median(hands.labelled[..., 2][hands.valid])) > 0
    before = _errors_mm(hands.predicted, hands, centred=not absolute)
    after = _errors_mm(hands.predicted * _OPENGL, hands, centred=not absolute)
    fits = middle(before) > 20.0 and middle(after) < FAR_BETTER * middle(before)
    if not fits and not (behind and in_front):
        return None
    measure = "MPJPE in camera space" if absolute else "MPJPE of centred hands"
    return (
        f"3D keypoints seem to be in OpenGL axes: {measure} goes from {mean(before):.1f} to "
        f"{mean(after):.1f} mm when y and z are negated (Procrustes-aligned numbers cannot show "
        'it); set "axes": "opengl" or negate y and z'
    )


def mirror_repairs(hands: Hands) -> list[Repair]:
    """Repair of mirrored 3D hands, judged with reflections allowed.

    Parameters
    ----------
    hands
        3D hands (:func:`~handbench.scores.evidence.metres`).
    """
    if hands.collapsed:
        return []
    before = middle(_errors_mm(hands.predicted, hands, centred=True))
    fits = {
        name: middle(_errors_mm(hands.predicted * signs, hands, centred=True))
        for name, signs in (("x", [-1.0, 1, 1]), ("y", [1.0, -1, 1]), ("z", [1.0, 1, -1]))
    }
    axis = min(fits, key=lambda name: fits[name])
    if not fits[axis] < FAR_BETTER * before:
        axis = "one axis"
    hint = "" if axis in "yz" else " (were images flipped, and hands not flipped back?)"
    return [Repair(hands.predicted, "mirrored", f"negate {axis}{hint}", reflect=True)]


def _across(points: Floats, hands: Hands) -> float:
    """Median diagonal of the box around the labelled joints, metres."""
    return middle(diagonals(points, hands.valid))


def _centre(points: Floats, away: Floats) -> str:
    """What stands at the origin; `away` (21,) is the median distance of every joint from it."""
    nearest = int(away.argmin())
    if away[nearest] < _AT_ORIGIN_M:
        return f"{JOINT_NAMES[nearest]} at the origin"
    if np.median(np.linalg.norm(points.mean(axis=1), axis=-1)) < _AT_ORIGIN_M:
        return "the mean of all joints at the origin"
    return "no joint at the origin"


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
