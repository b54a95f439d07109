"""Rows of a split for export: columns in blocks, images as they are stored, plain values."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from handbench.errors import FormatError
from handbench.hdf5.reader import HandFile, SplitReader

BLOCK_ROWS = 256

Columns = dict[str, npt.NDArray[Any]]
"""Name → values of some rows; text as `str`."""

_SUFFIXES = {b"\xff\xd8": "jpg", b"\x89P": "png"}


class Rows:
    """Reads one split in blocks, so that memory stays flat however long it is.

    Parameters
    ----------
    file
        A converted file.
    split
        One of its splits.
    """

    def __init__(self, file: HandFile, split: SplitReader) -> None:
        self.split = split
        self._group: h5py.Group = file.handle[split.name]
        self._where = f"{file.path}: {split.name}"
        self._mask_offset = self._group["mask_offset"][:] if "mask_offset" in self._group else None

    def __len__(self) -> int:
        return len(self.split)

    @property
    def has_masks(self) -> bool:
        """Whether the split holds masks."""
        return self._mask_offset is not None

    def take(self, name: str, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
        """Values of the column `name` for some rows, in their order.

        Raises
        ------
        FormatError
            If the split has no such column.
        """
        if name not in self._group:
            raise FormatError(
                f"{self._where} has no column {name!r}: the file was changed after it was "
                "written; convert it again"
            )
        dataset = self._group[name]
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            values = dataset[int(rows[0]) : int(rows[0]) + len(rows)]
        else:
            unique, place = np.unique(rows, return_inverse=True)  # HDF5 wants ascending rows
            values = dataset[unique][place]
        if h5py.check_string_dtype(dataset.dtype) is not None:
            return np.char.decode(np.asarray(values, dtype=bytes), "utf-8")
        return np.asarray(values)

    def blocks(self, names: Sequence[str]) -> Iterator[tuple[int, Columns]]:
        """Number of the first row, and the columns `names` of :data:`BLOCK_ROWS` rows."""
        for start in range(0, len(self), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            yield start, {name: self.take(name, rows) for name in names}

    def image(self, row: int) -> tuple[bytes, str]:
        """The encoded image of a row and the suffix it deserves.

        Encoded images keep their bytes; raw pixels become a PNG, which loses nothing.
        """
        if self.split.storage == "raw":
            return _png(self.split.image(row)), "png"
        data = self.split.image_bytes(row)
        return data, _SUFFIXES.get(data[:2]) or _suffix_of_other(data, f"{self._where}, row {row}")

    def mask(self, row: int) -> bytes:
        """The mask of a row, a PNG."""
        if self._mask_offset is None:
            raise FormatError(f"{self._where} has no masks")
        start, stop = self._mask_offset[row : row + 2]
        return bytes(self._group["mask"][start:stop])


def plain(value: Any) -> Any:
    """Numpy values as Python ones; float32 becomes the float64 of exactly the same value."""
    return value.tolist() if hasattr(value, "tolist") else value


def row_of(columns: Columns, row: int) -> dict[str, Any]:
    """One row of a block as plain values."""
    return {name: plain(values[row]) for name, values in columns.items()}


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _suffix_of_other(data: bytes, where: str) -> str:
    """An image that was neither JPEG nor PNG kept its bytes if it needed no cut."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return str(picture.format).lower()
    except OSError as error:
        raise FormatError(
            f"expected an image in {where}, found other bytes; `handbench verify --deep` lists all "
            "of them"
        ) from error
