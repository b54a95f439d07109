"""From bytes of a stranger to pixels: what is not a plain still picture is refused in a sentence.

The order matters. Size, type and pixels are read from the first bytes, so that nothing is decoded
before its cost is known; then Pillow decodes with its JPEG and PNG readers alone, whatever the file
is called or says of itself. What else a file carries (EXIF, places, thumbnails, a second file glued
to its end) is dropped with the bytes.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from handbench.predictors.pictures import on_white
from handbench.web.limits import Limits, in_words
from handbench.web.problems import Problem

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_KNOWN = (
    ((b"GIF87a", b"GIF89a"), "a GIF"),
    ((b"BM",), "a BMP"),
    ((b"II*\0", b"MM\0*"), "a TIFF"),
    ((b"%PDF",), "a PDF"),
    ((b"PK\x03\x04",), "a ZIP archive"),
    ((b"<svg", b"<?xml", b"\xef\xbb\xbf<"), "an SVG or XML file"),
    ((b"<!doctype", b"<!DOCTYPE", b"<html"), "a web page"),
    ((b"\0\0\1\0",), "an icon"),
    ((b"8BPS",), "a Photoshop file"),
)
_HEIF = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")
_MOST_SCANS, _MOST_SCANS_OF_LARGEST = 100, 16
"""A photo has about ten; a decoder goes through all pixels for each, which thousands would make
minutes of. So the fewer pixels, the more scans."""
_START_OF_SCAN = b"\xff\xda"
_FIRST_BYTES = 64
_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
"""EXIF orientation → what makes the picture upright, in Pillow's words."""


@dataclass(frozen=True)
class Photo:
    """A picture as a viewer shows it.

    Attributes
    ----------
    pixels
        (H, W, 3) uint8 RGB, turned upright.
    format
        ``jpeg`` or ``png``.
    turned
        Whether the file asked to be turned or mirrored (EXIF orientation).
    """

    pixels: npt.NDArray[np.uint8]
    format: str
    turned: bool

    @property
    def width(self) -> int:
        """Of the upright picture, px."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Of the upright picture, px."""
        return int(self.pixels.shape[0])


def check_header(data: bytes, limits: Limits) -> str:
    """Look at the bytes of a picture without decoding any of it.

    Parameters
    ----------
    data
        The whole file.
    limits
        Of bytes, pixels and sides.

    Returns
    -------
    ``jpeg`` or ``png``.

    Raises
    ------
    Problem
        If it is empty, too large, no JPEG or PNG, has too many or too few pixels, or moves.
    """
    if not data:
        raise Problem(
            "empty", "Expected a JPEG or PNG picture, found an empty file; choose another."
        )
    if len(data) > limits.max_bytes:
        raise too_large(len(data), limits)
    if data.startswith(_JPEG):
        kind, size = "jpeg", _jpeg_size(data)
    elif data.startswith(_PNG):
        kind, size = "png", _png_size(data)
    else:
        raise Problem(
            "unsupported_picture",
            f"Expected a JPEG or PNG picture, found {_described(data)}; save it as JPEG or PNG.",
        )
    _check_size(*size, limits)
    if kind == "jpeg":
        _check_scans(data.count(_START_OF_SCAN), size, limits)
    return kind


