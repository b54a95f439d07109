"""Counts and times of a server, in the text format of Prometheus 0.0.4."""

from __future__ import annotations

import bisect
import threading
from collections import Counter

from handbench.web.pool import Pool

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Histogram:
    """Times sorted into buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (len(_BOUNDS_S) + 1)
        self._sum = 0.0
        self._lock = threading.Lock()

    def add(self, seconds: float) -> None:
        """Count one."""
        with self._lock:
            self._counts[bisect.bisect_left(_BOUNDS_S, seconds)] += 1
            self._sum += seconds

    def lines(self, name: str, words: str) -> list[str]:
        """In the text format."""
        with self._lock:
            counts, total = list(self._counts), self._sum
        lines, below = _heading(name, "histogram", words), 0
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), counts, strict=True):
            below += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*lines, f"{name}_sum {total:.6f}", f"{name}_count {below}"]


class Metrics:
    """What one server has done since it started."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, int]] = Counter()
        self._problems: Counter[str] = Counter()
        self._hands: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.request_s = Histogram()
        self.model_s = Histogram()

    def count_request(self, endpoint: str, status: int, seconds: float) -> None:
        """Count an answer, whatever it was."""
        with self._lock:
            self._requests[endpoint, status] += 1
        self.request_s.add(seconds)

    def count_problem(self, code: str) -> None:
        """Count a refusal."""
        with self._lock:
            self._problems[code] += 1

    def count_picture(self, *, found: bool, seconds: float) -> None:
        """Count a picture that went through a model."""
        with self._lock:
            self._hands["found" if found else "none"] += 1
        self.model_s.add(seconds)

    def text(self, pool: Pool, *, models: int) -> str:
        """The page that Prometheus reads."""
        with self._lock:
            requests, problems = sorted(self._requests.items()), sorted(self._problems.items())
            hands = sorted(self._hands.items())
        lines = _heading("handbench_requests_total", "counter", "Answers by endpoint and status.")
        lines += [
            f'handbench_requests_total{{endpoint="{endpoint}",status="{status}"}} {count}'
            for (endpoint, status), count in requests
        ]
        lines += _heading("handbench_problems_total", "counter", "Refusals by code.")
        lines += [f'handbench_problems_total{{code="{code}"}} {n}' for code, n in problems]
        lines += _heading("handbench_pictures_total", "counter", "Pictures that a model saw.")
        lines += [f'handbench_pictures_total{{hand="{word}"}} {n}' for word, n in hands]
        lines += self.request_s.lines("handbench_request_seconds", "Time of a request.")
        lines += self.model_s.lines("handbench_model_seconds", "Time of a model for a picture.")
        for name, value, words in (
            ("handbench_queue_waiting", pool.waiting, "Pictures that wait for a worker."),
            ("handbench_workers_busy", pool.busy, "Workers that have a picture."),
            ("handbench_models", models, "Models that are loaded."),
        ):
            lines += [*_heading(name, "gauge", words), f"{name} {value}"]
        return "\n".join(lines) + "\n"


def _heading(name: str, kind: str, words: str) -> list[str]:
    return [f"# HELP {name} {words}", f"# TYPE {name} {kind}"]
