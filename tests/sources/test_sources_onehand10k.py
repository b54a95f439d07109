from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.onehand10k import FakeOneHand10K, Fault, write_onehand10k
from PIL import Image

from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import manifest, onehand10k
from handbench.sources.block import SampleBlock

MANIFEST = manifest.load("onehand10k")


def open_source(folder: Path) -> onehand10k.OneHand10K:
    return onehand10k.open_source(folder, MANIFEST)


def rows_of(source: onehand10k.OneHand10K, split: str = "test", *extras: str) -> SampleBlock:
    (block,) = source.blocks(split, frozenset(extras))
    return block


@pytest.fixture
def fake(tmp_path: Path) -> FakeOneHand10K:
    return write_onehand10k(tmp_path / "OneHand10K", train=0)


def published_box(first_x: int, first_y: int, last_x: int, last_y: int) -> list[float]:
    """Edge to edge where pixel centres are integers; as wide as the pixels it covers."""
    return [first_x - 0.5, first_y - 0.5, last_x - first_x + 1, last_y - first_y + 1]


def test_labels_and_boxes_are_those_of_the_files(tmp_path: Path):
    fake = write_onehand10k(tmp_path)
    source = open_source(tmp_path)
    assert source.splits() == {"train": 40, "test": 12}
    assert source.cuts_val
    assert source.dropped == {}
    for split, native, count in (("train", "Train", 40), ("test", "Test", 12)):
        block = rows_of(source, split)
        names = [f"{native}/source/{number}" for number in range(1, count + 1)]
        assert block.sample_id == block.ids["image_id"] == names
        expected = np.stack([fake.uv[name] for name in names])
        assert np.array_equal(block.keypoints_2d, expected, equal_nan=True)
        assert np.array_equal(block.valid_2d, np.isfinite(expected).all(axis=-1))
        assert np.array_equal(block.visibility, np.where(block.valid_2d, 255, 0))
        assert block.bbox.tolist() == [published_box(*fake.mask_box[name]) for name in names]
        sizes = [[fields[2], fields[1]] for fields in fake.lines[native]]
        assert block.image_size.tolist() == sizes
        assert (block.is_right == -1).all()
        assert block.keypoints_3d is None and block.masks is None
    assert source.box_source == "annotation"
    assert source.split_unit == source.cluster_unit == "image_id"
    files = [Path(entry["file"]).as_posix() for entry in source.files()]
    assert files == ["Train/label_joint.txt", "Test/label_joint.txt"]


def test_a_missing_wrist_and_almost_no_joints_are_kept(fake: FakeOneHand10K):
    block = rows_of(open_source(fake.folder))
    without_wrist = [name for name, valid in zip(block.sample_id, block.valid_2d) if not valid[0]]
    assert without_wrist == ["Test/source/5", "Test/source/10"]
    assert block.valid_2d[8].sum() == 2  # Test/source/9: the mask gives a box all the same
    assert (block.bbox[8, 2:] > 20).all()


@pytest.mark.parametrize("pair", [(-1, -1), (-1, 57), (57, -1)])
def test_minus_one_is_not_labelled(fake: FakeOneHand10K, pair: tuple[int, int]):
    fake.lines["Test"][0][10:12] = pair
    fake.save()
    block = rows_of(open_source(fake.folder))
    assert block.valid_2d[0].tolist() == [joint != 3 for joint in range(21)]
    assert np.isnan(block.keypoints_2d[0, 3]).all()


def test_one_split_is_enough_and_lines_may_end_as_on_windows(fake: FakeOneHand10K):
    text = fake.path("Test").read_text("utf-8")
    expected = rows_of(open_source(fake.folder))
    crlf = "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n"
    fake.path("Test").write_bytes(crlf.replace(",", " , ").encode())
    source = open_source(fake.folder)
    assert list(source.splits()) == ["test"]
    assert np.array_equal(rows_of(source).keypoints_2d, expected.keypoints_2d, equal_nan=True)


def test_a_zip_archive_and_a_folder_of_any_name(tmp_path: Path):
    fake = write_onehand10k(tmp_path / "Hände 写真", train=3, test=9)
    packed = tmp_path / "OneHand10K.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(fake.folder.rglob("*")):
            archive.write(path, path.relative_to(fake.folder).as_posix())
    one, two = open_source(fake.folder), open_source(packed)
    assert one.splits() == two.splits() == {"train": 3, "test": 9}
    assert rows_of(one).images == rows_of(two).images
    assert np.array_equal(rows_of(one).bbox, rows_of(two).bbox)


