"""Stored images → what enters the network, on the device: one warp and one colour matrix.

All geometry is one affine matrix, and on request a field of displacements before it, sampled once.
Colour changes, the division by 255 and the
network's normalisation are affine as well: one 3×4 matrix an image.

Sampling is bilinear with pixel centres at integers, and black outside. It does not average, and
need not: images are decoded hardly larger than the input
(:mod:`handbench.models.stored_images`), so that little but the augmentation shrinks them.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import torch

from handbench.models.architecture import Normalisation
from handbench.models.augment import ColourChanges, Erasures
from handbench.models.warps import full_field

MEAN_ROWS = 4
"""The mean of an image, which contrast leaves where it is, is that of every fourth row."""


def make_pixels(
    images: torch.Tensor,
    matrices: torch.Tensor,
    size: int,
    *,
    field: torch.Tensor | None = None,
    colours: ColourChanges | None = None,
    normalisation: Normalisation | None = None,
    out: torch.Tensor | None = None,
) -> torch.Tensor:
    """Warp images, change their colours and normalise them.

    Parameters
    ----------
    images
        (N, 3, H, W) uint8 RGB.
    matrices
        (N, 3, 3) float64 on the CPU, stored px → input px, affine.
    size
        Side of the result.
    field
        (N, h, w, 2) of :class:`~handbench.models.warps.Warps`, on the device: pixel p of the result
        shows what the matrix would put at p + u(p). None bends nothing.
    colours
        On the CPU; results are clipped to 0 … 1. None changes nothing.
    normalisation
        Order, mean and standard deviation of the channels; None leaves RGB of 0 … 1.
    out
        Memory of an earlier call to use again; not needed.

    Returns
    -------
    (N, 3, size, size) float32 on the device of `images`; `out` if its shape fits.
    """
    count, _, height, width = images.shape
    device = images.device
    if out is None or out.shape != (count, 3, size, size) or out.device != device:
        out = torch.empty(count, 3, size, size, device=device)
    plain = torch.autocast(device.type, enabled=False) if _is_autocast(device) else None
    with torch.no_grad(), plain or contextlib.nullcontext():
        # On a CPU, an image a thread at a time: what was just written is still in its cache when
        # the next step reads it, which is twice as fast as whole batches.
        together = torch.get_num_threads() if device.type == "cpu" else max(count, 1)
        scratch = torch.empty(
            3 * min(together, count) * max(height * width, size * size), device=device
        )
        for stored, grid, (offset, matrix), *results in zip(
            torch.split(images, together),
            _grids(matrices, images, size, together, field),
            _colour_matrices(images, colours, normalisation, together),
            *(torch.split(channel, together) for channel in out.unbind(1)),
        ):
            number = len(stored)
            pixels = scratch[: stored.numel()].view(number, height, width, 3).permute(0, 3, 1, 2)
            pixels.copy_(stored)
            if grid is not None:
                pixels = torch.grid_sampler_2d(pixels, grid, 0, 0, False)
            flat = pixels.contiguous().view(number, 3, -1)
            # The memory of the stored images is free again, and still in the cache.
            changed = scratch[: flat.numel()].view(flat.shape)
            torch.baddbmm(offset, matrix, flat, out=changed)
            for channel, result, limits in zip(
                changed.view(number, 3, size, size).unbind(1), results, _limits(normalisation)
            ):
                torch.clamp(channel, *limits, out=result)
    return out


def warp_images(images: torch.Tensor, matrices: torch.Tensor, size: int) -> torch.Tensor:
    """Warp images alone: :func:`make_pixels` without anything else, RGB of 0 … 1."""
    return make_pixels(images, matrices, size)


def erase_(
    pixels: torch.Tensor, erasures: Erasures | None, normalisation: Normalisation | None = None
) -> None:
    """Paint rectangles over images, in place.

    Parameters
    ----------
    pixels
        Of :func:`make_pixels`, with the same `normalisation`.
    erasures
        On the CPU; None does nothing.
    normalisation
        Of the pixels.
    """
    if erasures is None:
        return
    colours = erasures.colours
    if normalisation is not None:
        mean, std = (torch.tensor(values) for values in (normalisation.mean, normalisation.std))
        if normalisation.channel_order == "bgr":
            colours = colours.flip(1)
        colours = (colours - mean) / std
    colours = colours.to(pixels.device, non_blocking=True)[..., None, None]
    for number, (left, top, right, bottom) in enumerate(erasures.boxes.tolist()):
        if left < right:
            pixels[number, :, top:bottom, left:right] = colours[number]


def _is_autocast(device: torch.device) -> bool:
    return device.type in ("cpu", "cuda") and torch.is_autocast_enabled(device.type)


def _grids(
    matrices: torch.Tensor,
    images: torch.Tensor,
    size: int,
    together: int,
    field: torch.Tensor | None,
) -> Iterator[torch.Tensor | None]:
    """Where each pixel of the input lies in the stored image, some images at a time.

    Yields
    ------
    (n, size, size, 2) as torch wants it: its normalised coordinates run from -1 to 1 between the
    outer *edges* of the image (align_corners=False), so pixel x of w lies at (2x + 1) / w - 1. Each
    overwrites the one before. None where images stay as they are.
    """
    height, width = images.shape[2:]
    identity = torch.eye(3, dtype=matrices.dtype)
    if (
        field is None
        and (height, width) == (size, size)
        and torch.equal(matrices, identity.expand_as(matrices))
    ):
        yield from itertools.repeat(None)
    normal = torch.tensor(
        [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]],
        dtype=torch.float64,
    )
    back = (normal @ torch.linalg.inv(matrices))[:, :2]
    places = torch.arange(size, dtype=torch.float64)[:, None]
    # An affine map is a sum of what the column and what the row adds.
    columns, rows = (
        part.to(images.device, torch.float32, non_blocking=True)
        for part in (
            places * back[:, None, :, 0] + back[:, None, :, 2],
            places * back[:, None, :, 1],
        )
    )
    if field is not None:
        linear = back[:, None, :, :2].to(images.device, torch.float32, non_blocking=True)
        # A displacement of the result is one of the stored image by the linear part alone.
        bends = (linear @ field.transpose(-1, -2)).transpose(-1, -2)
    if images.device.type != "cpu":
        grids = rows[:, :, None] + columns[:, None]
        if field is not None:
            grids += full_field(bends, size)
        yield from torch.split(grids, together)
        return
    # Pairs of floats as complex numbers: a CPU adds these four times as fast.
    memory = torch.empty(min(together, len(images)), size, size, 2)
    parts = torch.split(bends, together) if field is not None else itertools.repeat(None)
    for row, column, bend in zip(
        torch.split(torch.view_as_complex(rows)[:, :, None], together),
        torch.split(torch.view_as_complex(columns)[:, None], together),
        parts,
    ):
        grid = memory[: len(row)]
        torch.add(row, column, out=torch.view_as_complex(grid))
        if bend is not None:
            grid += full_field(bend, size)
        yield grid


def _colour_matrices(
    images: torch.Tensor,
    colours: ColourChanges | None,
    normalisation: Normalisation | None,
    together: int,
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Offsets (n, 3, 1) and matrices (n, 3, 3) that take pixels of 0 … 255 to the result."""
    count, device = len(images), images.device
    matrix, pivot = torch.eye(3).expand(count, 3, 3), torch.zeros(count, 3)
    if colours is not None:
        matrix, pivot = colours.matrices, colours.pivots
    rest = torch.zeros(3)
    if normalisation is not None:
        if normalisation.channel_order == "bgr":
            matrix, pivot = matrix.flip(1), pivot.flip(1)
        mean, std = torch.tensor(normalisation.mean), torch.tensor(normalisation.std)
        matrix, pivot, rest = matrix / std[:, None], pivot / std, -mean / std
    matrix, offset, rest = (
        part.contiguous().to(device, torch.float32, non_blocking=True)
        for part in (matrix / 255, pivot, rest)
    )
    if colours is not None:
        grey = images[:, :, ::MEAN_ROWS].float().mean(dim=(1, 2, 3)) / 255
        offset = offset * grey[:, None]
    offset = (offset + rest)[..., None]
    yield from zip(torch.split(offset, together), torch.split(matrix, together))


def _limits(normalisation: Normalisation | None) -> list[tuple[float, float]]:
    """What 0 and 1 are in each channel of the result."""
    if normalisation is None:
        return [(0.0, 1.0)] * 3
    return [
        (-mean / std, (1 - mean) / std) for mean, std in zip(normalisation.mean, normalisation.std)
    ]
