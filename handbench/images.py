"""Encoded images: their size without decoding, their pixels, and square crops.

Pillow does the work: libjpeg-turbo decoding, and resizing from a sub-pixel box with antialiasing.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from handbench.errors import SourceError

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
# Start-of-frame markers carry the size; C4, C8 and CC in the same range are other tables.
_SIZE_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})

JPEG_QUALITY = 95


def encoded_size(data: bytes, where: str) -> tuple[int, int]:
    """Height and width of an encoded image, and a cheap check that it is whole.

    Reads the header and looks for the end marker: about 3 µs where opening with Pillow takes 40,
    which would double the time of converting FreiHAND's 130,240 files. Whatever is not a plain
    JPEG or PNG is decoded in full instead.

    Parameters
    ----------
    data
        The bytes of the file.
    where
        Its name, for messages.

    Raises
    ------
    SourceError
        If the file is empty, truncated, or no image.
    """
    if not data:
        raise SourceError(f"expected an image at {where}, found an empty file; fetch it again")
    if data.startswith(_JPEG_START) and data.endswith(_JPEG_END):
        size = _jpeg_size(data)
        if size is not None:
            return size
    elif data.startswith(_PNG_START) and data.endswith(_PNG_END) and len(data) > 24 + len(_PNG_END):
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    return decode(data, where).shape[:2]


def encoded_sizes(
    images: Sequence[bytes], names: Sequence[str], folder: str
) -> npt.NDArray[np.int32]:
    """Heights and widths (N, 2) of many encoded images called `names` in `folder`.

    See :func:`encoded_size`. Images of one camera and encoder begin with the same bytes up to
    their size, so most headers need a comparison only.
    """
    sizes = np.empty((len(images), 2), dtype=np.int32)
    header, size = b"", (0, 0)
    for row, (data, name) in enumerate(zip(images, names)):
        if not (header and data.startswith(header) and data.endswith(_JPEG_END)):
            size = encoded_size(data, f"{folder}/{name}")
            header = data[: _frame_end(data)]
        sizes[row] = size
    return sizes


def _frame_end(data: bytes) -> int:
    """Position after the size in a JPEG's frame header; 0 for everything else."""
    position = _frame_position(data) if data.startswith(_JPEG_START) else None
    return 0 if position is None else position + 9


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = _frame_position(data)
    if position is None:
        return None
    height, width = struct.unpack_from(">HH", data, position + 5)
    return height, width


def _frame_position(data: bytes) -> int | None:
    """Position of a JPEG's start-of-frame marker."""
    position, end = 2, len(data) - 9
    while position < end and data[position] == 0xFF:
        if data[position + 1] in _SIZE_MARKERS:
            return position
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def decode(data: bytes, where: str) -> npt.NDArray[np.uint8]:
    """Decode to (H, W, 3) uint8 RGB.

    Raises
    ------
    SourceError
        If the bytes are truncated or no image; the message names `where`.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            return np.array(picture.convert("RGB"))
    except Image.DecompressionBombError as error:
        raise SourceError(f"the image at {where} has more pixels than is safe: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow raises SyntaxError for broken PNG chunks.
        raise SourceError(
            f"expected a whole image at {where}, found one that is truncated or damaged "
            f"({len(data):,} bytes); fetch it again"
        ) from error


def encode_jpeg(image: npt.NDArray[np.uint8]) -> bytes:
    """JPEG of (H, W, 3) uint8 RGB at quality 95 without chroma subsampling."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """One-bit PNG of an (H, W) bool mask."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(data: bytes, where: str) -> npt.NDArray[np.bool_]:
    """(H, W) bool of an encoded mask. JPEG masks are not clean: 128 and above count as hand."""
    return decode(data, where)[..., 0] >= 128


def crop_square(
    image: npt.NDArray[np.uint8], homography: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.uint8]:
    """Cut and resize as an axis-aligned crop homography says, antialiased, black outside.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    homography
        (3, 3) from :func:`handbench.camera.crop_matrix`: positive scale, no rotation.
    size
        Side of the square result, px.

    Returns
    -------
    (size, size, 3) uint8 RGB.
    """
    from PIL import Image

    scale = float(homography[0, 0])
    crop = np.zeros((size, size, 3), dtype=np.uint8)
    # Pillow's boxes run from edge to edge: pixel i covers i … i + 1.
    left = -(float(homography[0, 2]) + 0.5) / scale + 0.5
    top = -(float(homography[1, 2]) + 0.5) / scale + 0.5
    # Only the part that meets the image is sampled: the black around it costs no memory.
    u0, u1 = _reached(left, image.shape[1], scale, size)
    v0, v1 = _reached(top, image.shape[0], scale, size)
    if u0 >= u1 or v0 >= v1:
        return crop
    box = (left + u0 / scale, top + v0 / scale, left + u1 / scale, top + v1 / scale)
    # Pad to the source pixels that this part and its filter support touch.
    reach = int(np.ceil(max(1.0, 1.0 / scale))) + 1
    x0, y0 = int(np.floor(box[0])) - reach, int(np.floor(box[1])) - reach
    x1, y1 = int(np.ceil(box[2])) + reach, int(np.ceil(box[3])) + reach
    inside = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    canvas = np.zeros((y1 - y0, x1 - x0, 3), dtype=np.uint8)
    row, column = max(-y0, 0), max(-x0, 0)
    canvas[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    resized = Image.fromarray(canvas).resize(
        (u1 - u0, v1 - v0),
        Image.Resampling.BILINEAR,
        box=(box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0),
    )
    crop[v0:v1, u0:u1] = np.asarray(resized)
    return crop


def _reached(edge: float, length: int, scale: float, size: int) -> tuple[int, int]:
    """Crop pixels from … to that the image can reach: its extent and one pixel of filter support.

    `edge` is where the crop begins in the image, edge to edge; `length` that of the image.
    """
    start = int(np.floor(-edge * scale)) - 2
    stop = int(np.ceil((length - edge) * scale)) + 2
    return max(0, min(size, start)), max(0, min(size, stop))
