"""Colour of the skin: tone, paler palm, flushed knuckles, nails, creases, veins, sleeve.

Everything is painted in template space: a spot of skin keeps its colour however the hand bends.
Colours are linear light, 0-1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from handbench.synthetic.anatomy import (
    FINGER_BASES_MM,
    PHALANX_MM,
    REST_DIRECTIONS,
    REST_LATERALS,
    REST_NORMALS,
    Floats,
)
from handbench.synthetic.surface import RADII_MM, template

Ints = npt.NDArray[np.intp]

PALM_PART = 5

# sRGB tones of the back of the hand from very light to very dark.
_TONES: Floats = np.array(
    [
        (238, 208, 190),
        (228, 190, 165),
        (214, 172, 142),
        (194, 148, 116),
        (166, 118, 88),
        (130, 88, 64),
        (98, 64, 47),
        (72, 47, 36),
    ],
    dtype=np.float64,
)
# Palms differ far less between people than the backs of their hands.
_PALMS: Floats = np.array(
    [
        (242, 205, 188),
        (236, 192, 170),
        (228, 182, 156),
        (218, 168, 140),
        (206, 154, 126),
        (188, 136, 110),
        (172, 120, 96),
        (156, 106, 86),
    ],
    dtype=np.float64,
)


def to_linear(srgb: npt.ArrayLike) -> Floats:
    """SRGB values 0-255 to linear light 0-1 (IEC 61966-2-1)."""
    s = np.asarray(srgb, dtype=np.float64) / 255.0
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


@dataclass(frozen=True)
class Person:
    """How one person's skin looks.

    Attributes
    ----------
    back, palm, nail
        (3,) linear light.
    flush
        How much redder knuckles, fingertips and pads are.
    spots
        (K, 7) waves that mottle the skin: strength, frequency (3, rad/mm), phases (3).
    veins
        Height of tendons and veins on the back of the hand.
    sleeve
        (3,) colour of a sleeve, or None for a bare arm.
    sleeve_mm
        Where it starts, millimetres from the wrist.
    bracelet
        (3,) colour of a band around the wrist, or None.
    """

    back: Floats
    palm: Floats
    nail: Floats
    flush: float
    spots: Floats
    veins: float
    sleeve: Floats | None
    sleeve_mm: float
    bracelet: Floats | None


def sample_person(rng: np.random.Generator) -> Person:
    """Draw a person: every skin tone from very light to very dark."""
    tone = rng.beta(0.9, 1.25)
    at = tone * (len(_TONES) - 1)
    rows = np.arange(len(_TONES))
    back, palm = (
        to_linear([np.interp(at, rows, table[:, c]) for c in range(3)]) for table in (_TONES, _PALMS)
    )
    under = 1.0 + rng.normal(0.0, 1.0) * np.array([0.035, 0.0, -0.05])
    back, palm = back * under, palm * (0.6 + 0.4 * under)
    nail = 0.55 * palm + 0.45 * to_linear((232, 184, 172)) * (0.85 if tone > 0.6 else 1.0)
    if rng.random() < 0.06:  # varnish
        nail = to_linear(rng.uniform(10, 220, 3) * (1.0, 0.5, 0.6))
    spots = np.empty((14, 7))
    spots[:, 0] = rng.normal(0.0, 0.025, 14)
    spots[:, 1:4] = rng.normal(0.0, 1.0, (14, 3)) * np.repeat([0.1, 0.28], 7)[:, None]
    spots[:, 4:7] = rng.uniform(0.0, 2.0 * np.pi, (14, 3))
    sleeve = to_linear(rng.uniform(15, 225, 3) * rng.uniform(0.4, 1.0)) if rng.random() < 0.4 else None
    bracelet = to_linear(rng.uniform(10, 230, 3)) if rng.random() < 0.12 else None
    return Person(
        back=back,
        palm=palm,
        nail=nail,
        flush=float(rng.uniform(0.5, 1.2) * (1.0 - 0.5 * tone)),
        spots=spots,
        veins=float(rng.uniform(0.2, 1.0)),
        sleeve=sleeve,
        sleeve_mm=float(rng.uniform(42.0, 120.0)),
        bracelet=bracelet,
    )


def finger_coordinates(points_mm: Floats, part: Ints) -> tuple[Floats, Floats, Floats]:
    """Along, across (towards the little finger… right of it) and above each point's finger.

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


def _bump(x: Floats, width: float) -> Floats:
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
    # Palm skin ends at the crease of the wrist.
    palm *= 1.0 / (1.0 + np.exp(-(mm[:, 1] + 4.0) / 3.0))
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


_MAP_STEP_MM = 0.5
_MAP_LOW = np.array([-60.0, -10.0])
_MAP_SHAPE = (220, 220)  # x, y


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
    """A smooth line through a few points (quadratic pieces), 24 segments."""
    p = np.asarray(points, dtype=np.float64)
    t = np.linspace(0.0, 1.0, len(p))
    return np.stack([np.interp(np.linspace(0, 1, 25), t, p[:, k]) for k in range(2)], -1)


