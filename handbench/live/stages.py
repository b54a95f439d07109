"""How long every stage takes, and how many frames a second that makes."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

STAGES = ("read", "crop", "network", "draw")
_RECENT = 30
_KEPT = 10_000  # hours of a camera must not fill the memory


class StageTimes:
    """Seconds that each of :data:`STAGES` took in every frame, and when frames were done."""

    def __init__(self) -> None:
        self._seconds: dict[str, deque[float]] = {name: deque(maxlen=_KEPT) for name in STAGES}
        self._done: deque[float] = deque(maxlen=_RECENT)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block as one frame's share of a stage."""
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        """Note what a frame took in a stage."""
        self._seconds[name].append(seconds)

    def frame_done(self) -> None:
        """Note that a frame is through."""
        self._done.append(time.perf_counter())

    def recent_fps(self) -> float | None:
        """Frames a second that came through lately; None before there are two."""
        if len(self._done) < 2:
            return None
        return (len(self._done) - 1) / max(self._done[-1] - self._done[0], 1e-9)

    def recent_stage_fps(self) -> dict[str, float]:
        """Frames a second that each stage would reach if it were all there is."""
        return {
            name: 1.0 / max(float(np.mean(list(times)[-_RECENT:])), 1e-6)
            for name, times in self._seconds.items()
            if times
        }

    def of_last_frame_ms(self) -> dict[str, float]:
        """What the last frame took, ms."""
        return {name: 1000 * times[-1] for name, times in self._seconds.items() if times}

    def table(self) -> list[tuple[str, float, float, float]]:
        """(stage, median ms, 90th percentile ms, frames a second) of the stages that ran."""
        rows = []
        for name, times in self._seconds.items():
            if times:
                ms = 1000 * np.array(times)
                middle, high = np.percentile(ms, (50, 90)).tolist()
                rows.append((name, middle, high, 1000 / max(float(ms.mean()), 1e-3)))
        return rows
