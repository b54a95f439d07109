from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from handbench.errors import LiveError
from handbench.live.frames import Frame
from handbench.live.reader import EndOfFrames, Reader


class Source:
    """Gives the frames it is told to, when it is told to."""

    name, fps, count = "test", 25.0, None

    def __init__(self, live: bool, count: int, error: Exception | None = None) -> None:
        self.live, self._count, self._error = live, count, error
        self.given = 0
        self.all_given = threading.Event()
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            self.given += 1
            yield Frame(index, index / 25, np.zeros((2, 2, 3), np.uint8))
        self.all_given.set()
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed = True


def take_all(reader: Reader) -> list[int]:
    taken = []
    while True:
        try:
            frame = reader.take(1.0)
        except EndOfFrames:
            return taken
        if frame is not None:
            taken.append(frame.index)


def test_of_a_live_source_only_the_newest_frame_waits() -> None:
    source = Source(live=True, count=50)
    with Reader(source) as reader:
        assert source.all_given.wait(5)
        assert take_all(reader) == [49]
        assert reader.dropped == 49
    assert source.closed


def test_of_a_file_no_frame_is_dropped_and_few_wait() -> None:
    source = Source(live=False, count=50)
    with Reader(source) as reader:
        time.sleep(0.05)
        assert source.given <= 4, "it must not read the whole file ahead"
        assert take_all(reader) == list(range(50))
        assert reader.dropped == 0


def test_what_came_before_an_error_is_taken_first() -> None:
    source = Source(live=False, count=2, error=LiveError("unplugged"))
    with Reader(source) as reader:
        assert reader.take(1.0) is not None
        assert reader.take(1.0) is not None
        with pytest.raises(LiveError, match="unplugged"):
            reader.take(1.0)


def test_it_ends_while_the_source_goes_on() -> None:
    source = Source(live=False, count=10**9)
    with Reader(source) as reader:
        assert reader.take(1.0) is not None
    assert source.closed


class Silent(Source):
    """A camera that hangs."""

    def __iter__(self) -> Iterator[Frame]:
        self.all_given.wait(5)
        return iter(())


def test_a_source_that_hangs_is_an_error() -> None:
    source = Silent(live=True, count=0)
    with Reader(source, silent_s=0.05) as reader:
        assert reader.take(0.01) is None
        time.sleep(0.06)
        with pytest.raises(LiveError, match=r"given no picture for 0\.05 s: plug it in again"):
            reader.take(0.01)
        source.all_given.set()
