"""The same image in several files: found by its bytes, in flat memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from handbench.hdf5.reader import SplitReader

_SLAB_BYTES = 32 * 1024**2
_DIGEST_BYTES = 32
# A copy in `train` of what is tested gives way to it, never the other way round.
_RANK = {"val": 1, "train": 2}


@dataclass(frozen=True)
class Copies:
    """A row whose image stands in an earlier or more important place too.

    Attributes
    ----------
    kept, copy
        Each (number of the file, split, row).
    """

    kept: tuple[int, str, int]
    copy: tuple[int, str, int]


def find_copies(
    splits: Sequence[tuple[int, SplitReader]], advance: Callable[[int], object] | None = None
) -> list[Copies]:
    """Rows whose stored image is, byte for byte, that of a row of another file.

    What stands twice in one file is that dataset's own affair: two hands of one photo, say.

    Parameters
    ----------
    splits
        Number of the file, and one of its splits. Of several copies the one in a split that is
        scored is kept before one in `val`, that before one in `train`, then that of the lower
        number.
    advance
        Called with a number of rows as they are read.

    Returns
    -------
    In the order of `splits` and rows. Memory: 48 bytes a row and one slab of images.
    """
    if len({number for number, _ in splits}) < 2:
        return []
    digests, files, ranks, starts = [], [], [], [0]
    for number, split in splits:
        digests.append(image_digests(split, advance))
        files.append(np.full(len(split), number, dtype=np.int32))
        ranks.append(np.full(len(split), _RANK.get(split.name, 0), dtype=np.int32))
        starts.append(starts[-1] + len(split))
    words = np.ascontiguousarray(np.concatenate(digests)).view(np.uint64)
    file, rank = np.concatenate(files), np.concatenate(ranks)
    order = np.lexsort((file, rank, *words.T))
    ordered = words[order]
    first = np.ones(len(order), dtype=bool)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    # Of each run of equal images the first in `order` is kept.
    keeper = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    copies = file[order] != file[keeper]
    found = sorted(zip(order[copies].tolist(), keeper[copies].tolist()))

    def place(index: int) -> tuple[int, str, int]:
        part = int(np.searchsorted(starts, index, side="right")) - 1
        number, split = splits[part]
        return number, split.name, index - starts[part]

    return [Copies(kept=place(keeper), copy=place(copy)) for copy, keeper in found]


def image_digests(
    split: SplitReader, advance: Callable[[int], object] | None = None
) -> npt.NDArray[np.uint8]:
    """(N, 32) SHA-256 of every stored image: its JPEG or PNG bytes, or its raw pixels."""
    digests = np.empty((len(split), _DIGEST_BYTES), dtype=np.uint8)
    images = split.array("image")
    if split.storage == "raw":
        row_bytes = max(1, int(np.prod(images.shape[1:])))
        offsets = np.arange(len(split) + 1) * row_bytes
    else:
        offsets = split.column("image_offset")
    start = 0
    while start < len(split):
        fits = int(np.searchsorted(offsets, offsets[start] + _SLAB_BYTES, side="right")) - 1
        stop = max(start + 1, fits)
        rows = slice(start, stop) if split.storage == "raw" else slice(*offsets[[start, stop]])
        slab = memoryview(images[rows].tobytes())
        edges = offsets[start : stop + 1] - offsets[start]
        for row, (low, high) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist()), start):
            digest = hashlib.sha256(slab[low:high]).digest()
            digests[row] = np.frombuffer(digest, dtype=np.uint8)
        if advance is not None:
            advance(stop - start)
        start = stop
    return digests
