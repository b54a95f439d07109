"""Bones of the synthetic right hand: rest skeleton, proportions, joint limits, kinematics.

Hand frame, used by every module of this folder: origin at the wrist, +y towards the middle
knuckle, +z out of the back of the hand, -z out of the palm, so that the thumb of a right hand
lies at -x (right-handed axes, metres). In the rest pose the fingers are straight and spread,
which keeps them apart when the skin is built.

Lengths follow published anthropometry and the ranges seen in FreiHAND: wrist to middle MCP
79-95 mm, middle proximal phalanx 20-35 mm (a little shorter than the bone, because FreiHAND's
knuckle keypoints lie towards the web of the fingers).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERS, NUM_JOINTS

Floats = npt.NDArray[np.float64]

FINGER_NAMES: tuple[str, ...] = tuple(FINGERS)
"""thumb, index, middle, ring, pinky: row order of every per-finger table here."""


def _unit(vector: npt.ArrayLike) -> Floats:
    v = np.asarray(vector, dtype=np.float64)
    return v / np.linalg.norm(v)


def _rest_axes() -> tuple[Floats, Floats]:
    """Direction and dorsal normal of each finger at rest, (5, 3) each."""
    directions = [_unit((-0.66, 0.70, -0.27))]
    normals = [(-0.55, -0.30, 0.78)]
    # Spread in the plane of the palm (positive: towards the little finger) and roll of the
    # transverse arch: bent fingers converge towards the base of the thumb.
    for spread, roll in ((-19.0, -5.0), (-4.0, 1.0), (11.0, 7.0), (26.0, 14.0)):
        a, r = np.deg2rad(spread), np.deg2rad(roll)
        directions.append(np.array([np.sin(a), np.cos(a), -0.03]))
        normals.append((np.sin(r), 0.0, np.cos(r)))
    d = np.array([_unit(v) for v in directions])
    n = np.asarray(normals, dtype=np.float64)
    n = n - (n * d).sum(-1, keepdims=True) * d
    return d, n / np.linalg.norm(n, axis=-1, keepdims=True)


REST_DIRECTIONS, REST_NORMALS = _rest_axes()
REST_LATERALS: Floats = np.cross(REST_NORMALS, REST_DIRECTIONS)
"""Axis of flexion: a positive turn about it moves a straight finger into the palm."""

REST_SPREAD_DEG: tuple[float, ...] = (0.0, -19.0, -4.0, 11.0, 26.0)
"""Rest direction of each finger in the plane of the palm; poses name the direction they want."""

FINGER_BASES_MM: Floats = np.array(
    [
        (-23.0, 21.0, -9.0),
        (-23.5, 86.0, -1.0),
        (-1.5, 88.5, 1.0),
        (18.5, 82.0, -1.0),
        (35.5, 72.0, -5.0),
    ]
)
"""Base joints (5, 3) of the mean hand: thumb CMC, then the four MCP joints."""

PHALANX_MM: Floats = np.array(
    [
        (36.0, 29.0, 25.0),  # thumb: metacarpal, proximal, distal (to the tip keypoint)
        (28.5, 21.5, 21.5),
        (30.5, 24.0, 22.5),
        (29.0, 22.5, 22.0),
        (23.0, 17.5, 19.5),
    ]
)
"""Length (5, 3) of each finger's bones beyond its base joint, mean hand."""

METACARPAL_BASES_MM: Floats = np.array(
    [(0.0, 0.0, 0.0), (-13.0, 22.0, 0.0), (-2.0, 22.0, 1.0), (9.0, 21.0, 0.0), (17.0, 19.0, -2.0)]
)
"""Where a finger's metacarpal turns; the thumb's row is unused."""

BONE_NAMES: tuple[str, ...] = (
    "forearm",
    "palm",
    "thumb_metacarpal",
    "thumb_proximal",
    "thumb_distal",
    *(
        f"{finger}_{bone}"
        for finger in FINGER_NAMES[1:]
        for bone in ("metacarpal", "proximal", "middle", "distal")
    ),
)
"""The rigid parts that carry skin. A finger's four follow each other; the thumb has three."""

NUM_BONES = len(BONE_NAMES)
FOREARM, PALM, THUMB = 0, 1, 2
BONE_PARENTS: tuple[int, ...] = (
    *(PALM, PALM, PALM, 2, 3),
    *(PALM, 5, 6, 7),
    *(PALM, 9, 10, 11),
    *(PALM, 13, 14, 15),
    *(PALM, 17, 18, 19),
)
"""Bone that carries each bone; the palm carries itself."""


