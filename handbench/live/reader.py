"""A thread that reads ahead: of a live source only the newest frame waits, so nothing lags."""

from __future__ import annotations

import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from handbench.errors import LiveError
from handbench.live.frames import Frame, Source

SILENT_S = 10.0
"""A source that is silent for so long hangs."""

_AHEAD = 2


class Reader:
    """Frames of a source, read in another thread while the last one is being looked at.

    A source that is `live` goes on by itself: a frame that was not taken when the next one comes is
    dropped, and the newest is what :meth:`take` gives. Of a file no frame is dropped: the thread
    waits.

    Attributes
    ----------
    dropped
        How many frames nobody saw.
    """

    def __init__(self, source: Source, *, silent_s: float = SILENT_S) -> None:
        self.dropped = 0
        self._source = source
        self._silent_s = silent_s
        self._waiting: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._ended = self._closed = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="handbench-reader", daemon=True)
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        # A device that hangs must not keep the program from ending, and must not be closed while
        # it is being read: the thread is a daemon and goes with the process.
        self._thread.join(timeout=2.0)
        if not self._thread.is_alive():
            self._source.close()

    def take(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none has come within `timeout_s`.

        Raises
        ------
        EndOfFrames
            When the source has ended.
        LiveError
            What went wrong in the source, once all frames before it were taken; or that it has
            been silent for too long.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended, timeout_s)
            if self._waiting:
                frame = self._waiting.popleft()
                self._changed.notify_all()
                return frame
            if self._error is not None:
                raise self._error
            if self._ended:
                raise EndOfFrames
            if self._source.live and time.monotonic() - self._heard > self._silent_s:
                raise LiveError(
                    f"{self._source.name} has given no picture for {self._silent_s:g} s: plug it "
                    "in again, or close other programs that use it"
                )
            return None

    def _read(self) -> None:
        try:
            for frame in self._source:
                if not self._offer(frame):
                    break
        except BaseException as error:  # noqa: BLE001 - the other thread raises it
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _offer(self, frame: Frame) -> bool:
        """Put a frame where it can be taken; False when nobody wants more."""
        with self._changed:
            self._heard = time.monotonic()
            if self._source.live:
                self.dropped += len(self._waiting)
                self._waiting.clear()
            else:
                self._changed.wait_for(lambda: len(self._waiting) < _AHEAD or self._closed)
            self._waiting.append(frame)
            self._changed.notify_all()
            return not self._closed


class EndOfFrames(Exception):  # noqa: N818 - an end, like StopIteration, is no error
    """The source has no more frames."""
