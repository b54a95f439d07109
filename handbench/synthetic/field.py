"""Shape of the resting hand as a distance field: cones along bones, pads, knuckles, one skin.

Lengths are millimetres, in the frame of :mod:`~handbench.synthetic.anatomy`. Distances are
approximate away from the skin, which is all that is needed to find the skin itself.
"""

from __future__ import annotations

import numpy as np

from handbench.synthetic.anatomy import (
    FINGER_BASES_MM,
    METACARPAL_BASES_MM,
    PHALANX_MM,
    REST_DIRECTIONS,
    REST_NORMALS,
    Floats,
)

# Radii along the rest bones, millimetres: base knuckle, middle, outer joint, fingertip.
RADII_MM: Floats = np.array(
    [
        (13.5, 11.2, 10.2, 8.2),
        (10.6, 9.3, 8.1, 6.8),
        (10.7, 9.5, 8.3, 7.0),
        (10.1, 8.9, 7.9, 6.7),
        (8.9, 7.8, 6.9, 6.0),
    ]
)


def _smooth_min(a: Floats, b: Floats, width: float) -> Floats:
    """Union of two distance fields with a fillet of about `width`."""
    h = np.maximum(width - np.abs(a - b), 0.0) / width
    out: Floats = np.minimum(a, b) - 0.25 * width * h * h
    return out


def cone(p: Floats, a: Floats, b: Floats, ra: float, rb: float) -> Floats:
    """Distance from `p` (N, 3) to a bone from `a` to `b` with radii `ra`, `rb`."""
    axis = b - a
    along = np.clip((p - a) @ axis / (axis @ axis), 0.0, 1.0)
    out: Floats = np.linalg.norm(p - a - along[:, None] * axis, axis=-1) - (ra + along * (rb - ra))
    return out


def forearm_section(y: Floats) -> tuple[Floats, Floats]:
    """Half width and half thickness of wrist and forearm at height `y` (mm, negative)."""
    down = np.maximum(-y, 0.0)
    width = 26.0 + 15.0 * (1.0 - np.exp(-down / 120.0))
    thick = 18.0 + 15.0 * (1.0 - np.exp(-down / 120.0))
    return width, thick


def finger_field(p: Floats, finger: int) -> Floats:
    """Distance from `p` (N, 3) to a finger: three phalanges, knuckles, pads, flattened tip."""
    d, n = REST_DIRECTIONS[finger], REST_NORMALS[finger]
    ends = np.concatenate([[0.0], np.cumsum(PHALANX_MM[finger])])
    joints = FINGER_BASES_MM[finger] + ends[:, None] * d
    r = RADII_MM[finger]
    if finger == 0:
        field = cone(p, joints[0] + 4 * d, joints[1], r[0] * 0.9, r[1])
        waist = (1.0, 0.94, 0.97)
    else:
        # Skin starts in the hand, a little below the bone, where the palm is thickest.
        field = cone(p, joints[0] - 1.5 * n, joints[1], r[0], r[1])
        waist = (1.0, 0.96, 0.97)
    # The tip keypoint lies in the pad; flesh and nail reach about half a radius beyond it.
    tip = joints[3] - 0.25 * r[3] * d + 0.2 * n
    field = _smooth_min(field, cone(p, joints[1], joints[2], r[1] * waist[1], r[2]), 3.0)
    field = _smooth_min(field, cone(p, joints[2], tip, r[2] * waist[2], r[3]), 3.0)
    # Pads of flesh on the palm's side of each bone; the joints between them are creases.
    for k, share in ((0, 0.6), (1, 0.5), (2, 0.6)):
        middle = joints[k] + share * (joints[k + 1] - joints[k])
        radius = 0.5 * (r[k] + r[k + 1]) - 1.0
        half = 0.18 * (joints[k + 1] - joints[k])
        lower = middle - 1.5 * n
        field = _smooth_min(field, cone(p, lower - half, lower + half, radius, radius), 6.0)
    for k in (1, 2):
        ball = np.linalg.norm(p - joints[k] - 1.0 * n, axis=-1) - (r[k] - 0.7)
        field = _smooth_min(field, ball, 5.0)
    # A fingertip is flatter than it is round: cut by a plane that dips towards the nail.
    along = (p - joints[2]) @ d / np.linalg.norm(joints[3] - joints[2])
    over_nail = (p - joints[2]) @ n - (0.62 * r[3] + 6.5 * np.maximum(1.0 - along, 0.0))
    return -_smooth_min(-field, -over_nail, 2.5)


def hand_field(p: Floats) -> Floats:
    """Signed distance of points (N, 3) from the skin at rest, negative inside."""
    palm = np.full(len(p), 1e3)
    tops = np.array([12.2, 12.4, 11.6, 10.6])
    for k in range(4):
        base = METACARPAL_BASES_MM[k + 1] + (0.0, 0.0, -3.0)
        head = FINGER_BASES_MM[k + 1] + (0.0, -3.0, -4.5)
        palm = _smooth_min(palm, cone(p, base, head, 14.5, tops[k]), 9.0)
        knuckle = FINGER_BASES_MM[k + 1] + (0.0, -3.0, 2.5)
        palm = _smooth_min(palm, np.linalg.norm(p - knuckle, axis=-1) - 7.8, 6.0)
    pads = (
        # thenar: two cones towards the thumb's MCP; hypothenar; pads under the four fingers
        ((-17.0, 17.0, -13.0), (-35.0, 44.0, -19.0), 14.5, 11.0),
        ((-12.0, 26.0, -11.0), (-24.0, 58.0, -11.0), 12.5, 8.0),
        ((20.0, 16.0, -11.0), (31.0, 56.0, -11.0), 14.0, 10.5),
        ((-23.0, 79.0, -8.5), (31.0, 69.0, -10.5), 9.6, 8.6),
    )
    for a, b, ra, rb in pads:
        palm = _smooth_min(palm, cone(p, np.array(a), np.array(b), ra, rb), 11.0)
    width, thick = forearm_section(p[:, 1])
    arm = (np.hypot(p[:, 0] / width, (p[:, 2] + 2.0) / thick) - 1.0) * thick
    arm = -_smooth_min(-arm, 16.0 - p[:, 1], 22.0)
    field = _smooth_min(palm, arm, 20.0)
    # The web between thumb and index is thin: a sheet from metacarpal to metacarpal.
    field = _smooth_min(
        field,
        cone(p, np.array((-33.0, 40.0, -12.0)), np.array((-24.0, 62.0, -6.0)), 7.5, 7.5),
        10.0,
    )
    for finger in range(5):
        field = _smooth_min(field, finger_field(p, finger), 7.0 if finger == 0 else 5.5)
    return field
