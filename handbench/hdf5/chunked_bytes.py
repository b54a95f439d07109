"""Bytes of a chunked HDF5 dataset, read from the file itself.

HDF5 reads whole chunks and checks their sums each time: about 45 µs for an image of 20 kB that
lies in chunks of 64 kB. Reading just the bytes takes 6 µs, but checks nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

import h5py
import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError


class ChunkedBytes:
    """A 1D uint8 dataset without compression. Usable after a fork and after pickling.

    Parameters
    ----------
    path
        The HDF5 file.
    starts
        (C,) where each chunk begins in it.
    chunk
        Bytes a chunk.
    """

    def __init__(self, path: Path, starts: npt.NDArray[np.int64], chunk: int) -> None:
        self._path, self._starts, self._chunk = path, starts, chunk
        self._descriptor = -1

    @classmethod
    def of(cls, path: Path, dataset: h5py.Dataset) -> Self | None:
        """Find the chunks of a dataset; None where its bytes cannot be read as they lie there.

        That is so for virtual, compressed and external datasets, and on Windows.
        """
        if (
            not hasattr(os, "pread")
            or dataset.is_virtual
            or dataset.external
            or dataset.file.userblock_size
            or dataset.dtype != np.uint8
            or dataset.ndim != 1
            or not len(dataset)
        ):
            return None
        if dataset.chunks is None:
            start = dataset.id.get_offset()
            return None if start is None else cls(path, np.array([start]), len(dataset))
        filters = dataset.id.get_create_plist()
        for number in range(filters.get_nfilters()):
            if filters.get_filter(number)[0] != h5py.h5z.FILTER_FLETCHER32:
                return None
        chunk = dataset.chunks[0]
        starts = np.full(-(-len(dataset) // chunk), -1, dtype=np.int64)

        def note(info: Any) -> None:
            starts[info.chunk_offset[0] // chunk] = info.byte_offset

        dataset.id.chunk_iter(note)
        return None if (starts < 0).any() else cls(path, starts, chunk)

    def read(self, start: int, stop: int) -> bytearray:
        """Bytes from `start` to before `stop`.

        Raises
        ------
        FormatError
            If the file has become shorter.
        """
        if self._descriptor < 0:
            self._descriptor = os.open(self._path, os.O_RDONLY)
        pieces = bytearray()
        at = start
        while at < stop:
            number, within = divmod(at, self._chunk)
            length = min(self._chunk - within, stop - at)
            piece = os.pread(self._descriptor, length, int(self._starts[number]) + within)
            if len(piece) < length:
                raise FormatError(
                    f"expected {length:,} bytes of an image in {self._path}, found {len(piece):,}: "
                    "the file was cut off while it was read; convert it again"
                )
            pieces += piece
            at += length
        return pieces

    def close(self) -> None:
        """Close the file in this process; reading opens it again."""
        # A descriptor works on after a fork: reading at a place moves no common position.
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __del__(self) -> None:
        if os is not None:  # the interpreter may be taking itself apart
            self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_descriptor": -1}
