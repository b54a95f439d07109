"""How long a predictor takes for batches of one image and of many."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from handbench.predictors.interface import Predictor

WARM_UP = 2
LEAST_CALLS = 3
MOST_CALLS = 1000


def time_calls(
    call: Callable[[], object], seconds: float, *, warm_up: int, most: float = math.inf
) -> list[float]:
    """Milliseconds of each of many calls, at least :data:`LEAST_CALLS` of them.

    Parameters
    ----------
    call
        What is timed.
    seconds
        How long it is repeated.
    warm_up
        Calls before the clock counts: memory is fetched and kernels are chosen in the first.
    most
        Calls after which it ends in any case.
    """
    for _ in range(warm_up):
        call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < LEAST_CALLS or (time.perf_counter() < end and len(times) < most):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


@dataclass(frozen=True)
class Latency:
    """Times of one batch size.

    Attributes
    ----------
    runner
        What computed.
    batch
        Images a call.
    calls
        That were timed.
    median_ms, p99_ms
        Of a call. With fewer than 100 calls the 99th percentile is nearly the slowest of them.
    images_per_s
        At the median.
    """

    runner: str
    batch: int
    calls: int
    median_ms: float
    p99_ms: float
    images_per_s: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def measure_latency(
    runner: str, predictor: Predictor, batches: Sequence[int], *, seconds: float
) -> list[Latency]:
    """Time whole calls: crops (uint8 RGB in the wanted size) in, points out.

    Parameters
    ----------
    runner
        What to call it in the result.
    predictor
        Any; models that take images of any size get 256 × 256 px of noise.
    batches
        Sizes of batches.
    seconds
        How long each is repeated; at least three calls are made.
    """
    size = predictor.input_size or 256
    rng = np.random.default_rng(0)
    found = []
    for batch in batches:
        images = list(rng.integers(0, 256, (batch, size, size, 3), dtype=np.uint8))
        call = functools.partial(predictor, images)
        times = time_calls(call, seconds, warm_up=WARM_UP, most=MOST_CALLS)
        median = float(np.median(times))
        found.append(
            Latency(
                runner,
                batch,
                len(times),
                round(median, 3),
                round(float(np.percentile(times, 99)), 3),
                round(1000 * batch / median, 2),
            )
        )
    return found
