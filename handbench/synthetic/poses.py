"""Natural hand poses: a few dozen angles that hands really take, blended and jittered.

Each draw starts from one or two key poses (open, fist, pinch, pointing, a grasp …), mixes them
finger by finger, adds jitter that neighbouring fingers share, couples each DIP joint to its PIP
joint, keeps the joint limits, and is drawn again while fingers stand deep inside one another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.synthetic.anatomy import (
    NUM_ANGLES,
    Floats,
    HandPose,
    HandShape,
    forward_kinematics,
    within_limits,
)


def _key(
    thumb: tuple[float, float, float],
    index: tuple[float, float, float],
    middle: tuple[float, float, float],
    ring: tuple[float, float, float],
    pinky: tuple[float, float, float],
    spread: tuple[float, float, float, float],
    opposition: tuple[float, float],
    cupping: float = 2.0,
) -> Floats:
    """One key pose: flexion of the five fingers, spread, thumb abduction and twist, cupping."""
    flexion = (*thumb, *index, *middle, *ring, *pinky)
    return np.array([*flexion, *spread, *opposition, cupping, 0.0, 0.0])


_BENT, _FOLDED = (76.0, 96.0, 58.0), (80.0, 99.0, 60.0)
_STRAIGHT, _EASY = (4.0, 6.0, 3.0), (18.0, 25.0, 14.0)

KEY_POSES: dict[str, tuple[float, Floats]] = {
    # name: (relative frequency, angles)
    "open": (
        1.4,
        _key((-4, 4, 2), (0, 5, 3), (0, 5, 3), (0, 6, 3), (-2, 7, 4), (-15, -2, 9, 24), (5, 0), 0),
    ),
    "flat": (
        1.0,
        _key((2, 8, 8), _STRAIGHT, _STRAIGHT, _STRAIGHT, (5, 8, 4), (-5, 0, 3, 8), (6, 2), 0),
    ),
    "relaxed": (
        1.8,
        _key(
            (10, 14, 18),
            (20, 26, 14),
            (27, 33, 19),
            (32, 37, 22),
            (35, 36, 22),
            (-6, -1, 4, 11),
            (24, 20),
        ),
    ),
    "fist": (
        0.9,
        _key((28, 38, 42), _BENT, _FOLDED, _FOLDED, (78, 97, 58), (-3, 0, 3, 6), (44, 38), 6),
    ),
    "pointing": (
        0.9,
        _key(
            (30, 36, 40), _STRAIGHT, (74, 94, 56), _FOLDED, (78, 96, 58), (-4, 0, 3, 6), (42, 34), 5
        ),
    ),
    "peace": (
        0.7,
        _key(
            (42, 34, 30),
            (2, 6, 3),
            (2, 6, 3),
            (74, 92, 55),
            (75, 93, 55),
            (-15, 8, 4, 6),
            (42, 38),
            6,
        ),
    ),
    "three": (
        0.4,
        _key(
            (44, 40, 24),
            _STRAIGHT,
            _STRAIGHT,
            _STRAIGHT,
            (72, 86, 50),
            (-10, -1, 10, 10),
            (44, 44),
            8,
        ),
    ),
    "thumb up": (
        0.6,
        _key((-16, -6, -8), _BENT, _FOLDED, _FOLDED, (78, 97, 58), (-3, 0, 3, 6), (-4, -8), 4),
    ),
    "pistol": (
        0.4,
        _key((-12, 0, 0), (3, 5, 2), (70, 92, 54), _FOLDED, (78, 96, 58), (-6, 0, 3, 6), (2, 0), 4),
    ),
    "horns": (
        0.3,
        _key(
            (38, 36, 40),
            (4, 8, 4),
            (72, 94, 56),
            (74, 94, 56),
            (6, 10, 5),
            (-10, 0, 3, 18),
            (44, 38),
            4,
        ),
    ),
    "call": (
        0.3,
        _key((-14, -4, -6), (68, 92, 54), _FOLDED, _FOLDED, (2, 8, 4), (-4, 0, 3, 26), (0, -4), 2),
    ),
    "pinch index": (
        1.2,
        _key(
            (29, 21, -8),
            (51, 41, 12),
            (26, 30, 18),
            (22, 27, 15),
            (18, 24, 12),
            (6, 0, 6, 14),
            (26, 58),
            3,
        ),
    ),
    "pinch middle": (
        0.5,
        _key(
            (35, 27, -8),
            (22, 26, 14),
            (60, 43, 8),
            (24, 28, 16),
            (20, 26, 14),
            (-6, 9, 6, 14),
            (32, 58),
            3,
        ),
    ),
    "pinch ring": (
        0.3,
        _key(
            (45, 33, -18),
            (18, 20, 12),
            (24, 28, 16),
            (61, 43, -2),
            (26, 30, 16),
            (-7, -1, 9, 14),
            (35, 60),
            5,
        ),
    ),
    "pinch pinky": (
        0.3,
        _key(
            (31, 52, -18),
            (14, 16, 10),
            (18, 22, 14),
            (28, 32, 18),
            (76, 16, -4),
            (-7, -1, 5, 12),
            (54, 60),
            14,
        ),
    ),
    "writing": (
        0.7,
        _key(
            (28, 26, 8),
            (50, 44, 12),
            (56, 54, 24),
            (60, 66, 32),
            (60, 68, 34),
            (-1, 1, 3, 7),
            (32, 50),
            5,
        ),
    ),
    "cylinder grasp": (
        1.3,
        _key(
            (24, 20, 26),
            (42, 52, 26),
            (46, 56, 30),
            (48, 58, 32),
            (50, 55, 32),
            (-4, 0, 4, 9),
            (44, 44),
            6,
        ),
    ),
    "ball grasp": (
        1.1,
        _key(
            (16, 20, 24),
            (32, 40, 22),
            (34, 42, 24),
            (34, 42, 24),
            (32, 38, 22),
            (-14, -2, 9, 22),
            (38, 40),
            8,
        ),
    ),
    "hook": (
        0.5,
        _key(
            (8, 14, 16),
            (12, 82, 48),
            (12, 86, 50),
            (12, 86, 50),
            (12, 82, 48),
            (-5, 0, 3, 8),
            (18, 14),
            2,
        ),
    ),
    "bill": (  # fingers bent at the knuckles only, as when holding a card
        0.7,
        _key(
            (22, 14, 10),
            (58, 12, 6),
            (60, 12, 6),
            (60, 12, 6),
            (58, 12, 6),
            (-3, 0, 3, 6),
            (40, 44),
            4,
        ),
    ),
    "waving": (
        0.5,
        _key(
            (6, 10, 10),
            (-10, 8, 4),
            (-12, 8, 4),
            (-12, 8, 4),
            (-14, 9, 5),
            (-9, -1, 6, 15),
            (10, 6),
            0,
        ),
    ),
}
"""Angles in degrees, laid out as in :meth:`~handbench.synthetic.anatomy.HandPose.to_vector`."""

HOLDING: dict[str, str] = {
    "cylinder grasp": "cylinder",
    "fist": "stick",
    "ball grasp": "ball",
    "pinch index": "stick",
    "writing": "stick",
    "bill": "box",
}
"""Key poses that close around an object, and its shape."""

TRIES = 6
TOUCH_MM = 8.5
"""Flesh gives way: fists press their fingers this deep into the palm's round stand-ins."""

