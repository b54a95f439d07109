"""Encoded images: their size without decoding, their pixels, and square crops.

Pillow does the work: libjpeg-turbo decoding, and resizing from a sub-pixel box with antialiasing.
It does so outside Python's lock, so threads cut images side by side; what is cut stays a Pillow
image from decoding to encoding, because each copy into an array costs a tenth of the whole.
"""

from __future__ import annotations

import io
import math
import os
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handbench.camera import crop_scale, flip_matrix, transform_points
from handbench.errors import SourceError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

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


def read_images(
    read: Callable[[str], bytes], names: Sequence[str], folder: str, *, lenient: bool = False
) -> tuple[list[bytes], npt.NDArray[np.int32]]:
    """Encoded images and their heights and widths (N, 2), px.

    Parameters
    ----------
    read
        Gives the bytes of a name.
    names, folder
        Which images; where they are, for messages.
    lenient
        An image that is missing, empty or truncated comes as no bytes at all, of size 0×0.

    Raises
    ------
    SourceError
        At the first such image, unless `lenient`.
    """
    if not lenient:
        images = [read(name) for name in names]
        return images, encoded_sizes(images, names, folder)
    images, sizes = [], []
    for name in names:
        try:
            data = read(name)
            size = encoded_size(data, f"{folder}/{name}")
        except SourceError:
            data, size = b"", (0, 0)
        images.append(data)
        sizes.append(size)
    return images, np.array(sizes, dtype=np.int32).reshape(-1, 2)


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
    return np.array(decode_picture(data, where))


def decode_picture(data: bytes, where: str) -> Picture:
    """Decode to a Pillow image in mode RGB; raises as :func:`decode`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            return picture if picture.mode == "RGB" else picture.convert("RGB")
    except Image.DecompressionBombError as error:
        raise SourceError(f"the image at {where} has more pixels than is safe: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow raises SyntaxError for broken PNG chunks.
        raise SourceError(
            f"expected a whole image at {where}, found one that is truncated or damaged "
            f"({len(data):,} bytes); fetch it again"
        ) from error


def encode_jpeg(image: npt.NDArray[np.uint8] | Picture, scratch: io.FileIO | None = None) -> bytes:
    """JPEG of an RGB image, (H, W, 3) uint8 or Pillow's, at quality 95, chroma not subsampled.

    Parameters
    ----------
    image
        What is encoded.
    scratch
        A real file to encode into, see :func:`scratch_file`; the bytes are the same.
    """
    from PIL import Image

    picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = io.BytesIO() if scratch is None else scratch
    buffer.seek(0)
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    length = buffer.tell()
    buffer.seek(0)
    return buffer.read(length)


def scratch_file() -> io.FileIO | None:
    """A file in memory for :func:`encode_jpeg`; None where the system has no such thing.

    Pillow encodes into a real file without holding Python's lock, and into a `BytesIO` holding it:
    threads that encode at the same time want a scratch file each.
    """
    if not hasattr(os, "memfd_create"):
        return None
    return io.FileIO(os.memfd_create("handbench"), "r+")


def encode_mask(mask: npt.NDArray[np.bool_]) -> bytes:
    """One-bit PNG of an (H, W) bool mask."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return buffer.getvalue()


def decode_mask(data: bytes, where: str) -> npt.NDArray[np.bool_]:
    """(H, W) bool of an encoded mask. JPEG masks are not clean: 128 and above count as hand."""
    return decode(data, where)[..., 0] >= 128


def crop_mask(
    mask: npt.NDArray[np.bool_], homography: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.bool_]:
    """Cut an (H, W) bool mask as :func:`crop_picture` cuts its image; half covered is in."""
    from PIL import Image

    grey = Image.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return np.asarray(crop_picture(grey, homography, size)) >= 128


def crop_square(
    image: npt.NDArray[np.uint8], homography: npt.NDArray[np.float64], size: int
) -> npt.NDArray[np.uint8]:
    """:func:`crop_picture` of arrays: (H, W, 3) uint8 RGB → (size, size, 3) uint8 RGB."""
    from PIL import Image

    return np.array(crop_picture(Image.fromarray(image), homography, size))


def crop_picture(picture: Picture, homography: npt.NDArray[np.float64], size: int) -> Picture:
    """Cut and resize as a crop homography says, antialiased, black outside.

    Parameters
    ----------
    picture
        A Pillow image in mode RGB or L.
    homography
        (3, 3) source px → crop px: from :func:`handbench.camera.crop_matrix` or
        :func:`~handbench.camera.perspective_crop`, mirrored or not.
    size
        Side of the square result, px.

    Returns
    -------
    A Pillow image of size × size px in the same mode.

    Raises
    ------
    ValueError
        If a corner of the crop lies beyond the horizon of the source image (the vanishing line of
        directions at 90° to its optical axis).
    """
    from PIL import Image

    # Plain numbers: NumPy's calls on single ones would take a tenth of the time of a crop.
    (a, skew, x), (turn, b, y), (tilt_x, tilt_y, w) = homography.tolist()
    if skew == turn == tilt_x == tilt_y == 0 and a == b and a * w > 0:
        return _resized(picture, a / w, (x / w, y / w), (size, size))
    if _is_mirrored(homography, size):
        upright = crop_picture(picture, flip_matrix(size) @ homography, size)
        return upright.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _warped(picture, homography, size)


