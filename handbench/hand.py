"""The hand: 21 keypoints, their bones, fingers, orders and mirror image.

Canonical order (that of FreiHAND, OpenPose, MediaPipe and COCO-WholeBody): wrist; thumb CMC,
MCP, IP, tip; then MCP, PIP, DIP, tip of index, middle, ring and pinky. Every other module takes
joint facts from here, and every dataset carries one permutation into this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError

JOINT_NAMES: tuple[str, ...] = (
    "wrist",
    "thumb_cmc",
    "thumb_mcp",
    "thumb_ip",
    "thumb_tip",
    "index_mcp",
    "index_pip",
    "index_dip",
    "index_tip",
    "middle_mcp",
    "middle_pip",
    "middle_dip",
    "middle_tip",
    "ring_mcp",
    "ring_pip",
    "ring_dip",
    "ring_tip",
    "pinky_mcp",
    "pinky_pip",
    "pinky_dip",
    "pinky_tip",
)
NUM_JOINTS = 21
WRIST = 0

FINGERS: dict[str, tuple[int, int, int, int]] = {
    "thumb": (1, 2, 3, 4),
    "index": (5, 6, 7, 8),
    "middle": (9, 10, 11, 12),
    "ring": (13, 14, 15, 16),
    "pinky": (17, 18, 19, 20),
}
"""Finger name → its four joints, base to tip."""

PARENTS: tuple[int, ...] = (-1, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19)
"""Parent joint of every joint; -1 for the wrist."""

BONES: tuple[tuple[int, int], ...] = tuple((PARENTS[j], j) for j in range(1, NUM_JOINTS))
"""The 20 bones as (parent, child), in the order of their child joint."""

FINGERTIPS: tuple[int, ...] = (4, 8, 12, 16, 20)
KNUCKLES: tuple[int, ...] = (5, 9, 13, 17)
"""MCP joints of the four fingers."""

JOINT_TYPES: dict[str, tuple[int, ...]] = {
    "wrist": (0,),
    "base (CMC, MCP)": (1, 5, 9, 13, 17),
    "middle (MCP, PIP)": (2, 6, 10, 14, 18),
    "outer (IP, DIP)": (3, 7, 11, 15, 19),
    "tip": FINGERTIPS,
}
"""Joints by their place along the finger."""

HAND_DIAGONAL_M = (0.05, 0.35)
"""Between a baby's fist and a giant's flat hand: diagonal of the box around 21 joints, m."""

NATIVE_ORDERS: dict[str, tuple[int, ...]] = {
    "rhd": (0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17),
    "mano": (0, 13, 14, 15, 16, 1, 2, 3, 17, 4, 5, 6, 18, 10, 11, 12, 19, 7, 8, 9, 20),
    "interhand": (20, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 19, 18, 17, 16),
    "stb": (0, 17, 18, 19, 20, 13, 14, 15, 16, 9, 10, 11, 12, 5, 6, 7, 8, 1, 2, 3, 4),
}
"""Orders that hands are published in, by name: ``canonical[k] = native[order[k]]``."""

ORDER_WORDS: dict[str, str] = {
    "rhd": "RHD (tip first within each finger)",
    "mano": "MANO and HO-3D (index, middle, pinky, ring, thumb, then tips)",
    "interhand": "InterHand2.6M (tip first, wrist last)",
    "stb": "STB (pinky first)",
}
"""What each of :data:`NATIVE_ORDERS` is, for messages."""

FINGER_COLORS: dict[str, str] = {
    "wrist": "#8a8f98",
    "thumb": "#e4572e",
    "index": "#f0a202",
    "middle": "#3fa34d",
    "ring": "#2e86de",
    "pinky": "#9b5de5",
}
"""One colour a finger, the same in every drawing and report."""

UNLABELLED, OCCLUDED, VISIBLE, VISIBILITY_UNKNOWN = 0, 1, 2, 255
"""Values of `visibility`; it describes a joint and never masks a score by itself."""

_Scalar = TypeVar("_Scalar", bound=np.generic)


def finger_of(joint: int) -> str:
    """Name of the finger that `joint` (0-20) belongs to; ``"wrist"`` for joint 0.

    >>> finger_of(8)
    'index'
    """
    for finger, joints in FINGERS.items():
        if joint in joints:
            return finger
    if joint == WRIST:
        return "wrist"
    raise IndexError(f"a hand has joints 0 to {NUM_JOINTS - 1}, not {joint}")


def check_permutation(order: Sequence[int], what: str = "joint order") -> npt.NDArray[np.intp]:
    """Return `order` as an index array after checking that it is a permutation of 0-20.

    Parameters
    ----------
    order
        21 indices such that ``canonical[i] = native[order[i]]``.
    what
        Name used in the error message.

    Raises
    ------
    HandbenchError
        With the missing and repeated indices, if `order` is no permutation.
    """
    found = list(order)
    if len(found) != NUM_JOINTS:
        raise HandbenchError(f"{what} must list {NUM_JOINTS} joints, found {len(found)}")
    missing = sorted(set(range(NUM_JOINTS)) - set(found))
    if missing:
        repeated = sorted({j for j in found if found.count(j) > 1 or not 0 <= j < NUM_JOINTS})
        raise HandbenchError(
            f"{what} must hold every joint 0-20 once: missing {missing}, repeated or out of "
            f"range {repeated}"
        )
    return np.asarray(found, dtype=np.intp)


def to_canonical(
    native: npt.NDArray[_Scalar], order: Sequence[int], axis: int = -2
) -> npt.NDArray[_Scalar]:
    """Reorder joints into the canonical order: ``canonical[i] = native[order[i]]``.

    Parameters
    ----------
    native
        Array with a joint axis of length 21, for example (N, 21, 3).
    order
        Permutation of 0-20.
    axis
        The joint axis.
    """
    return np.take(native, check_permutation(order), axis=axis)


def from_canonical(
    canonical: npt.NDArray[_Scalar], order: Sequence[int], axis: int = -2
) -> npt.NDArray[_Scalar]:
    """Inverse of :func:`to_canonical`: ``native[order[i]] = canonical[i]``."""
    return np.take(canonical, np.argsort(check_permutation(order)), axis=axis)


def flip_is_right(is_right: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Side of the hand seen in a mirror: 1 ↔ 0, unknown (-1) stays unknown.

    Joint *indices* do not change under a mirror: an index finger stays an index finger, so a
    flip of a single hand swaps no channels (unlike body poses, where left and right swap).
    """
    return np.where(is_right < 0, is_right, 1 - is_right).astype(np.int8)