_FINGER_ANGLES: tuple[tuple[int, ...], ...] = (
    (0, 1, 2, 19, 20),
    (3, 4, 5, 15),
    (6, 7, 8, 16),
    (9, 10, 11, 17),
    (12, 13, 14, 18, 21),
)
_PIP, _DIP = np.array([4, 7, 10, 13]), np.array([5, 8, 11, 14])


def sample_pose(rng: np.random.Generator, shape: HandShape) -> tuple[HandPose, str]:
    """Draw a natural pose.

    Parameters
    ----------
    rng
        Source of randomness.
    shape
        Proportions, which decide whether fingers run into each other.

    Returns
    -------
    The pose, and the name of the key pose that it mostly follows.
    """
    pose, name = _propose(rng)
    depth = _overlap_mm(pose, shape)
    for _ in range(TRIES - 1):
        if depth < TOUCH_MM:
            break
        other, other_name = _propose(rng)
        other_depth = _overlap_mm(other, shape)
        if other_depth < depth:
            pose, name, depth = other, other_name, other_depth
    return pose, name


def _propose(rng: np.random.Generator) -> tuple[HandPose, str]:
    names = list(KEY_POSES)
    frequency = np.array([KEY_POSES[n][0] for n in names])
    first, second = rng.choice(len(names), 2, p=frequency / frequency.sum())
    main, other = KEY_POSES[names[first]][1], KEY_POSES[names[second]][1]
    style = rng.random()
    share = np.zeros(NUM_ANGLES)
    if style < 0.45:  # on the way from one pose to the next
        share[:] = rng.beta(1.2, 2.6) * 0.9
    elif style < 0.65:  # some fingers do one thing, some another
        for angles in _FINGER_ANGLES:
            share[list(angles)] = rng.beta(0.5, 1.2)
    vector = (1.0 - share) * main + share * other
    common = rng.normal(0.0, 5.0)
    curl = rng.normal(0.0, 3.5, 4) + common
    jitter = rng.normal(0.0, 1.0, NUM_ANGLES)
    scale = np.array(
        [4, 4, 5, *(4 * (3.0, 4.0, 0.0)), 2.5, 2.0, 2.5, 3.5, 4, 5, 1.5, 0.0, 0.0], dtype=np.float64
    )
    vector = vector + scale * jitter
    vector[3:15:3] += 0.8 * curl
    vector[_PIP] += np.where(vector[_PIP] > 10.0, curl, 0.3 * np.abs(curl))
    # One tendon bends both: DIP follows PIP at about two thirds (Rijpkema & Girard, 1991);
    # straight DIP joints of a pinch keep part of their own angle.
    coupled = 0.62 * np.maximum(vector[_PIP], 0.0)
    own = 0.7 * vector[_DIP] + 0.3 * coupled
    vector[_DIP] = own + rng.normal(0.0, 3.0, 4)
    vector[22] = rng.normal(-6.0, 17.0)
    vector[23] = rng.normal(4.0, 9.0)
    return within_limits(HandPose.from_vector(vector)), names[first]


