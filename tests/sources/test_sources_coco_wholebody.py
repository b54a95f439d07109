from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.coco_wholebody import FakeWholeBody, Fault, write_coco_wholebody

from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import coco_wholebody, manifest
from handbench.sources.block import SampleBlock

MANIFEST = manifest.load("coco_wholebody")


def open_source(folder: Path) -> coco_wholebody.COCOWholeBody:
    return coco_wholebody.open_source(folder, MANIFEST)


def rows_of(source: coco_wholebody.COCOWholeBody, split: str = "test") -> SampleBlock:
    (block,) = source.blocks(split)
    return block


def by_photo(fake: FakeWholeBody, native: str) -> list[tuple[str, dict[str, Any], str]]:
    """(sample id, annotation, side) of the valid hands as they should be ordered."""
    data = fake.data[native]
    expected = []
    for image in data["images"]:
        stem = f"{native}2017/{image['file_name'].removesuffix('.jpg')}"
        for annotation in data["annotations"]:
            if annotation["image_id"] != image["id"]:
                continue
            expected += [
                (f"{stem}#{annotation['id']}/{side}", annotation, side)
                for side in ("left", "right")
                if annotation[f"{side}hand_valid"]
            ]
    return expected


@pytest.fixture
def fake(tmp_path: Path) -> FakeWholeBody:
    return write_coco_wholebody(tmp_path / "coco", train=0)


def first_hand(fake: FakeWholeBody, native: str = "val") -> dict[str, Any]:
    return next(a for a in fake.data[native]["annotations"] if a["lefthand_valid"])


def test_labels_are_those_of_the_file(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path)
    source = open_source(tmp_path)
    assert list(source.splits()) == ["train", "test"]
    assert source.cuts_val
    for split, native in (("train", "train"), ("test", "val")):
        block = rows_of(source, split)
        expected = by_photo(fake, native)
        assert block.sample_id == [name for name, _, _ in expected]
        assert np.array_equal(
            block.keypoints_2d, np.stack([fake.uv[name] for name in block.sample_id])
        )
        assert block.bbox.tolist() == [a[f"{side}hand_box"] for _, a, side in expected]
        assert block.is_right.tolist() == [int(side == "right") for _, _, side in expected]
        assert block.extra["person_area_px2"].tolist() == [a["area"] for _, a, _ in expected]
        assert block.ids["native_image_id"] == [str(a["image_id"]) for _, a, _ in expected]
        assert block.ids["image_id"] == [name.partition("#")[0] for name in block.sample_id]
        assert (block.image_size == [240, 320]).all()
        assert block.keypoints_3d is None and block.camera is None and not block.valid_3d.any()
    assert source.box_source == "annotation"
    assert source.split_unit == source.cluster_unit == "image_id"
    assert [Path(entry["file"]).name for entry in source.files()] == [
        "coco_wholebody_train_v1.0.json",
        "coco_wholebody_val_v1.0.json",
    ]


def test_hands_of_a_photo_follow_each_other_whatever_the_order_of_annotations(fake: FakeWholeBody):
    photos = rows_of(open_source(fake.folder)).ids["image_id"]
    seen = list(dict.fromkeys(photos))
    assert photos == sorted(photos, key=seen.index)
    assert len(seen) < len(photos)
    file_order = [a["image_id"] for a in fake.data["val"]["annotations"]]
    assert file_order != sorted(file_order)  # or the test shows nothing


def flagged(fake: FakeWholeBody, flags: list[float]) -> SampleBlock:
    annotation = first_hand(fake)
    annotation["lefthand_kpts"][2::3] = (flags * 21)[:21]
    fake.save()
    block = rows_of(open_source(fake.folder))
    row = next(r for r, n in enumerate(block.sample_id) if n.endswith(f"#{annotation['id']}/left"))
    return block.take(np.array([row]))