def finger_bone(finger: int, segment: int) -> int:
    """Bone index of `segment` of `finger` (0 thumb … 4 pinky).

    Segments count from the metacarpal (0) to the distal phalanx (thumb 2, other fingers 3).
    """
    return THUMB + segment if finger == 0 else 5 + 4 * (finger - 1) + segment


@dataclass(frozen=True)
class HandShape:
    """Proportions of one person's hand, as factors on the mean hand.

    Attributes
    ----------
    palm
        (3,) width, length and thickness of palm and wrist.
    phalanx
        (5, 3) length of each phalanx (thumb: metacarpal, proximal, distal).
    thickness
        (5,) of the fingers.
    """

    palm: Floats
    phalanx: Floats
    thickness: Floats


MEAN_SHAPE = HandShape(np.ones(3), np.ones((5, 3)), np.ones(5))


def sample_shape(rng: np.random.Generator) -> HandShape:
    """Draw a hand: size, slenderness, finger proportions."""
    size = np.clip(rng.normal(0.985, 0.04), 0.92, 1.05)
    slender = np.clip(rng.normal(0.0, 0.05), -0.09, 0.09)
    length = size * np.clip(rng.normal(1.0, 0.01), 0.98, 1.02)
    fingers = size * np.clip(rng.normal(0.99, 0.04) + rng.normal(0.0, 0.02, 5), 0.9, 1.06)[:, None]
    phalanx = fingers * np.clip(rng.normal(1.0, 0.025, (5, 3)), 0.95, 1.05)
    stout = size * (1.0 - slender)
    thickness = stout * np.clip(rng.normal(1.0, 0.025, 5), 0.95, 1.05)
    return HandShape(np.array([stout, length, 0.5 * (stout + size)]), phalanx, thickness)


@dataclass(frozen=True)
class HandPose:
    """Joint angles in degrees.

    Attributes
    ----------
    flexion
        (5, 3) towards the palm. Thumb: CMC (across the palm), MCP, IP; others: MCP, PIP, DIP.
    spread
        (4,) direction of index … pinky in the plane of the palm, 0 along +y, positive towards
        the little finger.
    thumb
        (2,) palmar abduction of the thumb's metacarpal and twist about its own axis (both grow
        as the thumb comes opposite the fingers).
    cupping
        Flexion of the little finger's metacarpal; the ring finger's follows by half.
    wrist
        (2,) flexion towards the palm, deviation towards the little finger.
    """

    flexion: Floats
    spread: Floats
    thumb: Floats
    cupping: float
    wrist: Floats

    def to_vector(self) -> Floats:
        """All 24 angles in one vector, degrees."""
        return np.concatenate(
            [self.flexion.ravel(), self.spread, self.thumb, [self.cupping], self.wrist]
        )

    @staticmethod
    def from_vector(angles: npt.ArrayLike) -> HandPose:
        """Inverse of :meth:`to_vector`."""
        v = np.asarray(angles, dtype=np.float64)
        return HandPose(v[:15].reshape(5, 3), v[15:19], v[19:21], float(v[21]), v[22:24])


NUM_ANGLES = 24


def _limits() -> tuple[Floats, Floats]:
    """Lowest and highest angle of every degree of freedom, degrees, both (24,)."""
    thumb = [(-20, 45), (-10, 60), (-20, 80)]
    finger = [(-22, 92), (-3, 108), (-5, 80)]
    spread = [(-24, 8), (-14, 10), (-6, 16), (-2, 36)]
    other = [(-15, 60), (-20, 60), (0, 14), (-48, 52), (-18, 28)]
    low, high = np.array([*thumb, *(4 * finger), *spread, *other], dtype=np.float64).T
    return low, high


ANGLE_MIN, ANGLE_MAX = _limits()


def within_limits(pose: HandPose) -> HandPose:
    """Nearest pose a hand can take: ranges of motion, and no spreading of bent fingers.

    A bent knuckle tightens its side ligaments: the range of spread shrinks to a fifth at 80°.
    """
    v = np.clip(pose.to_vector(), ANGLE_MIN, ANGLE_MAX)
    free = np.clip(1.0 - v[3:15:3] / 80.0, 0.2, 1.0)
    neutral = np.array([-3.0, 0.0, 3.0, 7.0])
    v[15:19] = neutral + np.clip(v[15:19] - neutral, -26.0 * free, 26.0 * free)
    return HandPose.from_vector(v)


