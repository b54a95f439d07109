"""How many pictures an address may send a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from handbench.web.problems import Problem

_MOST_ADDRESSES = 10_000


class RateLimit:
    """A bucket for each address, which fills evenly and holds a minute's worth.

    Parameters
    ----------
    per_minute
        Pictures; None lets everybody through.
    clock
        Seconds that never go back.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._buckets: dict[str, tuple[float, float]] = {}
        self._lock = threading.Lock()

    def take(self, address: str) -> None:
        """Count a picture from `address`.

        Raises
        ------
        Problem
            ``rate_limited`` if it was one too many.
        """
        if self._per_minute is None:
            return
        now, most = self._clock(), float(self._per_minute)
        with self._lock:
            left, then = self._buckets.pop(address, (most, now))
            left = min(most, left + (now - then) * most / 60)
            enough = left >= 1
            # The address that was seen last stands last.
            self._buckets[address] = (left - 1 if enough else left, now)
            if len(self._buckets) > _MOST_ADDRESSES:
                del self._buckets[next(iter(self._buckets))]
        if not enough:
            raise Problem(
                "rate_limited",
                f"Expected at most {self._per_minute} pictures a minute from one address, found "
                "more; wait a moment.",
                retry_after_s=(1 - left) * 60 / most + 0.5,
            )