@cache
def palm_maps() -> tuple[Floats, Floats, Floats]:
    """Lines of the palm, and relief of the back of the hand, as images over the palm's plane.

    Returns
    -------
    Darkness of the palm lines; slope along x and along y of tendons and veins. Each
    (220, 220), indexed [x, y], half a millimetre a step.
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


def hand_surface(person: Person, points_mm: Floats, part: Ints, palm: Floats, flush: Floats) -> Surface:
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

    Returns
    -------
    Surface
        Colour, gloss and relief.
    """
    mottle = np.zeros(len(points_mm))
    for strength, *wave in person.spots:
        phase = points_mm @ np.array(wave[:3]) + wave[3]
        mottle += strength * np.sin(phase)
    color = person.back + palm[:, None] * (person.palm - person.back)
    color *= 1.0 + mottle[:, None] * np.array([0.8, 1.1, 1.1])
    blush = (person.flush * flush)[:, None]
    color *= 1.0 - blush * np.array([0.03, 0.2, 0.19])
    gloss = 0.75 + 0.25 * palm
    slope = np.zeros((len(points_mm), 2))
    dark = np.zeros(len(points_mm))

    on_finger = np.flatnonzero(part < PALM_PART)
    finger, p = part[on_finger], points_mm[on_finger]
    along, across, above = finger_coordinates(p, finger)
    ends = np.cumsum(PHALANX_MM, axis=1)[finger]
    radius = RADII_MM[finger]
    inner = palm[on_finger]
    crease = np.zeros(len(on_finger))
    wavy = along + 0.35 * np.sin(0.9 * across)
    for joint, pairs in ((0, (-1.1, 1.1)), (1, (0.0,))):
        for shift in pairs:
            crease = np.maximum(crease, inner * _bump(wavy - ends[:, joint] - shift, 0.75))
        for k, shift in enumerate((-3.2, -1.5, 0.2, 1.9, 3.4)):
            fold = 0.42 * _bump(wavy - ends[:, joint] - shift, 0.55)
            fold *= (1.0 - inner) * _bump(across, 0.8 * radius[:, joint + 1]) * (1.0 - 0.1 * k)
            crease = np.maximum(crease, fold * (1.0 if joint == 0 else 0.7))
    base = np.where(finger == 0, ends[:, 0] - 4.0, 14.0)
    crease = np.maximum(crease, 0.8 * inner * _bump(wavy - base, 0.8))
    dark[on_finger] = crease

    tip = radius[:, 3]
    centre, half = ends[:, 2] - 1.6, 0.92 * tip
    u, s = across / (0.80 * tip), (along - centre) / half
    # A rounded rectangle seen from above; only the back of the finger carries it.
    shape = (u**4 + np.abs(s) ** 3) ** 0.25
    sharp = 0.45 / tip
    nail = np.clip(0.5 - (shape - 1.0) / sharp, 0.0, 1.0) * (above > 0.0)
    rim = _bump(shape - 1.03, 0.10) * (above > 0.0) * (along < centre + 0.6 * half)
    edge = np.clip((s - 0.72) / 0.15, 0.0, 1.0)
    moon = np.clip((-0.62 - s) / 0.15, 0.0, 1.0) * (finger == 0)
    plate = person.nail + (0.6 * edge + 0.25 * moon)[:, None] * (
        to_linear((238, 226, 214)) * (0.5 + 0.5 * person.palm.max()) - person.nail
    )
    mixed = color[on_finger] * (1.0 - 0.3 * rim * (1.0 - nail))[:, None]
    color[on_finger] = mixed + nail[:, None] * (plate - mixed)
    gloss[on_finger] += 2.2 * nail

    on_palm = np.flatnonzero((part == PALM_PART) & (points_mm[:, 1] > _MAP_LOW[1]))
    lines, slope_x, slope_y = palm_maps()
    cell = ((points_mm[on_palm, :2] - _MAP_LOW) / _MAP_STEP_MM + 0.5).astype(np.intp)
    i, j = np.clip(cell[:, 0], 0, _MAP_SHAPE[0] - 1), np.clip(cell[:, 1], 0, _MAP_SHAPE[1] - 1)
    dark[on_palm] = lines[i, j] * palm[on_palm]
    back = (1.0 - palm[on_palm]) * person.veins
    slope[on_palm, 0], slope[on_palm, 1] = slope_x[i, j] * back, slope_y[i, j] * back

    color *= 1.0 - dark[:, None] * np.array([0.34, 0.46, 0.48])
    gloss *= 1.0 - 0.6 * dark
    dress(person, points_mm, color, gloss)
    return Surface(np.clip(color, 0.005, 0.95), gloss, slope)


def dress(person: Person, points_mm: Floats, color: Floats, gloss: Floats) -> None:
    """Paint sleeve and bracelet over samples of the arm, in place."""
    below = -points_mm[:, 1]
    if person.sleeve is not None:
        cloth = below > person.sleeve_mm
        weave = 1.0 + 0.06 * np.sin(below[cloth] * 0.9)
        hem = np.abs(below[cloth] - person.sleeve_mm - 6.0) < 0.8
        color[cloth] = person.sleeve * (weave * np.where(hem, 0.7, 1.0))[:, None]
        gloss[cloth] = 0.05
    if person.bracelet is not None:
        band = np.abs(below - 32.0) < 6.5
        color[band] = person.bracelet
        gloss[band] = 1.2
