from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.interhand import FakeInterHand, write_interhand

from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import interhand, manifest
from handbench.sources.block import SampleBlock

PRAY = "test/Capture0/0266_dh_pray/cam400262/image2200"
THUMB = "test/Capture0/0001_thumbup_left/cam400298/image2106"


def open_source(folder: Path) -> interhand.InterHand:
    return interhand.open_source(folder, manifest.load("interhand26m"))


def rows_of(source: interhand.InterHand, split: str = "test") -> SampleBlock:
    (block,) = source.blocks(split)
    return block


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeInterHand:
    """Three splits; read-only."""
    return write_interhand(tmp_path_factory.mktemp("interhand") / "InterHand2.6M")


@pytest.fixture(scope="module")
def converted(fake: FakeInterHand, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("converted") / "a.h5"
    return convert(open_source(fake.folder), out, ConvertSettings(size=128)).path


@pytest.fixture
def small(tmp_path: Path) -> FakeInterHand:
    """One split to be damaged: 9 images, 12 hands."""
    return write_interhand(tmp_path / "data", captures={"test": 1}, frames=1)


def annotation(fake: FakeInterHand, name: str, split: str = "test") -> dict[str, Any]:
    files = [i["file_name"] for i in fake.data[split]["images"]]
    found: dict[str, Any] = fake.data[split]["annotations"][
        files.index(name.removeprefix(f"{split}/") + ".jpg")
    ]
    return found


# -- what is read ------------------------------------------------------------------------------


def test_labels_are_those_of_the_generator(fake: FakeInterHand):
    source = open_source(fake.folder)
    assert source.splits() == {"train": 48, "val": 24, "test": 24}
    assert (source.split_unit, source.cluster_unit) == ("sequence_id", "sequence_id")
    assert source.cuts_val is False
    assert source.dropped == {}
    for split in source.splits():
        block = rows_of(source, split)
        for row, name in enumerate(block.sample_id):
            stem = block.ids["image_id"][row]
            side = "right" if block.is_right[row] else "left"
            assert name == (f"{stem}/{side}" if "dh_pray" in stem else stem)
            assert block.keypoints_2d[row] == pytest.approx(fake.uv[stem, side], abs=1e-8)
            assert block.keypoints_3d is not None
            assert block.keypoints_3d[row] == pytest.approx(fake.xyz[stem, side], abs=1e-10)
            assert block.images[row] == (fake.folder / "images" / f"{stem}.jpg").read_bytes()
        assert len(set(block.sample_id)) == len(block)
        assert block.valid_2d.all() and block.valid_3d.all()
        assert (block.visibility == 255).all()


def test_two_hands_of_an_image_follow_each_other(fake: FakeInterHand):
    block = rows_of(open_source(fake.folder))
    first = block.sample_id.index(f"{PRAY}/right")
    assert block.sample_id[first : first + 2] == [f"{PRAY}/right", f"{PRAY}/left"]
    assert block.ids["image_id"][first : first + 2] == [PRAY, PRAY]
    assert block.is_right[first : first + 2].tolist() == [1, 0]
    for row, side in ((first, "right"), (first + 1, "left")):
        low, high = fake.uv[PRAY, side].min(axis=0), fake.uv[PRAY, side].max(axis=0)
        expected = [*(low - 0.1 * (high - low)), *(1.2 * (high - low))]
        assert block.bbox[row] == pytest.approx(np.array(expected))


def test_the_box_of_a_single_hand_is_the_published_one(fake: FakeInterHand):
    source = open_source(fake.folder)
    assert source.box_source == "keypoints"
    assert source.manifest.box_padding == 1.25
    block = rows_of(source)
    row = block.sample_id.index(THUMB)
    assert block.bbox[row] == pytest.approx(np.array(annotation(fake, THUMB)["bbox"]))


def test_id_columns(fake: FakeInterHand):
    source = open_source(fake.folder)
    block = rows_of(source)
    row = block.sample_id.index(THUMB)
    assert {name: values[row] for name, values in block.ids.items()} == {
        "image_id": THUMB,
        "native_image_id": str(annotation(fake, THUMB)["image_id"]),
        "subject_id": "3",
        "sequence_id": "test/Capture0/0001_thumbup_left",
        "instant_id": "test/Capture0/0001_thumbup_left/2106",
        "camera_id": "400298",
        "hand_type": "left",
    }
    assert block.extra["frame_index"][row] == 2106
    moments = np.array(block.ids["instant_id"])
    assert (moments == moments[row]).sum() == 3  # all cameras of one moment
    # File names and captures repeat in other splits; ids must not.
    assert not set(block.ids["sequence_id"]) & set(rows_of(source, "train").ids["sequence_id"])


def test_both_orientations_and_grey_images(fake: FakeInterHand):
    source = open_source(fake.folder)
    block = rows_of(source)
    sizes = {c: tuple(s) for c, s in zip(block.ids["camera_id"], block.image_size.tolist())}
    assert sizes == {"400262": (334, 512), "400298": (512, 334), "410001": (334, 512)}
    assert "test: 6 × image of a greyscale camera (id 41…)" in source.notes


def test_a_hand_type_that_is_not_valid_is_not_told(small: FakeInterHand):
    annotation(small, PRAY)["hand_type_valid"] = 0
    small.save("test")
    block = rows_of(open_source(small.folder))
    row = block.sample_id.index(f"{PRAY}/right")
    assert block.ids["hand_type"][row : row + 2] == ["", ""]


# -- validity ----------------------------------------------------------------------------------


def test_validity_is_that_of_the_image_times_that_of_the_moment(small: FakeInterHand):
    name = "test/Capture0/0000_neutral_relaxed/cam400262/image2000"
    annotation(small, name)["joint_valid"][5] = [0]  # native 5, index 3: canonical 7
    moment = small.joint_3d["test"]["0"]["2000"]
    moment["joint_valid"][0] = [False]  # thumb tip: canonical 4
    moment["world_coord"][0] = [1.0, 1.0, 1.0]
    small.save("test")
    block = rows_of(open_source(small.folder))
    assert block.keypoints_3d is not None
    row = block.sample_id.index(name)
    expected = np.ones(21, dtype=bool)
    expected[[4, 7]] = False
    assert block.valid_2d[row].tolist() == block.valid_3d[row].tolist() == expected.tolist()
    assert np.isnan(block.keypoints_2d[row, [4, 7]]).all()
    assert np.isnan(block.keypoints_3d[row, [4, 7]]).all()
    points = small.uv[name, "right"][expected]
    assert block.bbox[row, 2:] == pytest.approx(1.2 * np.ptp(points, axis=0))
    other = block.sample_id.index(name.replace("400262", "410001"))
    assert block.valid_2d[other].sum() == 20  # the moment is the same, the image is not


def test_the_sentinel_is_never_used_even_when_it_is_called_valid(small: FakeInterHand):
    moment = small.joint_3d["test"]["0"]["2000"]
    moment["world_coord"][2] = [1.0, 1.0, 1.0]
    small.save("test")
    source = open_source(small.folder)
    block = rows_of(source)
    hit = np.array(["neutral" in name for name in block.sample_id])
    assert not block.valid_2d[hit, 2].any()
    assert block.valid_2d[~hit].all()
    assert "test: 1 × joint called valid at the sentinel (1, 1, 1), taken as not labelled" in (
        source.notes
    )


def invalid(joints: slice) -> Callable[[FakeInterHand], None]:
    def damage(fake: FakeInterHand) -> None:
        flags = annotation(fake, PRAY)["joint_valid"]
        flags[joints] = [[0]] * len(flags[joints])

    return damage


def far_away(fake: FakeInterHand) -> None:
    fake.camera["test"]["0"]["princpt"]["400262"] = [90000.0, 100.0]


def behind(fake: FakeInterHand) -> None:
    facts = fake.camera["test"]["0"]
    facts["campos"]["400262"] = [-value for value in facts["campos"]["400262"]]


def no_moment(fake: FakeInterHand) -> None:
    del fake.joint_3d["test"]["0"]["2200"]


DROPPED: dict[str, tuple[Callable[[FakeInterHand], None], dict[str, int]]] = {
    "no joint": (invalid(slice(21, 42)), {interhand.NO_LABELS: 1}),
    "no wrist": (invalid(slice(41, 42)), {interhand.NO_WRIST: 1}),
    "one joint": (invalid(slice(21, 41)), {interhand.NO_BOX: 1}),
    "outside": (far_away, {interhand.OUTSIDE: 4}),
    "behind": (behind, {interhand.BEHIND: 4}),
    "no 3D": (no_moment, {interhand.NO_3D: 3}),
}


@pytest.mark.parametrize("case", DROPPED)
def test_hands_that_cannot_be_used_are_dropped_with_a_reason(small: FakeInterHand, case: str):
    damage, expected = DROPPED[case]
    damage(small)
    small.save("test")
    source = open_source(small.folder)
    assert source.dropped == expected
    ((reason, count),) = expected.items()
    assert f"left out: {count:,} × {reason}" in source.notes
    block = rows_of(source)
    if case in ("no joint", "no wrist", "one joint"):
        assert len(block) == source.splits()["test"] == 11
        # The name does not depend on what became of the other hand.
        assert f"{PRAY}/right" in block.sample_id
        assert f"{PRAY}/left" not in block.sample_id


def test_images_without_an_annotation_are_noted(small: FakeInterHand):
    del small.data["test"]["annotations"][0]
    small.save("test")
    source = open_source(small.folder)
    assert source.splits() == {"test": 11}
    assert "test: 1 × image without an annotation, left out" in source.notes


def test_annotations_may_come_first_and_in_any_order(small: FakeInterHand):
    before = rows_of(open_source(small.folder))
    data = small.data["test"]
    small.data["test"] = {
        "annotations": data["annotations"][::-1],
        "info": {"version": 1},
        "images": data["images"],
    }
    small.save("test")
    after = rows_of(open_source(small.folder))
    assert sorted(after.sample_id) == sorted(before.sample_id)
    assert after.ids["image_id"] == before.ids["image_id"][::-1]
    row = after.sample_id.index(before.sample_id[0])
    assert np.array_equal(after.keypoints_2d[row], before.keypoints_2d[0])


def test_large_splits_come_in_blocks(fake: FakeInterHand, monkeypatch: pytest.MonkeyPatch):
    whole = rows_of(open_source(fake.folder), "train")
    monkeypatch.setattr(interhand, "_BLOCK_ROWS", 7)
    monkeypatch.setattr(interhand, "_BATCH_IMAGES", 5)
    parts = list(open_source(fake.folder).blocks("train"))
    assert [name for part in parts for name in part.sample_id] == whole.sample_id
    assert np.array_equal(np.concatenate([p.keypoints_2d for p in parts]), whole.keypoints_2d)
    (one,) = open_source(fake.folder).blocks("train", limit=3)
    assert one.sample_id == whole.sample_id[:3]


# -- counts and names --------------------------------------------------------------------------


def test_published_counts():
    splits = manifest.load("interhand26m").splits
    counts = {name: split.annotations for name, split in splits.items()}
    assert counts == {"train": 1_361_062, "val": 380_125, "test": 849_160}
    assert sum(counts.values()) == 2_590_347


def test_a_part_is_a_subset_and_says_so(fake: FakeInterHand):
    source = open_source(fake.folder)
    assert source.name == "interhand26m-subset"
    assert any("test has 18 of 849,160 annotations" in note for note in source.notes)
    listed = [entry["file"] for entry in source.files()]
    assert len(listed) == 9
    assert listed[2] == "annotations/train/InterHand2.6M_train_joint_3d.json"


def test_a_split_without_images_is_left_out(fake: FakeInterHand, tmp_path: Path):
    shutil.copytree(fake.folder, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "images" / "train")
    source = open_source(tmp_path / "data")
    assert source.splits() == {"val": 24, "test": 24}
    assert "train has labels but no folder images/train: left out" in source.notes


def test_names_that_are_not_ascii(tmp_path: Path):
    fake = write_interhand(tmp_path / "Hände 手", captures={"test": 1}, frames=1)
    for image in fake.data["test"]["images"]:
        old = fake.folder / "images/test" / image["file_name"]
        image["seq_name"] = image["seq_name"].replace("neutral", "ruhig–手")
        image["file_name"] = image["file_name"].replace("neutral", "ruhig–手")
        new = fake.folder / "images/test" / image["file_name"]
        new.parent.mkdir(parents=True, exist_ok=True)
        old.rename(new)
    fake.save("test")
    with HandFile(convert(open_source(fake.folder), tmp_path / "a.h5").path) as file:
        names = file["test"].column("sequence_id").tolist()
        assert names[0] == "test/Capture0/0000_ruhig–手_relaxed"


# -- the file ----------------------------------------------------------------------------------


def test_the_converted_file_is_clean(converted: Path, fake: FakeInterHand):
    result = verify(converted, deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    assert result.kept == {"train": 48, "val": 24, "test": 24}
    done = {check.name for check in result.checks if check.passed and check.split == "train"}
    assert {"reprojection", "chain order", "side", "hand size", "depth"} <= done
    with HandFile(converted) as file:
        test = file["test"]
        assert (test.box_source, test.box_padding) == ("keypoints", 1.25)
        assert test.split_unit == test.cluster_unit == "sequence_id"
        row = test.column("sample_id").tolist().index(f"{PRAY}/left")
        assert test.source_keypoints_2d()[row] == pytest.approx(fake.uv[PRAY, "left"], abs=1e-6)
        assert test.column("hand_type")[row] == "interacting"


def test_a_second_conversion_is_the_same(converted: Path, fake: FakeInterHand, tmp_path: Path):
    again = convert(open_source(fake.folder), tmp_path / "b.h5", ConvertSettings(size=128)).path
    with h5py.File(converted) as one, h5py.File(again) as two:
        for split in one:
            assert one[split].attrs["truth_sha256"] == two[split].attrs["truth_sha256"]
            assert set(one[split]) == set(two[split])
            for name in one[split]:
                assert one[split][name][...].tobytes() == two[split][name][...].tobytes(), name


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("unit", "hand size"),
        ("order", "chain order"),
        ("side", "side"),
        ("mirror", "side"),
    ],
)
def test_faults_do_not_pass_verify(tmp_path: Path, fault: str, check: str):
    fake = write_interhand(tmp_path / "data", captures={"test": 1}, fault=fault)
    result = verify(convert(open_source(fake.folder), tmp_path / "a.h5").path)
    assert check in {c.name for c in result.checks if c.passed is False}