def decode_photo(data: bytes, limits: Limits) -> Photo:
    """Decode a picture to upright RGB; nothing of the file but its pixels is kept.

    CMYK, grey, palette, 16-bit and transparent pictures become 8-bit RGB, on white.

    Raises
    ------
    Problem
        As :func:`check_header`, or if the picture is truncated or damaged.
    """
    from PIL import Image

    kind = check_header(data, limits)
    try:
        with Image.open(io.BytesIO(data), formats=[kind.upper()]) as opened:
            # Pillow may read another size than we did from a file with two headers.
            _check_size(*opened.size, limits)
            if kind == "png" and getattr(opened, "is_animated", False):
                raise Problem(
                    "animated",
                    f"Expected a still picture, found an animated PNG of "
                    f"{getattr(opened, 'n_frames', 2)} frames; send one frame of it.",
                )
            opened.load()
            turn = _TURNS.get(_orientation(opened))
            upright = opened if turn is None else opened.transpose(Image.Transpose[turn])
            pixels = np.array(_rgb(upright))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Problem("too_many_pixels", _pixels_sentence(None, limits)) from error
    except Problem:
        raise
    except Exception as error:  # Pillow's readers raise a dozen kinds of errors
        raise Problem(
            "damaged",
            f"Expected a whole {kind.upper()} picture, found one that is cut off or damaged "
            f"({in_words(len(data))}); save or copy it again.",
        ) from error
    return Photo(pixels, kind, turn is not None)


def too_large(found: int | None, limits: Limits) -> Problem:
    """A picture or body of more bytes than are taken."""
    size = "more" if found is None else in_words(found)
    return Problem(
        "too_large",
        f"Expected a picture of at most {in_words(limits.max_bytes)}, found {size}; make it "
        "smaller or crop it to the hand.",
    )


def _described(data: bytes) -> str:
    start = data[:_FIRST_BYTES].lstrip()
    for beginnings, words in _KNOWN:
        if start.startswith(beginnings):
            return words
    if data[4:8] == b"ftyp":
        return "a HEIC photo" if data[8:12] in _HEIF else "an AVIF picture or a video"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "a WebP picture"
    return "another kind of file"


def _check_size(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.max_pixels:
        raise Problem("too_many_pixels", _pixels_sentence((width, height), limits))
    if min(width, height) < limits.min_side_px:
        raise Problem(
            "too_small",
            f"Expected a picture of at least {limits.min_side_px} × {limits.min_side_px} pixels, "
            f"found {width} × {height}; send a larger one.",
        )


def _check_scans(scans: int, size: tuple[int, int], limits: Limits) -> None:
    work = scans * size[0] * size[1]
    if scans > _MOST_SCANS or work > _MOST_SCANS_OF_LARGEST * limits.max_pixels:
        raise Problem(
            "damaged",
            f"Expected a photo, found a JPEG that is drawn in {scans:,} scans; save it anew as an "
            "ordinary JPEG.",
        )


def _pixels_sentence(size: tuple[int, int] | None, limits: Limits) -> str:
    found = "more" if size is None else f"{size[0]:,} × {size[1]:,}"
    return (
        f"Expected a picture of at most {limits.max_pixels / 1e6:g} million pixels, found {found}; "
        "make it smaller or crop it to the hand."
    )


def _png_size(data: bytes) -> tuple[int, int]:
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise Problem(
            "damaged", "Expected a whole PNG picture, found one without its header; save it again."
        )
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the first frame header, as decoders look for it."""
    position = 2
    while True:
        position = data.find(b"\xff", position)
        # Any number of fill bytes may come before a marker.
        while 0 <= position < len(data) - 1 and data[position + 1] == 0xFF:
            position += 1
        if position < 0 or position + 9 > len(data):
            raise Problem(
                "damaged",
                "Expected a whole JPEG picture, found one without its header; save it again.",
            )
        marker = data[position + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", data, position + 5)
            return width, height
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            position += 2
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")


def _orientation(picture: Picture) -> int:
    """EXIF orientation; 1 if there is none that can be read, which spoils no picture.

    Pillow's `getexif` would also take it from XMP, which browsers do not: the points would then
    be of another picture than the one on the page.
    """
    from PIL import Image

    exif = Image.Exif()
    try:
        exif.load(picture.info.get("exif", b""))
        return int(exif.get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 - Pillow raises whatever it stumbles over
        return 1


def _rgb(picture: Picture) -> Picture:
    """Eight bits a channel, on white."""
    from PIL import Image

    if picture.mode.startswith("I"):  # 16-bit grey, which `convert` would cut off at 255
        grey = np.right_shift(np.asarray(picture), 8).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    return on_white(picture)
