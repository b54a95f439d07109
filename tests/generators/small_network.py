"""A network with thousands of weights in place of the baseline's millions, for tests of training.

``python tests/generators/small_network.py train baseline …`` is the command line with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

CHANNELS = 16


def small_encoder(depth: int) -> tuple[nn.Sequential, int]:
    """Five halvings like a ResNet's, with batch norm, whatever the depth."""
    layers: list[nn.Module] = []
    for inputs in (3, *[CHANNELS] * 4):
        layers += [
            nn.Conv2d(inputs, CHANNELS, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers), CHANNELS


@contextlib.contextmanager
def small_network(*, on: bool = True) -> Iterator[None]:
    """Make baselines small for the length of a block, or large again within such a block."""
    from handbench.models import baseline

    before = baseline._encoder, baseline.DECONV_CHANNELS
    baseline._encoder, baseline.DECONV_CHANNELS = (small_encoder, CHANNELS) if on else _LARGE
    try:
        yield
    finally:
        baseline._encoder, baseline.DECONV_CHANNELS = before


def _large() -> tuple[object, int]:
    from handbench.models import baseline

    return baseline._encoder, baseline.DECONV_CHANNELS


_LARGE = _large()

if __name__ == "__main__":
    from handbench.cli import main

    with small_network():
        main()
