"""New gestures out of few photos: fingers of one hand on another.

A gesture is a choice of fingers that are straight, bent or hidden, and a few hundred photos show
few of these choices. Here some fingers of a photo give way to those of another photo of the batch:
both hands are laid over each other by their palms, and the other photo is shown where its fingers
lie and where the old ones lay. The palms of a hand seen from the front and from the back, or of a
right and a left one, do not fit on each other, so that hands only give fingers to their like.

Partners and fingers are drawn on the CPU; pictures are joined on the device of the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from handbench.hand import KNUCKLES, WRIST
from handbench.models.augment import Augmentation, transform_points
from handbench.models.warps import COARSE, FINGER_JOINTS, finger_distances, places

MOST = 3
"""Fingers that an image gets at most."""
FIT = 0.07
"""Largest distance of two palms (root of the mean square) that fit, as a share of the hand."""
SMALLEST, LARGEST, LARGEST_TURN_DEG = 0.65, 1.5, 60.0
"""How far the other hand may be resized and turned; more would show that it is another photo."""
REACH = 0.085
"""Half the width of a finger with what it shades, as a share of the hand."""
SOFTNESS = 0.012
"""Width of the seam, as a share of the hand."""

_PALM = [WRIST, int(FINGER_JOINTS[0, 0]), *KNUCKLES]
"""Joints by which palms are laid over each other."""


@dataclass(frozen=True)
class FingerMix:
    """Who gives which fingers to whom, for R of the N images of a batch; all on the CPU.

    Attributes
    ----------
    rows, partners
        (R,) int64 positions in the batch: who gets, and who gives.
    matrices
        (R, 3, 3) float64, stored px of the partner → input px.
    fingers
        (R, 5) bool, which fingers change.
    before, given
        (R, 21, 2) float32 px of the input: both hands, one on the other.
    points
        (N, 21, 2) float32 px of the input: the keypoints of all images after the change.
    """

    rows: torch.Tensor
    partners: torch.Tensor
    matrices: torch.Tensor
    fingers: torch.Tensor
    before: torch.Tensor
    given: torch.Tensor
    points: torch.Tensor


def sample_mix(
    points: torch.Tensor,
    matrices: torch.Tensor,
    augmentation: Augmentation,
    generator: torch.Generator,
) -> FingerMix | None:
    """Draw which images get fingers of which others; None where none does.

    Parameters
    ----------
    points
        (N, 21, 2) float64 px of the input, on the CPU; NaN where unlabelled. Hands that are not
        labelled in full neither give nor get.
    matrices
        (N, 3, 3) float64, stored px → input px.
    augmentation
        Its `mix`.
    generator
        On the CPU.
    """
    count = len(points)
    if not augmentation.mix or count < 2:
        return None
    chosen = torch.rand(count, generator=generator) < augmentation.mix
    order = torch.rand(count, 5, generator=generator).argsort(1)
    number = torch.randint(1, MOST + 1, (count, 1), generator=generator)
    draws = torch.rand(count, count, generator=generator)
    turn, shift, fits = _alignments(points)
    partners = draws.where(fits, -1.0).argmax(1)
    rows = (chosen & fits.any(1)).nonzero()[:, 0]
    if not len(rows):
        return None
    partners, fingers = partners[rows], (order < number)[rows]
    factor, offset = turn[rows, partners], shift[rows, partners]
    over = torch.zeros(len(rows), 3, 3, dtype=torch.float64)
    over[:, 0, 0] = over[:, 1, 1] = factor.real
    over[:, 1, 0], over[:, 0, 1] = factor.imag, -factor.imag
    over[:, :2, 2] = torch.view_as_real(offset)
    over[:, 2, 2] = 1.0
    before = points[rows].float()
    given = transform_points(over, points[partners]).float()
    after = points.float()
    mine = torch.zeros(len(rows), points.shape[1], dtype=torch.bool)
    mine[:, FINGER_JOINTS] = fingers[..., None]
    after[rows] = torch.where(mine[..., None], given, before)
    return FingerMix(rows, partners, over @ matrices[partners], fingers, before, given, after)


def _alignments(points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Similarities that lay hand b over hand a, by least squares of their palms.

    Returns
    -------
    (N, N) complex128 factors and shifts, [a, b], of x + iy; and (N, N) bool where palms fit.
    """
    whole = ~points.isnan().any(-1).any(-1)
    points = points.nan_to_num(0.0)
    palms = torch.view_as_complex(points[:, _PALM].contiguous())
    middle = palms.mean(1)
    palms = palms - middle[:, None]
    power = palms.abs().square().sum(1).clamp(min=1e-6)
    factor = torch.einsum("ak,bk->ab", palms, palms.conj()) / power
    away = (palms[:, None] - factor[..., None] * palms).abs().square().mean(-1).sqrt()
    size = (points.amax(1) - points.amin(1)).amax(-1)
    fits = away < FIT * size[:, None]
    fits &= (factor.abs() > SMALLEST) & (factor.abs() < LARGEST)
    fits &= factor.angle().abs() < math.radians(LARGEST_TURN_DEG)
    fits &= whole & whole[:, None] & ~torch.eye(len(points), dtype=torch.bool)
    return factor, middle[:, None] - factor * middle, fits


def finger_masks(
    mix: FingerMix, size: int, device: torch.device, field: torch.Tensor | None
) -> torch.Tensor:
    """(R, 1, size, size) share of the other photo in every pixel, 0 … 1.

    Parameters
    ----------
    mix
        Of R images.
    size
        Side of the input in px.
    device
        Where to compute.
    field
        (N, h, w, 2) px of :class:`~handbench.models.warps.Warps`, or None.
    """
    where = places(size, device).expand(len(mix.rows), -1, -1)
    if field is not None:
        where = where + field[mix.rows.to(device)].flatten(1, 2)
    before, given = mix.before.to(device), mix.given.to(device)
    scale = (before.amax(1) - before.amin(1)).amax(-1)[:, None]
    mine = mix.fingers[:, None].to(device)

    def share(hand: torch.Tensor) -> torch.Tensor:
        """Of what lies near a changed finger, and nearer than to any that stays."""
        distances = finger_distances(where, hand).sqrt()
        changed = distances.where(mine, torch.inf).amin(-1)
        kept = distances.where(~mine, torch.inf).amin(-1)
        soft = SOFTNESS * scale
        return torch.sigmoid((REACH * scale - changed) / soft) * torch.sigmoid(
            (kept - changed) / soft
        )

    side = size // COARSE
    masks = torch.maximum(share(given), share(before)).view(-1, 1, side, side)
    return functional.interpolate(masks, size=(size, size), mode="bilinear", align_corners=False)
