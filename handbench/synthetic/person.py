"""What a person looks like: tone of the skin, mottling, nails, sleeve and bracelet.

Colours are linear light, 0-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.synthetic.anatomy import Floats

# sRGB tones of the back of the hand from very light to very dark.
_TONES: Floats = np.array(
    [
        (233, 200, 180),
        (225, 187, 161),
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
        (K, 4) waves that mottle the skin: frequency (3, rad/mm) and phase.
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
        to_linear([np.interp(at, rows, table[:, c]) for c in range(3)])
        for table in (_TONES, _PALMS)
    )
    under = 1.0 + rng.normal(0.0, 1.0) * np.array([0.035, 0.0, -0.05])
    back, palm = back * under, palm * (0.6 + 0.4 * under)
    nail = 0.8 * palm + 0.2 * to_linear((228, 180, 170)) * (1.1 - 0.6 * tone)
    if rng.random() < 0.06:  # varnish
        nail = to_linear(rng.uniform(10, 220, 3) * (1.0, 0.5, 0.6))
    # Many waves from all directions: few would show as stripes.
    spots = np.empty((40, 4))
    ways = rng.normal(size=(40, 3))
    pitch = np.repeat([0.12, 0.35], 20) * rng.uniform(0.6, 1.5, 40)
    spots[:, :3] = ways / np.linalg.norm(ways, axis=-1, keepdims=True) * pitch[:, None]
    spots[:, 3] = rng.uniform(0.0, 2.0 * np.pi, 40)
    sleeve = (
        to_linear(rng.uniform(15, 225, 3) * rng.uniform(0.4, 1.0)) if rng.random() < 0.4 else None
    )
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


def mottling(person: Person, points_mm: Floats) -> Floats:
    """Lighter and darker patches of skin at template points (V, 3); (V,) around 0."""
    waves = np.sin(points_mm @ person.spots[:, :3].T + person.spots[:, 3])
    out: Floats = 0.011 * waves.sum(-1)
    return out


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
