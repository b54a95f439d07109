"""The One-Euro filter: steady when the hand rests, quick when it moves.

Géry Casiez, Nicolas Roussel, Daniel Vogel: "1€ Filter: A Simple Speed-based Low-pass Filter for
Noisy Input in Interactive Systems", CHI 2012, https://doi.org/10.1145/2207676.2208639. For looking
at only: a score of smoothed keypoints would be one of the filter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class OneEuroSettings:
    """Parameters of the filter, in the paper's words.

    Attributes
    ----------
    min_cutoff_hz
        Cutoff frequency of a hand at rest: lower is steadier.
    beta
        How much the cutoff rises with speed: higher lags less. Speeds are in sides of the hand's
        box a second, so that one value fits every resolution and distance.
    derivative_cutoff_hz
        Cutoff frequency of the speed itself; the paper's 1 Hz.
    """

    min_cutoff_hz: float = 1.0
    beta: float = 3.0
    derivative_cutoff_hz: float = 1.0


class OneEuro:
    """The filter over all coordinates of one hand, each by its own speed."""

    def __init__(self, settings: OneEuroSettings | None = None) -> None:
        self.settings = settings or OneEuroSettings()
        self._last: Floats | None = None
        self._speed: Floats | None = None
        self._time_s = 0.0

    def reset(self) -> None:
        """Forget the past: the next hand is another one."""
        self._last = self._speed = None

    def __call__(self, values: Floats, time_s: float, scale: float = 1.0) -> Floats:
        """Smooth the next values.

        Parameters
        ----------
        values
            Of any shape, the same in every call.
        time_s
            When they were seen, s. Time that stands still or goes back starts the filter anew.
        scale
            What a speed of 1 is in the units of `values`, such as the side of the hand in px.

        Returns
        -------
        Of the shape of `values`; the first ones come back unchanged.
        """
        step = time_s - self._time_s
        self._time_s = time_s
        if self._last is None or self._speed is None or step <= 0:
            self._last, self._speed = values.copy(), np.zeros_like(values)
            return values.copy()
        settings = self.settings
        speed = (values - self._last) / (step * scale)
        self._speed = _low_pass(
            speed, self._speed, _weight(np.array(settings.derivative_cutoff_hz), step)
        )
        cutoff = settings.min_cutoff_hz + settings.beta * np.abs(self._speed)
        self._last = _low_pass(values, self._last, _weight(cutoff, step))
        return self._last.copy()


def _weight(cutoff_hz: Floats, step_s: float) -> Floats:
    """α of the exponential low-pass: 1 / (1 + τ/Tₑ) with τ = 1 / (2π f) (equations 3 and 4)."""
    weight: Floats = 1.0 / (1.0 + 1.0 / (2 * math.pi * cutoff_hz * step_s))
    return weight


def _low_pass(new: Floats, old: Floats, weight: Floats) -> Floats:
    passed: Floats = weight * new + (1 - weight) * old
    return passed
