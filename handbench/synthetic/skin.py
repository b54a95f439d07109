"""Colour of the skin: paler palm, flushed knuckles, nails, creases, palm lines, veins.

Everything is painted in template space: a spot of skin keeps its colour however the hand bends.
Colours are linear light, 0-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicSpline

from handbench.synthetic.anatomy import (
    FINGER_BASES_MM,
    PHALANX_MM,
    REST_DIRECTIONS,
    REST_LATERALS,
    REST_NORMALS,
    Floats,
)
from handbench.synthetic.field import RADII_MM
from handbench.synthetic.person import Person, dress, to_linear
from handbench.synthetic.surface import template

Ints = npt.NDArray[np.intp]

PALM_PART = 5


def finger_coordinates(points_mm: Floats, part: Ints) -> tuple[Floats, Floats, Floats]:
    """Place of each point on its finger: along it, across it (along the axis of flexion), above.

    Parameters
    ----------
    points_mm
        (P, 3) template points, millimetres.
    part
        (P,) finger 0-4.

    Returns
    -------
    Three arrays (P,), millimetres from the finger's base joint.
    """
    offset = points_mm - FINGER_BASES_MM[part]
    along, across, above = (
        np.einsum("pi,pi->p", offset, axes[part])
        for axes in (REST_DIRECTIONS, REST_LATERALS, REST_NORMALS)
    )
    return along, across, above


def _bump(x: Floats, width: float | Floats) -> Floats:
    out: Floats = np.exp(-((x / width) ** 2))
    return out


@dataclass(frozen=True)
class Paint:
    """Per-vertex colouring of the template, the same for everybody.

    Attributes
    ----------
    palm
        (V,) 1 on the palm's side, 0 on the back.
    flush
        (V,) 0-1, where blood shines through.
    """

    palm: Floats
    flush: Floats


@cache
def paint() -> Paint:
    """Colouring of the template's vertices, made once per process."""
    mesh = template()
    mm = mesh.vertices * 1e3
    dorsal = mesh.parts @ np.vstack([REST_NORMALS, [[0.0, 0.0, 1.0]]])
    dorsal /= np.linalg.norm(dorsal, axis=-1, keepdims=True)
    side = (mesh.normals * dorsal).sum(-1)
    palm = 1.0 / (1.0 + np.exp((side + 0.12) * 7.0))
    # Palm skin fades out around the crease of the wrist.
    palm *= 1.0 / (1.0 + np.exp(-(mm[:, 1] - 3.0) / 5.5))
    flush = np.zeros(len(mm))
    for finger in range(5):
        part = np.full(len(mm), finger)
        along, _, above = finger_coordinates(mm, part)
        ends = np.cumsum(PHALANX_MM[finger])
        own = mesh.parts[:, finger]
        knuckles = 0.7 * _bump(along - ends[0], 6.0) + 0.5 * _bump(along - ends[1], 5.0)
        tip = 1.0 / (1.0 + np.exp(-(along - ends[2] + 9.0) / 3.0))
        flush += own * (knuckles * (above > 0) * (1.0 - palm) + 0.8 * tip)
        root = np.linalg.norm(mm - FINGER_BASES_MM[finger] - (0.0, 0.0, 8.0), axis=-1)
        flush += 0.55 * _bump(root, 9.0) * (1.0 - palm) * (finger > 0)
    for centre, width in (((-30, 40, -25), 15.0), ((32, 40, -22), 15.0), ((5, 74, -18), 12.0)):
        spot = np.linalg.norm((mm - centre) * (1.0, 1.0, 0.6), axis=-1)
        flush += 0.6 * _bump(spot, width) * palm
    return Paint(palm, np.clip(flush, 0.0, 1.0))


_MAP_STEP_MM = 0.75
_MAP_LOW = np.array([-60.0, -10.0])
_MAP_SHAPE = (147, 147)  # x, y


def _stroke(grid: Floats, line: Floats, width: float) -> Floats:
    """Darkness 0-1 of a soft line through the points `line` (K, 2), tapering to its ends."""
    best = np.zeros(grid.shape[:-1])
    count = len(line) - 1
    for k in range(count):
        a, b = line[k], line[k + 1]
        axis = b - a
        t = np.clip(((grid - a) @ axis) / (axis @ axis), 0.0, 1.0)
        gap = np.linalg.norm(grid - a - t[..., None] * axis, axis=-1)
        place = (k + t) / count
        strength = np.minimum(1.0, 4.0 * np.minimum(place + 0.1, 1.05 - place))
        best = np.maximum(best, strength * np.exp(-((gap / width) ** 2)))
    return best


