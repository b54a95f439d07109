"""3D predictions: units and axes as declared, and what a file without a header leaves unsaid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.errors import PredictionsError
from handbench.hand import HAND_DIAGONAL_M, JOINT_NAMES

Floats = npt.NDArray[np.floating[Any]]

# Fewer odd hands than this are a network's slip, not a second unit.
_ODD_SHARE = 0.01
_AT_ORIGIN = 1e-6
_LEAST_EXTENT = 0.01
# Centres of joints and mesh of one hand lie within 3 cm; HaMeR's mesh starts 9.6 cm from its
# wrist, the origin of its exported joints.
_APART = 0.05


def to_opencv_metres(
    points: npt.NDArray[Any], unit: str = "m", axes: str = "opencv"
) -> npt.NDArray[Any]:
    """Points (..., 3) in metres and OpenCV axes; the array itself where nothing changes.

    Parameters
    ----------
    points
        (..., 3) in `unit` and `axes`.
    unit
        ``"m"`` or ``"mm"``.
    axes
        ``"opencv"`` (x right, y down, z forward) or ``"opengl"`` (y up, z towards the viewer).
    """
    if (unit, axes) == ("m", "opencv"):
        return points
    signs = np.array([1.0, -1.0, -1.0] if axes == "opengl" else [1.0, 1.0, 1.0])
    moved: npt.NDArray[Any] = points * ((1e-3 if unit == "mm" else 1.0) * signs)
    return moved


def check_size(
    name: str,
    points: Floats | None,
    ids: npt.NDArray[np.str_],
    unit: str,
    where: str,
    *,
    declared: bool = True,
) -> None:
    """Refuse hands that are a thousand times too large or too small: a unit, not a hand.

    Parameters
    ----------
    name
        Column the points come from.
    points
        (N, P, 3), metres if `unit` is right; a row of NaN is no hand. None passes.
    ids
        (N,) str.
    unit
        The declared unit.
    where
        Names the file in messages.
    declared
        Whether the file itself says what its unit is.

    Raises
    ------
    PredictionsError
        If all hands look like another unit, or some do and others do not.
    """
    if points is None or not points.size:
        return
    sizes = np.linalg.norm(np.ptp(points, axis=1), axis=-1)
    usual = _like_a_hand(sizes)
    for other, factor in (("mm", 1e-3), ("m", 1e3)):
        if other == unit:
            continue
        odd = _like_a_hand(sizes * factor)
        least = max(1.0, _ODD_SHARE * len(sizes))
        if usual.sum() >= least and odd.sum() >= least:
            raise PredictionsError(
                f"{where}: expected {name!r} in one unit, found {int(odd.sum()):,} of "
                f"{len(sizes):,} hands {np.median(sizes[odd]):.3g} m across (first: id "
                f"{str(ids[int(odd.argmax())])!r}) and the others {np.median(sizes[usual]):.3g} m: "
                f"write all of them in {unit}"
            )
        typical = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 0.0
        if _like_a_hand(typical * factor) and not _like_a_hand(typical):
            how = f'set "unit": "{other}"' if declared else f"use --assume unit={other}"
            raise PredictionsError(
                f"{where}: expected {name!r} in {unit}, found hands that would be {typical:.4g} m "
                f"across: they look like {other}, so {how} or convert them"
            )


def _like_a_hand(size: npt.NDArray[np.floating] | float) -> npt.NDArray[np.bool_]:
    return np.asarray((size >= HAND_DIAGONAL_M[0]) & (size <= HAND_DIAGONAL_M[1]))


def frame_of(keypoints_3d: Floats, vertices: Floats | None) -> tuple[str, tuple[str, ...]]:
    """The frame of 3D hands that come without a header, and notes about it.

    Published lists should be in the camera's frame. Some were written after the network's own
    evaluation had moved one joint of every hand to the origin, and then without its mesh.

    Parameters
    ----------
    keypoints_3d
        (N, 21, 3) m, canonical order.
    vertices
        (N, V, 3) m, or None.

    Returns
    -------
    ``"root:<joint>"`` where that joint is the origin in every hand, else ``"camera"``; and
    sentences for the user. Hands without extent (all zeros) say nothing about the frame.
    """
    hands = np.linalg.norm(np.ptp(keypoints_3d, axis=1), axis=-1) > _LEAST_EXTENT
    if not hands.any():
        return "camera", ()
    joints = keypoints_3d[hands]
    farthest = np.abs(joints).max(axis=(0, 2))
    if farthest.min() > _AT_ORIGIN:
        return "camera", ()
    root = JOINT_NAMES[int(farthest.argmin())]
    notes = [
        f"the 3D joints of every hand are relative to its {root}, so the file is read as "
        f'"frame_3d": "root:{root}" and has no camera-space errors'
    ]
    if vertices is not None:
        gap = np.linalg.norm(joints.mean(axis=1) - vertices[hands].mean(axis=1), axis=-1)
        if np.median(gap) > _APART:
            notes.append(
                f"joints are relative to the {root} but vertices are not (their centres lie "
                f"{np.median(gap):.2f} m apart): compare joints and mesh only after each is aligned"
            )
    return f"root:{root}", tuple(notes)
