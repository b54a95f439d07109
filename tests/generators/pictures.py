"""Pictures of hands for fake data: coloured fingers on a plain ground, quick to draw and small.

Nothing of handbench is imported here.
"""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

FINGERS = ((1, 2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (17, 18, 19, 20))
COLORS = ((220, 60, 60), (230, 170, 40), (60, 170, 80), (50, 120, 220), (150, 80, 220))


def drawn(
    hands: Iterable[npt.NDArray[np.float64]],
    size: tuple[int, int],
    ground: tuple[int, int, int],
    *,
    line: int = 7,
) -> Image.Image:
    """An image of `size` (width, height) px with the fingers of hands (21, 2) px on `ground`."""
    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    for uv in hands:
        for chain, color in zip(FINGERS, COLORS):
            points = [tuple(uv[joint]) for joint in (0, *chain)]
            draw.line(points, fill=color, width=line, joint="curve")
    return image


def jpeg(image: Image.Image) -> bytes:
    """JPEG bytes, about 6 kB for 224×224."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