def _curve(points: npt.ArrayLike) -> Floats:
    """A smooth line through a few points, as 13 points (cubic spline)."""
    p = np.asarray(points, dtype=np.float64)
    if len(p) < 3:
        return p
    t = np.linspace(0.0, 1.0, len(p))
    out: Floats = CubicSpline(t, p)(np.linspace(0.0, 1.0, 13))
    return out


@cache
def palm_maps() -> tuple[Floats, Floats, Floats]:
    """Lines of the palm, and relief of the back of the hand, as images over the palm's plane.

    Returns
    -------
    Darkness of the palm lines; slope along x and along y of tendons and veins. Each
    (147, 147), indexed [x, y].
    """
    x = _MAP_LOW[0] + _MAP_STEP_MM * np.arange(_MAP_SHAPE[0])
    y = _MAP_LOW[1] + _MAP_STEP_MM * np.arange(_MAP_SHAPE[1])
    grid = np.stack(np.meshgrid(x, y, indexing="ij"), -1)
    lines = np.zeros(_MAP_SHAPE)
    strokes: tuple[tuple[list[tuple[float, float]], float, float], ...] = (
        # around the ball of the thumb; across the middle; under the fingers; two faint ones
        ([(-30, 68), (-20, 66), (-10, 58), (-5, 46), (-4, 32), (-7, 18), (-11, 8)], 0.95, 1.0),
        ([(-30, 69), (-18, 68), (-4, 62), (10, 54), (22, 46), (30, 40)], 0.9, 0.9),
        ([(38, 60), (28, 62), (16, 65), (4, 71), (-4, 78), (-8, 84)], 0.95, 0.95),
        ([(6, 16), (5, 34), (6, 52), (9, 70)], 0.7, 0.35),
        ([(18, 22), (24, 38), (27, 52)], 0.7, 0.3),
        ([(-24, 2), (-8, -1), (8, -1), (24, 1)], 0.9, 0.75),
    )
    for points, width, strength in strokes:
        lines = np.maximum(lines, strength * _stroke(grid, _curve(points), width))
    relief = np.zeros(_MAP_SHAPE)
    for finger in range(1, 5):
        tendon = np.array([(0.15 * FINGER_BASES_MM[finger, 0], 6.0), FINGER_BASES_MM[finger, :2]])
        relief = np.maximum(relief, 1.1 * _stroke(grid, _curve(tendon), 2.6))
    veins = (
        [(-4, 12), (2, 30), (10, 44), (8, 58), (9, 74)],
        [(10, 44), (20, 52), (26, 66)],
        [(-16, 16), (-18, 36), (-10, 50), (-12, 74)],
        [(2, 30), (-8, 40), (-18, 36)],
    )
    for vein in veins:
        relief = np.maximum(relief, 0.7 * _stroke(grid, _curve(vein), 1.7))
    slope_x, slope_y = np.gradient(relief, _MAP_STEP_MM)
    return lines, slope_x, slope_y


@dataclass(frozen=True)
class Surface:
    """What light meets at each sample.

    Attributes
    ----------
    color
        (P, 3) linear light.
    gloss
        (P,) strength of the highlight.
    slope
        (P, 2) relief along the template's x and y.
    """

    color: Floats
    gloss: Floats
    slope: Floats


