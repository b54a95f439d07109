"""Pictures good and bad, as bytes, made by Pillow and by hand."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image

ORIENTATION = 0x0112
GPS = 0x8825


def hand_picture(width: int = 320, height: int = 240) -> Image.Image:
    """Something with edges and colours, the same every time."""
    rng = np.random.default_rng(3)
    small = rng.integers(0, 255, (height // 20, width // 20, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def jpeg(width: int = 320, height: int = 240, **options: Any) -> bytes:
    return encoded(hand_picture(width, height), **options)


def png(width: int = 320, height: int = 240, **options: Any) -> bytes:
    return encoded(hand_picture(width, height), "PNG", **options)


def with_exif(orientation: int) -> bytes:
    """A photo that is stored turned, with a place."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif.get_ifd(GPS)[1] = "N"
    return jpeg(exif=exif)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def declared_png(width: int, height: int, pixels: bytes = b"") -> bytes:
    """A PNG that says how large it is, and holds what is given."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(pixels, 9))
        + chunk(b"IEND", b"")
    )


def real_bomb(side: int = 20_000, rows: int = 500) -> bytes:
    """Grey pixels, `side` × `side` of them, in a few hundred kilobytes."""
    packer = zlib.compressobj(9)
    head = packer.compress(bytes((side + 1) * rows)) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush a block stands alone, so that it can be repeated without packing it again.
    block = packer.compress(bytes((side + 1) * rows)) + packer.flush(zlib.Z_FULL_FLUSH)
    count = side * (side + 1)
    adler = (count % 65521) << 16 | 1
    data = head + block * (side // rows - 1) + b"\x03\x00" + struct.pack(">I", adler)
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def declared_jpeg(width: int, height: int) -> bytes:
    """A photo whose header claims another size."""
    data = bytearray(jpeg())
    place = data.index(b"\xff\xc0")
    struct.pack_into(">HH", data, place + 5, height, width)
    return bytes(data)


def animated_png() -> bytes:
    frames = [hand_picture(64, 64), hand_picture(64, 64).rotate(90)]
    return encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])


def animated_gif() -> bytes:
    frames = [hand_picture(64, 64), hand_picture(64, 64).rotate(90)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def two_in_one_jpeg() -> bytes:
    """What some phones write: a photo and another one behind it (MPO)."""
    return encoded(hand_picture(), "MPO", save_all=True, append_images=[hand_picture(160, 120)])


def many_scans(scans: int = 500) -> bytes:
    """A progressive JPEG that draws one scan again and again."""
    data = jpeg(progressive=True)
    start = data.rindex(b"\xff\xda")
    last = data[start:-2]
    return data[:start] + last * scans + data[-2:]


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64"><script>alert(1)</script></svg>'
HTML = b"<!doctype html><script>alert(1)</script>"

ACCEPTED: dict[str, bytes] = {
    "jpeg": jpeg(),
    "png": png(),
    "grey jpeg": encoded(hand_picture().convert("L")),
    "cmyk": encoded(hand_picture().convert("CMYK")),
    "progressive": jpeg(progressive=True),
    "16-bit grey": encoded(
        Image.fromarray(np.asarray(hand_picture().convert("L"), np.uint16) * 257), "PNG"
    ),
    "palette": encoded(hand_picture().convert("P"), "PNG"),
    "palette with transparency": encoded(hand_picture().convert("P"), "PNG", transparency=3),
    "one bit": encoded(hand_picture().convert("1"), "PNG"),
    "alpha": encoded(hand_picture().convert("RGBA"), "PNG"),
    "grey with alpha": encoded(hand_picture().convert("LA"), "PNG"),
    "two in one": two_in_one_jpeg(),
    "jpeg with a ZIP behind it": jpeg() + b"PK\x03\x04" + bytes(64),
    "jpeg with a script behind it": jpeg() + HTML,
    "jpeg with a script in a comment": jpeg(comment=HTML),
}
"""What is answered, by name."""

REFUSED: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "one byte": (b"\xff", "unsupported_picture"),
    "text": (b"hello", "unsupported_picture"),
    "svg": (SVG, "unsupported_picture"),
    "svg after a declaration": (b'<?xml version="1.0"?>' + SVG, "unsupported_picture"),
    "web page": (HTML, "unsupported_picture"),
    "gif": (encoded(hand_picture(), "GIF"), "unsupported_picture"),
    "animated gif": (animated_gif(), "unsupported_picture"),
    "bmp": (encoded(hand_picture(), "BMP"), "unsupported_picture"),
    "tiff": (encoded(hand_picture(), "TIFF"), "unsupported_picture"),
    "webp": (encoded(hand_picture(), "WEBP"), "unsupported_picture"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(64), "unsupported_picture"),
    "gif with a photo behind it": (b"GIF89a" + jpeg(), "unsupported_picture"),
    "pdf with a photo in it": (b"%PDF-1.4\n" + jpeg(), "unsupported_picture"),
    "a ZIP with a photo in it": (b"PK\x03\x04" + jpeg(), "unsupported_picture"),
    "animated png": (animated_png(), "animated"),
    "truncated jpeg": (jpeg()[:-2000], "damaged"),
    "half a jpeg": (jpeg()[: len(jpeg()) // 2], "damaged"),
    "only the head of a jpeg": (jpeg()[:120], "damaged"),
    "jpeg beginning, then noise": (jpeg()[:20] + bytes(range(256)) * 20, "damaged"),
    "truncated png": (png()[:-2000], "damaged"),
    "png without a header": (b"\x89PNG\r\n\x1a\n", "damaged"),
    "png of no pixels": (declared_png(64, 64), "damaged"),
    "1 by 1": (encoded(Image.new("RGB", (1, 1)), "PNG"), "too_small"),
    "1 by 1 jpeg": (encoded(Image.new("RGB", (1, 1))), "too_small"),
    "0 by 0": (declared_png(0, 0), "too_small"),
    "4000 by 2": (encoded(Image.new("RGB", (4000, 2))), "too_small"),
    "20000 by 20000 declared": (declared_png(20_000, 20_000), "too_many_pixels"),
    "20000 by 20000 declared jpeg": (declared_jpeg(20_000, 20_000), "too_many_pixels"),
    "20000 by 20000": (real_bomb(), "too_many_pixels"),
    "10000 by 10000": (declared_png(10_000, 10_000), "too_many_pixels"),
    "500 scans": (many_scans(), "damaged"),
    "too many bytes": (jpeg() + bytes(1_000_000), "too_large"),
}
"""What is refused → its code."""
