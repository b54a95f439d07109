from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from generators.tiny_hdf5 import tiny_hands
from PIL import Image

from handbench.errors import SourceError, TrainError
from handbench.images import decode
from handbench.models.stored_images import decode_image, eighths


def encoded(
    image: npt.NDArray[np.uint8], kind: str = "JPEG", mode: str = "RGB", **options: object
) -> bytearray:
    buffer = io.BytesIO()
    Image.fromarray(image).convert(mode).save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


@pytest.fixture(scope="module")
def image() -> npt.NDArray[np.uint8]:
    return tiny_hands(1, 96, seed=1)[0][0]


def decoded(data: bytearray, side: int = 96, parts: int = 8) -> npt.NDArray[np.uint8]:
    out = np.full((side * parts // 8, side * parts // 8, 3), 77, dtype=np.uint8)
    decode_image(data, out, "a.h5, row 7", parts)
    return out


JPEGS: dict[str, dict[str, object]] = {
    "full colours": {"subsampling": 0},
    "halved colours": {"subsampling": 2},
    "progressive": {"progressive": True},
    "grey": {"mode": "L"},
    "four channels": {"mode": "CMYK"},
}


@pytest.mark.parametrize("kind", JPEGS)
def test_pixels_are_those_that_pillow_decodes(image: npt.NDArray[np.uint8], kind: str) -> None:
    data = encoded(image, **JPEGS[kind])  # type: ignore[arg-type]
    expected = decode(bytes(data), "here").astype(int)
    # Each library has its own rounding from four channels to three.
    assert np.abs(decoded(data) - expected).max() <= (kind == "four channels")


@pytest.mark.real_data
def test_real_photos_are_decoded_as_pillow_decodes_them(real_data: Path) -> None:
    for path in sorted((real_data / "FreiHAND_pub_v2" / "evaluation" / "rgb").glob("*.jpg")):
        data = path.read_bytes()
        np.testing.assert_array_equal(decoded(bytearray(data), 224), decode(data, ""))


def test_an_image_is_decoded_into_its_place_in_a_batch(image: npt.NDArray[np.uint8]) -> None:
    batch = np.full((3, 96, 96, 3), 77, dtype=np.uint8)
    decode_image(encoded(image, "JPEG"), batch[1], "here")
    np.testing.assert_array_equal(batch[1], decoded(encoded(image, "JPEG")))
    assert (batch[[0, 2]] == 77).all()


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_small_jpegs_are_those_that_pillow_drafts(image: npt.NDArray[np.uint8], parts: int) -> None:
    data = encoded(image)
    picture = Image.open(io.BytesIO(data))
    picture.draft("RGB", (12 * parts, 12 * parts))
    assert picture.size == (12 * parts, 12 * parts)
    np.testing.assert_array_equal(decoded(data, parts=parts), np.asarray(picture))


@pytest.mark.parametrize("parts", [1, 2, 4])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_small_images_are_means_of_blocks(
    image: npt.NDArray[np.uint8], kind: str, parts: int
) -> None:
    quality = {"quality": 98, "subsampling": 0} if kind == "JPEG" else {}
    found = decoded(encoded(image, kind, **quality), parts=parts)
    side, block = 12 * parts, 8 // parts
    blocks = image.reshape(side, block, side, block, 3).mean(axis=(1, 3))
    # Pillow rounds after each axis; libjpeg drops high frequencies, which is nearly the mean.
    assert np.abs(found - blocks).max() <= (1 if kind == "PNG" else 25)
    assert np.abs(found - blocks).mean() < (0.6 if kind == "PNG" else 3)


@pytest.mark.parametrize("parts", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_dot_stays_where_it_is_in_a_small_image(kind: str, parts: int) -> None:
    y, x = np.mgrid[:96, :96]
    u, v = 41.3, 52.8
    dot = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 9.0**2))
    data = encoded(np.repeat(dot[..., None], 3, axis=2).round().astype(np.uint8), kind)
    small = decoded(data, parts=parts)[..., 0].astype(float)
    small[small < 5] = 0  # the faint pattern that JPEG leaves in the dark
    y, x = np.mgrid[: 12 * parts, : 12 * parts]
    found = np.array([(small * x).sum(), (small * y).sum()]) / small.sum()
    np.testing.assert_allclose((found + 0.5) * 8 / parts - 0.5, [u, v], atol=0.1)


@pytest.mark.parametrize("parts", [8, 5])
def test_a_truncated_image_is_an_error_that_names_it(
    image: npt.NDArray[np.uint8], parts: int
) -> None:
    with pytest.raises(
        SourceError, match=r"a whole image at a\.h5, row 7, found one that is trunc"
    ):
        decoded(encoded(image)[:-200], parts=parts)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("side", [64, 128])
def test_an_image_of_another_size_is_an_error_with_both(
    image: npt.NDArray[np.uint8], kind: str, side: int
) -> None:
    with pytest.raises(
        TrainError, match=rf"an image of {side}×{side} px at a\.h5, row 7, found one of 96×96"
    ):
        decoded(encoded(image, kind), side)


@pytest.mark.parametrize(
    ("stored", "least", "expected"),
    [
        ((256, 256), None, 8),
        ((256, 256), 256, 8),
        ((256, 256), 128, 4),
        ((256, 256), 129, 5),
        ((256, 256), 64, 2),
        ((256, 256), 1, 1),
        ((224, 224), 128, 5),
        ((254, 254), 32, 4),  # 254 has no quarters
        ((192, 256), 100, 4),  # the longer side counts
        ((225, 225), 32, 8),
    ],
)
def test_images_are_decoded_no_larger_than_needed(
    stored: tuple[int, int], least: float | None, expected: int
) -> None:
    assert eighths(stored, least) == expected
