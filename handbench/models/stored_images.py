"""Images of one split as arrays of one size: read, decoded, and shrunk where that costs less.

A JPEG can be decoded to any number of eighths of its size, which leaves out its high frequencies
instead of single pixels, and what follows has less to do. Other images are averaged after decoding.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from handbench.errors import TrainError
from handbench.hdf5.chunked_bytes import ChunkedBytes
from handbench.hdf5.reader import HandFile
from handbench.images import decode

_JPEG = b"\xff\xd8"


WHOLE = 8
"""Eighths of its size in which an image is decoded if nothing is left out."""


def eighths(stored: tuple[int, int], least: float | None) -> int:
    """In how many eighths of its size an image is to be decoded.

    Parameters
    ----------
    stored
        Height and width.
    least
        Pixels that the longer side must keep; None keeps all.

    Returns
    -------
    1 … 8, the fewest that do; both sides stay whole numbers.

    >>> eighths((256, 256), 128), eighths((224, 224), 128), eighths((224, 224), 200)
    (4, 5, 8)
    """
    if least is not None:
        for number in range(1, WHOLE):
            whole = not any(side * number % WHOLE for side in stored)
            if whole and max(stored) * number / WHOLE >= least:
                return number
    return WHOLE


class StoredImages:
    """Images of one split. Every process opens the file for itself, after a fork or unpickling.

    Parameters
    ----------
    file
        Where they lie.
    split
        Its name.
    """

    def __init__(self, file: HandFile, split: str) -> None:
        self._file, self._split = file, split
        self._encoded = file[split].storage == "encoded"
        self._bytes: ChunkedBytes | None = None
        self._offsets: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self._read: npt.NDArray[np.bool_] | None = None

    @property
    def encoded(self) -> bool:
        """Whether they are stored as JPEG or PNG."""
        return self._encoded

    def lengths(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(N,) bytes of each encoded image."""
        self._open()
        lengths: npt.NDArray[np.int64] = self._offsets[rows + 1] - self._offsets[rows]
        return lengths

    def data(self, row: int) -> bytearray:
        """The JPEG or PNG of a row.

        HDF5 checks the sums of what it reads. That happens once for each image in each process;
        after that the bytes are read without it, which takes a seventh of the time.
        """
        self._open()
        assert self._read is not None  # noqa: S101 - set by _open
        if self._bytes is None or not self._read[row]:
            self._read[row] = True
            return bytearray(self._file[self._split].image_bytes(row))
        start, stop = self._offsets[row : row + 2].tolist()
        return self._bytes.read(start, stop)

    def decode(self, row: int, out: npt.NDArray[np.uint8], parts: int = WHOLE) -> None:
        """Decode a row into `out`; see :func:`decode_image`."""
        if self._encoded:
            decode_image(self.data(row), out, self.place(row), parts)
        else:
            _put(_averaged(self._file[self._split].image(row), parts), out, self.place(row))

    def place(self, row: int) -> str:
        """Where a row is, for messages."""
        return f"{self._file.path}, split {self._split!r}, row {row}"

    def _open(self) -> None:
        if self._read is None:
            reader = self._file[self._split]
            self._bytes = ChunkedBytes.of(self._file.path, reader.array("image"))
            self._offsets = reader.column("image_offset")
            self._read = np.zeros(len(reader), dtype=bool)

    def close(self) -> None:
        """Close the file in this process; reading opens it again."""
        self._file.close()


def decode_image(
    data: bytearray, out: npt.NDArray[np.uint8], where: str, parts: int = WHOLE
) -> None:
    """Decode an image to RGB where it is wanted, at full size or smaller.

    The pixel x of the image comes to lie at (x + ½) · parts / 8 - ½.

    Parameters
    ----------
    data
        JPEG or PNG.
    out
        (H, W, 3) uint8, contiguous; is filled.
    where
        Place of the image, for messages.
    parts
        Eighths of the image's sides that those of `out` are.

    Raises
    ------
    SourceError
        If the image is truncated or damaged.
    TrainError
        If it has another size.
    """
    if data.startswith(_JPEG):
        import simplejpeg

        least = out.shape[:2] if parts < WHOLE else (0, 0)
        try:
            # The same libjpeg-turbo as Pillow's and the same pixels, in half the time.
            found = simplejpeg.decode_jpeg(
                data, "RGB", min_height=least[0], min_width=least[1], buffer=out
            )
            if found.shape == out.shape:
                return
        except ValueError:
            pass  # damaged, of four channels, or too large: Pillow knows more, and says it
    _put(_averaged(decode(bytes(data), where), parts), out, where)


def _averaged(image: npt.NDArray[np.uint8], parts: int) -> npt.NDArray[np.uint8]:
    """Shrink to so many eighths: every pixel is the mean of the area that it covers."""
    if parts == WHOLE:
        return image
    from PIL import Image

    height, width = (side * parts // WHOLE for side in image.shape[:2])
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture)


def _put(image: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8], where: str) -> None:
    if image.shape != out.shape:
        raise TrainError(
            f"expected an image of {out.shape[0]}×{out.shape[1]} px at {where}, found one of "
            f"{image.shape[0]}×{image.shape[1]}: convert the file again"
        )
    out[...] = image
