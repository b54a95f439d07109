from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from handbench.errors import PredictionsError
from handbench.predictors.pictures import SUFFIXES, find_pictures, read_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    (photos / "more").mkdir(parents=True)
    for name in ("b.png", "more/a.PNG", "c.webp", ".hidden.png"):
        Image.new("RGB", (8, 6), "red").save(photos / name)
    (photos / "notes.txt").write_text("no picture")
    return photos


def test_pictures_are_found_in_folders_and_sorted(folder: Path) -> None:
    found = find_pictures([folder])
    assert [p.id for p in found] == ["b", "c", "more/a"]
    assert [p.path.name for p in found] == ["b.png", "c.webp", "a.PNG"]


def test_files_that_are_named_themselves_share_a_folder(folder: Path) -> None:
    (folder / "notes.txt").rename(folder / "anything")
    found = find_pictures([folder / "c.webp", folder / "more" / "a.PNG", folder / "anything"])
    assert [p.id for p in found] == ["c", "more/a", "anything"]
    assert [p.id for p in find_pictures([folder / "b.png"])] == ["b"]
    assert [p.id for p in find_pictures([folder, folder / "b.png"])] == ["b", "c", "more/a"]


def test_an_id_never_leads_out_of_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "here").mkdir()
    monkeypatch.chdir(folder / "here")
    found = find_pictures([Path("../more/../b.png"), Path("../more/a.PNG")])
    assert [p.id for p in found] == ["b", "more/a"]
    assert [p.id for p in find_pictures([Path("../more")])] == ["a"]


def test_what_is_not_there_or_has_no_pictures_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PredictionsError, match=r"expected pictures .* found none"):
        find_pictures([tmp_path / "empty"])
    with pytest.raises(PredictionsError, match="expected a picture or a folder of them, found no"):
        find_pictures([tmp_path / "nothing.jpg"])
    Image.new("RGB", (8, 8)).save(folder / "b.jpg")
    with pytest.raises(PredictionsError, match="would both have the id 'b': rename one"):
        find_pictures([folder])


@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s not in (".pgm", ".gif", ".avif")])
def test_formats(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (16, 8), (200, 40, 10)).save(path)
    pixels = read_picture(path)
    assert pixels.shape == (8, 16, 3)
    assert pixels.dtype == np.uint8
    assert abs(pixels.astype(int) - (200, 40, 10)).max() < 6


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(tmp_path: Path, orientation: int) -> None:
    upright = Image.new("RGB", (24, 16), "black")
    upright.paste("red", (0, 0, 8, 8))
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if undo is None else upright.transpose(undo)
    stored.save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), np.asarray(upright))


def grey16() -> Image.Image:
    return Image.fromarray(np.array([[0, 257 * 100, 65535]], np.uint16))


@pytest.mark.parametrize(
    ("picture", "name", "expected"),
    [
        (grey16(), "a.png", [0, 100, 255]),
        (grey16(), "a.tif", [0, 100, 255]),
        (Image.fromarray(np.array([[0.0, 0.4, 1.0]], np.float32)), "a.tif", [0, 102, 255]),
        (Image.fromarray(np.array([[0, 100, 255]], np.uint8)), "a.pgm", [0, 100, 255]),
        (Image.new("LA", (3, 1), (90, 0)), "a.png", [255, 255, 255]),
        (Image.new("RGBA", (3, 1), (90, 90, 90, 255)), "a.png", [90, 90, 90]),
        (Image.new("1", (3, 1), 1), "a.png", [255, 255, 255]),
    ],
)  # fmt: skip
def test_modes(tmp_path: Path, picture: Image.Image, name: str, expected: list[int]) -> None:
    picture.save(tmp_path / name)
    found = read_picture(tmp_path / name)
    np.testing.assert_array_equal(found, np.repeat(np.array([expected])[..., None], 3, axis=2))


def test_a_palette_with_a_transparent_colour_is_white_there(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.gif", transparency=0)
    assert read_picture(tmp_path / "a.gif").tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_cmyk_comes_as_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    red, green, blue = read_picture(tmp_path / "a.jpg")[8, 8].tolist()
    assert red > 200
    assert max(green, blue) < 80


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert read_picture(tmp_path / "a.gif")[4, 4].tolist() == [255, 0, 0]


def test_unreadable_pictures_say_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"no jpeg")
    with pytest.raises(PredictionsError, match=r"a\.jpg, found a file of no kind that Pillow"):
        read_picture(tmp_path / "a.jpg")
    Image.effect_noise((64, 64), 90).save(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:900])
    with pytest.raises(PredictionsError, match=r"b\.png cannot be read, it looks truncated"):
        read_picture(tmp_path / "b.png")
    Image.new("1", (400, 400)).save(tmp_path / "c.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50_000)
    with pytest.raises(PredictionsError, match=r"c\.png has more pixels than is safe"):
        read_picture(tmp_path / "c.png")
