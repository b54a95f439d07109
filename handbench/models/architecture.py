"""Facts of the baseline's architecture that settings and options need without loading torch."""

from __future__ import annotations

from handbench.errors import TrainError

DEPTHS = (18, 34, 50, 101, 152)
"""Layers of the ResNet encoder."""
STRIDE = 4
"""Input pixels a heatmap cell."""
ENCODER_STRIDE = 32
"""Input pixels a cell of the encoder's last layer."""


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
