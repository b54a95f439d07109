"""Pictures of one hand at every step: as published, as cut, as a training run changes it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handbench.camera import box_corners, crop_scale, transform_points
from handbench.drawing import Picture, draw_hand, draw_outline, zoom
from handbench.errors import HandbenchError, SourceError
from handbench.hand import OCCLUDED
from handbench.images import crop_square, decode
from handbench.samples.frames import CropSettings, frames
from handbench.samples.selection import Selection, Selector
from handbench.sources.block import Source

if TYPE_CHECKING:
    from handbench.hdf5.reader import SplitReader

Cell = tuple[Picture, str]
"""A picture and the lines under it."""

# The published image around the crop: wide enough to judge it, close enough to see a small hand.
_SURROUNDINGS = 2.0


@dataclass
class Hands:
    """Hands as they are stored, with what was drawn of each before.

    Attributes
    ----------
    pictures
        N (H, W, 3) uint8 RGB of one size, without drawings.
    keypoints
        (N, 21, 2) px of these.
    valid, occluded
        (N, 21) bool.
    cells
        N lists of finished cells, one a step.
    """

    pictures: list[Picture]
    keypoints: npt.NDArray[np.float64]
    valid: npt.NDArray[np.bool_]
    occluded: npt.NDArray[np.bool_]
    cells: list[list[Cell]]


def source_hands(
    source: Source, split: str, rows: npt.NDArray[np.intp], crop: CropSettings, cell_px: int
) -> Hands:
    """Published images with keypoints, box and the outline of the crop, each beside its crop.

    Rows that cannot be cut are left out.

    Raises
    ------
    SourceError
        If an image cannot be read, or none of the rows can be cut.
    """
    selector = Selector(Selection(skip_bad=True), crop)
    block = selector.keep(source.at(split, rows))
    if not len(block):
        raise SourceError(f"none of these hands can be cut: {selector.bad[0]}")
    frame = frames(block, crop)
    keypoints = transform_points(frame.crop, block.keypoints_2d)
    hands = Hands([], keypoints, block.valid_2d, block.visibility == OCCLUDED, [])
    edges = np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * crop.size - 0.5
    for row, name in enumerate(block.sample_id):
        image = decode(block.images[row], name)
        outline = transform_points(np.linalg.inv(frame.crop[row]), edges)
        box = box_corners(block.bbox[row])
        square, matrix = zoom(image, outline, cell_px, padding=_SURROUNDINGS)
        square = draw_outline(square, transform_points(matrix, box), line_px=1.0)
        square = draw_outline(square, transform_points(matrix, outline), line_px=2.0)
        points = transform_points(matrix, block.keypoints_2d[row])
        before = draw_hand(square, points, hands.valid[row], occluded=hands.occluded[row])
        height, width = block.image_size[row].tolist()
        hands.pictures.append(crop_square(image, frame.crop[row], crop.size))
        scale = crop_scale(frame.crop[row], (crop.size - 1) / 2 * np.ones(2))
        hands.cells.append(
            [
                (before, f"{name}\n{width} by {height} px · {side_text(int(block.is_right[row]))}"),
                (
                    _stored(hands, row, cell_px),
                    f"crop, padding {crop.padding:g}\n{float(scale):.2f} px a source px",
                ),
            ]
        )
    return hands


def stored_hands(reader: SplitReader, rows: npt.NDArray[np.intp], cell_px: int) -> Hands:
    """Images of a file with their keypoints.

    Raises
    ------
    HandbenchError
        If the images differ in size, or the split has no rows.
    """
    if not len(rows):
        raise HandbenchError(f"split {reader.name!r} holds no samples to show: choose another one")
    samples = [reader[int(row)] for row in rows]
    hands = Hands(
        [sample.image for sample in samples],
        np.stack([sample.keypoints_2d for sample in samples]),
        np.stack([sample.valid_2d for sample in samples]),
        np.stack([sample.visibility == OCCLUDED for sample in samples]),
        [],
    )
    for row, sample in enumerate(samples):
        title = f"{sample.sample_id}\n{side_text(sample.is_right)}"
        hands.cells.append([(_stored(hands, row, cell_px), title)])
    return hands


def add_augmented(hands: Hands, seed: int, cell_px: int, recipe: str | None = None) -> None:
    """Add a cell a hand: what `handbench train` makes of it, by its own or another recipe.

    The hands are one batch: a recipe that mixes fingers takes them from each other.

    Raises
    ------
    HandbenchError
        If the images differ in size: a network cannot train on them.
    """
    import torch

    from handbench.models.augment import Augmentation
    from handbench.models.examples import augment_images
    from handbench.models.recipes import resolve
    from handbench.models.settings import TrainSettings

    sizes = {picture.shape[:2] for picture in hands.pictures}
    if len(sizes) > 1:
        raise HandbenchError(
            f"training needs images of one size, found {len(sizes)} sizes: convert with --size N"
        )
    (stored,) = sizes
    size = max(stored)
    settings = TrainSettings(**resolve(recipe or "handbench", {"data": (), "out": Path()}))
    ranges = Augmentation.of(settings)
    draws = torch.Generator().manual_seed(seed)
    images = torch.from_numpy(np.stack(hands.pictures)).permute(0, 3, 1, 2)
    labelled = torch.from_numpy(np.where(hands.valid[..., None], hands.keypoints, np.nan))
    warped, moved, matrices = augment_images(images, labelled, size, ranges, draws)
    points = moved.double().numpy()
    shown = (warped * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    for row, cells in enumerate(hands.cells):
        square, matrix = whole(np.ascontiguousarray(shown[row]), cell_px)
        picture = draw_hand(
            square,
            transform_points(matrix, points[row]),
            hands.valid[row],
            occluded=hands.occluded[row],
        )
        cells.append((picture, f"augmented\n{_change(matrices[row].numpy())}"))


def whole(picture: Picture, cell_px: int) -> tuple[Picture, npt.NDArray[np.float64]]:
    """The whole picture at the size of a cell, and the map to it: lines are drawn after scaling."""
    return zoom(picture, np.empty((0, 2)), cell_px)


def side_text(is_right: int) -> str:
    """Side of a hand for a title."""
    return {1: "right hand", 0: "left hand"}.get(is_right, "side unknown")


def _stored(hands: Hands, row: int, cell_px: int) -> Picture:
    square, matrix = whole(hands.pictures[row], cell_px)
    points = transform_points(matrix, hands.keypoints[row])
    return draw_hand(square, points, hands.valid[row], occluded=hands.occluded[row])


def _change(matrix: npt.NDArray[np.float64]) -> str:
    """In words the default font has letters for: turned (clockwise as seen), scaled, mirrored."""
    mirrored = np.linalg.det(matrix[:2, :2]) < 0
    # The picture is mirrored first, then turned: the second column tells the turn.
    turn = math.degrees(math.atan2(-matrix[0, 1], matrix[1, 1]))
    text = f"turned {turn:+.0f}°, scaled {float(crop_scale(matrix)):.2f}"
    return f"{text}, mirrored" if mirrored else text
