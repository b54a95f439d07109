"""A synthetic hand that moves over a wall, as frames or a video, and a model that finds it.

The picture of the hand has a magenta frame around it. :func:`find` looks for that and for nothing
else, so it is right where a crop shows the whole frame, and sees no hand where it does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 96
FRAME_PX = 5
WIDTH, HEIGHT = 320, 240
GONE = range(15, 23)
"""Frames of :func:`frames` without a hand."""

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]


@cache
def hand() -> tuple[Picture, Floats]:
    """A synthetic hand with its frame, (SIDE, SIDE, 3), and its keypoints (21, 2) px."""
    from handbench.camera import project, transform_points
    from handbench.drawing import zoom
    from handbench.synthetic.dataset import hand_images
    from handbench.synthetic.scene import Split

    found = next(hand_images(7, Split.EVALUATION, 112, 1))
    points = project(found.keypoints, found.camera)
    picture, matrix = zoom(found.images[0], points, SIDE, padding=1.35)
    picture = picture.copy()
    for edge in (slice(None, FRAME_PX), slice(-FRAME_PX, None)):
        picture[edge] = picture[:, edge] = (255, 0, 255)
    return picture, transform_points(matrix, points)


def frame(left: int, top: int, side: int = SIDE) -> tuple[Picture, Floats]:
    """A wall with the hand, and the keypoints in its px."""
    picture, keypoints = hand()
    scaled = np.asarray(Image.fromarray(picture).resize((side, side)))
    wall = empty()
    wall[top : top + side, left : left + side] = scaled
    return wall, (keypoints + 0.5) * side / SIDE - 0.5 + [left, top]


def empty() -> Picture:
    """The wall alone."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    shade = 120 + 40 * np.sin(x / 60) + 20 * np.cos(y / 25)
    return np.repeat(shade[..., None], 3, axis=2).astype(np.uint8)


def frames(count: int) -> Iterator[tuple[Picture, Floats | None]]:
    """The hand on its way to the right and back, gone for a while, larger and smaller."""
    for i in range(count):
        if i in GONE:
            yield empty(), None
        else:
            side = round(SIDE + 12 * math.sin(i / 5))
            left = round((WIDTH - 120) * (0.5 - 0.5 * math.cos(i / 12)))
            yield frame(left, round(60 + 40 * math.sin(i / 7)), side)


def write_video(path: Path, pictures: Iterable[Picture], fps: float = 20.0) -> Path:
    """A video of pictures, in the codec that goes with its suffix."""
    import cv2

    code = cv2.VideoWriter.fourcc(*("MJPG" if path.suffix == ".avi" else "mp4v"))
    writer = cv2.VideoWriter(str(path), code, fps, (WIDTH, HEIGHT))
    for picture in pictures:
        writer.write(np.ascontiguousarray(picture[..., ::-1]))
    writer.release()
    return path


def find(images: npt.NDArray[np.uint8]) -> Floats:
    """(N, S, S, 3) uint8 RGB → (N, 21, 3): x, y, score; NaN where no whole frame is in sight.

    The score grows with the share of the crop that the frame takes.
    """
    _, keypoints = hand()
    size = images.shape[1]
    answer = np.full((len(images), 21, 3), np.nan)
    for row, image in enumerate(images.astype(int)):
        red, green, blue = np.moveaxis(image, -1, 0)
        marked = (np.minimum(red, blue) - green) > 90
        xs, ys = np.flatnonzero(marked.any(axis=0)), np.flatnonzero(marked.any(axis=1))
        if len(xs) < 6 or min(xs[0], ys[0]) == 0 or max(xs[-1], ys[-1]) == size - 1:
            continue
        wide, high = np.ptp(xs) + 1, np.ptp(ys) + 1
        if abs(wide - high) > 0.15 * max(wide, high):
            continue
        scale = np.array([wide, high]) / SIDE
        answer[row, :, :2] = (keypoints + 0.5) * scale - 0.5 + [xs[0], ys[0]]
        answer[row, :, 2] = min(1.0, 1.2 * max(wide, high) / size)
    return answer
