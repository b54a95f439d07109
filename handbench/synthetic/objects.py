"""Simple solids that the hand holds, or that stand between hand and camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hand import FINGERTIPS, KNUCKLES

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]

FINGER_RADIUS = 8e-3
"""What a finger's skin keeps between its bones and the thing it holds, metres."""


@dataclass(frozen=True)
class Solid:
    """A closed mesh with its own colours.

    Attributes
    ----------
    vertices, normals
        (V, 3) metres; unit, outward.
    faces
        (F, 3) counter-clockwise seen from outside.
    colors
        (V, 3) linear light, 0-1.
    gloss
        Strength of its highlight, 0-1.
    """

    vertices: Floats
    normals: Floats
    faces: Ints
    colors: Floats
    gloss: float

    def moved(self, rotation: Floats, translation: Floats) -> Solid:
        """The same solid in another frame."""
        return Solid(
            self.vertices @ rotation.T + translation,
            self.normals @ rotation.T,
            self.faces,
            self.colors,
            self.gloss,
        )


def _revolved(profile: Floats, normals: Floats, around: int = 24) -> tuple[Floats, Floats, Ints]:
    """Turn a profile (K, 2) of (radius, height) about the z axis."""
    angle = np.arange(around) * (2.0 * np.pi / around)
    ring = np.stack([np.cos(angle), np.sin(angle)], -1)
    rows = len(profile)
    vertices = np.empty((rows, around, 3))
    vertices[..., :2] = profile[:, None, :1] * ring
    vertices[..., 2] = profile[:, None, 1]
    turned = np.empty((rows, around, 3))
    turned[..., :2] = normals[:, None, :1] * ring
    turned[..., 2] = normals[:, None, 1]
    row, k = np.meshgrid(np.arange(rows - 1), np.arange(around), indexing="ij")
    here, there = row * around + k, row * around + (k + 1) % around
    faces = np.concatenate(
        [
            np.stack([here, there, here + around], -1).reshape(-1, 3),
            np.stack([there, there + around, here + around], -1).reshape(-1, 3),
        ]
    )
    return vertices.reshape(-1, 3), turned.reshape(-1, 3), faces


def _ball(radius: float) -> tuple[Floats, Floats, Ints]:
    polar = np.linspace(np.pi, 0.0, 19)
    circle = np.stack([np.sin(polar), np.cos(polar)], -1)
    return _revolved(circle * radius, circle)


def _cylinder(radius: float, length: float) -> tuple[Floats, Floats, Ints]:
    """Along z, with flat ends and a narrow bevel that catches the light."""
    half, bevel = 0.5 * length, 0.12 * radius
    profile = [
        (1e-6, -half),
        (radius - bevel, -half),
        (radius - bevel, -half),
        (radius, bevel - half),
    ]
    facing = [(0.0, -1.0), (0.0, -1.0), (0.7, -0.7), (1.0, 0.0)]
    body = [(radius, z) for z in np.linspace(bevel - half, half - bevel, 40)]
    rows = [*profile, *body, *((r, -z) for r, z in reversed(profile))]
    normals = [*facing, *((1.0, 0.0) for _ in body), *((r, -z) for r, z in reversed(facing))]
    return _revolved(np.array(rows), np.array(normals))


def _box(sides: Floats) -> tuple[Floats, Floats, Ints]:
    """Six flat faces of 4 × 4 squares each, so that colours can change along them."""
    vertices: list[Floats] = []
    normals: list[Floats] = []
    faces: list[Ints] = []
    grid = np.linspace(-0.5, 0.5, 5)
    quads = np.array(
        [
            (5 * i + j, 5 * i + j + 1, 5 * i + j + 6, 5 * i + j + 5)
            for i in range(4)
            for j in range(4)
        ]
    )
    for axis in range(3):
        for sign in (-1.0, 1.0):
            u, v = np.meshgrid(grid, grid, indexing="ij")
            side = np.zeros((25, 3))
            side[:, axis] = 0.5 * sign
            side[:, (axis + 1) % 3] = u.ravel()
            side[:, (axis + 2) % 3] = v.ravel()
            turn = quads[:, ::-1] if sign > 0 else quads
            start = 25 * len(vertices)
            faces += [turn[:, (0, 1, 2)] + start, turn[:, (0, 2, 3)] + start]
            vertices.append(side * sides)
            normal = np.zeros((25, 3))
            normal[:, axis] = sign
            normals.append(normal)
    return np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces)


def _painted(rng: np.random.Generator, mesh: tuple[Floats, Floats, Ints]) -> Solid:
    """One colour, often with a second one as a band along z."""
    vertices, normals, faces = mesh
    colors = np.tile(_paint(rng), (len(vertices), 1))
    if rng.random() < 0.6:
        z = vertices[:, 2] / max(float(np.abs(vertices[:, 2]).max()), 1e-9)
        low = rng.uniform(-0.9, 0.4)
        colors[(z > low) & (z < low + rng.uniform(0.3, 0.9))] = _paint(rng)
    return Solid(vertices, normals, faces, colors, float(rng.uniform(0.05, 0.5)))


