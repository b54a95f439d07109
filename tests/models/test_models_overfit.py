from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from generators.small_network import small_network
from generators.tiny_hdf5 import write_tiny

from handbench.errors import TrainError
from handbench.models.overfit import NEAR_PX, overfit_one_batch
from handbench.models.settings import TrainSettings


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    data = write_tiny(tmp_path / "tiny.h5", {"train": 8, "val": 4}, size=32)
    return TrainSettings(
        data=(data,), out=tmp_path / "run", depth=18, batch_size=4, device="cpu", sigma=1.0
    )


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["unbiased", "integral"])
def test_the_network_learns_one_batch_by_heart(settings: TrainSettings, codec: str) -> None:
    lines: list[str] = []
    chosen = dataclasses.replace(settings, codec=codec, sigma=1.5)
    assert overfit_one_batch(chosen, steps=100, say=lines.append) < NEAR_PX
    first, last = (float(line.rsplit(" ", 1)[1]) for line in (lines[0], lines[-2]))
    assert last < 0.6 * first
    assert lines[-1].startswith("one batch of 4 images, 100 steps: loss")
    assert not settings.out.exists()


def test_a_batch_that_is_not_learned_is_an_error(settings: TrainSettings) -> None:
    slow = dataclasses.replace(settings, lr=1e-9)
    with small_network(), pytest.raises(TrainError, match=r"expected less than 2 px: look at the"):
        overfit_one_batch(slow, steps=2)
