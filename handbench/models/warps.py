"""New poses out of old photos: smooth bends of the picture, single fingers turned and resized.

A few hundred photos hold few poses, and a network learns them by heart. What an affine map cannot
change, the angles between fingers and their lengths, changes here: every image gets a field of
displacements, by which its keypoints move as well. Both are computed on the device of the batch;
every number is drawn on the CPU, so that every device sees the same ones.

A picture is sampled backwards: pixel p of the result shows what lay at p + u(p). A keypoint q goes
the other way, to the p with p + u(p) = q.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from handbench.hand import FINGERS, KNUCKLES, WRIST
from handbench.models.augment import Augmentation

COARSE = 4
"""Pixels between the places where fields are computed; between them they are linear."""
NODES = 4
"""Nodes of a bend on each axis of the image."""
MOVED_SHARE = 0.7
"""Share of images whose fingers move at all."""
LONGER, SHORTER = 0.4, 0.8
"""A finger's length changes by exp of these, per radian of the largest turn: bending towards the
camera and away from it shortens more often than it lengthens."""
SOFTNESS = 0.06
"""Standard deviation of how far a finger draws its surroundings along, as a share of the hand."""
REACH = 0.3
"""Where the still background begins to win against a finger, as a share of the hand."""
STEPS = 8
"""Iterations for a keypoint; each leaves at most half of what is missing for bends below 0.2."""

FINGER_JOINTS = torch.tensor(list(FINGERS.values()))
"""(5, 4) joints of each finger, base to tip."""
_PALM = torch.tensor(
    [(WRIST, joint) for joint in (int(FINGER_JOINTS[0, 0]), *KNUCKLES)]
    + list(zip((int(FINGER_JOINTS[0, 0]), *KNUCKLES[:-1]), KNUCKLES))
)
"""(9, 2) joints between which nothing moves."""


@dataclass(frozen=True)
class Warps:
    """Displacements of N images.

    Attributes
    ----------
    points
        (N, 21, 2) float32, px of the input after the warp; NaN stays NaN.
    field
        (N, h, w, 2) float32 px, u at the middle of every :data:`COARSE` × COARSE pixels.
    """

    points: torch.Tensor
    field: torch.Tensor


def sample_warps(
    points: torch.Tensor, size: int, augmentation: Augmentation, generator: torch.Generator
) -> Warps | None:
    """Draw how N images bend; None where they do not.

    Parameters
    ----------
    points
        (N, 21, 2) keypoints before the warp, px of the input, on the device that computes; NaN
        where unlabelled. A finger with an unlabelled joint stays as it is.
    size
        Side of the input in px.
    augmentation
        Its `bend` and `fingers`.
    generator
        On the CPU.
    """
    if not (augmentation.bend or augmentation.fingers):
        return None
    count, device = len(points), points.device
    nodes = torch.randn(count, 2, NODES, NODES, generator=generator) * augmentation.bend
    turns = 2 * torch.rand(count, 5, generator=generator) - 1
    lengths = torch.rand(count, 5, generator=generator)
    moved = torch.rand(count, 1, generator=generator) < MOVED_SHARE
    largest = math.radians(augmentation.fingers)
    turns = (turns * largest).where(moved, 0.0)
    factors = torch.exp(((SHORTER + LONGER) * lengths - SHORTER) * largest).where(moved, 1.0)

    before = points.float()
    where = places(size, device).expand(count, -1, -1)
    side = math.isqrt(where.shape[1])
    bend = functional.interpolate(
        nodes.to(device) * size / 4, size=(side, side), mode="bicubic", align_corners=True
    ).permute(0, 2, 3, 1)
    field = bend.reshape(count, -1, 2)
    after = before
    if augmentation.fingers:
        linear, whole = _finger_maps(before, turns.to(device), factors.to(device))
        after = _move_fingers(before, linear)
        field = field + _finger_field(before, after, linear, whole, where + field)
    target, after = after, after.clone()
    for _ in range(STEPS):
        after = target - _at(bend, after, size)
    return Warps(after, field.view(count, side, side, 2))


def full_field(field: torch.Tensor, size: int) -> torch.Tensor:
    """(N, size, size, 2) field at every pixel, from that of :class:`Warps`."""
    return functional.interpolate(
        field.permute(0, 3, 1, 2), size=(size, size), mode="bilinear", align_corners=False
    ).permute(0, 2, 3, 1)


def places(size: int, device: torch.device) -> torch.Tensor:
    """(1, h·w, 2) px where fields are computed: the middles of COARSE × COARSE pixels."""
    steps = (torch.arange(size // COARSE, device=device) + 0.5) * COARSE - 0.5
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1).view(1, -1, 2)


def _at(field: torch.Tensor, points: torch.Tensor, size: int) -> torch.Tensor:
    """(N, J, 2) field (N, h, w, 2) at points, just as :func:`full_field` interpolates it."""
    grid = (2 * torch.nan_to_num(points) + 1) / size - 1
    found = functional.grid_sample(
        field.permute(0, 3, 1, 2), grid[:, None], padding_mode="border", align_corners=False
    )
    return found[:, :, 0].transpose(1, 2)


def _finger_maps(
    points: torch.Tensor, turns: torch.Tensor, factors: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Linear maps (N, 5, 2, 2) of fingers about their bases, and (N, 5) which are labelled."""
    whole = ~points[:, FINGER_JOINTS.to(points.device)].isnan().any(-1).any(-1)
    turns, factors = turns.where(whole, 0.0), factors.where(whole, 1.0)
    cosine, sine = factors * turns.cos(), factors * turns.sin()
    rows = torch.stack([cosine, -sine, sine, cosine], dim=-1)
    return rows.view(*turns.shape, 2, 2), whole


