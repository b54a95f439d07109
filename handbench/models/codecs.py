"""Codecs: a target, its loss and its decoding, which belong together.

What a network was taught decides how its answer must be read: maps of one codec decoded by another
put points up to three pixels off. A codec keeps both directions in one object, from keypoints in
input pixels to maps and back, on the device of the batch.

============  ==============================================  =====================================
codec         target                                          decoding
============  ==============================================  =====================================
``unbiased``  Gaussian at the keypoint itself                 parabola through the logarithm
``rounded``   Gaussian at the nearest cell                    highest cell, a quarter aside
``udp``       Gaussian at the keypoint, outer cells on the    Newton step on blurred maps
              outer pixels
``integral``  distribution over the cells                     its mean
``likely``    distribution over the cells                     its spatial median
============  ==============================================  =====================================
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from handbench.errors import TrainError
from handbench.heatmaps import Grid, map_size
from handbench.models.architecture import CODEC_GRIDS, STRIDE, Decoding
from handbench.models.heatmaps import (
    decode,
    gaussian_maps,
    heatmap_loss,
    to_grid,
    to_pixels,
)

TEMPERATURE = 0.6
"""Of the softmax of the codec ``likely``, in decoding. On photos that were held out, the EPE of six
networks was lower by 0.1 to 0.5 px of 256 than at 1, and within 0.2 px for all of 0.25 to 0.8."""


@dataclass(frozen=True)
class Codec(ABC):
    """One encode/decode pair with its loss and its rule for mirror images.

    Attributes
    ----------
    sigma
        Standard deviation of the targets in heatmap cells.
    grid
        Where cells lie (:mod:`handbench.heatmaps`); the codec's own where it is left out, and None
        where the codec fits neither rule.

    Raises
    ------
    TrainError
        If the codec cannot use that grid.
    """

    name: ClassVar[str]
    sigma: float = 2.0
    grid: Grid | None = None

    def __post_init__(self) -> None:
        grids = CODEC_GRIDS[self.name]
        if self.grid is None and grids:
            object.__setattr__(self, "grid", grids[0])
        elif self.grid is not None and self.grid not in grids:
            raise TrainError(
                f"the codec {self.name} has the grid {' or '.join(grids) or 'of UDP'}, found "
                f"{self.grid}: leave the grid away"
            )

    def to_cells(self, points: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Input pixels (…, 2) → cells of a map of `shape` (height, width)."""
        return to_grid(points, STRIDE, self.grid or "center")

    def to_pixels(self, cells: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Cells (…, 2) of a map of `shape` (height, width) → input pixels."""
        return to_pixels(cells, STRIDE, self.grid or "center")

    def encode(
        self,
        points: torch.Tensor,
        valid: torch.Tensor,
        size: tuple[int, int],
        out: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Targets of a batch.

        Parameters
        ----------
        points
            (N, J, 2) x, y in input pixels; NaN where unlabelled.
        valid
            (N, J) bool.
        size
            Height and width of the input in pixels, multiples of 4.
        out
            Where to write the targets; saves the allocation when batches follow one another.

        Returns
        -------
        targets (N, J, h, w) float32 and weights (N, J) float32: 0 where a joint is unlabelled or
        leaves no target on the map, else 1.
        """
        shape = map_size(size, STRIDE)
        return self._targets(self.to_cells(points.to(torch.float32), shape), valid, shape, out)

    def loss(
        self,
        maps: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        points: torch.Tensor,
    ) -> torch.Tensor:
        """How far the network's maps are from their targets.

        Parameters
        ----------
        maps
            (N, J, h, w) what the network gave, in any precision.
        targets, weights
            What :meth:`encode` gave.
        points
            (N, J, 2) the keypoints that :meth:`encode` took.

        Returns
        -------
        A float32 scalar.
        """
        return heatmap_loss(maps, targets, weights)

    def decode(
        self, maps: torch.Tensor, decoding: Decoding | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Find the keypoints in a network's maps.

        Parameters
        ----------
        maps
            (N, J, h, w) float, at least 5×5 cells.
        decoding
            Another way to find the place of a peak (:func:`handbench.models.heatmaps.decode`)
            instead of the codec's own. Where cells lie stays the codec's matter.

        Returns
        -------
        points (N, J, 2) float32 x, y in input pixels, and scores (N, J) float32: heights of the
        peaks, about 1 where the network is sure.
        """
        maps = maps.detach().float()
        if decoding is None:
            cells, scores = self._find(maps)
        else:
            cells, scores = decode(self._heights(maps), decoding, self.sigma)
        return self.to_pixels(cells, (maps.shape[-2], maps.shape[-1])), scores

    def average(self, maps: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Join the maps of images with those of their mirror images (the flip test).

        Parameters
        ----------
        maps, mirrored
            (N, J, h, w) of the images, and of the same images with their columns reversed. A
            single hand has no channels to swap.
        """
        return (maps + self._mirrored_back(mirrored)) / 2

    def _mirrored_back(self, maps: torch.Tensor) -> torch.Tensor:
        maps = maps.flip(-1)
        if self.grid == "corner":
            # Reversed cells of this grid are off by one, which the reference shifts back.
            maps = torch.cat([maps[..., :1], maps[..., :-1]], dim=-1)
        return maps

    def _targets(
        self,
        cells: torch.Tensor,
        valid: torch.Tensor,
        shape: tuple[int, int],
        out: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return gaussian_maps(cells, valid, shape, self.sigma, out=out)

    def _heights(self, maps: torch.Tensor) -> torch.Tensor:
        """Maps whose peaks are about 1, for the methods that look for peaks."""
        return maps

    @abstractmethod
    def _find(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Cells (N, J, 2) and scores (N, J), by the codec's own method."""


@dataclass(frozen=True)
class Unbiased(Codec):
    """Gaussians at the unrounded keypoint, as DARK's targets (Zhang et al., CVPR 2020).

    Decoding the encoding returns the point anywhere on the map, borders included.
    """

    name: ClassVar[str] = "unbiased"

    def _find(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return decode(maps, "subpixel", self.sigma)


@dataclass(frozen=True)
class Rounded(Codec):
    """The codec of Simple Baselines (Xiao et al., ECCV 2018), mmpose's "MSRA".

    Gaussians stand at the nearest cell and are cut off outside 6 sigma + 1 cells; the highest cell
    is moved by a quarter towards its higher neighbour on each axis. A perfect network is 0.38 cells
    off on average. A map without a positive value gives cell (0, 0).
    """

    name: ClassVar[str] = "rounded"

    def _targets(
        self,
        cells: torch.Tensor,
        valid: torch.Tensor,
        shape: tuple[int, int],
        out: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        nearest = (cells + 0.5).floor()
        return gaussian_maps(nearest, valid, shape, self.sigma, window=True, out=out)

    def _find(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        cells, peaks = decode(maps, "quarter", self.sigma)
        return torch.where((peaks > 0)[..., None], cells, 0.0), peaks


@dataclass(frozen=True)
class Udp(Codec):
    """Unbiased data processing (Huang et al., CVPR 2020) with DARK, as mmpose has it.

    The first and last cells lie on the first and last pixels, so that a mirrored image has the
    mirrored map. Its blur takes what lies outside the map for black: from 2 sigma inwards decoding
    the encoding is exact to a fiftieth of a cell, nearer to the border points are drawn inwards.
    """

    name: ClassVar[str] = "udp"

    def to_cells(self, points: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Input pixels (…, 2) → cells of a map of `shape` (height, width)."""
        return points / self._stride(points, shape)

    def to_pixels(self, cells: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """Cells (…, 2) of a map of `shape` (height, width) → input pixels."""
        return cells * self._stride(cells, shape)

    @staticmethod
    def _stride(like: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
        """(x, y) pixels between neighbouring cells: (input - 1) / (map - 1)."""
        height, width = shape
        strides = [(STRIDE * side - 1) / (side - 1) for side in (width, height)]
        return torch.tensor(strides, dtype=like.dtype, device=like.device)

    def _targets(
        self,
        cells: torch.Tensor,
        valid: torch.Tensor,
        shape: tuple[int, int],
        out: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return gaussian_maps(cells, valid, shape, self.sigma, window=True, out=out)

    def _find(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return decode(maps, "udp", self.sigma)


@dataclass(frozen=True)
class Integral(Codec):
    """The mean of a distribution over cells, after Sun et al. ("Integral Human Pose", ECCV 2018).

    The network's maps are logarithms up to a constant; a softmax over the cells makes them a
    distribution. The loss pulls it to a Gaussian (cross-entropy) and its mean to the keypoint
    (distance in cells). The mean cannot leave the map, so joints outside have no weight. From 3
    sigma inwards decoding the encoding is exact to a fiftieth of a cell; nearer to the border the
    Gaussian is cut off, and only the second term tells the network the true place.

    Attributes
    ----------
    distance_weight
        Of the distance in the loss, beside the cross-entropy.
    """

    name: ClassVar[str] = "integral"
    distance_weight: float = 1.0

    def _targets(
        self,
        cells: torch.Tensor,
        valid: torch.Tensor,
        shape: tuple[int, int],
        out: torch.Tensor | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        height, width = shape
        limits = torch.tensor([width, height], dtype=cells.dtype, device=cells.device) - 0.5
        inside = ((cells >= -0.5) & (cells <= limits)).all(dim=-1) & valid
        targets, weights = gaussian_maps(cells, inside, shape, self.sigma, out=out)
        return targets.div_(targets.sum((-1, -2), keepdim=True).clamp_(min=1e-6)), weights

    def loss(
        self,
        maps: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        points: torch.Tensor,
    ) -> torch.Tensor:
        """Mean over weighted joints of cross-entropy + `distance_weight` · distance in cells."""
        logs = _log_softmax(maps.float())
        entropies = -(targets * logs).sum((-1, -2))
        if not self.distance_weight:
            return (entropies * weights).sum() / weights.sum().clamp(min=1)
        cells = self.to_cells(points.to(torch.float32), (maps.shape[-2], maps.shape[-1]))
        # Unlabelled joints are NaN, which no factor of 0 would take out of a sum or a gradient.
        away = torch.where(weights[..., None] > 0, _mean(logs.exp()) - cells, 0.0)
        # The slope of a square root at 0 is infinite; a thousandth of a cell keeps it finite.
        distances = (away.square().sum(dim=-1) + 1e-6).sqrt()
        errors = (entropies + self.distance_weight * distances) * weights
        return errors.sum() / weights.sum().clamp(min=1)

    def average(self, maps: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
        """Logarithm of the mean of both distributions."""
        logs, others = (
            _log_softmax(each.float()) for each in (maps, self._mirrored_back(mirrored))
        )
        return torch.logaddexp(logs, others) - math.log(2)

    def _find(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        heights = self._heights(maps)
        return self._place(maps), heights.amax((-1, -2)).clamp(max=1)

    def _place(self, maps: torch.Tensor) -> torch.Tensor:
        """Cells (N, J, 2) that the distributions of (N, J, h, w) maps stand for."""
        return _mean(_log_softmax(maps).exp())

    def _heights(self, maps: torch.Tensor) -> torch.Tensor:
        # The target's own peak is 1 / 2πσ² high, if it stands on a cell.
        return _log_softmax(maps).exp() * (2 * math.pi * self.sigma**2)


@dataclass(frozen=True)
class Likely(Integral):
    """A distribution over cells, and the place with the least expected error.

    The loss is the cross-entropy with the Gaussian alone. Decoding takes the place whose expected
    distance to the keypoint is the least under the network's own distribution: the spatial median
    (Weiszfeld, Tôhoku Math. J. 43, 1937). Where the network wavers between two fingers, the mean
    lies between them, and the highest cell is often the wrong one; the median lies at the likelier
    finger, and in the mean over many such cases it has the lowest EPE.

    What the maps show is the keypoint's distribution blurred by the target's Gaussian, over a
    little of everything that draws the median to the middle of the image. Decoding sharpens them
    first, by a softmax with :data:`TEMPERATURE`.
    """

    name: ClassVar[str] = "likely"
    distance_weight: float = 0.0

    def _place(self, maps: torch.Tensor) -> torch.Tensor:
        return _spatial_median(_log_softmax(maps / TEMPERATURE).exp())


def _spatial_median(chances: torch.Tensor, steps: int = 24, softness: float = 0.3) -> torch.Tensor:
    """(N, J, 2) spatial median in cells of (N, J, h, w) distributions.

    Weiszfeld's iterations from the mean; distances are √(d² + softness²), which keeps weights
    finite where the median comes near a cell.
    """
    height, width = chances.shape[-2:]
    x = torch.arange(width, dtype=chances.dtype, device=chances.device)
    y = torch.arange(height, dtype=chances.dtype, device=chances.device)
    median = _mean(chances)
    for _ in range(steps):
        across = (x - median[..., :1]).square()
        down = (y - median[..., 1:]).square()
        weights = chances * (across[..., None, :] + down[..., None] + softness**2).rsqrt()
        median = _mean(weights / weights.sum((-1, -2), keepdim=True))
    return median


def _log_softmax(maps: torch.Tensor) -> torch.Tensor:
    """Logarithms of the distributions over all cells of (N, J, h, w) maps."""
    return functional.log_softmax(maps.flatten(-2), dim=-1).view_as(maps)


def _mean(chances: torch.Tensor) -> torch.Tensor:
    """(N, J, 2) mean x, y in cells of (N, J, h, w) distributions."""
    height, width = chances.shape[-2:]
    x = torch.arange(width, dtype=chances.dtype, device=chances.device)
    y = torch.arange(height, dtype=chances.dtype, device=chances.device)
    # Sums, not matrix products: mixed precision would take those down to 8 bits.
    across, down = chances.sum(-2), chances.sum(-1)
    return torch.stack([(across * x).sum(-1), (down * y).sum(-1)], dim=-1)


CODECS: dict[str, type[Codec]] = {
    codec.name: codec for codec in (Unbiased, Rounded, Udp, Integral, Likely)
}
"""Name in settings and checkpoints → codec."""


def make_codec(name: str, sigma: float = 2.0, grid: Grid | None = None) -> Codec:
    """The codec called `name`, as settings and checkpoints describe it.

    Raises
    ------
    TrainError
        If there is none, or it cannot use that grid.
    """
    if name not in CODECS:
        raise TrainError(f"a codec is one of {', '.join(CODECS)}, found {name!r}")
    return CODECS[name](sigma, grid)
