"""Facts of the baseline's architecture that settings and options need without loading torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from handbench.errors import TrainError
from handbench.heatmaps import Grid

DEPTHS = (18, 34, 50, 101, 152)
"""Layers of the ResNet encoder."""
STRIDE = 4
"""Input pixels a heatmap cell."""
ENCODER_STRIDE = 32
"""Input pixels a cell of the encoder's last layer."""

ChannelOrder = Literal["rgb", "bgr"]
CHANNEL_ORDERS: tuple[ChannelOrder, ...] = get_args(ChannelOrder)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Decoding = Literal["subpixel", "dark", "dark-blur", "udp", "quarter", "argmax"]
DECODINGS: tuple[Decoding, ...] = get_args(Decoding)
"""Ways to find the peak of a heatmap (:func:`handbench.models.heatmaps.decode`)."""

CODEC_GRIDS: dict[str, tuple[Grid, ...]] = {
    "unbiased": ("center", "corner"),
    "rounded": ("corner",),
    "udp": (),
    "integral": ("center",),
    "likely": ("center",),
}
"""Codec → the grids it can use, its own first; UDP has a grid that fits neither rule. The codecs
themselves are in :mod:`handbench.models.codecs`, which needs torch."""


@dataclass(frozen=True)
class Normalisation:
    """How RGB pixels of 0 … 1 enter a network.

    Attributes
    ----------
    channel_order
        ``bgr`` turns the channels round first.
    mean, std
        Subtracted from and divided by, a number a channel *as the network sees them*: the first
        belongs to blue where the order is ``bgr``. (The Simple Baselines repository uses RGB's
        numbers on BGR images.)
    """

    channel_order: ChannelOrder = "rgb"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD


def check_input_size(size: int) -> None:
    """Refuse input sides that the encoder's five halvings do not divide.

    Raises
    ------
    TrainError
        With the nearest sizes that do work.
    """
    if size < ENCODER_STRIDE or size % ENCODER_STRIDE:
        below = max(size // ENCODER_STRIDE, 1) * ENCODER_STRIDE
        raise TrainError(
            f"the network's input side must be a multiple of {ENCODER_STRIDE} pixels, found "
            f"{size}: use --size {below} or --size {below + ENCODER_STRIDE}"
        )
