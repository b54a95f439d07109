"""What is drawn over a frame: the skeleton, and in the window a few lines of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from handbench.drawing import Picture, draw_hand
from handbench.predictors.interface import Hand

_PANEL = (16, 18, 22, 150)
_TEXT = (255, 255, 255, 255)
_SMALL_PX = 400
_QUICK = 2
"""Supersampling of moving pictures: twice is smooth enough and takes a quarter of the time."""


def draw_frame(image: Picture, hand: Hand | None) -> Picture:
    """Return a copy of a frame with the skeleton of its hand, if there is one.

    This is what is recorded: as the camera saw it, without text.
    """
    return image.copy() if hand is None else draw_hand(image, hand.keypoints, supersample=_QUICK)


def mirrored(image: Picture) -> Picture:
    """The frame as in a mirror."""
    return np.ascontiguousarray(image[:, ::-1])


def enlarged(image: Picture) -> Picture:
    """A small frame two, three or four times as large, so that text on it is sharp."""
    factor = min(math.ceil(_SMALL_PX / image.shape[0]), 4)
    if factor <= 1:
        return image
    size = (factor * image.shape[1], factor * image.shape[0])
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def draw_panel(image: Picture, lines: Sequence[str], corner: Literal["top", "bottom"]) -> Picture:
    """Return a copy of a picture with lines of text on a dark panel, at the left.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    lines
        Those that are too wide are cut off.
    corner
        Where the panel stands.
    """
    height, width = image.shape[:2]
    panel = _panel(tuple(lines), _text_px(height, width))
    gap = max(4, panel.height // 12)
    wide, high = min(panel.width, width - 2 * gap), min(panel.height, height - 2 * gap)
    if wide <= 0 or high <= 0:
        return image.copy()
    top = gap if corner == "top" else height - gap - high
    result = image.copy()
    part: npt.NDArray[np.uint8] = result[top : top + high, gap : gap + wide]
    under = Image.fromarray(part).convert("RGBA")
    part[...] = np.asarray(Image.alpha_composite(under, panel.crop((0, 0, wide, high))))[..., :3]
    return result


def _text_px(height: int, width: int) -> int:
    return int(np.clip(min(height, 0.75 * width) / 30, 12, 30))


@lru_cache(maxsize=8)
def _panel(lines: tuple[str, ...], text_px: int) -> Image.Image:
    """Lines on a dark rounded rectangle, RGBA."""
    font = ImageFont.load_default(text_px)
    inset, leading = round(0.6 * text_px), round(1.4 * text_px)
    width = round(max(font.getlength(line) for line in lines)) + 2 * inset
    panel = Image.new("RGBA", (width, leading * len(lines) + round(1.2 * inset)), (0, 0, 0, 0))
    pen = ImageDraw.Draw(panel)
    pen.rounded_rectangle((0, 0, width - 1, panel.height - 1), inset, fill=_PANEL)
    for row, line in enumerate(lines):
        pen.text((inset, 0.5 * inset + row * leading), line, fill=_TEXT, font=font)
    return panel