def _is_mirrored(homography: npt.NDArray[np.float64], size: int) -> bool:
    """Whether the crop turns left into right, as seen at its centre."""
    middle = (size - 1) / 2
    ahead = transform_points(
        np.linalg.inv(homography), [[middle, middle], [middle + 1, middle], [middle, middle + 1]]
    )
    right, down = ahead[1:] - ahead[0]
    return bool(right[0] * down[1] - right[1] * down[0] < 0)


def _resized(
    picture: Picture, scale: float, shift: tuple[float, float], shape: tuple[int, int]
) -> Picture:
    """Picture of `shape` (width, height) px in which source px x lies at scale · x + shift."""
    from PIL import Image

    width, height = shape
    # Pillow's boxes run from edge to edge: pixel i covers i … i + 1.
    left, top = (-(part + 0.5) / scale + 0.5 for part in shift)
    # Only the part that meets the image is sampled: the black around it costs no memory.
    u0, u1 = _reached(left, picture.width, scale, width)
    v0, v1 = _reached(top, picture.height, scale, height)
    if u0 >= u1 or v0 >= v1:
        return Image.new(picture.mode, shape)
    box = (left + u0 / scale, top + v0 / scale, left + u1 / scale, top + v1 / scale)
    # Pad to the source pixels that this part and its filter support touch.
    reach = math.ceil(max(1.0, 1.0 / scale)) + 1
    x0, y0 = math.floor(box[0]) - reach, math.floor(box[1]) - reach
    x1, y1 = math.ceil(box[2]) + reach, math.ceil(box[3]) + reach
    if x0 < 0 or y0 < 0 or x1 > picture.width or y1 > picture.height:
        picture = picture.crop((x0, y0, x1, y1))  # black outside
        box = (box[0] - x0, box[1] - y0, box[2] - x0, box[3] - y0)
    resized = picture.resize((u1 - u0, v1 - v0), Image.Resampling.BILINEAR, box=box)
    if resized.size == shape:
        return resized
    crop = Image.new(picture.mode, shape)
    crop.paste(resized, (u0, v0))
    return crop


def _reached(edge: float, length: int, scale: float, size: int) -> tuple[int, int]:
    """Crop pixels from … to that the image can reach: its extent and one pixel of filter support.

    `edge` is where the crop begins in the image, edge to edge; `length` that of the image.
    """
    start = math.floor(-edge * scale) - 2
    stop = math.ceil((length - edge) * scale) + 2
    return max(0, min(size, start)), max(0, min(size, stop))


_MARGIN_PX = 3
"""Black kept around a picture that is warped, so that its edge fades as in a resize."""


def _warped(picture: Picture, homography: npt.NDArray[np.float64], size: int) -> Picture:
    """Crop by any homography without reflection.

    Pillow's warp looks at 4×4 pixels however much it shrinks. So the part of the picture that the
    crop shows is shrunk first, with antialiasing, to the resolution that the crop has where it is
    finest; the warp then only has to bend it.
    """
    from PIL import Image

    back = np.linalg.inv(homography)
    low, high, middle = -0.5, size - 0.5, (size - 1) / 2
    marks = np.array(
        [[middle, middle], [low, low], [high, low], [high, high], [low, high]], dtype=np.float64
    )
    depth = back[2, :2] @ marks.T + back[2, 2]
    if (depth * depth[0] <= 0).any():
        raise ValueError("a corner of the crop lies beyond the horizon of the image")
    seen = transform_points(back, marks)
    scale = min(1.0, float(crop_scale(homography, marks).max()))
    first, last = seen.min(axis=0) - _MARGIN_PX / scale, seen.max(axis=0) + _MARGIN_PX / scale
    edge = _MARGIN_PX / scale + 0.5
    first = np.maximum(first, -edge)
    last = np.minimum(last, np.array(picture.size) - 1 + edge)
    if (first >= last).any():
        return Image.new(picture.mode, (size, size))
    # Whole pixels stay whole: a crop that need not be bent comes out as a resize would give it.
    shift = middle - scale * seen[0] if scale < 1 else np.zeros(2)
    shift = shift - np.floor(scale * first + shift)
    width, height = np.ceil(scale * last + shift).astype(int) + 1
    near = _resized(picture, scale, (shift[0].item(), shift[1].item()), (int(width), int(height)))
    to_near = np.array([[scale, 0, shift[0]], [0, scale, shift[1]], [0, 0, 1]])
    # Pillow asks for the map from crop to picture, and counts from edges, not centres.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    asked = half @ to_near @ back @ np.linalg.inv(half)
    asked /= asked[2, 2]
    how = Image.Resampling.BICUBIC if scale < 1 else Image.Resampling.BILINEAR
    return near.transform(
        (size, size), Image.Transform.PERSPECTIVE, tuple(asked.ravel()[:8].tolist()), how
    )
