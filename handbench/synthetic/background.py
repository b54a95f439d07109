"""Backgrounds: a green screen, and rooms, foliage, tables and blurs made of noise."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

Floats = npt.NDArray[np.float64]


def noise(rng: np.random.Generator, size: int, cells: int, octaves: int, decay: float) -> Floats:
    """Smooth noise (size, size) of mean 0 and about unit spread.

    Parameters
    ----------
    rng
        Source of randomness.
    size
        Side of the picture.
    cells
        Random values along a side in the coarsest octave; each octave doubles them.
    octaves
        How many.
    decay
        Strength of each octave relative to the one before.
    """
    total = np.zeros((size, size))
    strength, power = 1.0, 0.0
    for octave in range(octaves):
        count = min(cells * 2**octave, size)
        values = rng.standard_normal((count, count)).astype(np.float32)
        layer = Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC)
        total += strength * np.asarray(layer)
        power += strength**2
        strength *= decay
    out: Floats = total / np.sqrt(power)
    return out


def _palette(rng: np.random.Generator, count: int) -> Floats:
    """Colours (count, 3) of one picture, 0-1 sRGB: mostly greys and earths, a few bright."""
    hue = np.where(rng.random(count) < 0.6, 0.02 + 0.12 * rng.random(count), rng.random(count))
    strength = rng.beta(1.1, 3.5, count)
    light = rng.beta(1.4, 1.4, count) * 0.9 + 0.04
    # Three cosines a third of a turn apart: a colour wheel without corners.
    wheel = np.cos(2.0 * np.pi * (hue[:, None] - np.array([0.0, 1.0 / 3.0, 2.0 / 3.0])))
    return np.asarray(np.clip(light[:, None] * (1.0 + 0.75 * strength[:, None] * wheel), 0.0, 1.0))


def green_screen(rng: np.random.Generator, size: int) -> Floats:
    """A green cloth, unevenly lit, with soft folds. (size, size, 3), sRGB 0-1."""
    green = np.array([0.20, 0.46, 0.17]) * rng.uniform(0.7, 1.3) + rng.normal(0.0, 0.025, 3)
    light = 1.0 + 0.10 * noise(rng, size, 2, 2, 0.5)
    angle = rng.uniform(0.0, np.pi)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    across = x * np.cos(angle) + y * np.sin(angle)
    folds = np.sin(
        2.0 * np.pi * rng.uniform(1.0, 4.0) * (across + 0.03 * noise(rng, size, 3, 2, 0.5))
    )
    light += 0.06 * folds - 0.25 * (x**2 + y**2)
    if rng.random() < 0.5:  # a seam between two cloths
        seam = y - rng.uniform(-0.4, 0.5) - rng.uniform(-0.4, 0.4) * x
        light *= np.where(seam > 0.0, rng.uniform(0.75, 0.95), 1.0)
        light *= 1.0 - 0.35 * np.exp(-((seam * 90.0) ** 2))
    return np.asarray(np.clip(green * light[..., None], 0.0, 1.0))


def _room(rng: np.random.Generator, size: int) -> Floats:
    """Walls, floor and things that stand about, more or less out of focus."""
    colors = [tuple(int(255 * v) for v in color) for color in _palette(rng, 28)]
    image = Image.new("RGB", (size, size), colors[0])
    draw = ImageDraw.Draw(image)
    floor = rng.uniform(0.35, 0.95) * size
    slant = rng.normal(0.0, 0.15)
    draw.polygon(
        [(0, floor), (size, floor + slant * size), (size, size), (0, size)], fill=colors[1]
    )
    # Things share the camera's roll: edges run along two directions.
    roll = rng.normal(0.0, 0.15)
    turn = np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
    square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    for color in colors[2 : 5 + rng.integers(20)]:
        centre = rng.uniform(0.0, 1.0, 2) * size
        side = size * rng.uniform(0.03, 0.4, 2) * rng.choice([0.3, 1.0, 2.0], 2, p=(0.4, 0.4, 0.2))
        kind = rng.choice(4, p=(0.5, 0.12, 0.23, 0.15))
        if kind == 1:
            draw.ellipse([*(centre - side / 3), *(centre + side / 3)], fill=color)
        elif kind == 2:  # a pole or cable, upright or level
            long = np.array([0.5 * size, 0.0]) * rng.uniform(0.5, 3.0)
            long = turn @ (long if rng.random() < 0.4 else long[::-1])
            width = int(max(1, size * rng.uniform(0.008, 0.06)))
            draw.line([tuple(centre - long), tuple(centre + long)], fill=color, width=width)
        else:
            corners = (square * side) @ turn.T + centre
            draw.polygon([tuple(p) for p in corners], fill=color)
            if kind == 3:  # a window, poster or screen in a frame
                glass = int(rng.uniform(150, 250))
                inside = (square * (side - 0.12 * side.min())) @ turn.T + centre
                draw.polygon([tuple(p) for p in inside], fill=(glass, glass, min(255, glass + 8)))
    image = image.filter(ImageFilter.GaussianBlur(rng.gamma(2.0, 0.9) * size / 224.0))
    picture = np.asarray(image) / 255.0
    shade = 1.0 + 0.12 * noise(rng, size, 2, 2, 0.5) + 0.04 * noise(rng, size, 20, 3, 0.8)
    return np.asarray(np.clip(picture * shade[..., None], 0.0, 1.0))


def _foliage(rng: np.random.Generator, size: int) -> Floats:
    """Leaves, gravel, cloth: busy noise ramped through a few colours of one family."""
    height = noise(rng, size, int(rng.integers(6, 18)), 5, rng.uniform(0.7, 1.0))
    height += 0.5 * noise(rng, size, 2, 1, 0.5)
    colors = _palette(rng, 4)
    if rng.random() < 0.4:
        colors = 0.4 * colors + 0.6 * colors * np.array([0.85, 1.0, 0.6])
    colors = 0.5 * (colors + colors.mean(-1, keepdims=True))
    colors = colors[np.argsort(colors.sum(-1))]
    colors = colors[0] + rng.uniform(0.5, 1.0) * (colors - colors[0])
    at = 1.0 / (1.0 + np.exp(-1.3 * height))
    return np.stack([np.interp(at, (0.0, 0.4, 0.7, 1.0), colors[:, c]) for c in range(3)], -1)


def _planks(rng: np.random.Generator, size: int) -> Floats:
    """A table or a floor: boards with grain, in any direction."""
    angle = rng.uniform(0.0, np.pi)
    y, x = np.mgrid[0:size, 0:size] / size
    u = x * np.cos(angle) + y * np.sin(angle)
    v = -x * np.sin(angle) + y * np.cos(angle)
    boards = rng.uniform(2.0, 9.0)
    row = np.floor(v * boards).astype(int) - int(np.floor((v * boards).min()))
    tone = rng.uniform(0.75, 1.15, row.max() + 1)[row]
    grain = np.sin(60.0 * v + 5.0 * noise(rng, size, 3, 3, 0.6) + 2.0 * np.sin(3.0 * u))
    gap = np.abs(v * boards - np.round(v * boards)) < 0.03
    light = tone * (1.0 + 0.07 * grain) * np.where(gap, 0.55, 1.0)
    light *= 1.0 + 0.08 * noise(rng, size, 2, 2, 0.5)
    wood = rng.uniform(0.25, 0.85) * np.array([1.0, rng.uniform(0.7, 0.95), rng.uniform(0.45, 0.9)])
    return np.asarray(np.clip(wood * light[..., None], 0.0, 1.0))


def _blur(rng: np.random.Generator, size: int) -> Floats:
    """An out-of-focus view: a gradient, soft blobs, lights."""
    colors = _palette(rng, 3)
    mix = noise(rng, size, 2, 1, 0.5)
    share = 1.0 / (1.0 + np.exp(-1.5 * mix))
    picture = colors[0] + share[..., None] * (colors[1] - colors[0])
    y, x = np.mgrid[0:size, 0:size] / size
    for _ in range(int(rng.integers(2, 9))):
        cx, cy, r = rng.random(), rng.random(), rng.uniform(0.03, 0.3)
        distance = np.hypot(x - cx, y - cy) / r
        disc = 1.0 / (1.0 + np.exp(np.clip((distance - 1.0) * rng.uniform(5.0, 30.0), -30, 30)))
        light = np.clip(colors[2] * rng.uniform(0.5, 1.6) + rng.normal(0.0, 0.1, 3), 0.0, 1.0)
        picture = picture + (rng.uniform(0.3, 0.9) * disc)[..., None] * (light - picture)
    return np.asarray(np.clip(picture, 0.0, 1.0))


def varied(rng: np.random.Generator, size: int) -> Floats:
    """Any background but the green screen. (size, size, 3), sRGB 0-1."""
    kinds = (_room, _foliage, _planks, _blur)
    kind = kinds[rng.choice(len(kinds), p=(0.5, 0.2, 0.15, 0.15))]
    picture = kind(rng, size)
    gain = rng.uniform(0.65, 1.25)
    return np.asarray(np.clip(picture * gain, 0.0, 1.0) ** rng.uniform(0.8, 1.3))