@pytest.mark.parametrize(
    ("flags", "visibility", "confidence"),
    [
        ([0, 1, 2], [0, 1, 2], [None, None, None]),
        ([0.0, 1.0, 2.0], [0, 1, 2], [None, None, None]),  # foot points are written so
        ([1], [1], [None]),
        ([0, 0.25, 0.0001], [0, 255, 255], [None, 0.25, 0.0001]),
        ([0.5, 1, 2], [255, 255, 2], [0.5, 1, None]),  # among scores 1 is a score
        ([-1, 0.5], [0, 255], [None, 0.5]),
    ],
)
def test_what_v_means(
    fake: FakeWholeBody,
    flags: list[float],
    visibility: list[int],
    confidence: list[float | None],
):
    block = flagged(fake, flags)
    assert block.visibility[0, : len(flags)].tolist() == visibility
    assert np.array_equal(block.valid_2d, block.visibility != 0)
    assert np.array_equal(np.isnan(block.keypoints_2d).any(axis=-1), ~block.valid_2d)
    found = block.extra["label_confidence"][0, : len(flags)]
    expected = [np.nan if value is None else value for value in confidence]
    assert found == pytest.approx(np.array(expected, dtype=np.float32), nan_ok=True)


@pytest.mark.parametrize(
    ("labels", "images"), [("annotations", ""), ("", ""), ("", "images"), ("annotations", "images")]
)
def test_places_of_the_files(tmp_path: Path, labels: str, images: str):
    folder = tmp_path / "Hände 写真"
    fake = write_coco_wholebody(folder, labels=labels, images=images)
    source = open_source(folder)
    assert rows_of(source).sample_id == [name for name, _, _ in by_photo(fake, "val")]
    photo = folder / images / "val2017/000000000100.jpg"
    assert rows_of(source).images[0] == photo.read_bytes()


@pytest.mark.parametrize("images", ["", "images"])
def test_photos_are_read_from_cocos_archive(tmp_path: Path, images: str):
    fake = write_coco_wholebody(tmp_path / "coco", images=images)
    loose = rows_of(open_source(fake.folder))
    photos = fake.folder / images / "val2017"
    with zipfile.ZipFile(photos.with_name("val2017.zip"), "w") as archive:
        for path in sorted(photos.iterdir()):
            archive.write(path, f"val2017/{path.name}")
    shutil.rmtree(photos)
    source = open_source(fake.folder)
    packed = rows_of(source)
    assert packed.sample_id == loose.sample_id
    assert packed.images == loose.images
    assert source.splits()["train"] > 0  # whose photos are not packed


def test_photos_of_one_split_are_enough(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path)
    shutil.rmtree(tmp_path / "train2017")
    source = open_source(tmp_path)
    assert list(source.splits()) == ["test"]
    assert "train is left out: expected train2017/ or train2017.zip in" in source.notes[0]
    fake.path("train").unlink()
    assert not any("left out" in note for note in open_source(tmp_path).notes)


def test_a_part_is_named_a_subset(fake: FakeWholeBody):
    source = open_source(fake.folder)
    assert source.name == "coco_wholebody-subset"
    assert "val has 12 of 11,004 persons" in source.notes[-1]
    splits = {"test": manifest.Split("val", annotations=12)}
    source = coco_wholebody.open_source(fake.folder, replace(MANIFEST, splits=splits))
    assert source.name == "coco_wholebody"
    assert source.notes == []


# -- hands that cannot be used -----------------------------------------------------------------


def far_away(hand: dict[str, Any]) -> None:
    hand["lefthand_kpts"][0::3] = [-500.0 - n for n in range(21)]
    hand["lefthand_box"] = [-530.0, 5.0, 60.0, 60.0]


