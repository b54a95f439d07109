from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handbench.live.smoothing import OneEuro, OneEuroSettings

STEP = 1 / 30


def textbook(values: list[float], times: list[float], fc_min: float, beta: float) -> list[float]:
    """The paper's algorithm 1 for one number, written out anew."""

    def alpha(step: float, cutoff: float) -> float:
        tau = 1 / (2 * math.pi * cutoff)
        return 1 / (1 + tau / step)

    out = [values[0]]
    slope = 0.0
    for before, now, t0, t1 in zip(values, values[1:], times, times[1:]):
        del before
        step = t1 - t0
        raw = (now - out[-1]) / step
        a = alpha(step, 1.0)
        slope = a * raw + (1 - a) * slope
        a = alpha(step, fc_min + beta * abs(slope))
        out.append(a * now + (1 - a) * out[-1])
    return out


@given(
    st.lists(st.floats(-500, 500), min_size=2, max_size=20),
    st.floats(0.1, 5),
    st.floats(0, 10),
)
def test_it_is_the_paper_s_filter(values: list[float], fc_min: float, beta: float) -> None:
    times = [STEP * i * (1 + 0.01 * i) for i in range(len(values))]
    smooth = OneEuro(OneEuroSettings(fc_min, beta))
    found = [float(smooth(np.array([v]), t)[0]) for v, t in zip(values, times)]
    np.testing.assert_allclose(found, textbook(values, times, fc_min, beta), rtol=1e-9, atol=1e-9)


def test_a_resting_hand_stays_where_it_is() -> None:
    smooth = OneEuro()
    points = np.random.default_rng(0).uniform(0, 100, (21, 2))
    for i in range(5):
        np.testing.assert_allclose(smooth(points, i * STEP, 50.0), points)


def test_noise_shrinks_and_motion_is_followed() -> None:
    rng = np.random.default_rng(0)
    smooth = OneEuro()
    noisy = 50 + rng.normal(0, 1, (200, 1))
    calm = np.array([smooth(row, i * STEP, 100.0) for i, row in enumerate(noisy)])
    assert calm[50:].std() < 0.5 * noisy[50:].std()
    # A hand that crosses its own width in half a second lags by less than a tenth of it.
    smooth.reset()
    moving = np.arange(60)[:, None] * STEP * 200
    followed = np.array([smooth(row, i * STEP, 100.0) for i, row in enumerate(moving)])
    assert abs(followed[30:] - moving[30:]).max() < 10


def test_resolution_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    path = np.cumsum(rng.normal(0, 3, (30, 21, 2)), axis=0)
    small, large = OneEuro(), OneEuro()
    for i, points in enumerate(path):
        one, other = small(points, i * STEP, 40.0), large(8 * points, i * STEP, 320.0)
        np.testing.assert_allclose(8 * one, other)


@pytest.mark.parametrize("later", [0.0, -1.0])
def test_time_that_stands_still_starts_anew(later: float) -> None:
    smooth = OneEuro()
    smooth(np.array([0.0]), 5.0)
    assert smooth(np.array([9.0]), 5.0 + later).tolist() == [9.0]


def test_after_a_reset_the_next_hand_is_another() -> None:
    smooth = OneEuro()
    smooth(np.array([0.0]), 0.0)
    smooth.reset()
    assert smooth(np.array([9.0]), 1.0).tolist() == [9.0]
