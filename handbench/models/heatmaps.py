"""Gaussians on heatmaps and the peaks of heatmaps in torch, on whatever device the batch is on.

:func:`gaussian_targets` mirrors :func:`handbench.heatmaps.gaussian_targets`; a test holds the two
together. Conventions of the grid are explained there. Which target, loss and decoding belong
together is said in :mod:`handbench.models.codecs`.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from handbench.errors import TrainError
from handbench.heatmaps import REACH, SMALLEST_EXPONENT, Grid, grid_offset, map_size
from handbench.models.architecture import DECODINGS, Decoding

PATCH_RADIUS = 2
SMALLEST_SHARE = 1e-4
"""Heatmap values under this share of the peak are raised to it before taking logarithms."""


def to_grid(points: torch.Tensor, stride: float, grid: Grid = "center") -> torch.Tensor:
    """Input pixels → heatmap cells."""
    return (points - grid_offset(stride, grid)) / stride


def to_pixels(points: torch.Tensor, stride: float, grid: Grid = "center") -> torch.Tensor:
    """Heatmap cells → input pixels."""
    return points * stride + grid_offset(stride, grid)


def gaussian_targets(
    keypoints: torch.Tensor,
    valid: torch.Tensor,
    size: tuple[int, int],
    stride: int = 4,
    sigma: float = 2.0,
    grid: Grid = "center",
    out: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussians of peak 1 at the unrounded keypoints, and the weights of the joints.

    Parameters
    ----------
    keypoints
        (N, J, 2) x, y in input pixels; NaN where unlabelled.
    valid
        (N, J) bool.
    size
        Height and width of the input in pixels.
    stride, sigma, grid
        As in :func:`handbench.heatmaps.gaussian_targets`.
    out
        Where to write the targets; saves the allocation when batches follow one another.

    Returns
    -------
    targets (N, J, h, w) float32 and weights (N, J) float32: 0 where a joint is unlabelled or its
    Gaussian lies off the map.
    """
    cells = to_grid(keypoints.to(torch.float32), stride, grid)
    return gaussian_maps(cells, valid, map_size(size, stride), sigma, out=out)


