"""How training images change: draws of geometry, colour and covered parts.

All geometry of an image, from the stored file to the network's input, is one 3×3 matrix: resize,
flip, rotation, scale and shift together. The image is sampled once with that matrix
(:mod:`handbench.models.pixels`) and the keypoints move by it, both with pixel centres at integers.
Every number is drawn on the CPU, so that every device sees the same ones.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from handbench.models.settings import TrainSettings

ERASED = (0.1, 0.35)
"""Least and largest side of what is painted over, as shares of the input's."""


@dataclass(frozen=True)
class Augmentation:
    """How far training images may change; zeros change nothing.

    Attributes
    ----------
    flip
        Share of images that are mirrored. A mirrored right hand looks like a left one and keeps
        its joint indices, so keypoints move to W - 1 - x and no channels are swapped.
    rotation
        Largest angle in degrees, either way.
    scale
        Largest change of size: up to 1 + scale, and down to 1 / (1 + scale). The references change
        the size of the box instead, by 1 ± scale, and the hand by the inverse of that.
    shift
        Largest shift on each axis, as a share of the side.
    colour
        Brightness, contrast and saturation factors are uniform between 1 ± colour.
    spread
        How angle, size and shift lie between their largest values. ``uniform``: evenly (sizes in
        their logarithm). ``clipped``: normal and clipped, at one standard deviation for the box's
        size and at two for angle and shift, as in Simple Baselines. ``truncated``: the part of a
        normal distribution within one standard deviation, as in MMPose 1.x.
    rotation_share, shift_share
        Shares of images that are turned and shifted at all.
    tint
        Each channel's gain is uniform between 1 ± tint.
    grey
        Share of images that lose their colours.
    erase
        Share of images in which a rectangle is painted over.
    stretch
        Largest change of the sides' ratio, along any direction: a square becomes a rectangle of the
        same area with sides up to 1 + stretch : 1.
    bend
        Strength of smooth bends (:mod:`handbench.models.warps`): standard deviation of their nodes
        as a share of a quarter of the side.
    fingers
        Largest turn of a single finger about its first joint in degrees; its length changes too.
    mix
        Share of images that get fingers of another one (:mod:`handbench.models.finger_mix`).
    """

    flip: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    colour: float = 0.0
    spread: str = "uniform"
    rotation_share: float = 1.0
    shift_share: float = 1.0
    tint: float = 0.0
    grey: float = 0.0
    erase: float = 0.0
    stretch: float = 0.0
    bend: float = 0.0
    fingers: float = 0.0
    mix: float = 0.0

    @classmethod
    def of(cls, settings: TrainSettings) -> Augmentation:
        """What the settings of a run say."""
        names = (field.name for field in dataclasses.fields(cls))
        return cls(**{name: getattr(settings, name) for name in names})


def fit_matrix(height: int, width: int, size: int, box_factor: float = 1.0) -> torch.Tensor:
    """Stored px → input px without augmentation: fit the longer side, centred.

    With a `box_factor` of 0.8 only the middle 80 % of that side fill the input.

    Returns
    -------
    (3, 3) float64; for a square image x′ = s(x + ½) - ½ with s = size / side.
    """
    factor = size / (box_factor * max(height, width))
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
    box_factor: float = 1.0,
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
    box_factor
        Of :func:`fit_matrix`.

    Returns
    -------
    (N, 3, 3) float64 on the CPU.
    """
    draws = torch.rand(count, 5, generator=generator, dtype=torch.float64)
    turn, grow = draws[:, 0], draws[:, 1]
    angle = _spread(turn, augmentation.spread, 2) * math.radians(augmentation.rotation)
    if augmentation.spread == "uniform":
        factor = torch.exp((2 * grow - 1) * math.log1p(augmentation.scale))
    else:
        factor = 1 / (1 + augmentation.scale * _spread(grow, augmentation.spread, 1))
    shift = _spread(draws[:, 3:5], augmentation.spread, 2) * augmentation.shift * size
    if augmentation.rotation_share < 1 or augmentation.shift_share < 1:
        chance = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        angle = torch.where(chance[:, 0] < augmentation.rotation_share, angle, 0.0)
        shift = torch.where(chance[:, 1:] < augmentation.shift_share, shift, 0.0)
    mirror = torch.where(draws[:, 2] < augmentation.flip, -1.0, 1.0).double()
    center = (size - 1) / 2
    cosine, sine = factor * angle.cos(), factor * angle.sin()
    change = torch.zeros(count, 3, 3, dtype=torch.float64)
    change[:, 0, 0], change[:, 0, 1] = mirror * cosine, -sine
    change[:, 1, 0], change[:, 1, 1] = mirror * sine, cosine
    change[:, 2, 2] = 1.0
    # Turn and grow about the centre of the input, then shift.
    change[:, :2, 2] = center + shift - center * change[:, :2, :2].sum(dim=-1)
    if augmentation.stretch:
        change = _stretches(count, center, augmentation.stretch, generator) @ change
    return change @ fit_matrix(*stored, size, box_factor)


def _stretches(
    count: int, center: float, stretch: float, generator: torch.Generator
) -> torch.Tensor:
    """(N, 3, 3) stretches about the centre of the input, along evenly drawn directions."""
    draws = torch.rand(2, count, generator=generator, dtype=torch.float64)
    direction = math.pi * draws[0]
    ratio = torch.exp((2 * draws[1] - 1) * math.log1p(stretch) / 2)
    axes = torch.stack([direction.cos(), direction.sin()], dim=-1)
    outer = axes[:, :, None] * axes[:, None]
    matrices = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1)
    matrices[:, :2, :2] = (ratio - 1 / ratio)[:, None, None] * outer
    matrices[:, [0, 1], [0, 1]] += (1 / ratio)[:, None]
    matrices[:, :2, 2] = center * (1 - matrices[:, :2, :2].sum(dim=-1))
    return matrices


def _spread(draws: torch.Tensor, spread: str, deviations: float) -> torch.Tensor:
    """Even draws of 0 … 1 → numbers of -1 … 1; `deviations` is where ``clipped`` clips."""
    if spread == "uniform":
        return 2 * draws - 1
    if spread == "clipped":
        normal: torch.Tensor = torch.special.ndtri(draws)
        return (normal / deviations).clamp(-1, 1)
    low = 0.5 * math.erfc(1 / math.sqrt(2))  # share of a normal distribution below -1
    truncated: torch.Tensor = torch.special.ndtri(low + draws * (1 - 2 * low))
    return truncated


def transform_points(matrices: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Move (N, J, 2) points by (N, 3, 3) affine matrices; NaN stays NaN."""
    return points @ matrices[:, :2, :2].transpose(1, 2) + matrices[:, None, :2, 2]


