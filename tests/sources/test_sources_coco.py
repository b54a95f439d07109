from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.coco import FakeCOCO, write_coco

from handbench.errors import SourceError
from handbench.hdf5.convert import convert
from handbench.hdf5.reader import HandFile
from handbench.sources import coco, manifest
from handbench.sources.block import SampleBlock
from handbench.sources.own_data import OwnData, SplitBlocks

TIP_TO_PALM = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]


def open_source(fake: FakeCOCO, **options: Any) -> OwnData:
    annotations = options.pop("annotations", {"test": fake.annotations})
    return coco.open_source(annotations, fake.images, manifest.load("coco"), **options)


def rows_of(source: OwnData, split: str = "test") -> SampleBlock:
    (block,) = source.blocks(split)
    return block


def test_labels_are_those_of_the_file(fake_coco: FakeCOCO):
    block = rows_of(open_source(fake_coco, name="mine"))
    assert block.sample_id == block.ids["image_id"] == [f"{i:05d}" for i in range(10)]
    assert np.array_equal(block.keypoints_2d, fake_coco.uv)
    assert block.keypoints_3d == pytest.approx(fake_coco.xyz, abs=1e-12)  # mm → m
    assert np.array_equal(block.camera, fake_coco.camera)
    assert block.bbox.tolist() == [a["bbox"] for a in fake_coco.data["annotations"]]
    assert (block.is_right == 1).all()
    assert block.images[3] == (fake_coco.images / "00003.jpg").read_bytes()
    assert block.valid_2d.all() and block.valid_3d.all()


def test_name_and_box_source(fake_coco: FakeCOCO):
    source = open_source(fake_coco, name="mine")
    assert source.name == source.manifest.title == "mine"
    assert source.box_source == "annotation"
    assert source.split_unit == source.cluster_unit == "image_id"
    assert open_source(fake_coco).name == "coco"
    assert [f["file"] for f in source.files()] == ["annotations.json"]


@pytest.mark.parametrize("name", ["freihand", "sample", "freihand-subset"])
def test_the_name_of_another_dataset_is_refused(fake_coco: FakeCOCO, name: str):
    with pytest.raises(SourceError, match=r"name of another dataset, .*; pass another --name"):
        open_source(fake_coco, name=name)


def test_another_joint_order_is_undone(tmp_path: Path):
    fake = write_coco(tmp_path, native_order=TIP_TO_PALM)
    block = rows_of(open_source(fake, joint_order=TIP_TO_PALM))
    assert np.array_equal(block.keypoints_2d, fake.uv)
    assert block.keypoints_3d == pytest.approx(fake.xyz, abs=1e-12)
    assert not np.allclose(rows_of(open_source(fake)).keypoints_2d, fake.uv)


def test_nested_keypoints_are_read_too(tmp_path: Path):
    fake = write_coco(tmp_path, 2)
    for annotation in fake.data["annotations"]:
        annotation["keypoints"] = np.reshape(annotation["keypoints"], (21, 3)).tolist()
    fake.save()
    assert np.array_equal(rows_of(open_source(fake)).keypoints_2d, fake.uv)


def flags(fake: FakeCOCO, values: list[float]) -> np.ndarray:
    for annotation in fake.data["annotations"]:
        annotation["keypoints"][2::3] = (values * 21)[:21]
    fake.save()
    block = rows_of(open_source(fake))
    assert np.array_equal(block.valid_2d, block.visibility != 0)
    assert np.array_equal(np.isnan(block.keypoints_2d).any(axis=-1), ~block.valid_2d)
    return block.visibility[0, : len(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 2], [0, 1, 2]),
        ([2, 2, 0], [2, 2, 0]),
        ([0, 1, 1], [0, 255, 255]),  # 1 may mean "labelled" where nothing is ever 2
        ([0, 0.3, 0.99], [0, 255, 255]),  # a score
        ([2, 0.3, 0], [255, 255, 0]),
    ],
)
def test_what_v_means(tmp_path: Path, values: list[float], expected: list[int]):
    assert flags(write_coco(tmp_path, 2), values).tolist() == expected


