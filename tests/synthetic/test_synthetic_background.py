from __future__ import annotations

import numpy as np
import pytest

from handbench.synthetic.background import green_screen, noise, varied


@pytest.mark.parametrize("seed", range(4))
def test_the_green_screen_is_green(seed: int) -> None:
    picture = green_screen(np.random.default_rng(seed), 48)
    assert picture.shape == (48, 48, 3)
    red, green, blue = picture.mean((0, 1))
    assert green > 1.4 * max(red, blue)


@pytest.mark.parametrize("size", [32, 48, 101])
def test_varied_backgrounds_are_pictures(size: int) -> None:
    rng = np.random.default_rng(0)
    pictures = np.array([varied(rng, size) for _ in range(24)])
    assert pictures.shape == (24, size, size, 3)
    assert pictures.min() >= 0.0
    assert pictures.max() <= 1.0
    # They differ from each other, and most are no plain colour.
    assert pictures.mean((1, 2)).std(0).min() > 0.05
    assert np.median(pictures.std((1, 2)).mean(-1)) > 0.04


def test_backgrounds_repeat_with_their_seed() -> None:
    first, second = (varied(np.random.default_rng(5), 40) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_noise_has_unit_spread_and_is_smooth() -> None:
    field = noise(np.random.default_rng(0), 128, 8, 1, 0.5)
    assert 0.3 < field.std() < 1.2
    assert np.abs(np.diff(field, axis=0)).max() < 0.5
