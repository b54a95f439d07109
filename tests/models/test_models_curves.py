from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handbench.models.curves import ERROR_COLOR, LOSS_COLOR, draw_curves


def row(epoch: int, loss: float, error: float) -> dict[str, float]:
    return {"epoch": epoch, "loss": loss, "val_epe_px": error}


@pytest.mark.parametrize(
    "rows",
    [
        [row(1, 0.01, 30.0)],
        [row(i, 0.01 * 0.8**i, 30 * 0.9**i) for i in range(1, 30)],
        [row(i, 0.01, 0.0) for i in range(1, 4)],
    ],
)
def test_both_curves_are_drawn(rows: list[dict[str, float]], tmp_path: Path) -> None:
    draw_curves(rows, tmp_path / "curves.png", "a run")
    pixels = np.array(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert pixels.shape[0] > 500
    for color in (LOSS_COLOR, ERROR_COLOR):
        rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
        assert (pixels == rgb).all(axis=-1).sum() > 30


def test_without_validation_the_loss_stands_alone(tmp_path: Path) -> None:
    rows = [row(epoch, 0.01 * 0.8**epoch, math.nan) for epoch in range(1, 9)]
    draw_curves(rows, tmp_path / "curves.png", "a run", 8)
    pixels = np.array(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert pixels.shape[0] < 500
    assert (pixels == [0x2E, 0x86, 0xDE]).all(axis=-1).sum() > 30
    assert not (pixels == [0xE4, 0x57, 0x2E]).all(axis=-1).any()