def test_other_camera_axes_are_refused(tmp_path: Path):
    fake = write_interhand(tmp_path / "data", captures={"test": 1}, fault="opengl")
    with pytest.raises(SourceError, match=r"none that can be used: 24 × hand with a joint behind"):
        open_source(fake.folder)


@pytest.mark.parametrize("box", [[0, 0, 0, 0], [-900.0, -900.0, 50.0, 60.0], None])
def test_boxes_of_the_file_are_not_used(small: FakeInterHand, box: object):
    whole = next(open_source(small.folder).blocks("test"))
    for hand in small.data["test"]["annotations"]:
        hand["bbox"] = box
    small.save("test")
    source = open_source(small.folder)
    block = next(source.blocks("test"))
    # What is wrong with a box there says nothing of the hand: ours is that of its keypoints.
    assert block.sample_id == whole.sample_id
    assert np.array_equal(block.bbox, whole.bbox)
    assert source.dropped == {}


def test_a_hand_whose_keypoints_span_no_box_is_left_out_with_a_reason(small: FakeInterHand):
    small.data["test"]["annotations"][0]["joint_valid"] = [[int(j == 20)] for j in range(42)]
    small.save("test")
    source = open_source(small.folder)
    assert source.dropped == {interhand.NO_BOX: 1}
    assert source.splits() == {"test": 11}