def rotation(axis: Floats, degrees: float) -> Floats:
    """(3, 3) matrix turning by `degrees` about the unit vector `axis` (Rodrigues' formula)."""
    angle = np.deg2rad(degrees)
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    out: Floats = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return out


def rest_joints(shape: HandShape) -> tuple[Floats, Floats]:
    """Keypoints (21, 3) and metacarpal bases (5, 3) of the rest pose, metres, hand frame."""
    joints = np.zeros((NUM_JOINTS, 3))
    bases = FINGER_BASES_MM * shape.palm
    for finger in range(5):
        ends = (
            bases[finger]
            + np.cumsum(PHALANX_MM[finger] * shape.phalanx[finger])[:, None]
            * REST_DIRECTIONS[finger]
        )
        joints[4 * finger + 1] = bases[finger]
        joints[4 * finger + 2 : 4 * finger + 5] = ends
    return joints * 1e-3, METACARPAL_BASES_MM * shape.palm * 1e-3


@dataclass(frozen=True)
class Skeleton:
    """A posed hand: keypoints, and how each bone moved from its place at rest.

    Attributes
    ----------
    keypoints
        (21, 3) metres, hand frame.
    rotations, translations
        (B, 3, 3) and (B, 3): ``posed = R @ rest + t`` for points of bone b.
    """

    keypoints: Floats
    rotations: Floats
    translations: Floats


def forward_kinematics(pose: HandPose, shape: HandShape = MEAN_SHAPE) -> Skeleton:
    """Pose the skeleton.

    Parameters
    ----------
    pose, shape
        Joint angles and proportions.

    Returns
    -------
    Keypoints and rigid bone motions, in the hand frame of the palm (which stands still).
    """
    rest, metacarpals = rest_joints(shape)
    keypoints = rest.copy()
    R = np.tile(np.eye(3), (NUM_BONES, 1, 1))
    t = np.zeros((NUM_BONES, 3))

    def turn(bone: int, parent: int, centre: Floats, local: Floats) -> None:
        """Move `bone` with `parent`, after turning it by `local` about its rest `centre`."""
        R[bone] = R[parent] @ local
        t[bone] = R[parent] @ (centre - local @ centre) + t[parent]

    # Seen from the palm, bending the wrist swings the forearm the same way as the fingers.
    flex, deviate = pose.wrist
    forearm = rotation(np.array([1.0, 0.0, 0.0]), flex) @ rotation(
        np.array([0.0, 0.0, 1.0]), deviate
    )
    turn(FOREARM, PALM, rest[0], forearm)

    direction, lateral = REST_DIRECTIONS[0], REST_LATERALS[0]
    palmar, twist = pose.thumb
    # About an axis in the palm's plane, across the thumb: brings the metacarpal out of the palm.
    out_of_palm = _unit(np.cross(direction, np.array([0.0, 0.0, -1.0])))
    cmc = (
        rotation(np.array([0.0, 0.0, 1.0]), -pose.flexion[0, 0])
        @ rotation(out_of_palm, palmar)
        @ rotation(direction, -twist)
    )
    turn(THUMB, PALM, rest[1], cmc)
    for segment in (1, 2):
        bend = rotation(lateral, pose.flexion[0, segment])
        turn(THUMB + segment, THUMB + segment - 1, rest[1 + segment], bend)

    for finger in range(1, 5):
        normal, lateral = REST_NORMALS[finger], REST_LATERALS[finger]
        base = finger_bone(finger, 0)
        cup = pose.cupping * (0.0, 0.0, 0.0, 0.5, 1.0)[finger]
        turn(base, PALM, metacarpals[finger], rotation(lateral, cup))
        # Turning about the dorsal axis: positive angles lead towards the thumb (-x).
        sideways = rotation(normal, REST_SPREAD_DEG[finger] - pose.spread[finger - 1])
        for segment in range(3):
            bend = rotation(lateral, pose.flexion[finger, segment])
            local = sideways @ bend if segment == 0 else bend
            turn(base + segment + 1, base + segment, rest[4 * finger + 1 + segment], local)

    for finger in range(5):
        for k in range(4):
            joint = 4 * finger + 1 + k
            bone = finger_bone(finger, max(k - 1, 0) if finger == 0 else k)
            keypoints[joint] = R[bone] @ rest[joint] + t[bone]
    return Skeleton(keypoints, R, t)
