"""Bytes of strangers: what becomes pixels, and what is refused with which sentence."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from web_pictures import (
    ACCEPTED,
    REFUSED,
    declared_png,
    encoded,
    hand_picture,
    jpeg,
    many_scans,
    png,
    with_exif,
)

from handbench.web.guards import check_header, decode_photo
from handbench.web.limits import Limits
from handbench.web.problems import CODES, Problem

LIMITS = Limits()


@pytest.mark.parametrize("name", ACCEPTED)
def test_ordinary_pictures_become_rgb(name: str) -> None:
    photo = decode_photo(ACCEPTED[name], LIMITS)
    assert photo.pixels.shape == (240, 320, 3)
    assert photo.pixels.dtype == np.uint8
    assert (photo.width, photo.height) == (320, 240)
    assert np.ptp(photo.pixels) > 100, "the picture has become flat"


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_its_code(name: str) -> None:
    data, code = REFUSED[name]
    with pytest.raises(Problem, match=r"^Expected .+, found .+[;,] .+") as caught:
        decode_photo(data, LIMITS)
    assert caught.value.code == code
    assert 400 <= caught.value.status < 500


def test_a_png_keeps_its_pixels() -> None:
    np.testing.assert_array_equal(decode_photo(png(), LIMITS).pixels, np.asarray(hand_picture()))


def test_sixteen_bits_are_scaled_not_cut_off() -> None:
    grey = np.asarray(hand_picture().convert("L"))
    data = encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG")
    np.testing.assert_array_equal(decode_photo(data, LIMITS).pixels[..., 0], grey)


def test_what_is_transparent_is_white() -> None:
    picture = Image.new("RGBA", (32, 32), (200, 0, 0, 0))
    picture.putpixel((3, 5), (10, 20, 30, 255))
    pixels = decode_photo(encoded(picture, "PNG"), LIMITS).pixels
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[5, 3].tolist() == [10, 20, 30]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_upright(orientation: int) -> None:
    photo = decode_photo(with_exif(orientation), LIMITS)
    stored = np.asarray(Image.open(__import__("io").BytesIO(jpeg())))
    ways = [
        stored,
        stored[:, ::-1],
        stored[::-1, ::-1],
        stored[::-1],
        stored.transpose(1, 0, 2),
        np.rot90(stored, -1),
        stored[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(stored),
    ]
    np.testing.assert_array_equal(photo.pixels, ways[orientation - 1])
    assert photo.turned is (orientation > 1)


def test_a_turn_that_only_xmp_knows_is_no_turn() -> None:
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    photo = decode_photo(jpeg(xmp=xmp), LIMITS)
    assert (photo.width, photo.height, photo.turned) == (320, 240, False)


@pytest.mark.parametrize("orientation", [0, 9, 60_000])
def test_an_orientation_that_does_not_exist_is_ignored(orientation: int) -> None:
    photo = decode_photo(with_exif(orientation), LIMITS)
    assert photo.pixels.shape == (240, 320, 3)
    assert not photo.turned


def test_the_limits_are_the_servers() -> None:
    assert check_header(jpeg(), Limits(max_pixels=320 * 240)) == "jpeg"
    with pytest.raises(Problem, match=r"at most 0\.0767 million pixels, found 320 × 240"):
        check_header(jpeg(), Limits(max_pixels=76_700))
    size = len(jpeg())
    assert check_header(jpeg(), Limits(max_bytes=size)) == "jpeg"
    with pytest.raises(Problem, match="at most"):
        check_header(jpeg(), Limits(max_bytes=size - 1))


def test_nothing_is_decoded_before_the_header_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it was opened"))
    for data in (declared_png(20_000, 20_000), many_scans(), b"GIF89a", jpeg() + bytes(1_000_000)):
        with pytest.raises(Problem):
            decode_photo(data, LIMITS)


def test_a_header_behind_a_header_deceives_nobody() -> None:
    # We read 64 × 64 from the first frame; what Pillow then says is looked at as well.
    small, large = jpeg(64, 64), jpeg(640, 480)
    frame = small[small.index(b"\xff\xc0") : small.index(b"\xff\xc4")]
    data = large[:2] + frame + large[2:]
    with pytest.raises(Problem):
        decode_photo(data, Limits(max_pixels=100_000))


def test_every_code_has_a_status() -> None:
    assert set(CODES.values()) <= {400, 404, 405, 413, 415, 422, 429, 431, 500, 501, 503}