# -- bad input ---------------------------------------------------------------------------------


def change(kind: str, **changes: Any) -> Callable[[FakeInterHand], None]:
    def damage(fake: FakeInterHand) -> None:
        fake.data["test"][kind][1].update(changes)
        fake.save("test")

    return damage


def lose(kind: str, name: str) -> Callable[[FakeInterHand], None]:
    def damage(fake: FakeInterHand) -> None:
        del fake.data["test"][kind][1][name]
        fake.save("test")

    return damage


def label_file(what: str, change: Callable[[Path], Any]) -> Callable[[FakeInterHand], None]:
    return lambda fake: change(fake.path("test", what))


def image_file(change: Callable[[Path], Any]) -> Callable[[FakeInterHand], None]:
    name = "images/test/Capture0/0000_neutral_relaxed/cam400298/image2000.jpg"
    return lambda fake: change(fake.folder / name)


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def short_joints(fake: FakeInterHand) -> None:
    fake.joint_3d["test"]["0"]["2100"]["world_coord"].pop()
    fake.save("test")


def no_camera(fake: FakeInterHand) -> None:
    del fake.camera["test"]["0"]["campos"]["400298"]
    fake.save("test")


def no_focal(fake: FakeInterHand) -> None:
    del fake.camera["test"]["0"]["focal"]["400298"]
    fake.save("test")