def bone_lengths(keypoints: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Lengths of the 20 bones.

    Parameters
    ----------
    keypoints
        (..., 21, D), any unit.

    Returns
    -------
    (..., 20) in the unit of `keypoints`, in the order of :data:`BONES`.
    """
    parents, children = np.asarray(BONES).T
    lengths: npt.NDArray[np.floating] = np.linalg.norm(
        keypoints[..., children, :] - keypoints[..., parents, :], axis=-1
    )
    return lengths


def chirality(keypoints_3d: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Signed test of the hand's side: positive for right hands, negative for left ones.

    With n = (index MCP - wrist) × (pinky MCP - wrist) and d the mean way from the knuckles to
    the fingertips, returns n·d. Fingers bend towards the palm, which fixes the sign in any
    right-handed frame. Hyper-extended hands can flip it: judge the majority of many hands.

    Parameters
    ----------
    keypoints_3d
        (..., 21, 3) in a right-handed frame, any unit.

    Returns
    -------
    (...) in the unit cubed.
    """
    wrist = keypoints_3d[..., 0, :]
    normal = np.cross(keypoints_3d[..., 5, :] - wrist, keypoints_3d[..., 17, :] - wrist)
    bend = keypoints_3d[..., FINGERTIPS[1:], :].mean(axis=-2) - keypoints_3d[..., KNUCKLES, :].mean(
        axis=-2
    )
    signed: npt.NDArray[np.floating] = (normal * bend).sum(axis=-1)
    return signed