@dataclass(frozen=True)
class ColourChanges:
    """Affine changes of N images' colours: p′ = M p + v · (mean of the image).

    Attributes
    ----------
    matrices
        (N, 3, 3) float32, M.
    pivots
        (N, 3) float32, v.
    """

    matrices: torch.Tensor
    pivots: torch.Tensor

    def of(self, rows: torch.Tensor) -> ColourChanges:
        """Those of some images, by their positions."""
        return ColourChanges(self.matrices[rows], self.pivots[rows])


def sample_colours(
    count: int, augmentation: Augmentation, generator: torch.Generator
) -> ColourChanges | None:
    """Draw how the colours of N images change; None where they do not.

    In this order: saturation (differences to the pixel's mean), contrast (to the image's mean),
    brightness (a factor), tint (a factor a channel). An image that loses its colours has saturation
    0 and no tint.
    """
    if not (augmentation.colour or augmentation.tint or augmentation.grey):
        return None
    draws = 1 + augmentation.colour * (2 * torch.rand(3, count, generator=generator) - 1)
    brightness, contrast, saturation = draws
    gains = torch.ones(count, 3)
    if augmentation.tint:
        gains += augmentation.tint * (2 * torch.rand(count, 3, generator=generator) - 1)
    if augmentation.grey:
        grey = torch.rand(count, generator=generator) < augmentation.grey
        saturation = saturation.where(~grey, 0.0)
        gains[grey] = 1.0
    mixed = saturation[:, None, None] * torch.eye(3) + (1 - saturation)[:, None, None] / 3
    factors = gains * brightness[:, None]
    return ColourChanges(
        matrices=(factors * contrast[:, None])[..., None] * mixed,
        pivots=factors * (1 - contrast)[:, None],
    )


@dataclass(frozen=True)
class Erasures:
    """A rectangle an image that is painted over.

    Attributes
    ----------
    boxes
        (N, 4) int64: left, top, right, bottom, input px; the last two lie outside. All zero where
        an image stays whole.
    colours
        (N, 3) float32 RGB, 0 … 1.
    """

    boxes: torch.Tensor
    colours: torch.Tensor


def sample_erasures(
    count: int, size: int, augmentation: Augmentation, generator: torch.Generator
) -> Erasures | None:
    """Draw what is painted over in N images of `size` px; None where nothing is.

    Sides are uniform in :data:`ERASED`, places and colours anywhere. Joints that are covered stay
    labelled, as those behind a real object do. After *Random Erasing Data Augmentation* (Zhong and
    others, AAAI 2020).
    """
    if not augmentation.erase:
        return None
    chance, across, down, x, y = torch.rand(5, count, generator=generator)
    low, high = ERASED
    width, height = (((low + (high - low) * part) * size).round() for part in (across, down))
    left, top = (x * (size - width)).round(), (y * (size - height)).round()
    boxes = torch.stack([left, top, left + width, top + height], dim=1).long()
    boxes[chance >= augmentation.erase] = 0
    return Erasures(boxes, torch.rand(count, 3, generator=generator))
