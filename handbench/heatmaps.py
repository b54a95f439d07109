"""Heatmap targets in NumPy: where a grid cell lies in the image, and Gaussians on that grid.

A heatmap of stride s has one cell for every s×s pixels. Where cell i lies is a convention, and
mixing two of them shifts every point, so it is always named:

``center``
    Cell i sits in the middle of its pixels, at (i + ½)·s - ½. This is the rule of this package:
    it agrees with pixel centres at integers, and a mirrored image gives the mirrored heatmap.
``corner``
    Cell i sits at pixel i·s, as in the Simple Baselines repository (Xiao et al., ECCV 2018) and
    in mmpose's "MSRA" targets. A mirrored heatmap is then off by one cell.

Gaussians have peak 1 and stand at the *unrounded* centre. Rounding it, as the reference
repositories do, costs 0.38 cells on average even for a perfect network. These are the targets of
the codec ``unbiased``; training can use others (:mod:`handbench.models.codecs`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from handbench.errors import HandbenchError

Grid = Literal["center", "corner"]
GRIDS: tuple[Grid, ...] = ("center", "corner")

REACH = 3.0
"""A Gaussian whose centre is more than this many sigma off the map leaves no trace on it."""

SMALLEST_EXPONENT = -20.0
"""Below e⁻²⁰ a target is 0: far under float32's resolution beside a peak of 1, and numbers that
small would otherwise underflow, which processors multiply a hundred times slower."""


def grid_offset(stride: float, grid: Grid) -> float:
    """Pixel coordinate of cell 0.

    Raises
    ------
    HandbenchError
        If `grid` is not one of :data:`GRIDS`.

    >>> grid_offset(4, "center"), grid_offset(4, "corner")
    (1.5, 0.0)
    """
    if grid == "center":
        return (stride - 1) / 2
    if grid == "corner":
        return 0.0
    raise HandbenchError(f"a heatmap grid is one of {', '.join(GRIDS)}, found {grid!r}")


def to_grid(
    points: npt.NDArray[np.floating], stride: float, grid: Grid = "center"
) -> npt.NDArray[np.floating]:
    """Image pixels → heatmap cells, for points of any shape."""
    cells: npt.NDArray[np.floating] = (points - grid_offset(stride, grid)) / stride
    return cells


def to_pixels(
    points: npt.NDArray[np.floating], stride: float, grid: Grid = "center"
) -> npt.NDArray[np.floating]:
    """Heatmap cells → image pixels: the inverse of :func:`to_grid`."""
    pixels: npt.NDArray[np.floating] = points * stride + grid_offset(stride, grid)
    return pixels


def map_size(size: tuple[int, int], stride: int) -> tuple[int, int]:
    """Height and width of the heatmap of an image of `size` (height, width) pixels.

    Raises
    ------
    HandbenchError
        If a side is not a multiple of `stride`.
    """
    height, width = size
    if stride < 1 or height % stride or width % stride or not height or not width:
        raise HandbenchError(
            f"a heatmap of stride {stride} needs an image whose sides are multiples of {stride}, "
            f"found {height}×{width}: choose another --size"
        )
    return height // stride, width // stride


def target_weights(
    keypoints: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    size: tuple[int, int],
    stride: int = 4,
    sigma: float = 2.0,
    grid: Grid = "center",
) -> npt.NDArray[np.float32]:
    """1 where a joint is labelled and its Gaussian touches the map, else 0.

    Parameters are those of :func:`gaussian_targets`.

    Returns
    -------
    (N, J) float32.
    """
    height, width = map_size(size, stride)
    cells = to_grid(np.asarray(keypoints, dtype=np.float64), stride, grid)
    limits = np.array([width - 1, height - 1]) + REACH * sigma
    # NaN compares false, so a joint without coordinates weighs nothing whatever `valid` says.
    inside = ((cells >= -REACH * sigma) & (cells <= limits)).all(axis=-1)
    return (inside & valid).astype(np.float32)


def gaussian_targets(
    keypoints: npt.NDArray[np.floating],
    valid: npt.NDArray[np.bool_],
    size: tuple[int, int],
    stride: int = 4,
    sigma: float = 2.0,
    grid: Grid = "center",
) -> npt.NDArray[np.float32]:
    """Gaussians of peak 1 at the unrounded keypoints: outer products of two 1D Gaussians.

    Parameters
    ----------
    keypoints
        (N, J, 2) x, y in pixels of the image; NaN where unlabelled.
    valid
        (N, J) bool; other joints get an empty map.
    size
        Height and width of the image in pixels, multiples of `stride`.
    stride
        Pixels a cell.
    sigma
        Standard deviation in cells.
    grid
        Where cell i lies: ``center`` or ``corner``, see the top of this module.

    Returns
    -------
    (N, J, height / stride, width / stride) float32 in 0 … 1.

    Raises
    ------
    HandbenchError
        If the image is not a whole number of cells or `grid` is unknown.

    >>> maps = gaussian_targets(np.array([[[21.5, 9.5]]]), np.ones((1, 1), bool), (32, 32))
    >>> maps.shape, np.unravel_index(maps.argmax(), maps.shape), float(maps.max())
    ((1, 1, 8, 8), (np.int64(0), np.int64(0), np.int64(2), np.int64(5)), 1.0)
    """
    height, width = map_size(size, stride)
    weights = target_weights(keypoints, valid, size, stride, sigma, grid)
    cells = to_grid(np.asarray(keypoints, dtype=np.float64), stride, grid)
    cells = np.where(weights[..., None] > 0, cells, -np.inf).astype(np.float32)
    # einsum's inner loop writes the product faster than a broadcast multiplication does.
    targets: npt.NDArray[np.float32] = np.einsum(
        "njh,njw->njhw",
        _gaussian_1d(cells[..., 1], height, sigma),
        _gaussian_1d(cells[..., 0], width, sigma),
    )
    return targets


def _gaussian_1d(
    centers: npt.NDArray[np.float32], length: int, sigma: float
) -> npt.NDArray[np.float32]:
    """Rows exp(-(i - c)² / 2σ²) of i = 0 … length - 1 for (...) centres: (..., length)."""
    rows = np.arange(length, dtype=np.float32) - centers[..., None]
    np.multiply(rows, rows, out=rows)
    rows *= np.float32(-0.5 / sigma**2)
    kept = rows > SMALLEST_EXPONENT
    np.maximum(rows, np.float32(SMALLEST_EXPONENT), out=rows)
    np.exp(rows, out=rows)
    rows *= kept
    return rows
