"""The common crop: every model sees the same square around a hand, and its points come back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_matrix, image_box, transform_points
from handbench.images import crop_square
from handbench.predictors.interface import Hand, Predictor

DEFAULT_PADDING = 1.25
"""What most published hand models see: a quarter more than the tight box."""

LARGEST_CUT_PX = 1024
"""Largest side of a cut for models that take images of any size."""


def cut(
    image: npt.NDArray[np.uint8],
    box: npt.ArrayLike | None,
    padding: float,
    size: int,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Cut a square around a box, black outside, antialiased.

    Parameters
    ----------
    image
        (H, W, 3) RGB.
    box
        (4,) left, top, right, bottom in px of the image; None is the whole image, fitted into the
        square without padding.
    padding
        Factor on the longer side of the box.
    size
        Side of the square, px.

    Returns
    -------
    crop
        (size, size, 3) uint8.
    matrix
        (3, 3) px of the image → px of the crop.
    """
    height, width = image.shape[:2]
    if box is None:
        matrix = crop_matrix(image_box(width, height), 1.0, size)
        if (height, width) == (size, size):
            return image, matrix
    else:
        matrix = crop_matrix(_xywh(box), padding, size)
    return crop_square(image, matrix, size), matrix


def predict_in_box(
    predictor: Predictor,
    images: Sequence[npt.NDArray[np.uint8]],
    boxes: Sequence[npt.ArrayLike | None],
    *,
    padding: float = DEFAULT_PADDING,
) -> list[Hand | None]:
    """Find the hand in the box of each image; points are in px of the whole image.

    Parameters
    ----------
    predictor
        Any: one that wants a crop gets it in its size, one that finds hands by itself gets the
        same square in the image's own resolution.
    images
        (H, W, 3) RGB each.
    boxes
        (4,) left, top, right, bottom each; None is the whole image.
    padding
        Factor on the longer side of a box.
    """
    cuts = [
        cut_for(predictor, image, box, padding) for image, box in zip(images, boxes, strict=True)
    ]
    hands = predictor([crop for crop, _ in cuts])
    return [
        None if hand is None else move(hand, np.linalg.inv(matrix))
        for hand, (_, matrix) in zip(hands, cuts, strict=True)
    ]


def cut_for(
    predictor: Predictor,
    image: npt.NDArray[np.uint8],
    box: npt.ArrayLike | None,
    padding: float,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """What a predictor gets of an image, and px of the image → px of that; see :func:`cut`."""
    size = predictor.input_size
    if size is None and box is None:
        return image, np.eye(3)
    return cut(image, box, padding, size or _own_size(box, padding))


def network_cut(
    image: npt.NDArray[np.uint8], size: int, crop_size: int, box_factor: float
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """What a network sees of an image that is a crop: the middle `box_factor` of its side.

    Parameters
    ----------
    image
        (H, W, 3) RGB; fitted into a square of `crop_size` px where it is of another size.
    size
        Side of the network's input, px.
    crop_size
        Side of the crop that it expects, px.
    box_factor
        Share of the crop's side.

    Returns
    -------
    Pixels (size, size, 3), and (3, 3) px of the image → px of these.
    """
    crop, matrix = cut(image, None, 1.0, crop_size)
    if crop_size == size:
        return crop, matrix
    side = crop_size * box_factor
    edge = (crop_size - side) / 2 - 0.5
    middle, inner = cut(crop, (edge, edge, edge + side, edge + side), 1.0, size)
    return middle, inner @ matrix


def move(hand: Hand, matrix: npt.ArrayLike) -> Hand:
    """The same hand in other pixels: `matrix` (3, 3) takes the old ones to the new."""
    return replace(hand, keypoints=transform_points(matrix, hand.keypoints))


def _xywh(box: npt.ArrayLike) -> npt.NDArray[np.float64]:
    left, top, right, bottom = np.asarray(box, dtype=np.float64)
    return np.array([left, top, right - left, bottom - top])


def _own_size(box: Any, padding: float) -> int:
    """Side that keeps the image's resolution."""
    side = padding * float(_xywh(box)[2:].max())
    return int(np.clip(round(side), 32, LARGEST_CUT_PX))