def test_boxes_of_the_keypoints_where_one_is_missing(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    del fake.data["annotations"][1]["bbox"]
    fake.data["annotations"][0]["keypoints"][2::3] = [2] * 20 + [0]
    fake.save()
    source = open_source(fake)
    assert source.box_source == "keypoints"
    assert any("not every annotation has a bbox" in note for note in source.notes)
    points = fake.uv[0, :20]  # the unlabelled tip is outside the box
    expected = [*points.min(axis=0), *np.ptp(points, axis=0)]
    assert rows_of(source).bbox[0] == pytest.approx(expected)


def test_several_hands_on_one_image_get_their_annotation_id(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    fake.data["annotations"][2]["image_id"] = 100
    fake.save()
    block = rows_of(open_source(fake))
    assert block.sample_id == ["00000#7000", "00001", "00000#7002"]
    assert block.ids["image_id"] == ["00000", "00001", "00000"]


def test_sides(tmp_path: Path):
    fake = write_coco(tmp_path, 4)
    for annotation, side in zip(fake.data["annotations"], ("right", "Left", "both", None)):
        annotation["hand_type"] = side
    del fake.data["annotations"][3]["hand_type"]
    fake.save()
    assert rows_of(open_source(fake)).is_right.tolist() == [1, 0, -1, -1]


def test_without_3d(tmp_path: Path):
    block = rows_of(open_source(write_coco(tmp_path, 2, with_3d=False)))
    assert block.keypoints_3d is None
    assert block.camera is None
    assert not block.valid_3d.any()


def test_3d_of_some_hands_is_kept(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    fake.data["annotations"][1]["joint_cam"] = None
    fake.save()
    block = rows_of(open_source(fake))
    assert block.valid_3d.all(axis=1).tolist() == [True, False, True]
    assert block.keypoints_3d is not None
    assert np.isnan(block.keypoints_3d[1]).all()
    assert block.keypoints_3d[2] == pytest.approx(fake.xyz[2])


@pytest.mark.parametrize("name", ["Hände/写真 {:03d}.jpg", "a/b/c/{:d}.v2.jpg"])
def test_file_names_of_all_kinds(tmp_path: Path, name: str):
    fake = write_coco(tmp_path, 2, name=name)
    expected = [name.format(row).removesuffix(".jpg") for row in range(2)]
    assert rows_of(open_source(fake)).sample_id == expected


def test_file_names_written_on_windows(tmp_path: Path):
    fake = write_coco(tmp_path, 2, name="a/{:d}.jpg")
    for image in fake.data["images"]:
        image["file_name"] = image["file_name"].replace("/", "\\")
    fake.save()
    assert rows_of(open_source(fake)).sample_id == ["a/0", "a/1"]


def test_annotations_without_keypoints_are_counted(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    del fake.data["annotations"][0]["keypoints"]
    fake.save()
    source = open_source(fake)
    assert source.dropped == {"annotation without keypoints in annotations.json": 1}
    assert source.notes == ["left out: 1 × annotation without keypoints in annotations.json"]
    assert source.splits() == {"test": 2}


def test_hands_of_which_only_a_box_is_known_are_left_out(tmp_path: Path):
    fake = write_coco(tmp_path, 4)
    for annotation in fake.data["annotations"][:2]:
        annotation["keypoints"] = [0] * 63
    del fake.data["annotations"][0]["joint_cam"]  # the other one has its 3D joints
    fake.save()
    source = open_source(fake)
    assert source.dropped == {"annotation without a labelled keypoint in annotations.json": 1}
    assert rows_of(source).sample_id == ["00001", "00002", "00003"]


def test_one_file_a_split(tmp_path: Path):
    train, test = write_coco(tmp_path, 4), write_coco(tmp_path / "b", 3, seed=1)
    source = open_source(train, annotations={"train": train.annotations, "test": test.annotations})
    assert source.splits() == {"train": 4, "test": 3}
    assert np.array_equal(rows_of(source, "test").keypoints_2d, test.uv)


def test_runs_of_annotations_are_dealt_out(tmp_path: Path):
    fake = write_coco(tmp_path, 130)
    source = open_source(fake, blocks=SplitBlocks({"train": 2, "test": 1}, block_size=20))
    assert source.split_unit == source.cluster_unit == "sequence_id"
    # Blocks 0 1 | 2 | 3 4 | 5 | 6, where the last one is short.
    expected = {
        "train": [*range(40), *range(60, 100), *range(120, 130)],
        "test": [*range(40, 60), *range(100, 120)],
    }
    assert source.splits() == {split: len(rows) for split, rows in expected.items()}
    for split, rows in expected.items():
        block = rows_of(source, split)
        assert block.sample_id == [f"{row:05d}" for row in rows]
        assert block.ids["sequence_id"] == [f"block-{row // 20:05d}" for row in rows]
        assert np.array_equal(block.keypoints_2d, fake.uv[rows])


def test_a_cut_never_tears_a_photo_apart(tmp_path: Path):
    fake = write_coco(tmp_path, 8)
    for row in (1, 2, 3):  # four hands on photo 00000
        fake.data["annotations"][row]["image_id"] = fake.data["annotations"][0]["image_id"]
    fake.save()
    source = open_source(fake, blocks=SplitBlocks({"train": 1, "test": 1}, block_size=2))
    train, test = rows_of(source, "train"), rows_of(source, "test")
    assert not set(train.ids["image_id"]) & set(test.ids["image_id"])
    assert sum("#" in name for name in [*train.sample_id, *test.sample_id]) == 4


def test_photos_in_two_splits_are_noted(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    both = {"train": fake.annotations, "test": fake.annotations}
    assert "3 photos are in both train and test" in open_source(fake, annotations=both).notes[0]


def test_a_hand_without_label_and_box_is_dropped(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    fake.data["annotations"][1]["keypoints"] = [0] * 63
    del fake.data["annotations"][1]["bbox"]
    fake.save()
    source = open_source(fake)
    assert rows_of(source).sample_id == ["00000", "00002"]
    assert source.box_source == "annotation"  # nobody else lacks a box
    assert source.dropped == {"annotation without a box or labels in annotations.json": 1}


def test_native_image_ids_are_kept(tmp_path: Path):
    fake = write_coco(tmp_path, 2)
    block = rows_of(open_source(fake))
    assert block.ids["native_image_id"] == [str(image["id"]) for image in fake.data["images"]]


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/a.jpg", "C:/a.jpg", "a\\..\\b.jpg", "", 5])
def test_file_names_stay_below_the_images_folder(tmp_path: Path, name: object):
    fake = write_coco(tmp_path, 2)
    fake.data["images"][1]["file_name"] = name
    fake.save()
    with pytest.raises(SourceError, match=r"entry 1 of images .* path below the images folder"):
        open_source(fake)


def test_only_one_file_can_be_cut(fake_coco: FakeCOCO):
    both = {"train": fake_coco.annotations, "test": fake_coco.annotations}
    with pytest.raises(SourceError, match="split blocks cut one annotation file, found 2"):
        open_source(fake_coco, annotations=both, blocks=SplitBlocks({"train": 1}, 20))


# -- bad input ---------------------------------------------------------------------------------


def annotation(**changes: Any) -> Callable[[dict], Any]:
    def damage(data: dict) -> None:
        data["annotations"][1].update(changes)

    return damage


def drop(part: str, field: str) -> Callable[[dict], Any]:
    def damage(data: dict) -> None:
        del data[part][1][field]

    return damage


BAD: dict[str, tuple[Callable[[dict], Any], str]] = {
    "a list": (lambda data: [1], "with 'images' and 'annotations' in .*, found list"),
    "other keys": (lambda data: {"info": {}, "a": 1}, "'images' and 'annotations' .* info, a"),
    "images no list": (lambda data: data | {"images": {}}, "expected a list of images in"),
    "image without id": (drop("images", "id"), "entry 1 of images in .* has no 'id'"),
    "image without file": (drop("images", "file_name"), "entry 1 of images .* no 'file_name'"),
    "no image_id": (drop("annotations", "image_id"), "entry 1 of annotations .* no 'image_id'"),
    "no id": (drop("annotations", "id"), "entry 1 of annotations .* no 'id'"),
    "unknown image": (annotation(image_id=5), "annotation 7001 .* names image 5, .* its 3 images"),
    "17 keypoints": (annotation(keypoints=[1, 2, 2] * 17), r"7001 .*21 keypoints as x, y, v \(63"),
    "no v": (annotation(keypoints=[[1, 2]] * 21), "7001 .*expected 21 keypoints as x, y, v"),
    "transposed": (annotation(keypoints=[[1.0] * 21] * 3), "7001 .*expected 21 keypoints"),
    "words": (annotation(keypoints=["a"] * 63), "7001 .*expected 21 keypoints"),
    "null keypoint": (
        annotation(keypoints=[None, None, 2] * 21),
        "annotation 7001 in .* labels a keypoint without finite coordinates",
    ),
    "short box": (annotation(bbox=[1, 2, 3]), "7001 .*expected bbox as x, y, w, h"),
    "null box": (annotation(bbox=None), "7001 .*expected bbox as x, y, w, h"),
    "zero-area box": (
        annotation(bbox=[10, 10, 0, 0]),
        r"expected a box with an area for 00001, found x, y, w, h = \[10.0, 10.0, 0.0, 0.0\]",
    ),
    "flat box": (annotation(bbox=[10, 10, 30, 0]), "expected a box with an area for 00001"),
    "negative box": (annotation(bbox=[10, 10, -4, 9]), "expected a box with an area for 00001"),
    "short 3D": (annotation(joint_cam=[[0, 0, 500]] * 20), "7001 .*expected joint_cam of 21×3 mm"),
    "bad camera": (
        lambda data: data["images"][1].update(cam_param={"focal": [1, 1]}),
        "record 101 .*expected cam_param.princpt",
    ),
    "no hands": (lambda data: data | {"annotations": []}, "annotations with keypoints in .*none"),
    "missing image file": (
        lambda data: data["images"][1].update(file_name="gone/x.jpg"),
        r"expected gone/x\.jpg in .*images, found no such file",
    ),
    "resized image": (
        lambda data: data["images"][1].update(width=448, height=448),
        r"expected .*00001\.jpg to have 448×448 px as its record says, found 224×224: the keyp",
    ),
    "same id twice": (
        lambda data: [a.update(id=1, image_id=100) for a in data["annotations"]][:0],
        "sample ids are not unique",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, case: str):
    damage, message = BAD[case]
    fake = write_coco(tmp_path / "data", 3)
    fake.data = damage(fake.data) or fake.data
    fake.save()
    out = tmp_path / "out" / "a.h5"
    with pytest.raises(ValueError, match=message) as caught:
        convert(open_source(fake), out)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_a_size_that_is_not_stated_is_not_checked(tmp_path: Path):
    fake = write_coco(tmp_path, 2)
    del fake.data["images"][0]["width"], fake.data["images"][1]["height"]
    fake.save()
    assert rows_of(open_source(fake)).image_size.tolist() == [[224, 224]] * 2


@pytest.mark.parametrize("name", ["../x", "a\\b", ".hidden"])
def test_a_name_that_is_no_file_name(fake_coco: FakeCOCO, name: str):
    with pytest.raises(SourceError, match=r"dataset name that can be a file name, found .* --name"):
        open_source(fake_coco, name=name)


def test_a_missing_folder_of_images(fake_coco: FakeCOCO, tmp_path: Path):
    with pytest.raises(SourceError, match=r"expected a folder of images at .*none, found none"):
        coco.open_source({"test": fake_coco.annotations}, tmp_path / "none", manifest.load("coco"))


def test_a_missing_or_truncated_file(fake_coco: FakeCOCO, tmp_path: Path):
    path = tmp_path / "a.json"
    with pytest.raises(SourceError, match=r"COCO keypoint annotations at .*a.json, found no such"):
        open_source(fake_coco, annotations={"test": path})
    path.write_text(json.dumps(fake_coco.data)[:-100])
    with pytest.raises(SourceError, match="found a file that breaks off in the middle"):
        open_source(fake_coco, annotations={"test": path})


# -- head sizes --------------------------------------------------------------------------------


def with_heads(fake: FakeCOCO, *sizes: object) -> FakeCOCO:
    for hand, size in zip(fake.data["annotations"], sizes):
        hand["head_size"] = size
    fake.save()
    return fake


def test_head_sizes_are_kept(tmp_path: Path):
    fake = with_heads(write_coco(tmp_path / "data", 3), 140.0, 52, 61.5)
    source = open_source(fake)
    assert rows_of(source).extra["head_size_px"].tolist() == [140.0, 52.0, 61.5]
    with HandFile(convert(source, tmp_path / "a.h5").path) as file:
        # Source px: a crop does not change them.
        assert file["test"].column("head_size_px").tolist() == [140.0, 52.0, 61.5]


def test_head_sizes_of_some_hands_are_not_kept(tmp_path: Path):
    source = open_source(with_heads(write_coco(tmp_path, 3), 140.0, None))
    assert rows_of(source).extra == {}
    assert source.notes == ["1 of 3 annotations have a head_size: none is stored"]
    assert not open_source(write_coco(tmp_path / "b", 2)).notes


@pytest.mark.parametrize("size", [[10.0, 12.0], "large", {}])
def test_a_head_size_that_is_no_number(tmp_path: Path, size: object):
    fake = with_heads(write_coco(tmp_path, 2), 1.0, size)
    with pytest.raises(SourceError, match=r"7001 .*expected head_size as one number of px"):
        open_source(fake)


def test_hands_without_enough_labels_when_boxes_are_not_used(tmp_path: Path):
    fake = write_coco(tmp_path, 3)
    del fake.data["annotations"][0]["bbox"]
    fake.data["annotations"][2]["keypoints"][2::3] = [2] + [0] * 20
    fake.save()
    source = open_source(fake)
    assert rows_of(source).sample_id == ["00000", "00001"]
    assert source.dropped == {"hand of test with too few labels to span a box": 1}


@pytest.mark.real_data
def test_real_head_sizes(real_data: Path):
    folder = real_data / "panoptic_coco"
    source = coco.open_source(
        {"test": folder / "annotations.json"}, folder / "images", manifest.load("coco")
    )
    assert rows_of(source).extra["head_size_px"].tolist() == [140.0, 140.0]