UNUSABLE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "all joints unlabelled": (
        lambda hand: hand.update(lefthand_kpts=[5.0, 6.0, 0] * 21),
        "hand marked valid without a labelled keypoint",
    ),
    "all zeros": (
        lambda hand: hand.update(lefthand_kpts=[0.0] * 63),
        "hand marked valid without a labelled keypoint",
    ),
    "box of nothing": (
        lambda hand: hand.update(lefthand_box=[0.0] * 4),
        "hand with a box of less than a pixel",
    ),
    "flat box": (
        lambda hand: hand["lefthand_box"].__setitem__(3, 0),
        "hand with a box of less than a pixel",
    ),
    "tiny box": (
        lambda hand: hand["lefthand_box"].__setitem__(slice(2, 4), [0.4, 0.9]),
        "hand with a box of less than a pixel",
    ),
    "outside the image": (far_away, "hand outside its image"),
    "box elsewhere": (
        lambda hand: hand["lefthand_box"].__setitem__(0, 250.0),
        "hand outside its own box",
    ),
    "marked invalid": (
        lambda hand: hand.update(lefthand_valid=False),
        "hand with keypoints but marked invalid",
    ),
    "a crowd": (lambda hand: hand.update(iscrowd=1), "hand of a crowd"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_hands_that_cannot_be_used_are_counted(fake: FakeWholeBody, case: str):
    damage, reason = UNUSABLE[case]
    whole = rows_of(open_source(fake.folder))
    hand = first_hand(fake)
    damage(hand)
    fake.save()
    source = open_source(fake.folder)
    count = 1 + (case == "a crowd" and hand["righthand_valid"])
    assert source.dropped == {f"{reason} in coco_wholebody_val_v1.0.json": count}
    assert any(note.startswith(f"left out: {count} × {reason}") for note in source.notes)
    kept = rows_of(source).sample_id
    assert len(kept) == len(whole) - count
    assert f"#{hand['id']}/left" not in "".join(kept)


def test_an_absent_hand_is_no_loss(fake: FakeWholeBody):
    source = open_source(fake.folder)
    absent = [a for a in fake.data["val"]["annotations"] if not a["righthand_valid"]]
    assert absent
    assert source.dropped == {}
    names = " ".join(rows_of(source).sample_id)
    assert not any(f"#{a['id']}/right" in names for a in absent)


def test_joints_outside_their_crop_are_kept_and_noted(fake: FakeWholeBody):
    hand = first_hand(fake)
    hand["lefthand_kpts"][12:14] = [hand["lefthand_box"][0] + 3 * hand["lefthand_box"][2], 9.0]
    fake.save()
    source = open_source(fake.folder)
    assert "1 of 20 hands in coco_wholebody_val_v1.0.json have keypoints outside" in source.notes[0]
    assert source.dropped == {}
    assert rows_of(source).valid_2d.all()


# -- bad input ---------------------------------------------------------------------------------


def hand_field(name: str, value: object) -> Callable[[FakeWholeBody], object]:
    return lambda fake: first_hand(fake).update({name: value})


def no_valid_hand(fake: FakeWholeBody) -> None:
    for annotation in fake.data["val"]["annotations"]:
        for side in ("left", "right"):
            annotation |= {f"{side}hand_valid": False, f"{side}hand_kpts": [0.0] * 63}


def plain_coco(fake: FakeWholeBody) -> None:
    for annotation in fake.data["val"]["annotations"]:
        for name in [n for n in annotation if "hand" in n]:
            del annotation[name]


BAD_LABELS: dict[str, tuple[Callable[[FakeWholeBody], object], str]] = {
    "plain COCO": (plain_coco, "found none: this is plain COCO; get the file from jin-s13"),
    "no valid hand": (no_valid_hand, r"among 12 annotations \(no hand is marked valid\)"),
    "no annotations": (
        lambda fake: fake.data["val"].update(annotations=[]),
        "none that can be used among 0 annotations",
    ),
    "no images": (
        lambda fake: fake.data["val"].update(images=[]),
        r"names image 100, which is not among its 0 images; take the file .* or remove the annot",
    ),
    "other lists": (lambda fake: fake.data.update(val={"a": 1}), "among 0 annotations"),
    "images no list": (
        lambda fake: fake.data["val"].update(images={}),
        "expected a list of images in .*, found dict",
    ),
    "image without id": (
        lambda fake: fake.data["val"]["images"][1].pop("id"),
        "entry 1 of images .* expected COCO's 'id' and 'file_name', found",
    ),
    "image no record": (
        lambda fake: fake.data["val"]["images"].__setitem__(2, 5),
        "entry 2 of images .* 'file_name', found 5",
    ),
    "file name outside": (
        lambda fake: fake.data["val"]["images"][0].update(file_name="../secret.jpg"),
        r"image 100 in .* as a plain name such as 000000000785.jpg, found '\.\./secret",
    ),
    "annotation no record": (
        lambda fake: fake.data["val"]["annotations"].append(7),
        "an annotation in .* 'id' and 'image_id', found 7",
    ),
    "short keypoints": (
        hand_field("lefthand_kpts", [1.0] * 62),
        r"annotation 5001 in .*: expected lefthand_kpts as 21 × x, y, v \(63 finite numbers\)",
    ),
    "words": (hand_field("lefthand_kpts", ["a"] * 63), "annotation 5001 .* lefthand_kpts"),
    "null": (hand_field("lefthand_kpts", [None] * 63), "annotation 5001 .* lefthand_kpts"),
    "NaN": (hand_field("lefthand_kpts", [float("nan")] * 63), "5001 .*63 finite numbers"),
    "no box": (hand_field("lefthand_box", None), r"lefthand_box as x, y, w, h \(4 finite .* None"),
    "no area": (hand_field("area", None), r"the area of the person \(1 finite numbers\)"),
    "same annotation twice": (
        lambda fake: fake.data["val"]["annotations"].append(first_hand(fake)),
        "sample ids are not unique",
    ),
    "resized photo": (
        lambda fake: fake.data["val"]["images"][0].update(width=640, height=480),
        r"000000000100\.jpg to have 640×480 px as its record says, found 320×240",
    ),
}


def one_sentence(folder: Path, out: Path, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        convert(open_source(folder), out)
    assert "\n" not in str(caught.value)
    assert not out.exists()


@pytest.mark.parametrize("case", BAD_LABELS)
def test_bad_labels_are_one_sentence_and_leave_nothing(
    fake: FakeWholeBody, tmp_path: Path, case: str
):
    damage, message = BAD_LABELS[case]
    damage(fake)
    fake.save()
    one_sentence(fake.folder, tmp_path / "out.h5", message)


def photo(fake: FakeWholeBody) -> Path:
    return fake.folder / "val2017" / "000000000100.jpg"


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


BAD_FILES: dict[str, tuple[Callable[[FakeWholeBody], object], str]] = {
    "no photo": (
        lambda fake: photo(fake).unlink(),
        r"photos with hands in .*val2017, found 1 of them missing: 000000000100\.jpg; unpack",
    ),
    "photo cut": (
        lambda fake: photo(fake).write_bytes(photo(fake).read_bytes()[:-50]),
        r"expected a whole image at .*000000000100",
    ),
    "photo empty": (
        lambda fake: photo(fake).write_bytes(b""),
        r"expected an image at .*000000000100\.jpg, found an empty file",
    ),
    "photo in a loop": (
        lambda fake: loop(photo(fake)),
        r"cannot read .*000000000100\.jpg: ",
    ),
    "labels empty": (
        lambda fake: fake.path("val").write_bytes(b""),
        "COCO-WholeBody annotations as JSON at .*found an empty file",
    ),
    "labels cut": (
        lambda fake: fake.path("val").write_text(fake.path("val").read_text()[:-3000]),
        "found a file that breaks off after",
    ),
    "labels gone": (
        lambda fake: fake.path("val").unlink(),
        r"expected coco_wholebody_val_v1\.0\.json in .*coco or in annotations/ there, found neith",
    ),
    "labels in a loop": (
        lambda fake: loop(fake.path("val")),
        r"expected coco_wholebody_val_v1\.0\.json in",
    ),
    "photos gone": (
        lambda fake: shutil.rmtree(photo(fake).parent),
        r"expected val2017/ or val2017\.zip in .* or in images/ there, found neither; put it",
    ),
    "archive damaged": (
        lambda fake: (
            shutil.rmtree(photo(fake).parent),
            (fake.folder / "val2017.zip").write_bytes(b"PK\x03\x04 and no more"),
        ),
        r"expected a zip archive at .*val2017\.zip, found a damaged or partial one",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_files_are_one_sentence_and_leave_nothing(
    fake: FakeWholeBody, tmp_path: Path, case: str
):
    damage, message = BAD_FILES[case]
    damage(fake)
    one_sentence(fake.folder, tmp_path / "out.h5", message)


def test_other_folders(tmp_path: Path):
    with pytest.raises(SourceError, match=r"expected coco_wholebody_val_v1\.0.* an empty folder"):
        open_source(tmp_path)
    (tmp_path / "training").mkdir()
    with pytest.raises(SourceError, match=r"found training; point --source at COCO's folder"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="found nothing there; pass --source"):
        open_source(tmp_path / "none")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(SourceError, match="found a file; pass --source"):
        open_source(tmp_path / "a.json")


# -- conversion --------------------------------------------------------------------------------


def arrays(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update(
                {name: item[...]} if isinstance(item, h5py.Dataset) else {}
            )
        )
    return found


def test_a_conversion_passes_verify_and_leads_back_to_the_source(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path / "coco")
    source = open_source(fake.folder)
    path = convert(source, tmp_path / "a.h5").path
    assert [check for check in verify(path, deep=True).checks if check.passed is False] == []
    with HandFile(path) as file:
        assert file.dataset == "coco_wholebody-subset"
        assert not file.attributes["publish_images"]
        assert set(file.splits) == {"train", "val", "test"}
        photos = [set(file[split].column("image_id")) for split in ("train", "val")]
        assert not photos[0] & photos[1]
        for split in file.splits:
            rows = file[split]
            names = rows.column("sample_id").tolist()
            expected = np.stack([fake.uv[name] for name in names])
            assert rows.source_keypoints_2d() == pytest.approx(expected, abs=1e-9)
            assert rows.box_source == "annotation"
            assert rows.box_padding == 1.25
            assert not rows.column("mirrored").any()
        assert np.isnan(file["test"].column("label_confidence")).all()


def test_converting_twice_gives_the_same_arrays(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path / "coco")
    one, two = (
        arrays(convert(open_source(fake.folder), tmp_path / f"{n}.h5", settings).path)
        for n, settings in enumerate((ConvertSettings(), ConvertSettings(workers=3)))
    )
    assert one.keys() == two.keys()
    for name, values in one.items():
        assert np.array_equal(values, two[name], equal_nan=values.dtype.kind == "f"), name


def test_reversed_fingers_do_not_pass_verify(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path / "coco", fault="order")
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    assert {c.name for c in verify(path).checks if c.passed is False} == {"chain order"}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("axes", "expected the keypoints of .* around their boxes, found .*: are x and y swapped"),
        ("units", r"none that can be used .* \(\d+ × hand with a box of less than a pixel\)"),
    ],
)
def test_swapped_axes_and_other_units_are_refused(tmp_path: Path, fault: Fault, message: str):
    fake = write_coco_wholebody(tmp_path / "coco", fault=fault)
    one_sentence(fake.folder, tmp_path / "a.h5", message)


def test_swapped_sides_cannot_be_seen_without_3d(tmp_path: Path):
    fake = write_coco_wholebody(tmp_path / "coco", fault="side")
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    sides = [check for check in verify(path).checks if check.name == "side"]
    assert [(check.passed, check.detail) for check in sides] == [(None, "side or 3D unknown")] * 3


@pytest.mark.real_data
def test_real_annotations(real_data: Path, tmp_path: Path):
    given = real_data / "coco_wholebody"
    folder = tmp_path / "coco"
    (folder / "annotations").mkdir(parents=True)
    labels = folder / "annotations" / "coco_wholebody_val_v1.0.json"
    shutil.copyfile(given / "annotations.json", labels)
    (folder / "val2017").symlink_to(given / "images")
    source = open_source(folder)
    assert source.dropped == {}
    block = rows_of(source)
    assert block.sample_id == [
        "val2017/000000000785#442619/right",
        "val2017/000000196141#460541/left",
        "val2017/000000196141#460541/right",
        "val2017/000000196141#488308/left",
    ]
    assert block.is_right.tolist() == [1, 0, 1, 0]
    published = {a["id"]: a for a in json.loads(labels.read_text())["annotations"]}
    for row, name in enumerate(block.sample_id):
        number, side = name.partition("#")[2].split("/")
        annotation = published[int(number)]
        native = np.reshape(annotation[f"{side}hand_kpts"], (21, 3))
        assert np.array_equal(block.keypoints_2d[row], native[:, :2])
        assert np.array_equal(block.visibility[row], native[:, 2])
        assert block.bbox[row].tolist() == annotation[f"{side}hand_box"]
        assert block.extra["person_area_px2"][row] == annotation["area"]
    path = convert(source, tmp_path / "a.h5").path
    assert [check for check in verify(path, deep=True).checks if check.passed is False] == []
