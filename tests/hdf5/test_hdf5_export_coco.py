from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from generators.coco import FakeCOCO, write_coco
from generators.rhd import write_rhd
from generators.tiny_hdf5 import write_tiny

from handbench.camera import project
from handbench.cli import cli
from handbench.hand import JOINT_NAMES
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.export_coco import convert_command, export_coco
from handbench.hdf5.merge import Input, merge
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.scores.truth import read_truth
from handbench.sources import coco, manifest, rhd

SETTINGS = {"size": 96, "padding": 1.25}


def converted(annotations: dict[str, Path], images: Path, out: Path, **settings: Any) -> HandFile:
    source = coco.open_source(annotations, images, manifest.load("coco"), name="hands")
    return HandFile(convert(source, out, ConvertSettings(**SETTINGS | settings)).path)


def converted_back(folder: Path, out: Path, **settings: Any) -> HandFile:
    files = {path.stem: path for path in (folder / "annotations").glob("*.json")}
    return converted(files, folder / "images", out, **settings)


def arrays(file: HandFile) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[...]

    file.handle.visititems(visit)
    return found


def differing(one: HandFile, other: HandFile) -> set[str]:
    """Arrays of `one` that `other` does not hold bit for bit."""
    a, b = arrays(one), arrays(other)
    return {
        name
        for name in a
        if name not in b
        or not np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f")
    }


def partly_labelled(folder: Path) -> FakeCOCO:
    """Hands with occluded, visible and unlabelled joints; one without 3D; sides that differ."""
    fake = write_coco(folder, 9)
    for row, hand in enumerate(fake.data["annotations"]):
        flags = [2, 1, 0] if row % 2 else [2, 2, 1]
        for joint in range(21):
            hand["keypoints"][3 * joint + 2] = flags[joint % 3]
        hand["head_size"] = 40.5 + row
    fake.data["annotations"][3]["joint_cam"] = None
    fake.data["annotations"][4]["joint_cam"][20] = [None, None, None]
    del fake.data["annotations"][5]["hand_type"]
    fake.save()
    return fake


@pytest.fixture
def file(tmp_path: Path) -> HandFile:
    fake = partly_labelled(tmp_path / "source")
    return converted({"test": fake.annotations}, fake.images, tmp_path / "hands.h5")


def annotations(folder: Path, split: str = "test") -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "annotations" / f"{split}.json").read_text())
    return data


@pytest.mark.parametrize("storage", ["encoded", "raw"])
def test_convert_of_export_is_equal(tmp_path: Path, storage: str):
    fake = partly_labelled(tmp_path / "source")
    raw = {"raw_images": storage == "raw"}
    file = converted({"test": fake.annotations}, fake.images, tmp_path / "hands.h5", **raw)
    export_coco(file, tmp_path / "out")
    back = converted_back(tmp_path / "out", tmp_path / "back.h5", **raw)
    assert differing(file, back) == set()
    assert back["test"].truth_sha256 == file["test"].truth_sha256
    assert arrays(back).keys() == arrays(file).keys()
    assert verify(back.path).passed


def test_images_keep_their_bytes(file: HandFile, tmp_path: Path):
    export_coco(file, tmp_path / "out")
    for row, name in enumerate(file["test"].column("sample_id")):
        path = tmp_path / "out" / "images" / f"{name}.jpg"
        assert path.read_bytes() == file["test"].image_bytes(row)


def test_the_json_is_coco(file: HandFile, tmp_path: Path):
    export_coco(file, tmp_path / "out")
    data = annotations(tmp_path / "out")
    assert data["categories"][0]["keypoints"] == list(JOINT_NAMES)
    assert len(data["categories"][0]["skeleton"]) == 20
    assert min(min(bone) for bone in data["categories"][0]["skeleton"]) == 1
    assert data["handbench"]["truth_sha256"] == file["test"].truth_sha256
    assert [image["id"] for image in data["images"]] == list(range(100, 109))
    assert {(image["width"], image["height"]) for image in data["images"]} == {(96, 96)}
    hands = data["annotations"]
    assert [hand["id"] for hand in hands] == list(range(1, 10))
    table = np.array([hand["keypoints"] for hand in hands]).reshape(-1, 21, 3)
    assert np.array_equal(table[..., 2], file["test"].column("visibility"))
    assert (table[~file["test"].column("valid_2d")] == 0).all()
    assert [hand["num_keypoints"] for hand in hands] == file["test"].column("valid_2d").sum(
        axis=1
    ).tolist()
    assert "hand_type" not in hands[5]
    assert "joint_cam" not in hands[3]
    assert hands[4]["joint_cam"][20] == [None, None, None]