def _paint(rng: np.random.Generator) -> Floats:
    """A household colour in linear light: often grey, wood or metal, sometimes bright."""
    if rng.random() < 0.4:
        return rng.uniform(0.03, 0.75) * (1.0 + rng.normal(0.0, 0.06, 3))
    hue = rng.random()
    wheel = 0.5 + 0.5 * np.cos(2.0 * np.pi * (hue + np.array([0.0, 1.0 / 3.0, 2.0 / 3.0])))
    bright, pale = rng.uniform(0.15, 0.8), rng.uniform(0.0, 0.4)
    return np.asarray(np.clip(bright * (pale + (1.0 - pale) * wheel**1.5), 0.01, 0.9))


def _frame(z: Floats, towards: Floats) -> Floats:
    """(3, 3) rotation whose columns are x, y, z axes, with z given and x near `towards`."""
    z = z / np.linalg.norm(z)
    x = towards - (towards @ z) * z
    x = x / max(float(np.linalg.norm(x)), 1e-9)
    return np.stack([x, np.cross(z, x), z], -1)


def held_object(rng: np.random.Generator, kind: str, joints: Floats) -> Solid | None:
    """An object that fits into the hand.

    Parameters
    ----------
    rng
        Source of randomness.
    kind
        ``cylinder``, ``stick``, ``ball`` or ``box``, as named by
        :data:`~handbench.synthetic.poses.HOLDING`.
    joints
        (21, 3) keypoints, metres, hand frame.

    Returns
    -------
    The solid in the hand frame, or None where the hand leaves it no room.
    """
    knuckles, tips = joints[list(KNUCKLES)], joints[list(FINGERTIPS)]
    inner = joints[[6, 7, 8, 10, 11, 12, 14, 15, 16]]
    across = knuckles[0] - knuckles[3]
    between = 0.5 * (tips[0] + tips[1])
    pinching = float(np.linalg.norm(tips[0] - tips[1])) < 0.028
    if kind == "stick" and pinching:
        # Like a pen: held between thumb and index, resting near the index knuckle.
        along = between - (knuckles[0] + 0.2 * (joints[2] - knuckles[0])) + rng.normal(0.0, 0.01, 3)
        length = rng.uniform(0.12, 0.17)
        along /= np.linalg.norm(along)
        mesh = _cylinder(rng.uniform(2.5e-3, 4.5e-3), length)
        centre = between + along * (rng.uniform(0.02, 0.04) - 0.5 * length)
        return _painted(rng, mesh).moved(_frame(along, across), centre)
    if kind == "ball":
        centre = 0.55 * tips[[0, 1, 2, 3]].mean(0) + 0.45 * knuckles.mean(0)
        room = float(
            np.linalg.norm(np.concatenate([inner, tips[:1], joints[[3]]]) - centre, axis=-1).min()
        )
        radius = min(room - FINGER_RADIUS, 0.04)
        if radius < 0.012:
            return None
        return _painted(rng, _ball(radius)).moved(_frame(across, tips[0]), centre)
    if kind == "box":
        centre = 0.5 * (tips[0] + 0.5 * (tips[1] + tips[2]))
        apart = 0.5 * (tips[1] + tips[2]) - tips[0]
        thin = float(np.linalg.norm(apart)) - 1.7 * FINGER_RADIUS
        if thin < 0.001 or thin > 0.05:
            return None
        sides = np.array([rng.uniform(0.05, 0.1), rng.uniform(0.05, 0.1), thin])
        beyond = centre - knuckles.mean(0)
        turned = _frame(apart, beyond)
        shift = turned[:, 0] * (0.5 * sides[0] - rng.uniform(0.012, 0.03))
        return _painted(rng, _box(sides)).moved(turned, centre + shift)
    # Lies across the palm, inside the bent fingers.
    axis = across / np.linalg.norm(across)
    ring = np.concatenate([inner, knuckles[:3]])
    centre = ring.mean(0)
    offset = ring - centre
    room = np.linalg.norm(offset - (offset @ axis)[:, None] * axis, axis=-1)
    radius = min(float(np.quantile(room, 0.15)) - FINGER_RADIUS, 0.032)
    if kind == "stick":
        radius = min(max(radius, 0.004), 0.009)
    if radius < 0.0035:
        return None
    length = rng.uniform(0.11, 0.3) if radius < 0.015 else rng.uniform(0.1, 0.19)
    centre = centre + axis * rng.uniform(-0.25, 0.25) * length
    return _painted(rng, _cylinder(radius, length)).moved(_frame(axis, tips[0]), centre)


def occluder(rng: np.random.Generator, joints: Floats) -> Solid:
    """Something between the camera and a part of the hand.

    Parameters
    ----------
    rng
        Source of randomness.
    joints
        (21, 3) keypoints, metres, camera frame.

    Returns
    -------
    The solid in the camera frame.
    """
    target = joints[rng.integers(21)]
    nearest = float(joints[:, 2].min())
    centre = target * (rng.uniform(0.72, 0.9) * nearest / target[2])
    kind = rng.choice(3)
    if kind == 0:
        mesh = _cylinder(rng.uniform(0.005, 0.014), rng.uniform(0.25, 0.6))
    elif kind == 1:
        mesh = _box(np.array([rng.uniform(0.02, 0.07), rng.uniform(0.03, 0.12), 0.02]))
    else:
        mesh = _ball(rng.uniform(0.012, 0.03))
    frame = _frame(rng.normal(size=3) * (1.0, 1.0, 0.5), rng.normal(size=3))
    return _painted(rng, mesh).moved(frame, centre)
