"""What the network trains on: stored images and labels → augmented input, points and targets."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from handbench.models.architecture import STRIDE, Normalisation
from handbench.models.augment import (
    Augmentation,
    sample_colours,
    sample_erasures,
    sample_matrices,
    transform_points,
)
from handbench.models.checkpoint import TrainedModel
from handbench.models.finger_mix import finger_masks, sample_mix
from handbench.models.pixels import erase_, make_pixels
from handbench.models.rows import HandRows
from handbench.models.settings import TrainSettings
from handbench.models.warps import sample_warps


@dataclass(frozen=True)
class Example:
    """Input of one pass through the network, on its device.

    Attributes
    ----------
    pixels
        (N, 3, size, size) float32, normalised as the network wants them.
    points
        (N, 21, 2) float32, px of the input; NaN where unlabelled.
    targets
        (N, 21, size / 4, size / 4) float32, of the model's codec.
    weights
        (N, 21) float32.
    """

    pixels: torch.Tensor
    points: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


def augment_images(
    images: torch.Tensor,
    keypoints: torch.Tensor,
    size: int,
    augmentation: Augmentation,
    draw: torch.Generator,
    *,
    box_factor: float = 1.0,
    normalisation: Normalisation | None = None,
    out: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Change images and their keypoints as a run with `augmentation` does.

    Parameters
    ----------
    images
        (N, 3, H, W) uint8 RGB, on the device that computes.
    keypoints
        (N, 21, 2) stored px, on the CPU; NaN where unlabelled.
    size
        Side of the result.
    augmentation
        How far they may change.
    draw
        Random numbers, on the CPU.
    box_factor
        Of :func:`~handbench.models.augment.fit_matrix`.
    normalisation, out
        Of :func:`~handbench.models.pixels.make_pixels`.

    Returns
    -------
    pixels (N, 3, size, size) float32 and keypoints (N, 21, 2) float32 px of them, on the device,
    and the affine part of the change, (N, 3, 3) float64 stored px → px, on the CPU.
    """
    count, _, height, width = images.shape
    matrices = sample_matrices(
        count, (height, width), size, augmentation, draw, box_factor=box_factor
    )
    points = transform_points(matrices, keypoints.double())
    mix = sample_mix(points, matrices, augmentation, draw)
    points = points.float() if mix is None else mix.points
    points = points.to(images.device, non_blocking=True)
    warps = sample_warps(points, size, augmentation, draw)
    field = None if warps is None else warps.field
    colours = sample_colours(count, augmentation, draw)
    pixels = make_pixels(
        images,
        matrices,
        size,
        field=field,
        colours=colours,
        normalisation=normalisation,
        out=out,
    )
    if mix is not None:
        rows = mix.rows.to(images.device)
        others = make_pixels(
            images[mix.partners.to(images.device)],
            mix.matrices,
            size,
            field=None if field is None else field[rows],
            colours=None if colours is None else colours.of(mix.rows),
            normalisation=normalisation,
        )
        masks = finger_masks(mix, size, images.device, field)
        pixels[rows] = torch.lerp(pixels[rows], others, masks)
    erase_(pixels, sample_erasures(count, size, augmentation, draw), normalisation)
    return pixels, points if warps is None else warps.points, matrices


class Examples:
    """Makes examples out of rows.

    Parameters
    ----------
    rows
        Whose labels are used.
    model
        Whose input and targets are made.
    settings
        Of the run.
    device
        Where pixels and targets are computed.
    augment
        False leaves the images as they are.
    """

    def __init__(
        self,
        rows: HandRows,
        model: TrainedModel,
        settings: TrainSettings,
        device: torch.device,
        *,
        augment: bool = True,
    ) -> None:
        self._rows, self._model, self._device = rows, model, device
        self._keypoints = torch.from_numpy(rows.labels.keypoints)
        self._valid = torch.from_numpy(rows.labels.valid)
        self._augmentation = Augmentation.of(settings) if augment else Augmentation()
        self._pixels: torch.Tensor | None = None
        self._targets: torch.Tensor | None = None

    def make(
        self,
        images: torch.Tensor,
        positions: torch.Tensor,
        draw: torch.Generator,
        size: int | None = None,
    ) -> Example:
        """Make an example; pixels and targets of the one before are overwritten.

        New memory for every batch would take a tenth of the time.

        Parameters
        ----------
        images
            (N, 3, H, W) uint8 RGB, as stored.
        positions
            (N,) of the rows.
        draw
            Random numbers of the augmentation, on the CPU.
        size
            Side of the input in px; the model's by default.
        """
        size = size or self._model.size
        self._pixels, moved, _ = augment_images(
            images.to(self._device, non_blocking=True),
            self._keypoints[positions],
            size,
            self._augmentation,
            draw,
            box_factor=self._model.box_factor,
            normalisation=self._model.network.normalisation,
            out=self._pixels,
        )
        if self._targets is not None and (
            len(self._targets) != len(images) or self._targets.shape[-1] * STRIDE != size
        ):
            self._targets = None
        self._targets, weights = self._model.codec.encode(
            moved,
            self._valid[positions].to(self._device, non_blocking=True),
            (size, size),
            out=self._targets,
        )
        return Example(self._pixels, moved, self._targets, weights)
