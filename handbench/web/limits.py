"""What a visitor may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass

FORM_BYTES = 16 * 1024
"""Room for what a multipart form holds beside the picture."""
FORM_PARTS = 8


@dataclass(frozen=True)
class Limits:
    """Limits of one server.

    Attributes
    ----------
    max_bytes
        Of a picture as it is sent.
    max_pixels
        Of a picture, width × height; looked at before anything is decoded.
    min_side_px
        Shortest side of a picture, and of a box in it.
    workers
        Threads that decode pictures; the network of a model computes for one at a time.
    queue
        Requests that may wait for a worker; one more is told to come back.
    timeout_s
        From the arrival of a picture to its answer.
    upload_s
        From the first byte of a request to its last.
    per_minute
        Pictures a minute from one address; None is no limit.
    connections
        Open at a time.
    """

    max_bytes: int = 1_000_000
    max_pixels: int = 24_000_000
    min_side_px: int = 16
    workers: int = 2
    queue: int = 32
    timeout_s: float = 15.0
    upload_s: float = 60.0
    per_minute: int | None = None
    connections: int = 256

    @property
    def max_body(self) -> int:
        """Bytes of a whole request body."""
        return self.max_bytes + FORM_BYTES


def in_words(size: int) -> str:
    """A number of bytes as people say it.

    >>> in_words(1_000_000), in_words(1_540_000), in_words(20_500)
    ('1 MB', '1.5 MB', '21 kB')
    """
    if size >= 1_000_000:
        return f"{size / 1e6:.1f}".removesuffix(".0") + " MB"
    return f"{size / 1e3:.0f} kB" if size >= 1_000 else f"{size} bytes"