def test_camera_and_3d_meet_the_keypoints(tmp_path: Path, fake_coco: FakeCOCO):
    file = converted({"test": fake_coco.annotations}, fake_coco.images, tmp_path / "hands.h5")
    export_coco(file, tmp_path / "out")
    data = annotations(tmp_path / "out")
    for image, hand in zip(data["images"], data["annotations"]):
        fx, fy = image["cam_param"]["focal"]
        x, y, z = np.array(hand["joint_cam"]).T
        cx, cy = image["cam_param"]["princpt"]
        u, v, _ = np.array(hand["keypoints"]).reshape(21, 3).T
        np.testing.assert_allclose(fx * x / z + cx, u, atol=1e-3)
        np.testing.assert_allclose(fy * y / z + cy, v, atol=1e-3)


def test_everything_else_stands_in_named_fields(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        export_coco(file, tmp_path / "out")
        for name in file.splits:
            split = file[name]
            hands = annotations(tmp_path / "out", name)["annotations"]
            told = {"image_size", "keypoints_2d", "valid_2d", "valid_3d", "bbox", "is_right"}
            told |= {"keypoints_3d", "camera", "mirrored"}
            for column in set(split.names) - told:
                values = np.array([hand[f"handbench_{column}"] for hand in hands])
                expected = split.column(column)
                assert np.array_equal(values.astype(expected.dtype), expected), column
        hand = annotations(tmp_path / "out", "train")["annotations"][0]
        mask = (tmp_path / "out" / hand["handbench_mask"]).read_bytes()
        group = file.handle["train"]
        start, stop = group["mask_offset"][:2]
        assert mask == group["mask"][start:stop].tobytes()


def test_unknown_visibility_is_visible_and_says_so(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        export_coco(file, tmp_path / "out", ("test",))
    for hand in annotations(tmp_path / "out")["annotations"]:
        assert set(hand["keypoints"][2::3]) == {2}
        assert hand["handbench_visibility"] == [255] * 21


def test_a_mirrored_hand_is_on_the_side_that_its_image_shows(tmp_path: Path):
    fake = write_coco(tmp_path / "source", 10)
    for row, hand in enumerate(fake.data["annotations"]):
        hand["hand_type"] = "left" if row < 5 else "right"
    fake.save()
    file = converted(
        {"test": fake.annotations}, fake.images, tmp_path / "hands.h5", mirror_left=True
    )
    export_coco(file, tmp_path / "out")
    data = annotations(tmp_path / "out")
    assert [hand["hand_type"] for hand in data["annotations"]] == ["right"] * 10
    flipped = [hand.get("handbench_mirrored", False) for hand in data["annotations"]]
    assert flipped == [True] * 5 + [False] * 5
    assert [h["handbench_is_right"] for h in data["annotations"][:5]] == [0] * 5
    back = converted_back(tmp_path / "out", tmp_path / "back.h5", mirror_left=True)
    # A hand that is mirrored already is not mirrored back.
    assert differing(file, back) == set()
    points, camera = back["test"].column("keypoints_3d"), back["test"].column("camera")
    np.testing.assert_allclose(
        project(points, camera), back["test"].column("keypoints_2d"), atol=1e-3
    )


def test_a_camera_with_skew_has_its_own_field(file: HandFile, tmp_path: Path):
    path = file.path
    file.close()
    with h5py.File(path, "r+") as raw:
        raw["test/camera"][2, 0, 1] = 0.25
    with HandFile(path) as changed:
        export_coco(changed, tmp_path / "out")
        data = annotations(tmp_path / "out")
        assert "cam_param" not in data["images"][2]
        assert "cam_param" in data["images"][1]
        assert "handbench_camera" not in data["annotations"][1]
        camera = data["annotations"][2]["handbench_camera"]
        assert np.array_equal(camera, changed["test"].column("camera")[2])
        with converted_back(tmp_path / "out", tmp_path / "back.h5") as back:
            assert differing(changed, back) == set()


def test_ids_that_cannot_be_file_names(tmp_path: Path):
    path = write_tiny(tmp_path / "tiny.h5", {"test": 3})
    with h5py.File(path, "r+") as raw:
        del raw["test/sample_id"]
        names = np.array([b"../up", b"a:b", "fünf/5".encode()])
        raw["test/sample_id"] = names.astype(h5py.string_dtype("utf-8", length=9))
    with HandFile(path) as file:
        done = export_coco(file, tmp_path / "out")
    data = annotations(tmp_path / "out")
    assert [hand["handbench_sample_id"] for hand in data["annotations"]] == [
        "../up",
        "a:b",
        "fünf/5",
    ]
    assert [i["file_name"] for i in data["images"]] == [".%2E/up.png", "a%3Ab.png", "fünf/5.png"]
    assert all((tmp_path / "out/images" / i["file_name"]).is_file() for i in data["images"])
    assert done.notes == [
        "test: 2 sample ids cannot be file names as they are; handbench_sample_id has them"
    ]
    back = converted_back(tmp_path / "out", tmp_path / "back.h5", size=64, padding=1.5)
    assert back["test"].column("sample_id").tolist() == ["../up", "a:b", "fünf/5"]


def test_a_photo_in_two_splits_is_written_twice(tmp_path: Path):
    fake = write_coco(tmp_path / "source", 4)
    both = {"train": fake.annotations, "test": fake.annotations}
    file = converted(both, fake.images, tmp_path / "hands.h5")
    export_coco(file, tmp_path / "out")
    names = [i["file_name"] for i in annotations(tmp_path / "out")["images"]]
    assert names == [f"0000{row}~test-{row}.jpg" for row in range(4)]
    assert len(list((tmp_path / "out/images").iterdir())) == 8
    assert differing(file, converted_back(tmp_path / "out", tmp_path / "back.h5")) == set()


def test_hands_without_any_label_come_back(tmp_path: Path):
    path = write_tiny(tmp_path / "t.h5", {"train": 3, "test": 2}, unlabelled=("test",))
    with HandFile(path) as file:
        export_coco(file, tmp_path / "out")
        with converted_back(tmp_path / "out", tmp_path / "b.h5", size=64, padding=1.5) as back:
            assert differing(file, back) == set()
            assert not back["test"].column("valid_2d").any()


def test_occluded_labels_alone_are_not_of_unknown_visibility(tmp_path: Path):
    path = write_tiny(tmp_path / "t.h5", {"test": 2})
    with h5py.File(path, "r+") as raw:
        raw["test/visibility"][:] = 1
    with HandFile(path) as file:
        export_coco(file, tmp_path / "out")
        with converted_back(tmp_path / "out", tmp_path / "b.h5", size=64, padding=1.5) as back:
            assert (back["test"].column("visibility") == 1).all()


def test_a_merged_file_comes_back(freihand_file: Path, tmp_path: Path):
    """Boxes of several paddings, ids of several datasets, intrinsics of some rows alone."""
    tiny = write_tiny(tmp_path / "tiny.h5", {"train": 3}, size=224)
    merge([Input(freihand_file), Input(tiny, 2.0)], tmp_path / "both.h5")
    with HandFile(tmp_path / "both.h5") as file:
        assert np.isnan(file["train"].box_padding)
        done = export_coco(file, tmp_path / "out")
        command = convert_command(file, done)
        assert command is not None and "--padding" not in command
        words = [*shlex.split(command)[1:], "--out", str(tmp_path / "back.h5")]
        result = CliRunner().invoke(cli, words)
        assert result.exit_code == 0, result.output
        with HandFile(tmp_path / "back.h5") as back:
            assert differing(file, back) == set()
            assert back["train"].split_unit == file["train"].split_unit
    assert verify(tmp_path / "back.h5").passed


@pytest.mark.parametrize("size", [64, 224])
def test_another_size_leads_back_to_the_first_source_too(tmp_path: Path, size: int):
    fake = partly_labelled(tmp_path / "source")
    annotated = {"test": fake.annotations}
    file = converted(annotated, fake.images, tmp_path / "a.h5", perspective=True)
    export_coco(file, tmp_path / "out")
    back = converted_back(tmp_path / "out", tmp_path / "b.h5", size=size)
    direct = converted(annotated, fake.images, tmp_path / "c.h5", perspective=True, size=size)
    for name in ("crop", "crop_rotation", "keypoints_2d", "keypoints_3d", "camera", "source_bbox"):
        np.testing.assert_allclose(
            back["test"].column(name), direct["test"].column(name), rtol=0, atol=1e-6, err_msg=name
        )
    assert back["test"].attributes("crop")["kind"] == "perspective"
    assert verify(back.path, deep=True).passed


def test_a_turned_view_of_a_mirrored_hand_is_turned_again(tmp_path: Path):
    fake = write_coco(tmp_path / "source", 4)
    for hand in fake.data["annotations"]:
        hand["hand_type"] = "left"
    fake.save()
    settings = {"mirror_left": True, "perspective": True}
    file = converted({"test": fake.annotations}, fake.images, tmp_path / "a.h5", **settings)
    export_coco(file, tmp_path / "out")
    back = converted_back(tmp_path / "out", tmp_path / "b.h5", perspective=True, padding=1.4)
    split, first = back["test"], file["test"]
    assert split.column("mirrored").all()
    assert (split.column("is_right") == 0).all()
    np.testing.assert_allclose(
        split.source_keypoints_2d(), first.source_keypoints_2d(), rtol=0, atol=1e-6
    )
    one, other = read_truth(file, "test"), read_truth(back, "test")
    np.testing.assert_allclose(one.keypoints_3d, other.keypoints_3d, rtol=0, atol=1e-6)
    assert verify(back.path).passed


# -- labels that are rounded in the source, and enlarged with its crop -----------------------------


@pytest.fixture(scope="module")
def enlarged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """RHD, whose files keep four digits, at 224 px: its folder, and what follows `convert`."""
    folder = tmp_path_factory.mktemp("rhd")
    source = rhd.open_source(write_rhd(folder).folder, manifest.load("rhd"))
    with HandFile(convert(source, folder / "rhd.h5", ConvertSettings()).path) as file:
        command = convert_command(file, export_coco(file, folder / "out"))
    assert command is not None
    return folder, shlex.split(command)[1:]


def test_a_tolerance_in_source_px_goes_on_to_be_one(enlarged: tuple[Path, list[str]]):
    folder, words = enlarged
    result = CliRunner().invoke(cli, [*words, "--out", str(folder / "back.h5"), "--overwrite"])
    assert result.exit_code == 0, result.output
    with HandFile(folder / "back.h5") as back:
        split = back["test"]
        away = project(split.column("keypoints_3d"), split.column("camera"))
        away = np.linalg.norm(away - split.column("keypoints_2d"), axis=-1)
        # In stored px the rounding alone is more than RHD's tolerance in source px.
        assert np.nanmax(away) > manifest.load("rhd").reprojection_tolerance_px
    assert verify(folder / "back.h5").passed
    source = CliRunner().invoke(cli, ["verify", *words[1 : words.index("--size")]])
    assert source.exit_code == 0, source.output


@pytest.mark.parametrize("of_file", [True, False])
def test_a_fault_of_twice_the_tolerance_is_found(
    enlarged: tuple[Path, list[str]], tmp_path: Path, of_file: bool
):
    folder, words = enlarged
    out = shutil.copytree(folder / "out", tmp_path / "out")
    data = annotations(out)
    hand = data["annotations"][3]
    scale = np.sqrt(np.linalg.det(np.array(hand["handbench_crop"])[:2, :2]))
    away = 2 * manifest.load("rhd").reprojection_tolerance_px * scale
    hand["keypoints"][3 * 6] += away
    (out / "annotations" / "test.json").write_text(json.dumps(data))
    words = [word.replace(str(folder / "out"), str(out)) for word in words]
    if of_file:
        made = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "b.h5")])
        assert made.exit_code == 0, made.output
        words = ["verify", str(tmp_path / "b.h5"), "--json"]
    else:
        words = ["verify", *words[1 : words.index("--size")], "--json"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    failed = {(c["split"], c["name"]) for c in json.loads(result.stdout)["checks"]
              if c["passed"] is False}  # fmt: skip
    assert failed == {("test", "reprojection")}


def test_equal_files_give_equal_folders(
    file: HandFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    for name in ("one", "two"):
        export_coco(file, tmp_path / name)
    one, two = (
        {p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()}
        for f in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two


def test_the_command_that_leads_back_works(
    file: HandFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    done = export_coco(file, tmp_path / "an out")
    command = convert_command(file, done)
    assert command is not None
    words = shlex.split(command)[1:]
    result = CliRunner().invoke(cli, [*words, "--out", str(tmp_path / "back.h5")])
    assert result.exit_code == 0, result.output
    with HandFile(tmp_path / "back.h5") as back:
        assert differing(file, back) == set()


def test_no_command_leads_back_from_images_of_several_sizes(tmp_path: Path):
    with HandFile(write_tiny(tmp_path / "t.h5", {"test": 4}, sizes=(32, 48))) as file:
        done = export_coco(file, tmp_path / "out")
        assert convert_command(file, done) is None


@pytest.mark.real_data
def test_real_hands_come_back(real_data: Path, tmp_path: Path):
    folder = real_data / "realhands_coco"
    file = converted({"test": folder / "annotations.json"}, folder / "images", tmp_path / "a.h5")
    export_coco(file, tmp_path / "out")
    back = converted_back(tmp_path / "out", tmp_path / "b.h5")
    assert differing(file, back) == set()