def twice(fake: FakeInterHand) -> None:
    fake.data["test"]["annotations"].append(fake.data["test"]["annotations"][0])
    fake.save("test")


def all_invalid(fake: FakeInterHand) -> None:
    for hand in fake.data["test"]["annotations"]:
        hand["joint_valid"] = [[0]] * 42
    fake.save("test")


def old_layout(fake: FakeInterHand) -> None:
    (fake.folder / "annotations" / "test").rename(fake.folder / "annotations" / "human_annot")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def empty(path: Path) -> None:
    path.write_bytes(b"")


BAD: dict[str, tuple[Callable[[FakeInterHand], Any], str]] = {
    "no data": (
        label_file("data", Path.unlink),
        r"expected annotations/train/InterHand2\.6M_train_data\.json \(or .* found annotations, im",
    ),
    "no camera file": (
        label_file("camera", Path.unlink),
        r"expected InterHand2\.6M_test_camera\.json beside InterHand2\.6M_test_data\.json in",
    ),
    "no joint file": (
        label_file("joint_3d", Path.unlink),
        r"expected InterHand2\.6M_test_joint_3d\.json beside .*, found no such file",
    ),
    "v0.0": (old_layout, r"annotations/<split>/ of InterHand2\.6M v1\.0 .*human_annot of v0\.0"),
    "no images": (
        lambda fake: shutil.rmtree(fake.folder / "images"),
        r"expected a folder images/test in .*, found labels alone",
    ),
    "data cut": (label_file("data", cut), r"a whole JSON file at .*_data\.json, .*breaks off"),
    "joints cut": (label_file("joint_3d", cut), r"JSON file at .*_joint_3d\.json, .*breaks off"),
    "cameras cut": (label_file("camera", cut), r"cameras .*_camera\.json, .*breaks off"),
    "data empty": (label_file("data", empty), r"JSON at .*_data\.json, found an empty file"),
    "joints empty": (label_file("joint_3d", empty), r"_joint_3d\.json, found an empty file"),
    "cameras empty": (label_file("camera", empty), r"_camera\.json, found an empty file"),
    "data loop": (label_file("data", loop), r"expected annotations/train/InterHand2\.6M_train"),
    "another JSON": (
        label_file("data", lambda path: path.write_text('{"a": [{"b": 1}]}')),
        r"expected 'images' and 'annotations' with records in .*_data\.json, found none",
    ),
    "another camera file": (
        label_file("camera", lambda path: path.write_text('{"0": {"a": 1}}')),
        r"expected campos, camrot, focal and princpt .*_camera\.json",
    ),
    "no capture": (label_file("camera", lambda path: path.write_text("{}")), "expected cameras in"),
    "no moments": (
        label_file("joint_3d", lambda path: path.write_text("{}")),
        r"expected 3D joints under capture and frame in .*_joint_3d\.json, found none",
    ),
    "short joints": (
        short_joints,
        r"record 0/2100 in .*_joint_3d\.json: expected world_coord 42×3",
    ),
    "no such camera": (
        no_camera,
        r"images of camera 400298 in capture 0, .*_camera\.json does not",
    ),
    "no focal length": (no_focal, r"expected campos, camrot, focal and princpt"),
    "no file name": (lose("images", "file_name"), r"a record in .*_data\.json has no 'file_name'"),
    "no hand type": (lose("annotations", "hand_type"), "has no 'hand_type'"),
    "frame in words": (change("images", frame_idx="one"), "holds something else than expected"),
    "41 flags": (change("annotations", joint_valid=[[1]] * 41), "something else .* 42 flags"),
    "other hand type": (change("annotations", hand_type="both"), "a hand_type of right, left, int"),
    "outside the folder": (
        change("images", file_name="../../secret.jpg"),
        r"expected 'file_name' in .* below the folder of images, found '\.\./\.\./secret\.jpg'",
    ),
    "no path": (change("images", file_name=None), "below the folder of images, found None"),
    "unknown image": (change("annotations", image_id=5), "names image 5, .* among its 9 images"),
    "two annotations": (twice, "expected one annotation an image in .*, found 2 of image 1000"),
    "nothing valid": (all_invalid, "none that can be used: 12 × hand named by its image's hand"),
    "image missing": (image_file(Path.unlink), r"expected images/test/.*2000\.jpg in .*, found no"),
    "image empty": (image_file(empty), r"expected an image at .*image2000\.jpg, found an empty"),
    "image truncated": (image_file(cut), r"image2000\.jpg"),
    "image loop": (image_file(loop), r"cannot read .*image2000\.jpg: .*symbolic links"),
    "image resized": (
        change("images", width=512, height=334),
        r"400298/image2000\.jpg to have 512×334 px as its record says, found 334×512",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(small: FakeInterHand, case: str):
    damage, message = BAD[case]
    damage(small)
    out = small.folder.parent / "out" / "a.h5"
    with pytest.raises(SourceError, match=message) as caught:
        convert(open_source(small.folder), out)
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_places_that_are_no_dataset(tmp_path: Path):
    with pytest.raises(SourceError, match=r"expected a dataset folder at .*none, found nothing"):
        open_source(tmp_path / "none")
    (tmp_path / "a.tar").write_bytes(b"x")
    with pytest.raises(SourceError, match=r"a\.tar, found a file; join and unpack"):
        open_source(tmp_path / "a.tar")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=r"expected annotations/train/.*, found an empty folder"):
        open_source(tmp_path / "empty")


# -- real data ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_images(real_data: Path, tmp_path: Path):
    native = real_data / "interhand26m"
    root = tmp_path / "InterHand2.6M"
    (root / "annotations" / "test").mkdir(parents=True)
    (root / "images").mkdir()
    for what in ("data", "camera", "joint_3d"):
        link = root / "annotations" / "test" / f"InterHand2.6M_test_{what}.json"
        link.symlink_to(native / f"{what}.json")
    (root / "images" / "test").symlink_to(native / "images")
    source = open_source(root)
    assert source.dropped == {}
    out = convert(source, tmp_path / "a.h5", ConvertSettings(size=256)).path
    data = json.loads((native / "data.json").read_text())
    single = next(a for a in data["annotations"] if a["hand_type"] == "right")
    pair = next(a for a in data["annotations"] if a["hand_type"] == "interacting")
    with HandFile(out) as file:
        test = file["test"]
        names = ["test/image69148/right", "test/image69148/left", "test/image2017"]
        assert test.column("sample_id").tolist() == names
        assert test.column("is_right").tolist() == [1, 0, 1]
        assert test.column("valid_3d").all()
        # One hand: the published box. Two: it is the box of both, which ours span together.
        boxes = test.source_bbox()
        assert boxes[2] == pytest.approx(np.array(single["bbox"]), abs=0.05)
        points = test.source_keypoints_2d()[:2].reshape(-1, 2)
        assert 1.2 * np.ptp(points, axis=0) == pytest.approx(np.array(pair["bbox"][2:]), abs=0.05)
        palm = np.linalg.norm(test.column("keypoints_3d")[:, 9], axis=-1)
        assert ((palm > 0.3) & (palm < 2)).all()
    assert [c for c in verify(out, deep=True).checks if c.passed is False] == []