def test_more_than_one_hand_is_noted(fake: FakeOneHand10K):
    fake.lines["Test"][2][3] = 2
    fake.save()
    source = open_source(fake.folder)
    note = "1 lines of Test/label_joint.txt count more than one hand: taken as hands on the photo"
    assert source.notes[0].startswith(note)
    assert source.splits() == {"test": 12}


def test_lines_of_one_photo_follow_each_other(fake: FakeOneHand10K):
    again = list(fake.lines["Test"][1])
    fake.lines["Test"].append(again)
    fake.save()
    block = rows_of(open_source(fake.folder))
    assert block.sample_id[:4] == [
        "Test/source/1",
        "Test/source/2#2",
        "Test/source/2#13",
        "Test/source/3",
    ]
    assert block.ids["image_id"][1:3] == ["Test/source/2"] * 2


def test_a_part_is_named_a_subset(tmp_path: Path):
    write_onehand10k(tmp_path, train=0, test=3)
    source = open_source(tmp_path)
    assert source.name == "onehand10k-subset"
    assert "Test has 3 of 1,703 lines" in source.notes[-1]
    splits = {"test": manifest.Split("Test", annotations=3)}
    source = onehand10k.open_source(tmp_path, replace(MANIFEST, splits=splits))
    assert (source.name, source.notes) == ("onehand10k", [])


# -- masks -------------------------------------------------------------------------------------


def mask(fake: FakeOneHand10K, number: int = 2) -> Path:
    return fake.folder / "Test" / "mask" / f"{number}.png"


def grey(fake: FakeOneHand10K, number: int = 2) -> np.ndarray:
    return np.asarray(Image.open(mask(fake, number)))


def test_masks_are_stored_clean(fake: FakeOneHand10K):
    block = rows_of(open_source(fake.folder), "test", "mask")
    assert block.masks is not None
    assert grey(fake).max() < 128  # a cut at 128 would leave nothing
    path = fake.folder / "clean.png"
    path.write_bytes(block.masks[1])
    assert np.array_equal(np.asarray(Image.open(path)) > 0, grey(fake) >= 90)


def test_masks_in_the_file(fake: FakeOneHand10K, tmp_path: Path):
    settings = ConvertSettings(extras=frozenset({"mask"}))
    path = convert(open_source(fake.folder), tmp_path / "a.h5", settings).path
    with HandFile(path) as file:
        rows = file["test"]
        for row, valid in enumerate(rows.column("valid_2d")):
            x, y = np.round(rows.column("keypoints_2d")[row][valid]).astype(int).T
            assert (rows.mask(row)[y, x] > 0).mean() > 0.9  # fingers lie on the hand


def no_hand(fake: FakeOneHand10K) -> None:
    Image.fromarray(np.zeros_like(grey(fake))).save(mask(fake))


def another_size(fake: FakeOneHand10K) -> None:
    Image.fromarray(grey(fake)[:-5]).save(mask(fake))


def something_else(fake: FakeOneHand10K) -> None:
    elsewhere = np.zeros_like(grey(fake))
    elsewhere[-12:-2, 2:12] = 200
    Image.fromarray(elsewhere).save(mask(fake))


NO_USE: dict[str, Callable[[FakeOneHand10K], object]] = {
    "empty": no_hand,
    "another size": another_size,
    "something else": something_else,
    "missing": lambda fake: mask(fake).unlink(),
}


@pytest.mark.parametrize("case", NO_USE)
def test_where_a_mask_is_no_use_the_box_is_that_of_the_keypoints(fake: FakeOneHand10K, case: str):
    NO_USE[case](fake)
    source = open_source(fake.folder)
    assert source.box_source == "annotation"
    assert source.notes[0].startswith("1 hands of Test have no mask, an empty one, one of another")
    points = fake.uv["Test/source/2"]
    expected = [*np.nanmin(points, axis=0), *np.ptp(points, axis=0)]
    block = rows_of(source, "test", "mask")
    assert block.bbox[1].tolist() == expected
    assert block.bbox[2].tolist() == published_box(*fake.mask_box["Test/source/3"])
    assert (block.masks is None) == (case == "missing")
    if case == "missing":
        assert source.notes[-1] == "Test is stored without masks: some photos have none"


def test_a_mask_that_is_white_all_over_is_the_whole_photo(fake: FakeOneHand10K):
    white = np.full_like(grey(fake), 255)
    Image.fromarray(white).save(mask(fake))
    height, width = white.shape
    assert rows_of(open_source(fake.folder)).bbox[1].tolist() == [-0.5, -0.5, width, height]


@pytest.mark.parametrize("mode", ["RGB", "P", "1", "LA"])
def test_masks_of_all_kinds(fake: FakeOneHand10K, mode: str):
    clean = Image.fromarray(np.where(grey(fake) >= 90, 255, 0).astype(np.uint8))
    clean.convert(mode).save(mask(fake))
    expected = published_box(*fake.mask_box["Test/source/2"])
    assert rows_of(open_source(fake.folder)).bbox[1].tolist() == expected


