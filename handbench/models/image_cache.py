"""Images kept in memory: decoded where there is room, else as they are stored.

The memory is shared with loading processes that are forked; others read from the file.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from handbench.errors import TrainError

SHARE = 0.8
"""Of the memory that is free, at most so much is filled."""


class Cacheable(Protocol):
    """N images that can be had decoded or as they are stored.

    Attributes
    ----------
    size
        Height and width of the decoded images.
    """

    size: tuple[int, int]

    @property
    def encoded(self) -> bool:
        """Whether all of them are stored as JPEG or PNG."""

    def __len__(self) -> int: ...

    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) bytes of each encoded image."""

    def read(self, position: int) -> bytearray:
        """The encoded image."""

    def load(self, position: int, out: npt.NDArray[np.uint8]) -> None:
        """Decode the image into `out`, (H, W, 3)."""


class DecodedImages:
    """Room for N decoded images.

    Attributes
    ----------
    pixels
        (N, H, W, 3) uint8.
    present
        (N,) bool, which of them are there.
    """

    def __init__(self, count: int, size: tuple[int, int]) -> None:
        shape = (count, *size, 3)
        self.pixels = np.frombuffer(_shared(count * size[0] * size[1] * 3), np.uint8).reshape(shape)
        self.present = np.frombuffer(_shared(count), dtype=bool)

    def fill(self, images: Cacheable, threads: int) -> None:
        """Decode all of them, side by side."""

        def load(position: int) -> None:
            images.load(position, self.pixels[position])
            self.present[position] = True

        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(load, range(len(images))):
                pass


class EncodedImages:
    """N images as they are stored, one after another."""

    def __init__(self, images: Cacheable) -> None:
        self._ends = images.lengths().cumsum()
        self._bytes = _shared(int(self._ends[-1]))
        for position in range(len(images)):
            start, stop = self._place(position)
            self._bytes[start:stop] = bytes(images.read(position))

    def _place(self, position: int) -> tuple[int, int]:
        stop = int(self._ends[position])
        return (int(self._ends[position - 1]) if position else 0), stop

    def data(self, position: int) -> bytearray:
        """One of them."""
        start, stop = self._place(position)
        return bytearray(self._bytes[start:stop])


def _shared(size: int) -> mmap.mmap:
    """Memory without a name: it needs no room in /dev/shm, and a fork shares it."""
    return mmap.mmap(-1, max(1, size))


def decoded_bytes(images: Cacheable) -> int:
    """Memory that all of them need decoded."""
    return len(images) * images.size[0] * images.size[1] * 3


def choose_form(sets: Sequence[Cacheable], processes: int) -> str:
    """How images can be kept in memory: ``decoded`` or ``encoded``.

    Parameters
    ----------
    sets
        All that shall be kept.
    processes
        On this machine; each keeps its own.

    Raises
    ------
    TrainError
        If not even the encoded images fit.
    """
    free = free_memory()
    if free is None:
        return "decoded"
    room = SHARE * free / processes
    decoded = sum(decoded_bytes(images) for images in sets)
    if decoded <= room:
        return "decoded"
    least = decoded
    if all(images.encoded for images in sets):
        least = min(least, sum(int(images.lengths().sum()) for images in sets))
    if least <= room:
        return "encoded"
    several = f" in each of {processes} processes" if processes > 1 else ""
    raise TrainError(
        f"--cache ram needs {least / 1e9:.1f} GB of memory for the images{several}, and fills at "
        f"most {SHARE:.0%} of what is free: found {free / 1e9:.1f} GB free; use --cache none"
    )


def free_memory() -> int | None:
    """Bytes that this process could still fill, None where the system does not say.

    The smaller of what the machine has and what a container may use.
    """
    found = [value for value in (_of_machine(), _of_container()) if value is not None]
    return min(found) if found else None


def _of_machine() -> int | None:
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return 1024 * int(line.split()[1])
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return None


_GROUPS = (
    ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file "),
    (
        "/sys/fs/cgroup/memory",
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file ",
    ),
)
"""Folder of a container's limits (versions 2 and 1), and its files: the limit, what is in use, and
the line of memory.stat with what of that are files that can be dropped."""


def _of_container() -> int | None:
    for folder, limit, used, files in _GROUPS:
        numbers = [next(iter(_lines(f"{folder}/{name}")), "") for name in (limit, used)]
        if all(number.strip().isdecimal() for number in numbers):
            statistics = _lines(f"{folder}/memory.stat")
            droppable = [int(line.split()[1]) for line in statistics if line.startswith(files)]
            return max(0, int(numbers[0]) - int(numbers[1]) + sum(droppable))
    return None


def _lines(path: str) -> Iterable[str]:
    try:
        return Path(path).read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