def gaussian_maps(
    cells: torch.Tensor,
    valid: torch.Tensor,
    shape: tuple[int, int],
    sigma: float = 2.0,
    *,
    window: bool = False,
    out: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gaussians of peak 1 at places that are already counted in heatmap cells.

    Parameters
    ----------
    cells
        (N, J, 2) float32 x, y in cells, NaN where unlabelled.
    valid, sigma, out
        As in :func:`gaussian_targets`.
    shape
        Height and width of the heatmap in cells.
    window
        Zero outside the square of 6 sigma + 1 cells about the rounded centre, and weight 0 where
        that square lies off the map, as the reference repositories have it.

    Returns
    -------
    As :func:`gaussian_targets`.
    """
    height, width = shape
    limits = torch.tensor([width - 1, height - 1], dtype=torch.float32, device=cells.device)
    reach = REACH * sigma
    middle = (cells + 0.5).floor() if window else cells
    inside = ((middle >= -reach) & (middle <= limits + reach)).all(dim=-1) & valid
    cells = torch.where(inside[..., None], cells, -torch.inf)
    rows = _gaussian_1d(cells[..., 1], height, sigma, window)
    columns = _gaussian_1d(cells[..., 0], width, sigma, window)
    targets = torch.mul(rows[..., :, None], columns[..., None, :], out=out)
    return targets, inside.to(torch.float32)


def _gaussian_1d(centers: torch.Tensor, length: int, sigma: float, window: bool) -> torch.Tensor:
    steps = torch.arange(length, dtype=torch.float32, device=centers.device)
    exponents = (steps - centers[..., None]).square_().mul_(-0.5 / sigma**2)
    kept = exponents > SMALLEST_EXPONENT
    if window:
        kept &= (steps - (centers[..., None] + 0.5).floor()).abs_() <= REACH * sigma
    return exponents.clamp_(min=SMALLEST_EXPONENT).exp_().mul_(kept)


def heatmap_loss(
    predicted: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor
) -> torch.Tensor:
    """Simple Baselines' loss: ½ · mean over batch, joints and cells of (w·p - w·t)².

    Parameters
    ----------
    predicted, targets
        (N, J, h, w).
    weights
        (N, J), 0 or 1. Joints of weight 0 stay in the denominator, as in the reference.

    Returns
    -------
    A float32 scalar, also when `predicted` has half precision.
    """
    difference = (predicted.float() - targets) * weights[..., None, None]
    return 0.5 * difference.square().mean()


def decode(
    heatmaps: torch.Tensor, method: Decoding = "subpixel", sigma: float = 2.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find every map's peak.

    Parameters
    ----------
    heatmaps
        (N, J, h, w) float, at least 5×5 cells.
    method
        ``argmax``: the highest cell, the first in row-major order. ``quarter``: moved by ¼
        towards the higher neighbour on each axis, as Simple Baselines does. ``dark``: one Newton
        step on the logarithm (Zhang et al., CVPR 2020), without the blur. ``dark-blur``: the
        same on blurred maps, as published. ``udp``: as in UDP (Huang et al., CVPR 2020): blurred,
        with second differences one cell wide, also at the border. ``subpixel``: a parabola fitted
        by weighted least squares to the logarithm of the 5×5 cells around the peak, which is exact
        for a Gaussian, averages noise, and works up to the border.
    sigma
        Of the targets in cells; the blur of ``dark-blur`` and ``udp`` goes by it.

    Returns
    -------
    points (N, J, 2) x, y in cells and peaks (N, J), the value of the highest cell.
    """
    if method not in DECODINGS:
        raise TrainError(f"a decoding is one of {', '.join(DECODINGS)}, found {method!r}")
    count, joints, _, width = heatmaps.shape
    maps = heatmaps.detach().float()
    peaks, flat = maps.reshape(count, joints, -1).max(dim=-1)
    cells = torch.stack([flat % width, flat // width], dim=-1)
    if method == "argmax":
        return cells.float(), peaks
    if method == "quarter":
        return cells + _quarter(maps, cells), peaks
    if method == "dark":
        return cells + _newton(maps, cells), peaks
    if method == "dark-blur":
        return cells + _newton(blur(maps, sigma), cells), peaks
    if method == "udp":
        return cells + _udp_step(blur(maps, sigma), cells), peaks
    return _parabola(maps, cells, peaks), peaks


def _patches(maps: torch.Tensor, centers: torch.Tensor, radius: int) -> torch.Tensor:
    """Windows (N, J, 2r + 1, 2r + 1) around cells (N, J, 2); the border repeats outwards."""
    count, joints, height, width = maps.shape
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    x = (centers[..., :1] + steps).clamp(0, width - 1)
    y = (centers[..., 1:] + steps).clamp(0, height - 1)
    index = y[..., :, None] * width + x[..., None, :]
    values = maps.reshape(count, joints, -1).gather(-1, index.reshape(count, joints, -1))
    return values.reshape(index.shape)


def _interior(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Where 1 < cell < side - 2 on both axes, so that neighbours two cells away exist."""
    height, width = maps.shape[-2:]
    last = torch.tensor([width - 2, height - 2], device=maps.device)
    return ((cells > 1) & (cells < last)).all(dim=-1, keepdim=True)


def _quarter(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    height, width = maps.shape[-2:]
    patch = _patches(maps, cells, 1)
    slope = torch.stack(
        [patch[..., 1, 2] - patch[..., 1, 0], patch[..., 2, 1] - patch[..., 0, 1]], dim=-1
    )
    last = torch.tensor([width - 1, height - 1], device=maps.device)
    inside = ((cells > 1) & (cells < last)).all(dim=-1, keepdim=True)
    return torch.where(inside, 0.25 * slope.sign(), 0.0)


def _newton(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    log = _patches(maps, cells, 2).clamp(min=1e-10).log()
    gradient = torch.stack([log[..., 2, 3] - log[..., 2, 1], log[..., 3, 2] - log[..., 1, 2]], -1)
    xx = (log[..., 2, 4] - 2 * log[..., 2, 2] + log[..., 2, 0]) / 4
    yy = (log[..., 4, 2] - 2 * log[..., 2, 2] + log[..., 0, 2]) / 4
    xy = (log[..., 3, 3] - log[..., 1, 3] - log[..., 3, 1] + log[..., 1, 1]) / 4
    step, _ = _summit(gradient / 2, xx, xy, yy)
    return torch.where(_interior(maps, cells), step, 0.0)


def _udp_step(maps: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    log = _patches(maps, cells, 1).clamp(1e-3, 50.0).log()
    middle = log[..., 1, 1]
    gx, gy = (log[..., 1, 2] - log[..., 1, 0]) / 2, (log[..., 2, 1] - log[..., 0, 1]) / 2
    tiny = torch.finfo(torch.float32).eps
    xx = log[..., 1, 2] - 2 * middle + log[..., 1, 0] + tiny
    yy = log[..., 2, 1] - 2 * middle + log[..., 0, 1] + tiny
    edges = log[..., 1, 2] + log[..., 2, 1] + log[..., 1, 0] + log[..., 0, 1]
    xy = (log[..., 2, 2] + log[..., 0, 0] + 2 * middle - edges) / 2
    determinant = xx * yy - xy * xy
    safe = torch.where(determinant == 0, 1.0, determinant)
    step = torch.stack([(xy * gy - yy * gx) / safe, (xy * gx - xx * gy) / safe], dim=-1)
    return torch.where((determinant == 0)[..., None], 0.0, step)


def blur(maps: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur heatmaps as DARK does: black outside, and every map's maximum stays what it was.

    Parameters
    ----------
    maps
        (N, J, h, w) float32.
    sigma
        Of the targets in cells. The kernel has 6 sigma - 1 cells, 11 for sigma 2 and 17 for
        sigma 3, and OpenCV's standard deviation for that width.
    """
    radius = max(math.ceil(3 * sigma - 1), 1)
    deviation = 0.3 * (radius - 1) + 0.8
    steps = range(-radius, radius + 1)
    kernel = [math.exp(-0.5 * (step / deviation) ** 2) for step in steps]
    # Sums of shifted maps, not a convolution: mixed precision would take that down to 8 bits, too
    # few for the slope of a logarithm.
    blurred = maps
    for axis in (-1, -2):
        side = blurred.shape[axis]
        padding = (radius, radius, 0, 0) if axis == -1 else (0, 0, radius, radius)
        padded = functional.pad(blurred, padding)
        blurred = torch.zeros_like(maps)
        for start, weight in enumerate(kernel):
            blurred += weight / sum(kernel) * padded.narrow(axis, start, side)
    before, after = maps.amax((-1, -2), keepdim=True), blurred.amax((-1, -2), keepdim=True)
    return blurred * torch.where(after > 0, before / after.clamp(min=1e-12), 1.0)


def _parabola(maps: torch.Tensor, cells: torch.Tensor, peaks: torch.Tensor) -> torch.Tensor:
    height, width = maps.shape[-2:]
    steps = torch.arange(-PATCH_RADIUS, PATCH_RADIUS + 1, device=maps.device)
    # Near the border the window moves inwards; places are still counted from the highest cell.
    low = torch.full((2,), PATCH_RADIUS, device=maps.device)
    high = torch.tensor([width, height], device=maps.device) - 1 - PATCH_RADIUS
    centers = torch.minimum(torch.maximum(cells, low), high)
    shape = (*cells.shape[:-1], len(steps), len(steps))
    x = (centers - cells)[..., :1, None].transpose(-1, -2) + steps
    y = (centers - cells)[..., 1:, None] + steps[:, None]
    share = _patches(maps, centers, PATCH_RADIUS) / peaks.clamp(min=1e-12)[..., None, None]
    # A map without a positive value has no peak to be a share of, and its fit is not used.
    share = share.clamp(SMALLEST_SHARE, 1.0).flatten(-2)
    x, y = (axis.expand(shape).flatten(-2).to(share.dtype) for axis in (x, y))
    design = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=-1)
    # The noise of a logarithm grows as its number shrinks, so cells weigh by their squared share
    # (Guo, "A simple algorithm for fitting a Gaussian function", 2011).
    # A lone spike leaves weights eight decades apart, which only double precision can solve; and
    # systems this small are solved on the CPU, since not every kind of device can.
    design, share = design.cpu().double(), share.cpu().double()
    weighted = (design * share.square()[..., None]).transpose(-1, -2)
    left = weighted @ design + 1e-6 * torch.eye(6, dtype=torch.float64)
    fit = _solved(left, weighted @ share.log()[..., None]).float().to(maps.device)
    step, peaked = _summit(fit[..., 1:3], 2 * fit[..., 3], fit[..., 4], 2 * fit[..., 5])
    # A true summit lies near the highest cell. Noise without one keeps that cell.
    near = (step.abs() <= 1.5).all(dim=-1, keepdim=True) & (peaks > 0)[..., None]
    return torch.where(near & peaked, cells + step, cells.float())


def _solved(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Solutions (…, n) of symmetric positive definite systems (…, n, n) and (…, n, 1).

    Gauss-Jordan elimination, which needs no pivots here. Written out because other formats that a
    network is exported to know sums and products, but no solver.
    """
    rows = torch.cat([left, right], dim=-1)
    for pivot in range(left.shape[-1]):
        row = rows[..., pivot : pivot + 1, :] / rows[..., pivot : pivot + 1, pivot : pivot + 1]
        others = rows - rows[..., :, pivot : pivot + 1] * row
        rows = torch.cat([others[..., :pivot, :], row, others[..., pivot + 1 :, :]], dim=-2)
    return rows[..., -1]


def _summit(
    gradient: torch.Tensor, xx: torch.Tensor, xy: torch.Tensor, yy: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Step -H⁻¹g to the summit of a parabola, and whether it is one (else the step is 0)."""
    determinant = xx * yy - xy * xy
    peaked = (determinant > 1e-8) & (xx < 0)
    safe = torch.where(peaked, determinant, 1.0)
    gx, gy = gradient[..., 0], gradient[..., 1]
    step = torch.stack([(xy * gy - yy * gx) / safe, (xy * gx - xx * gy) / safe], dim=-1)
    return torch.where(peaked[..., None], step, 0.0), peaked[..., None]
