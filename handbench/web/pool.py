"""One pool of workers behind a short queue: who comes when it is full is told when to come back."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any

from handbench.web.limits import Limits
from handbench.web.problems import Problem

_USUAL_S = 0.2
"""Time of a job before any was measured."""
_LAST_S = 5.0
"""What a job may still take when the pool is closed."""


@dataclass(frozen=True)
class _Job:
    work: Callable[[], Any]
    ends: float
    future: Future[Any] = field(default_factory=Future)


class Pool:
    """Threads that work off a bounded queue.

    Parameters
    ----------
    limits
        Its size and how long a job may take, waiting included.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: queue.Queue[_Job | None] = queue.Queue(limits.queue)
        self._usual_s = _USUAL_S
        self._busy = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, name=f"hand-{number}", daemon=True)
            for number in range(limits.workers)
        ]
        self._closed = False
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return self._jobs.qsize()

    @property
    def busy(self) -> int:
        """Workers that have a job."""
        return self._busy

    def run(self, work: Callable[[], Any]) -> Any:
        """Do `work` in a worker and return what it returns.

        Raises
        ------
        Problem
            ``busy`` if the queue is full, ``too_slow`` if it takes longer than it may, ``stopping``
            if the pool is closed.
        """
        if self._closed:
            raise _stopping()
        job = _Job(work, time.monotonic() + self._limits.timeout_s)
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            wait_s = self._usual_s * (self._limits.queue / self._limits.workers + 1)
            raise Problem(
                "busy",
                f"More pictures are waiting than the server takes ({self._limits.queue}); try "
                "again in a moment.",
                retry_after_s=wait_s,
            ) from None
        try:
            return job.future.result(self._limits.timeout_s)
        except TimeoutError:
            # A job that nobody waits for any more is not begun; one that runs cannot be stopped.
            job.future.cancel()
            raise Problem(
                "too_slow",
                f"The picture took longer than {self._limits.timeout_s:g} seconds; try again, or "
                "send a smaller one.",
                retry_after_s=self._limits.timeout_s,
            ) from None
        except CancelledError:
            raise _stopping() from None
        finally:
            del job  # what was raised holds this frame, and a job its picture

    def close(self) -> None:
        """Give the workers a few seconds to end what they have begun; nothing else is begun."""
        self._closed = True
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                job.future.cancel()
        latest = time.monotonic() + _LAST_S
        with contextlib.suppress(queue.Full):  # workers that hang take nothing more
            for _ in self._threads:
                self._jobs.put(None, timeout=max(0.0, latest - time.monotonic()))
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if time.monotonic() < job.ends and job.future.set_running_or_notify_cancel():
                self._do(job)
            del job  # else its picture would stay in memory until the next one comes

    def _do(self, job: _Job) -> None:
        began = time.monotonic()
        with self._lock:
            self._busy += 1
        try:
            job.future.set_result(job.work())
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            job.future.set_exception(error)
        finally:
            del job  # as in `run`
            with self._lock:
                self._busy -= 1
                self._usual_s += 0.1 * (time.monotonic() - began - self._usual_s)


def _stopping() -> Problem:
    return Problem("stopping", "The server is stopping; try again later.", retry_after_s=5)