def hand_surface(
    person: Person, points_mm: Floats, part: Ints, palm: Floats, flush: Floats, mottle: Floats
) -> Surface:
    """Colour samples of the template.

    Parameters
    ----------
    person
        Whose skin.
    points_mm
        (P, 3) template points, millimetres.
    part
        (P,) 0-4 finger, 5 palm.
    palm, flush
        (P,) interpolated :class:`Paint`.
    mottle
        (P,) interpolated :func:`mottling`.

    Returns
    -------
    Surface
        Colour, gloss and relief.
    """
    color = person.back + palm[:, None] * (person.palm - person.back)
    color *= 1.0 + mottle[:, None] * np.array([0.8, 1.1, 1.1])
    color *= 1.0 - (person.flush * flush)[:, None] * np.array([0.03, 0.2, 0.19])
    gloss = 0.75 + 0.25 * palm
    slope = np.zeros((len(points_mm), 2))
    dark = np.zeros(len(points_mm))

    on_finger = np.flatnonzero(part < PALM_PART)
    finger = part[on_finger]
    place = finger_coordinates(points_mm[on_finger], finger)
    dark[on_finger] = _finger_creases(*place, finger, palm[on_finger])
    color[on_finger], nail = _with_nails(person, color[on_finger], *place, finger)
    gloss[on_finger] += 2.2 * nail

    on_palm = np.flatnonzero((part == PALM_PART) & (points_mm[:, 1] > _MAP_LOW[1]))
    lines, slope_x, slope_y = palm_maps()
    cell = ((points_mm[on_palm, :2] - _MAP_LOW) / _MAP_STEP_MM + 0.5).astype(np.intp)
    i, j = np.clip(cell, 0, np.array(_MAP_SHAPE) - 1).T
    dark[on_palm] = lines[i, j] * palm[on_palm]
    back = (1.0 - palm[on_palm]) * person.veins
    slope[on_palm] = np.stack([slope_x[i, j] * back, slope_y[i, j] * back], -1)

    color *= 1.0 - dark[:, None] * np.array([0.34, 0.46, 0.48])
    gloss *= 1.0 - 0.6 * dark
    dress(person, points_mm, color, gloss)
    return Surface(np.clip(color, 0.005, 0.95), gloss, slope)


def _finger_creases(
    along: Floats, across: Floats, above: Floats, finger: Ints, palm: Floats
) -> Floats:
    """Darkness 0-1 of creases: sharp in the bends, fine wrinkles on the knuckles."""
    ends = np.cumsum(PHALANX_MM, axis=1)[finger]
    radius = RADII_MM[finger]
    wavy = along + 0.35 * np.sin(0.9 * across)
    back = np.where(above > 0.0, 1.0 - palm, 0.0)
    crease = np.where(finger > 0, 0.6 * palm * _bump(wavy - 14.0, 0.8), 0.0)
    inner: tuple[tuple[float, ...], ...] = ((-1.1, 1.1), (0.0,))  # double in the middle joint
    for joint, shifts in enumerate(inner):
        here = wavy - ends[:, joint]
        for shift in shifts:
            crease = np.maximum(crease, 0.75 * palm * _bump(here - shift, 0.75))
        wrinkled = (0.42, 0.3)[joint] * back * _bump(across, 0.8 * radius[:, joint + 1])
        for shift in (-3.2, -1.5, 0.2, 1.9, 3.4):
            crease = np.maximum(crease, wrinkled * _bump(here - shift, 0.55))
    return crease


def _with_nails(
    person: Person, color: Floats, along: Floats, across: Floats, above: Floats, finger: Ints
) -> tuple[Floats, Floats]:
    """Finger samples (P, 3) with nails painted on, and where the nails are (P,), 0-1."""
    tip = RADII_MM[finger, 3]
    centre = PHALANX_MM.sum(-1)[finger] - 1.6
    s, u = (along - centre) / (0.92 * tip), across / (0.80 * tip)
    # A rounded rectangle seen from above; only the back of the finger carries it.
    shape = (u**4 + np.abs(s) ** 3) ** 0.25
    back = above > 0.32 * tip
    nail = np.clip(0.5 - (shape - 1.0) * tip / 0.45, 0.0, 1.0) * back
    fold = _bump(shape - 1.03, 0.10) * (1.0 - nail) * (back & (s < 0.6))
    edge = np.clip((s - 0.72) / 0.15, 0.0, 1.0)
    moon = np.clip((-0.62 - s) / 0.15, 0.0, 1.0) * (finger == 0)
    pale = to_linear((236, 222, 210)) * (0.3 + 0.7 * person.palm.max())
    plate = person.nail + (0.45 * edge + 0.25 * moon)[:, None] * (pale - person.nail)
    color = color * (1.0 - 0.3 * fold)[:, None]
    return color + nail[:, None] * (plate - color), nail