def test_without_masks_all_boxes_are_those_of_the_keypoints(tmp_path: Path):
    fake = write_onehand10k(tmp_path, train=9)
    shutil.rmtree(tmp_path / "Test" / "mask")
    source = open_source(tmp_path)
    assert source.box_source == "keypoints"
    assert source.notes[0].startswith("Test: no masks, so all boxes are those of the keypoints")
    points = fake.uv["Train/source/2"]
    assert rows_of(source, "train").bbox[1].tolist() == [
        *points.min(axis=0),
        *np.ptp(points, axis=0),
    ]


def test_photos_without_a_line_are_counted_in_a_note(tmp_path: Path):
    fake = write_onehand10k(tmp_path, train=9)
    assert not any("have no line" in note for note in open_source(tmp_path).notes)
    (tmp_path / "Test" / "source" / "._1.jpg").write_bytes(b"")  # what a Mac leaves behind
    del fake.lines["Test"][2:4]
    fake.save()
    source = open_source(tmp_path)
    (note,) = [note for note in source.notes if "have no line" in note]
    assert note.startswith("2 photos in Test/source have no line in label_joint.txt and are left")
    assert "3.jpg, 4.jpg" in note
    assert source.name == "onehand10k-subset"
    assert any("Test has 10 of" in note for note in source.notes)


# -- hands that cannot be used -----------------------------------------------------------------


def one_joint_no_mask(fake: FakeOneHand10K) -> None:
    fake.lines["Test"][1][4:] = [100, 100, *[-1] * 40]
    mask(fake).unlink()


UNUSABLE: dict[str, tuple[Callable[[FakeOneHand10K], object], str]] = {
    "all joints unlabelled": (
        lambda fake: fake.lines["Test"][1].__setitem__(slice(4, 46), [-1] * 42),
        "hand without a labelled joint in Test",
    ),
    "outside the image": (
        lambda fake: fake.lines["Test"][1].__setitem__(slice(4, 46), [*range(900, 942)]),
        "hand outside its image in Test",
    ),
    "one joint and no mask": (one_joint_no_mask, "hand with too few labels to span a box in Test"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_hands_that_cannot_be_used_are_counted(fake: FakeOneHand10K, case: str):
    damage, reason = UNUSABLE[case]
    damage(fake)
    fake.save()
    source = open_source(fake.folder)
    assert source.dropped == {reason: 1}
    assert f"left out: 1 × {reason}" in source.notes
    assert rows_of(source).sample_id == [f"Test/source/{n}" for n in range(1, 13) if n != 2]


# -- bad input ---------------------------------------------------------------------------------


def photo(fake: FakeOneHand10K) -> Path:
    return fake.folder / "Test" / "source" / "1.jpg"


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def field(number: int, value: object) -> Callable[[FakeOneHand10K], object]:
    def damage(fake: FakeOneHand10K) -> None:
        fake.lines["Test"][1][number] = value
        fake.save()

    return damage


def all_unlabelled(fake: FakeOneHand10K) -> None:
    for fields in fake.lines["Test"]:
        fields[4:] = [-1] * 42
    fake.save()


def shorter(fake: FakeOneHand10K) -> None:
    fake.lines["Test"][1].pop()
    fake.save()


BAD: dict[str, tuple[Callable[[FakeOneHand10K], object], str]] = {
    "45 fields": (shorter, r"line 2 of .*label_joint\.txt: expected 46 fields .* found 45; take"),
    "a word": (field(7, "left"), r"line 2 of .*: expected numbers after the file name, found 'lef"),
    "nothing": (field(7, ""), r"line 2 of .*: expected numbers after the file name, found ''"),
    "NaN": (field(9, "nan"), r"line 2 of .*: expected finite numbers"),
    "a path": (field(0, "../1.jpg"), r"line 2 of .*: expected a plain file name .* '\.\./1\.jpg'"),
    "wrong size": (field(1, 999), r"2\.jpg to have 999×\d+ px as its record says, found 252×"),
    "unknown photo": (field(0, "77.jpg"), r"expected 12 photos in .*, found 1 of them missing: 77"),
    "all unlabelled": (all_unlabelled, r"none that can be used among 12 lines \(left out: 12 ×"),
    "labels empty": (
        lambda fake: fake.path("Test").write_bytes(b"\n"),
        r"expected one line a photo in .*label_joint\.txt, found an empty file",
    ),
    "labels binary": (
        lambda fake: fake.path("Test").write_bytes(b"\x80\xff"),
        r"expected text in .*label_joint\.txt, found bytes that are no UTF-8",
    ),
    "labels gone": (
        lambda fake: fake.path("Test").unlink(),
        r"expected Test/label_joint\.txt beside Test/source in .*, found no such file",
    ),
    "labels in a loop": (
        lambda fake: loop(fake.path("Test")),
        r"expected Test/label_joint\.txt beside Test/source",
    ),
    "photo gone": (
        lambda fake: photo(fake).unlink(),
        r"expected 12 photos in .*source, found 1 of them missing: 1\.jpg; unpack the archive",
    ),
    "photo cut": (
        lambda fake: photo(fake).write_bytes(photo(fake).read_bytes()[:-50]),
        r"expected a whole image at .*1\.jpg",
    ),
    "photo empty": (
        lambda fake: photo(fake).write_bytes(b""),
        r"expected an image at .*1\.jpg, found an empty file",
    ),
    "photo in a loop": (lambda fake: loop(photo(fake)), r"cannot read .*1\.jpg: "),
    "mask cut": (
        lambda fake: mask(fake).write_bytes(mask(fake).read_bytes()[:200]),
        r"expected a whole mask at .*2\.png, found one that is empty, truncated or damaged \(200",
    ),
    "mask empty": (
        lambda fake: mask(fake).write_bytes(b""),
        r"expected a whole mask at .*2\.png, found .* \(0 bytes\)",
    ),
    "nothing there": (
        lambda fake: shutil.rmtree(fake.folder),
        "expected a dataset folder or archive at .*, found nothing there",
    ),
    "empty folder": (
        lambda fake: shutil.rmtree(fake.folder / "Test"),
        r"expected OneHand10K in .*: Train/label_joint\.txt or .* found no files; point --source",
    ),
    "another dataset": (
        lambda fake: (fake.folder / "Test").rename(fake.folder / "evaluation"),
        r"beside source/ and mask/, found evaluation; point --source .* `handbench convert coco`",
    ),
}


def one_sentence(folder: Path, out: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        convert(open_source(folder), out)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, SourceError)
    assert not out.exists()


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(
    fake: FakeOneHand10K, tmp_path: Path, case: str
):
    damage, message = BAD[case]
    damage(fake)
    one_sentence(fake.folder, tmp_path / "out.h5", message)


# -- conversion --------------------------------------------------------------------------------


def arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, Any] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update(
                {name: item[...]} if isinstance(item, h5py.Dataset) else {}
            )
        )
    return found


