from __future__ import annotations

import io
import os

import numpy as np
import pytest
from PIL import Image

from handbench import images
from handbench.camera import crop_matrix, flip_matrix, perspective_crop, transform_points
from handbench.errors import SourceError


def encoded(picture: np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 48, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def dot(size: tuple[int, int], x: float, y: float, sigma: float) -> np.ndarray:
    """A bright Gaussian dot whose centre is at (x, y), pixel centres at integers."""
    row, column = np.mgrid[: size[0], : size[1]]
    spot = 255 * np.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
    return np.repeat(spot.round().astype(np.uint8)[..., None], 3, axis=2)


def centroid(picture: np.ndarray) -> np.ndarray:
    weight = picture[..., 0].astype(float)
    row, column = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(column * weight).sum(), (row * weight).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("box", "padding", "size"),
    [
        ((20.0, 30.0, 100.0, 80.0), 1.0, 100),  # as large as it was
        ((20.3, 30.7, 101.9, 80.0), 1.25, 64),  # smaller, at odd places
        ((-0.5, -0.5, 240.0, 240.0), 1.0, 37),  # much smaller
        ((60.1, 50.2, 31.0, 47.3), 1.1, 224),  # larger
        ((-40.0, -35.0, 150.0, 150.0), 1.3, 128),  # partly outside, at the top left
        ((70.0, 50.0, 300.0, 260.0), 1.0, 96),  # partly outside, at the bottom right
    ],
)
def test_image_content_moves_as_the_homography_says(box, padding, size):
    x, y = 83.4, 71.8
    crop = crop_matrix(np.array(box), padding, size)
    cut = images.crop_square(dot((200, 240), x, y, sigma=4.0), crop, size)
    assert cut.shape == (size, size, 3)
    expected = transform_points(crop, [[x, y]])[0]
    assert np.abs(centroid(cut) - expected).max() < 0.05


def test_a_crop_at_whole_pixels_copies_them():
    picture = noise()
    crop = crop_matrix([9.5, 4.5, 32, 32], 1.0, 32)
    assert np.array_equal(images.crop_square(picture, crop, 32), picture[5:37, 10:42])


