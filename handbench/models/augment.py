"""Geometry and colour of a training batch, on its device.

All geometry of an image, from the stored file to the network's input, is one 3×3 matrix: resize,
flip, rotation, scale and shift together. The image is sampled once with that matrix and the
keypoints move by it, both with pixel centres at integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far training images may change; zeros change nothing.

    Attributes
    ----------
    flip
        Share of images that are mirrored. A mirrored right hand looks like a left one and keeps
        its joint indices, so keypoints move to W - 1 - x and no channels are swapped.
    rotation
        Largest angle in degrees; uniform between ±rotation.
    scale
        Sizes are log-uniform between 1 / (1 + scale) and 1 + scale.
    shift
        Uniform between ±shift of the side, on each axis.
    colour
        Brightness, contrast and saturation factors are uniform between 1 ± colour.
    """

    flip: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    colour: float = 0.0


def fit_matrix(height: int, width: int, size: int) -> torch.Tensor:
    """Stored px → input px without augmentation: fit the longer side, centred.

    Returns
    -------
    (3, 3) float64; for a square image x′ = s(x + ½) - ½ with s = size / side.
    """
    factor = size / max(height, width)
    matrix = torch.eye(3, dtype=torch.float64)
    matrix[0, 0] = matrix[1, 1] = factor
    matrix[0, 2] = (size - 1) / 2 - factor * (width - 1) / 2
    matrix[1, 2] = (size - 1) / 2 - factor * (height - 1) / 2
    return matrix


def sample_matrices(
    count: int,
    stored: tuple[int, int],
    size: int,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> torch.Tensor:
    """Draw one matrix an image: stored px → augmented input px.

    Parameters
    ----------
    count
        Number of images N.
    stored
        Height and width of the stored images.
    size
        Side of the network's input.
    augmentation
        Ranges.
    generator
        On the CPU, so that every device sees the same numbers.

    Returns
    -------
    (N, 3, 3) float64 on the CPU.
    """
    draws = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    signed = 2 * draws - 1
    angle = signed[:, 0] * math.radians(augmentation.rotation)
    factor = torch.exp(signed[:, 1] * math.log1p(augmentation.scale))
    mirror = torch.where(draws[:, 2] < augmentation.flip, -1.0, 1.0).double()
    center = (size - 1) / 2
    cosine, sine = factor * angle.cos(), factor * angle.sin()
    change = torch.zeros(count, 3, 3, dtype=torch.float64)
    change[:, 0, 0], change[:, 0, 1] = mirror * cosine, -sine
    change[:, 1, 0], change[:, 1, 1] = mirror * sine, cosine
    change[:, 2, 2] = 1.0
    # Turn and grow about the centre of the input, then shift.
    change[:, :2, 2] = (
        center + signed[:, 3:5] * augmentation.shift * size - center * change[:, :2, :2].sum(dim=-1)
    )
    return change @ fit_matrix(*stored, size)


def transform_points(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Move (N, J, 2) points by (N, 3, 3) affine matrices; NaN stays NaN."""
    return points @ matrices[:, :2, :2].transpose(1, 2) + matrices[:, None, :2, 2]


def warp_images(images: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
    """Sample images through their matrices, bilinear, black outside.

    Parameters
    ----------
    images
        (N, 3, H, W) uint8 RGB.
    matrices
        (N, 3, 3) float64 on the CPU, stored px → input px.
    size
        Side of the result.

    Returns
    -------
    (N, 3, size, size) float32, 0 … 1, on the device of `images`, in channels-last memory.
    """
    count, _, height, width = images.shape
    pixels = images.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)
    identity = torch.eye(3, dtype=torch.float64)
    if (height, width) == (size, size) and torch.equal(matrices, identity.expand_as(matrices)):
        return pixels
    # torch's normalised coordinates run from -1 to 1 between the outer *edges* of the image
    # (align_corners=False), so pixel x of w lies at (2x + 1) / w - 1.
    theta = _normalise(width, height) @ torch.linalg.inv(matrices)
    theta = theta @ torch.linalg.inv(_normalise(size, size))
    grid = functional.affine_grid(
        theta[:, :2].to(images.device, torch.float32), [count, 3, size, size], align_corners=False
    )
    warped = functional.grid_sample(pixels, grid, mode="bilinear", align_corners=False)
    return warped.contiguous(memory_format=torch.channels_last)


def _normalise(width: int, height: int) -> torch.Tensor:
    return torch.tensor(
        [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]],
        dtype=torch.float64,
    )


def jitter_colours(
    images: torch.Tensor, strength: float, generator: torch.Generator
) -> torch.Tensor:
    """Change brightness, contrast and saturation of every image by its own factors.

    Parameters
    ----------
    images
        (N, 3, H, W) float, 0 … 1.
    strength
        Factors are uniform between 1 ± strength; 0 returns the images as they are.
    generator
        On the CPU.

    Returns
    -------
    Tensor of the same shape, clipped to 0 … 1.
    """
    if strength == 0:
        return images
    draws = 1 + strength * (2 * torch.rand(3, len(images), 1, 1, 1, generator=generator) - 1)
    brightness, contrast, saturation = draws.to(images.device)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + saturation * (images - grey)
    mean = grey.mean(dim=(2, 3), keepdim=True)
    images = (mean + contrast * (images - mean)) * brightness
    return images.clamp_(0, 1)