def test_a_conversion_passes_verify_and_leads_back_to_the_source(tmp_path: Path):
    fake = write_onehand10k(tmp_path / "data")
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    assert [check for check in verify(path, deep=True).checks if check.passed is False] == []
    with HandFile(path) as file:
        assert set(file.splits) == {"train", "val", "test"}
        assert not file.attributes["publish_images"]
        for split in file.splits:
            rows = file[split]
            names = rows.column("sample_id").tolist()
            expected = np.stack([fake.uv[name] for name in names])
            assert rows.source_keypoints_2d() == pytest.approx(expected, abs=1e-9, nan_ok=True)
            assert rows.box_source == "annotation"
            assert rows.box_padding == 1.25


def test_converting_twice_gives_the_same_arrays(tmp_path: Path):
    fake = write_onehand10k(tmp_path / "data")
    extras = frozenset({"mask"})
    one, two = (
        arrays(convert(open_source(fake.folder), tmp_path / f"{workers}.h5", settings).path)
        for workers, settings in (
            (count, ConvertSettings(extras=extras, workers=count)) for count in (1, 3)
        )
    )
    assert one.keys() == two.keys()
    for name, values in one.items():
        assert np.array_equal(values, two[name], equal_nan=values.dtype.kind == "f"), name


def test_reversed_fingers_do_not_pass_verify(tmp_path: Path):
    fake = write_onehand10k(tmp_path / "data", fault="order")
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    assert {c.name for c in verify(path).checks if c.passed is False} == {"chain order"}


@pytest.mark.parametrize("fault", ["axes", "units"])
def test_swapped_axes_and_other_units_are_refused(tmp_path: Path, fault: Fault):
    fake = write_onehand10k(tmp_path / "data", fault=fault)
    message = r"keypoints of .*label_joint\.txt around their boxes, found .*: are x and y swapped"
    one_sentence(fake.folder, tmp_path / "a.h5", message)


def test_the_side_is_not_known_to_anybody(tmp_path: Path):
    fake = write_onehand10k(tmp_path / "data", fault="side", whole=True)
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    sides = [check for check in verify(path).checks if check.name == "side"]
    assert {(check.passed, check.detail) for check in sides} == {(None, "side or 3D unknown")}