_CAPSULES: npt.NDArray[np.intp] = np.array(
    [(4 * f + k, 4 * f + k + 1) for f in range(5) for k in ((2, 3) if f == 0 else (1, 2, 3))]
)
_CAPSULE_RADII_MM = np.array(
    [10.2, 8.6, 9.2, 8.3, 7.0, 9.4, 8.5, 7.2, 8.9, 8.0, 6.9, 7.7, 6.9, 6.1]
)
_CAPSULE_FINGER = np.array([0, 0] + [f for f in range(1, 5) for _ in range(3)])
_PAIRS = np.array(
    [
        (i, j)
        for i in range(len(_CAPSULES))
        for j in range(i)
        if _CAPSULE_FINGER[i] != _CAPSULE_FINGER[j]
    ]
)
_PALM_SAMPLES = ((0.45, 5), (0.7, 5), (0.45, 9), (0.7, 9), (0.45, 13), (0.7, 13), (0.7, 17))


def _overlap_mm(pose: HandPose, shape: HandShape) -> float:
    """How deep the phalanges of two fingers, or a phalanx and the palm, stand in each other."""
    joints = forward_kinematics(pose, shape).keypoints * 1e3
    starts, ends = joints[_CAPSULES[:, 0]], joints[_CAPSULES[:, 1]]
    steps = np.linspace(0.0, 1.0, 6)
    points = starts[:, None] + steps[None, :, None] * (ends - starts)[:, None]  # (14, 6, 3)
    a, b = points[_PAIRS[:, 0]], points[_PAIRS[:, 1]]
    gap = np.linalg.norm(a[:, :, None] - b[:, None], axis=-1).min((1, 2))
    thickness = float(np.mean(shape.thickness))
    depth = (_CAPSULE_RADII_MM[_PAIRS].sum(-1) * thickness - gap).max()
    palm = np.array([share * joints[knuckle] for share, knuckle in _PALM_SAMPLES])
    outer = points.reshape(-1, 3)
    reach = np.repeat(_CAPSULE_RADII_MM, 6) * thickness + 11.0
    distance = np.linalg.norm(outer[:, None] - palm[None], axis=-1)
    # Proximal phalanges touch the palm where they grow out of it.
    counted = np.repeat(np.array([True, True] + 4 * [False, True, True]), 6)
    into_palm = (reach[:, None] - distance)[counted].max()
    return float(max(depth, into_palm))
