"""What is in a picture: a person's hand at one instant, and the cameras that look at it.

Every draw has its own seed, made of the data set's seed, the split and the running number, so
that picture i is the same however many are asked for. One to three consecutive pictures show
the same instant from different cameras, as FreiHAND's do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from handbench.synthetic.anatomy import (
    FOREARM,
    Floats,
    HandPose,
    HandShape,
    Skeleton,
    forward_kinematics,
    rotation,
    sample_shape,
)
from handbench.synthetic.objects import Solid, held_object, occluder
from handbench.synthetic.person import Person, sample_person
from handbench.synthetic.poses import HOLDING, sample_pose

VIEW_COUNTS, VIEW_SHARES = (1, 2, 3), (0.45, 0.35, 0.20)
"""How many cameras see one instant, and how often."""


class Split(IntEnum):
    """Part of the data set; part of every seed, so that no instant is in both."""

    TRAINING = 0
    EVALUATION = 1


@dataclass(frozen=True)
class Instant:
    """A hand at one moment, in its own frame (see :mod:`~handbench.synthetic.anatomy`)."""

    shape: HandShape
    pose: HandPose
    skeleton: Skeleton
    person: Person
    held: Solid | None


@dataclass(frozen=True)
class View:
    """One camera looking at an instant.

    Attributes
    ----------
    rotation, translation
        Hand frame to camera frame (OpenCV axes): ``R @ p + t``, metres.
    camera
        (3, 3) intrinsics in pixels, principal point at ``size / 2``.
    light
        (3,) unit vector towards the main light, camera frame.
    occluder
        Something between camera and hand, camera frame.
    """

    rotation: Floats
    translation: Floats
    camera: Floats
    light: Floats
    occluder: Solid | None

    def from_hand(self, points: Floats) -> Floats:
        """Points (..., 3) of the hand frame, in the camera frame."""
        out: Floats = points @ self.rotation.T + self.translation
        return out


@dataclass(frozen=True)
class Picture:
    """One annotation: an instant, a view of it, and the generator for all that is left to draw."""

    instant: Instant
    view: View
    rng: np.random.Generator


def pictures(seed: int, split: Split, size: int) -> Iterator[Picture]:
    """Endless pictures of a split, in order.

    Parameters
    ----------
    seed
        Seed of the data set, not negative.
    split
        Training or evaluation.
    size
        Width and height, pixels.
    """
    number = 0
    while True:
        rng = np.random.default_rng([seed, int(split), number])
        instant = sample_instant(rng)
        views = int(rng.choice(VIEW_COUNTS, p=VIEW_SHARES))
        rotations: list[Floats] = []
        for k in range(views):
            own = np.random.default_rng([seed, int(split), number, k])
            view = sample_view(own, instant, size, rotations)
            rotations.append(view.rotation)
            yield Picture(instant, view, own)
        number += 1


def sample_instant(rng: np.random.Generator) -> Instant:
    """Draw a person, a pose, and perhaps something to hold."""
    person = sample_person(rng)
    shape = sample_shape(rng)
    pose, name = sample_pose(rng, shape)
    skeleton = forward_kinematics(pose, shape)
    held = None
    if name in HOLDING and rng.random() < 0.45:
        held = held_object(rng, HOLDING[name], skeleton.keypoints)
    return Instant(shape, pose, skeleton, person, held)


def sample_view(
    rng: np.random.Generator, instant: Instant, size: int, others: list[Floats]
) -> View:
    """Draw a camera for `instant`, at least 35° away from the rotations of the `others`."""
    focal = float(np.clip(rng.normal(493.0, 104.0), 212.0, 898.0)) * size / 224.0
    skewed = focal + float(np.clip(rng.normal(0.0, 0.35), -1.4, 1.4)) * size / 224.0
    camera = np.array([[focal, 0.0, size / 2], [0.0, skewed, size / 2], [0.0, 0.0, 1.0]]).round(6)

    R = _sample_rotation(rng, -instant.skeleton.rotations[FOREARM][:, 1], others)
    joints = instant.skeleton.keypoints @ R.T
    middle = 0.5 * (joints.min(0) + joints.max(0))
    extent = float((joints.max(0) - joints.min(0))[:2].max())
    # Half the zoom follows the hand's true size, half what this view shows of it: fists and
    # foreshortened hands stay smaller than open ones, as in FreiHAND.
    reach = 0.5 * extent + 0.5 * 0.155 * float(instant.shape.palm[1])
    share = rng.uniform(0.40, 0.66)
    depth = max(focal * reach / (share * size), 0.3)
    aim = 0.5 * (middle + joints[9])
    drift = rng.normal(0.0, 0.025, 2)
    if rng.random() < 0.10:  # cut off by the border
        angle = rng.uniform(0.0, 2.0 * np.pi)
        drift = rng.uniform(0.25, 0.42) * np.array([np.cos(angle), np.sin(angle)])
    offset = drift * size * depth / focal
    translation = np.array([offset[0], offset[1], depth]) - aim
    light = np.array([rng.normal(0.0, 0.55), -abs(rng.normal(0.55, 0.35)), -rng.uniform(0.35, 1.1)])
    light /= np.linalg.norm(light)
    blocker = occluder(rng, joints + translation) if rng.random() < 0.07 else None
    return View(R, translation, camera, light, blocker)


def _sample_rotation(rng: np.random.Generator, arm: Floats, others: list[Floats]) -> Floats:
    """All sides of the hand are seen; cameras that look straight along the arm are rarer.

    `arm` is the way from wrist to elbow in the hand frame.
    """
    for _ in range(60):
        q = rng.normal(size=4)
        q /= np.linalg.norm(q)
        angle = 2.0 * np.arccos(np.clip(q[0], -1.0, 1.0))
        axis = q[1:] / max(float(np.linalg.norm(q[1:])), 1e-12)
        R = rotation(axis, float(np.rad2deg(angle)))
        fingers, away = R[:, 1], float(R[2] @ arm)
        # The arm seldom comes in from above, and seldom hides the hand behind the elbow. Going
        # away from the camera it must leave the picture, or stay behind the hand.
        likely = 1.0 - 0.9 * fingers[2] ** 2
        likely *= 0.5 if fingers[1] > 0.3 else 1.0
        likely *= 0.25 if fingers[2] > 0.6 else 1.0
        likely *= 0.0 if 0.7 < away < 0.95 else 1.0
        turns = [np.rad2deg(np.arccos(np.clip((np.trace(R.T @ o) - 1) / 2, -1, 1))) for o in others]
        if rng.random() < likely and all(turn > 35.0 for turn in turns):
            break
    return R
