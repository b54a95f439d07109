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
    return total / np.sqrt(power)


def _palette(rng: np.random.Generator, count: int) -> Floats:
    """Colours (count, 3) of one picture, 0-1 sRGB: related in hue, some greyer than others."""
    hue = rng.random() + rng.normal(0.0, 0.09, count)
    grey = rng.beta(2.0, 1.3, count)[:, None]
    light = rng.uniform(0.08, 0.92, count)[:, None]
    wheel = 0.5 + 0.5 * np.cos(2.0 * np.pi * (hue[:, None] + np.array([0.0, 1 / 3, 2 / 3])))
    return np.asarray(np.clip(light * (grey + (1.0 - grey) * wheel * 1.5), 0.0, 1.0))


def green_screen(rng: np.random.Generator, size: int) -> Floats:
    """A green cloth, unevenly lit, with soft folds. (size, size, 3), sRGB 0-1."""
    green = np.array([0.20, 0.46, 0.17]) * rng.uniform(0.7, 1.3) + rng.normal(0.0, 0.025, 3)
    light = 1.0 + 0.10 * noise(rng, size, 2, 2, 0.5)
    angle = rng.uniform(0.0, np.pi)
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    across = x * np.cos(angle) + y * np.sin(angle)
    folds = np.sin(2.0 * np.pi * rng.uniform(1.0, 4.0) * (across + 0.03 * noise(rng, size, 3, 2, 0.5)))
    light += 0.06 * folds - 0.25 * (x**2 + y**2)
    if rng.random() < 0.5:  # a seam between two cloths
        seam = y - rng.uniform(-0.4, 0.5) - rng.uniform(-0.4, 0.4) * x
        light *= np.where(seam > 0.0, rng.uniform(0.75, 0.95), 1.0)
        light *= 1.0 - 0.35 * np.exp(-((seam * 90.0) ** 2))
    return np.asarray(np.clip(green * light[..., None], 0.0, 1.0))


def _room(rng: np.random.Generator, size: int) -> Floats:
    """Walls, floor and things that stand about."""
    colors = (_palette(rng, 24) * 255).astype(int)
    image = Image.new("RGB", (size, size), tuple(colors[0]))
    draw = ImageDraw.Draw(image)
    floor = rng.uniform(0.35, 0.95) * size
    tilt = rng.normal(0.0, 0.15) * size
    draw.polygon([(0, floor), (size, floor + tilt), (size, size), (0, size)], fill=tuple(colors[1]))
    for color in colors[2 : 4 + rng.integers(18)]:
        corner = rng.uniform(-0.2, 1.0, 2) * size
        side = size * rng.uniform(0.03, 0.45, 2) * rng.choice([0.35, 1.0], 2)
        kind = rng.choice(4, p=(0.5, 0.15, 0.2, 0.15))
        far = corner + side
        if kind == 1:
            draw.ellipse([*corner, *far], fill=tuple(color))
        elif kind == 2:
            width = int(max(1, size * rng.uniform(0.008, 0.07)))
            ends = rng.uniform(-0.2, 1.2, (2, 2)) * size
            draw.line([tuple(ends[0]), tuple(ends[1])], fill=tuple(color), width=width)
        else:
            lean = rng.normal(0.0, 0.06, (4, 2)) * size
            square = np.array([corner, (far[0], corner[1]), far, (corner[0], far[1])]) + lean
            draw.polygon([tuple(p) for p in square], fill=tuple(color))
            if kind == 3:  # a bright window or poster inside it
                inside = square.mean(0) + 0.75 * (square - square.mean(0))
                draw.polygon([tuple(p) for p in inside], fill=(230, 236, 240))
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 3.0) * size / 224.0))
    picture = np.asarray(image) / 255.0
    shade = 1.0 + 0.13 * noise(rng, size, 2, 5, 0.55)
    return np.asarray(np.clip(picture * shade[..., None], 0.0, 1.0))


def _foliage(rng: np.random.Generator, size: int) -> Floats:
    """Leaves, gravel, fur: busy noise ramped through a few colours."""
    height = noise(rng, size, int(rng.integers(3, 9)), 6, rng.uniform(0.6, 1.0))
    colors = _palette(rng, 4)
    colors = colors[np.argsort(colors.sum(-1))]
    at = np.clip((height + 1.6) / 3.2, 0.0, 1.0)
    return np.stack([np.interp(at, (0.0, 0.35, 0.7, 1.0), colors[:, c]) for c in range(3)], -1)


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
