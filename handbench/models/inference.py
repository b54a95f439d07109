"""Run a network over rows: the one path from images to keypoints, in training and prediction."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch

from handbench.errors import TrainError
from handbench.models.architecture import Decoding
from handbench.models.augment import fit_matrix, transform_points
from handbench.models.baseline import Baseline
from handbench.models.batches import in_order, loader
from handbench.models.codecs import Codec
from handbench.models.looks import ONCE, Looks
from handbench.models.pixels import warp_images

VIEW_TURNS_DEG = (-15.0, 0.0, 15.0)
VIEW_SIZES = (0.9, 1.0, 1.1)
"""Views of the view test: each turn with each size."""
SIDE_MARGIN = 0.05
"""By how much the mirror image must be surer to count, in the mean logarithm of a peak's height:
what is as sure either way was taught as it is."""
LOWEST_PEAK = 1e-3
"""Peaks below it (a network's maps may be negative) are as unsure as it."""


class Pictures(Protocol):
    """Images of one size; a list of positions gives a batch.

    :class:`~handbench.models.rows.HandRows` is one.
    """

    size: tuple[int, int]

    def __len__(self) -> int: ...

    def __getitem__(self, positions: Sequence[int], /) -> tuple[torch.Tensor, torch.Tensor]: ...


@dataclass(frozen=True)
class Located:
    """Keypoints found in N images.

    Attributes
    ----------
    keypoints
        (N, 21, 2) float64 px of the stored image.
    peaks
        (N, 21) float64 heights of the heatmaps' peaks.
    ms_per_image
        Warp, network and decoding; reading images is not counted.
    batch_ms
        (B,) the same for each batch: its time by its number of images.
    batch_images
        (B,) those numbers.
    """

    keypoints: npt.NDArray[np.float64]
    peaks: npt.NDArray[np.float64]
    ms_per_image: float
    batch_ms: npt.NDArray[np.float64]
    batch_images: npt.NDArray[np.int64]


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`; ``auto`` takes CUDA, then Apple's MPS, then the CPU.

    Raises
    ------
    TrainError
        If this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not present.get(name, name == "cpu"):
        raise TrainError(f"--device {name} was asked for, but torch finds none here: use auto")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """Resolve ``auto``: bf16 where a GPU computes it, else fp16 there; fp32 elsewhere.

    Raises
    ------
    TrainError
        If fp16 is asked for without CUDA, where its small gradients would vanish.
    """
    if name == "auto":
        if device.type != "cuda":
            return "fp32"
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    if name == "fp16" and device.type != "cuda":
        raise TrainError(f"--precision fp16 needs a CUDA device, found {device.type}: use auto")
    return name


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Context in which the network computes in `precision` (fp32, bf16 or fp16)."""
    if precision == "fp32":
        return contextlib.nullcontext()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float16
    return torch.autocast(device.type, dtype=dtype)


def predict_heatmaps(
    network: Baseline, images: torch.Tensor, *, codec: Codec, flip_test: bool
) -> torch.Tensor:
    """Heatmaps of prepared images, on request averaged with those of the mirror image.

    Parameters
    ----------
    network
        In evaluation mode.
    images
        (N, 3, size, size) float, 0 … 1.
    codec
        The network's, which knows how the maps of a mirror image fit.
    flip_test
        Average with the mirror image. A single hand has no channels to swap.
    """
    maps: torch.Tensor = network(images).float()
    if not flip_test:
        return maps
    return codec.average(maps, network(images.flip(-1)).float())


def locate(
    network: Baseline,
    rows: Pictures,
    *,
    size: int,
    codec: Codec,
    box_factor: float = 1.0,
    batch_size: int = 64,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    decoding: Decoding | None = None,
    looks: Looks = ONCE,
    advance: Callable[[int], object] | None = None,
) -> Located:
    """Find the keypoints in all images.

    Parameters
    ----------
    network
        Put into evaluation mode and moved to the device.
    rows
        Images.
    size
        Side of the network's input; stored images are resized to it.
    codec
        What the network's maps mean.
    box_factor
        Side of what the network sees, as a share of the stored image's.
    batch_size, device, precision, workers
        How to compute; see :func:`choose_device` and :func:`choose_precision`. `workers` is the
        number of loading processes, 0 for none.
    decoding
        See :meth:`handbench.models.codecs.Codec.decode`.
    looks
        What it looks at beside the images as they are.
    advance
        Called with the number of images after every batch, for a progress bar.
    """
    points, peaks, seconds, counts = [], [], [], []
    pin = choose_device(device).type == "cuda"
    for images, _ in loader(rows, in_order(len(rows), batch_size), workers, pin=pin):
        start = time.perf_counter()
        places, found = find_keypoints(
            network,
            images,
            size=size,
            codec=codec,
            box_factor=box_factor,
            device=device,
            precision=precision,
            decoding=decoding,
            looks=looks,
        )
        seconds.append(time.perf_counter() - start)
        counts.append(len(images))
        points.append(places)
        peaks.append(found)
        if advance is not None:
            advance(len(images))
    return Located(
        keypoints=torch.cat(points).numpy(),
        peaks=torch.cat(peaks).numpy(),
        ms_per_image=1000 * sum(seconds) / len(rows),
        batch_ms=1000 * np.array(seconds) / np.array(counts),
        batch_images=np.array(counts, dtype=np.int64),
    )


def find_keypoints(
    network: Baseline,
    images: torch.Tensor,
    *,
    size: int,
    codec: Codec,
    box_factor: float = 1.0,
    device: str = "auto",
    precision: str = "auto",
    decoding: Decoding | None = None,
    looks: Looks = ONCE,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Find the keypoints in one batch of images of one size.

    Parameters
    ----------
    network
        Put into evaluation mode and moved to the device.
    images
        (N, 3, H, W) uint8 RGB.
    size, codec, box_factor, device, precision, decoding, looks
        As for :func:`locate`.

    Returns
    -------
    keypoints (N, 21, 2) float64 px of the images, and peaks (N, 21) float64, on the CPU.
    """
    target = choose_device(device)
    network.to(target).eval()
    fit = fit_matrix(images.shape[-2], images.shape[-1], size, box_factor)
    views = view_matrices(size) if looks.views else [torch.eye(3, dtype=torch.float64)]
    sides = [views]
    if looks.sides:
        sides.append([view @ mirror_matrix(size) for view in views])
    seen = []
    with torch.inference_mode(), autocast(target, choose_precision(precision, target)):
        images = images.to(target, non_blocking=True)
        for side in sides:
            points, peaks = [], []
            for matrix in (view @ fit for view in side):
                batch = matrix.expand(len(images), 3, 3)
                pixels = warp_images(images, batch, size)
                maps = predict_heatmaps(network, pixels, codec=codec, flip_test=looks.flip)
                places, found = codec.decode(maps, decoding)
                # Copying the few numbers to the CPU also waits for the device.
                back = torch.linalg.inv(matrix).expand_as(batch)
                points.append(transform_points(back, places.cpu().double()))
                peaks.append(found.cpu().double())
            seen.append((torch.stack(points), torch.stack(peaks)))
    return _surer(*seen) if looks.sides else _medians(*seen[0])


def _medians(points: torch.Tensor, peaks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of views (V, N, 21, …): a view that takes one finger for another does not count."""
    return points.median(0).values, peaks.median(0).values


def _surer(
    seen: tuple[torch.Tensor, torch.Tensor], mirrored: tuple[torch.Tensor, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Medians over the views of each hand's surer side.

    A network that cannot tell where a joint is spreads its map, and the peak is low.
    """
    sure, sure_mirrored = (
        peaks.clamp(min=LOWEST_PEAK).log().mean((0, 2)) for _, peaks in (seen, mirrored)
    )
    chosen = sure_mirrored > sure + SIDE_MARGIN
    points, peaks = zip(_medians(*seen), _medians(*mirrored))
    return (
        torch.where(chosen[:, None, None], points[1], points[0]),
        torch.where(chosen[:, None], peaks[1], peaks[0]),
    )


def mirror_matrix(size: int) -> torch.Tensor:
    """(3, 3) float64 map of the input to its mirror image."""
    return torch.tensor([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)


def view_matrices(size: int) -> list[torch.Tensor]:
    """Nine (3, 3) float64 maps of the input to views of it, about its centre."""
    center = (size - 1) / 2
    views = []
    for turn in VIEW_TURNS_DEG:
        for factor in VIEW_SIZES:
            cosine = factor * math.cos(math.radians(turn))
            sine = factor * math.sin(math.radians(turn))
            view = torch.eye(3, dtype=torch.float64)
            view[:2, :2] = torch.tensor([[cosine, -sine], [sine, cosine]])
            view[:2, 2] = center - center * view[:2, :2].sum(1)
            views.append(view)
    return views
