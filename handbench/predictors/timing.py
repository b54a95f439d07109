"""Where the time of a prediction goes, and how it spreads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

PERCENTILES = (50, 90, 99)


class Timing:
    """Collects seconds by part of the work and, for the model, by batch."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._batches: list[tuple[float, int]] = []

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what happens inside as time of `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            passed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + passed

    @contextmanager
    def batch(self, images: int) -> Iterator[None]:
        """Count what happens inside as the model's time for so many images."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._batches.append((time.perf_counter() - start, images))

    def summary(self) -> dict[str, Any]:
        """Fields of a predictions file's ``input``; see :func:`summarise`."""
        seconds = np.array([spent for spent, _ in self._batches])
        counts = np.array([images for _, images in self._batches], dtype=np.int64)
        total = max(int(counts.sum()), 1)
        parts = {name: 1000 * spent / total for name, spent in self._seconds.items()}
        return summarise(1000 * seconds / counts, counts, parts)


def summarise(
    batch_ms: npt.NDArray[np.float64],
    counts: npt.NDArray[np.int64],
    parts: dict[str, float] | None = None,
) -> dict[str, Any]:
    """Mean and percentiles of the model's time an image.

    Parameters
    ----------
    batch_ms
        (B,) the time of each batch by its number of images, ms.
    counts
        (B,) those numbers.
    parts
        Mean ms an image of other work, by name.

    Returns
    -------
    ``ms_per_image`` (mean over images), ``ms_p50``, ``ms_p90``, ``ms_p99`` (over batches; one
    image in a batch makes them percentiles of images), ``batch_size`` (the largest) and
    ``ms_parts``: ms an image of ``model`` and of every other part.
    """
    if not len(batch_ms):
        return {}
    mean = float(np.average(batch_ms, weights=counts))
    found: dict[str, Any] = {"ms_per_image": round(mean, 3)}
    for percent in PERCENTILES:
        found[f"ms_p{percent}"] = round(float(np.percentile(batch_ms, percent)), 3)
    found["batch_size"] = int(np.max(counts))
    found["ms_parts"] = {
        name: round(value, 3) for name, value in {**(parts or {}), "model": mean}.items()
    }
    return found