def _move_fingers(points: torch.Tensor, linear: torch.Tensor) -> torch.Tensor:
    """Keypoints after each finger's map; bases, the wrist and unlabelled fingers stay."""
    fingers = FINGER_JOINTS.to(points.device)
    base = points[:, fingers[:, :1]]
    outer = (points[:, fingers[:, 1:]] - base) @ linear.transpose(-1, -2) + base
    whole = ~outer.isnan().any(-1).any(-1)
    moved = points.clone()
    moved[:, fingers[:, 1:]] = torch.where(whole[..., None, None], outer, points[:, fingers[:, 1:]])
    return moved


def _finger_field(
    before: torch.Tensor,
    after: torch.Tensor,
    linear: torch.Tensor,
    whole: torch.Tensor,
    places: torch.Tensor,
) -> torch.Tensor:
    """(N, P, 2) displacements at (N, P, 2) places: those of the nearest finger, softly.

    Fingers, the palm and the background compete for every place by a softmax of squared distances,
    so that what lies on a finger follows it, and what lies between two of them is stretched.
    """
    fingers, palm = FINGER_JOINTS.to(before.device), _PALM.to(before.device)
    hand = before.nan_to_num(-torch.inf).amax(1) - before.nan_to_num(torch.inf).amin(1)
    scale = hand.amax(-1).clamp(min=1.0).nan_to_num(1.0, posinf=1.0)[:, None, None]
    to_finger = finger_distances(places, after).where(whole[:, None], torch.inf)
    to_palm = squared_distances(places, before[:, palm[:, 0]], before[:, palm[:, 1]])
    to_palm = to_palm.nan_to_num(torch.inf).amin(-1, keepdim=True)
    away = ((REACH * scale) ** 2).expand(*places.shape[:2], 1)
    distances = torch.cat([to_finger, to_palm, away], dim=-1)
    weights = torch.softmax(-distances / (2 * (SOFTNESS * scale) ** 2), dim=-1)[..., :5]
    back = torch.linalg.inv(linear) - torch.eye(2, device=before.device)
    base = before[:, fingers[:, 0]].nan_to_num(0.0)
    # Σ weight · (A⁻¹ - 1)(p - base), with everything that does not depend on p summed first.
    maps = torch.einsum("npf,nfij->npij", weights, back)
    offsets = torch.einsum("npf,nfij,nfj->npi", weights, back, base)
    return (maps @ places[..., None])[..., 0] - offsets


def finger_distances(places: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """(N, P, 5) squared distances of (N, P, 2) places to the fingers of hands (N, 21, 2)."""
    chains = points[:, FINGER_JOINTS.to(points.device)]
    parts = squared_distances(
        places, chains[:, :, :-1].flatten(1, 2), chains[:, :, 1:].flatten(1, 2)
    )
    return parts.view(*parts.shape[:-1], 5, 3).amin(-1)


def squared_distances(places: torch.Tensor, start: torch.Tensor, end: torch.Tensor) -> torch.Tensor:
    """(N, P, K) squared distances of (N, P, 2) places to K segments (N, K, 2) each.

    Written in products of vectors, so that no array has coordinates as well as places and segments:
    |p - a - t b|² = |p - a|² - t (2 (p - a)·b - t |b|²). Rounding can leave -0.01 px².
    """
    along = end - start
    length = along.square().sum(-1)[:, None]
    dots = torch.baddbmm((start * along).sum(-1)[:, None], places, along.mT, beta=-1)
    share = (dots / length.clamp(min=1e-6)).clamp_(0, 1)
    away = torch.baddbmm(start.square().sum(-1)[:, None], places, start.mT, alpha=-2)
    away += places.square().sum(-1, keepdim=True)
    return away.sub_(share * (2 * dots).sub_(share * length)).clamp_(min=0)