def test_outside_is_black():
    white = np.full((40, 40, 3), 255, np.uint8)
    cut = images.crop_square(white, crop_matrix([-0.5, -0.5, 40, 40], 2.0, 80), 80)
    assert (cut[21:59, 21:59] == 255).all()
    edge = np.ones((80, 80), bool)
    edge[19:61, 19:61] = False
    assert (cut[edge] == 0).all()
    far = images.crop_square(white, crop_matrix([500, 500, 40, 40], 1.0, 16), 16)
    assert far.shape == (16, 16, 3)
    assert (far == 0).all()


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    cut = images.crop_square(stripes, crop_matrix([-0.5, -0.5, 128, 128], 1.0, 16), 16)
    assert np.abs(cut[2:-2, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("progressive", [False, True])
def test_size_comes_from_the_header(kind: str, progressive: bool):
    data = encoded(noise(), kind, **({"progressive": True} if progressive else {}))
    assert images.encoded_size(data, "a") == (48, 64)
    assert images.decode(data, "a").shape == (48, 64, 3)


def test_size_of_a_jpeg_with_long_exif_and_of_a_bmp():
    exif = Image.Exif()
    exif[0x010E] = "SOF-like bytes \xff\xc0 " * 500
    assert images.encoded_size(encoded(noise(), "JPEG", exif=exif), "a") == (48, 64)
    assert images.encoded_size(encoded(noise(), "BMP"), "a") == (48, 64)
    # Some cameras add bytes after the end marker; the file is whole all the same.
    assert images.encoded_size(encoded(noise(), "JPEG") + b"\0\0", "a") == (48, 64)


def test_decode_gives_rgb_whatever_the_mode():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert np.array_equal(images.decode(encoded(grey, "PNG"), "a")[..., 1], grey)
    rgba = np.dstack([noise(8, 8), np.full((8, 8), 7, np.uint8)])
    assert np.array_equal(images.decode(encoded(rgba, "PNG"), "a"), rgba[..., :3])


# A PNG that only lacks its end marker still holds all its pixels.
@pytest.mark.parametrize(
    ("kind", "share"),
    [(kind, share) for kind in ("JPEG", "PNG") for share in (0.02, 0.3, 0.9)] + [("JPEG", 0.9999)],
)
def test_truncated_images_are_found_without_decoding_whole_ones(kind: str, share: float):
    data = encoded(noise(), kind)
    cut = data[: max(1, int(len(data) * share))]
    for function in (images.encoded_size, images.decode):
        with pytest.raises(SourceError, match=r"whole image at x/a\.jpg, found one that is trunc"):
            function(cut, "x/a.jpg")


@pytest.mark.parametrize(
    "data", [b"not an image", b"\x89PNG\r\n\x1a\nIEND\xaeB`\x82", b"\xff\xd8\xff\xd9"]
)
def test_what_is_no_image_is_one_sentence(data: bytes):
    with pytest.raises(SourceError, match="expected a whole image at b"):
        images.encoded_size(data, "b")


def test_an_empty_file_is_called_so():
    with pytest.raises(SourceError, match=r"expected an image at c\.jpg, found an empty file"):
        images.encoded_size(b"", "c.jpg")


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory on this system")
def test_a_scratch_file_gives_the_same_jpeg_again_and_again() -> None:
    scratch = images.scratch_file()
    assert scratch is not None
    pictures = [noise(), noise(16, 16), noise(200, 100)]  # a shorter one after a longer one
    with scratch:
        for picture in pictures:
            assert images.encode_jpeg(picture, scratch) == images.encode_jpeg(picture)


def test_jpeg_is_written_without_chroma_subsampling():
    data = images.encode_jpeg(noise())
    with Image.open(io.BytesIO(data)) as picture:
        assert [layer[1:3] for layer in picture.layer] == [(1, 1)] * 3
    red_blue = np.zeros((16, 16, 3), np.uint8)
    red_blue[:, ::2, 0] = red_blue[:, 1::2, 2] = 255
    away = images.decode(images.encode_jpeg(red_blue), "a").astype(int) - red_blue
    assert np.abs(away).mean() < 10


def test_masks_survive_jpeg_and_the_way_through_png():
    mask = np.zeros((32, 32), bool)
    mask[5:20, 8:30] = True
    grey = np.where(mask, 250, 4).astype(np.uint8)  # JPEG masks are never clean
    assert np.array_equal(images.decode_mask(encoded(grey, "JPEG", quality=95), "m"), mask)
    png = images.encode_mask(mask)
    assert png.startswith(b"\x89PNG")
    assert np.array_equal(images.decode_mask(png, "m"), mask)


def test_border_pixels_see_what_lies_beyond_the_crop():
    # A slope stays a slope: a filter cut off at the border would bend its ends.
    slope = np.repeat(np.arange(250, dtype=np.uint8)[None, :, None], 250, axis=0)
    picture = np.repeat(slope, 3, axis=2)
    for size in (10, 240):
        crop = crop_matrix([60.0, 60.0, 120, 120], 1.0, size)
        cut = images.crop_square(picture, crop, size)
        columns = np.stack([np.arange(size), np.zeros(size)], axis=1)
        expected = transform_points(np.linalg.inv(crop), columns)[:, 0]
        assert np.abs(cut[size // 2, :, 0] - expected).max() <= 0.51


def test_sizes_of_many_images_are_those_of_each():
    kinds = [
        encoded(noise(48, 64), "JPEG"),
        encoded(noise(48, 64), "JPEG", quality=30),
        encoded(noise(48, 64), "PNG"),
        encoded(noise(40, 64), "PNG"),
        encoded(noise(64, 48), "JPEG"),
        encoded(noise(64, 48), "JPEG"),
        encoded(noise(48, 64), "JPEG"),
    ]
    sizes = images.encoded_sizes(kinds, list("abcdefg"), "x")
    assert sizes.dtype == np.int32
    assert sizes.tolist() == [[48, 64]] * 3 + [[40, 64]] + [[64, 48]] * 2 + [[48, 64]]
    assert images.encoded_sizes([], [], "x").shape == (0, 2)


@pytest.mark.parametrize(("share", "found"), [(0.8, "truncated"), (0.0, "an empty file")])
def test_a_bad_image_among_many_is_named(share: float, found: str):
    data = encoded(noise(), "JPEG")
    kinds = [data, data, data[: int(len(data) * share)], data]
    with pytest.raises(SourceError, match=rf"at x/c, found .*{found}"):
        images.encoded_sizes(kinds, list("abcd"), "x")


def test_a_crop_far_larger_than_its_image_takes_no_memory():
    import tracemalloc

    image = np.full((1000, 800, 3), 255, dtype=np.uint8)
    crop = crop_matrix([-9000.0, -7000.0, 20000.0, 20000.0], 1.0, 64)
    tracemalloc.start()
    small = images.crop_square(image, crop, 64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # the whole square would take 1.2 GB
    # The picture covers 3.2 × 2.56 px of the crop, from (28.8, 22.4) on.
    assert small.sum() == pytest.approx(255 * 3 * 3.2 * 2.56, rel=0.02)
    assert small[24, 30].min() > 245 and small[10, 10].max() == 0
    assert not images.crop_square(image, crop_matrix([5000.0, 0, 50, 50], 1.0, 64), 64).any()


# -- mirrored and perspective crops ---------------------------------------------------------------

CAMERA = np.array([[300.0, 0.0, 119.5], [0.0, 300.0, 99.5], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("size", [37, 100, 224])
@pytest.mark.parametrize(
    "box",
    [
        (69.5, 49.5, 100.0, 100.0),  # in the middle: needs no bending
        (60.1, 50.2, 31.0, 47.3),
        (-20.0, -15.0, 130.0, 120.0),  # partly outside, at the top left
        (70.0, 50.0, 200.0, 160.0),  # partly outside, at the bottom right
    ],
)
def test_content_moves_as_a_perspective_homography_says(box, size, mirrored):
    x, y = 83.4, 71.8
    crop, _, _ = perspective_crop(np.array(box), 1.25, size, CAMERA)
    if mirrored:
        crop = flip_matrix(size) @ crop
    cut = images.crop_square(dot((200, 240), x, y, sigma=3.0), crop, size)
    expected = transform_points(crop, [[x, y]])[0]
    assert np.abs(centroid(cut) - expected).max() < 0.1


def test_a_mirrored_crop_is_the_mirror_image_of_the_crop():
    for crop in (
        crop_matrix([5.2, 3.1, 30, 30], 1.1, 24),
        perspective_crop([5.2, 3.1, 30, 30], 1.1, 24, CAMERA)[0],
    ):
        upright = images.crop_square(noise(), crop, 24)
        flipped = images.crop_square(noise(), flip_matrix(24) @ crop, 24)
        assert np.array_equal(flipped, upright[:, ::-1])


def test_a_warp_that_need_not_bend_is_a_resize():
    picture = images.decode_picture(encoded(dot((200, 240), 90, 80, 9.0), "PNG"), "a")
    for size in (50, 100, 150):
        crop = crop_matrix([45.3, 35.7, 100, 100], 1.0, size)
        straight = np.asarray(images.crop_picture(picture, crop, size)).astype(int)
        bent = np.asarray(images._warped(picture, crop, size)).astype(int)
        assert np.abs(straight - bent).max() <= 2


def test_a_shrinking_warp_averages_instead_of_skipping():
    stripes = np.zeros((200, 240, 3), np.uint8)
    stripes[:, ::2] = 255
    crop, _, _ = perspective_crop([30, 10, 180, 180], 1.0, 16, CAMERA)
    cut = images.crop_square(stripes, crop, 16)
    assert np.abs(cut[2:-2, 2:-2].astype(int) - 127).max() <= 4


def test_outside_is_black_in_a_warp_too():
    white = np.full((200, 240, 3), 255, np.uint8)
    crop, _, _ = perspective_crop([-60, 60, 80, 80], 1.0, 64, CAMERA)
    cut = images.crop_square(white, crop, 64)
    back = transform_points(
        np.linalg.inv(crop), np.stack(np.meshgrid(np.arange(64), np.arange(64)), axis=-1)
    )
    inside = (back >= 1).all(axis=-1)
    outside = (back < -2).any(axis=-1)
    assert (cut[inside] == 255).all() and inside.any()
    assert (cut[outside] == 0).all() and outside.any()
    far, _, _ = perspective_crop([900, 60, 20, 20], 1.0, 16, CAMERA)
    assert (images.crop_square(white, far, 16) == 0).all()


def test_a_crop_beyond_the_horizon_is_refused():
    crop, _, _ = perspective_crop([1500, 60, 3000, 3000], 2.0, 32, CAMERA)
    with pytest.raises(ValueError, match="beyond the horizon"):
        images.crop_square(noise(200, 240), crop, 32)


def test_masks_are_cut_as_their_images():
    spot = dot((200, 240), 83.4, 71.8, 6.0)
    for crop in (
        crop_matrix([60.3, 41.7, 71.0, 83.9], 1.2, 96),
        flip_matrix(96) @ perspective_crop([60.3, 41.7, 71.0, 83.9], 1.2, 96, CAMERA)[0],
    ):
        mask = images.crop_mask(spot[..., 0] >= 128, crop, 96)
        assert mask.shape == (96, 96)
        expected = transform_points(crop, [[83.4, 71.8]])[0]
        assert np.abs(centroid(mask[..., None].astype(np.uint8)) - expected).max() < 0.4
