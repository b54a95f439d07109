from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.coco import FakeCOCO, write_coco
from generators.freihand import FakeFreiHAND, write_freihand
from PIL import Image

from handbench.errors import FormatError, SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.export_freihand import export_freihand
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import coco, freihand, manifest

EXTRAS = frozenset({"vertices", "mano", "mask"})


def converted(folder: Path, out: Path, **settings: Any) -> HandFile:
    source = freihand.open_source(folder, manifest.load("freihand"))
    return HandFile(convert(source, out, ConvertSettings(**settings)).path)


def coco_file(fake: FakeCOCO, out: Path, **settings: Any) -> HandFile:
    source = coco.open_source(
        {"test": fake.annotations}, fake.images, manifest.load("coco"), name="own"
    )
    return HandFile(convert(source, out, ConvertSettings(**settings)).path)


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def check_equal(one: HandFile, other: HandFile) -> None:
    """Every array; 2D is projected again from 3D of single precision."""
    assert one.splits == other.splits
    for name in one.splits:
        a, b = one.handle[name], other.handle[name]
        assert a.keys() == b.keys()
        for column in a:
            if column == "keypoints_2d":
                np.testing.assert_allclose(b[column][...], a[column][...], rtol=0, atol=1e-4)
            else:
                x, y = a[column][...], b[column][...]
                assert np.array_equal(x, y, equal_nan=x.dtype.kind == "f"), (name, column)


def test_convert_of_export_is_equal(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        done = export_freihand(file, tmp_path / "out")
        assert done.notes == []
        back = converted(tmp_path / "out", tmp_path / "back.h5", extras=EXTRAS)
        check_equal(file, back)
        assert back.dataset == file.dataset
    assert verify(back.path, deep=True).passed


def test_train_and_val_are_training_again_and_images_keep_their_bytes(
    freihand_file: Path, fake_freihand: FakeFreiHAND, tmp_path: Path
):
    with HandFile(freihand_file) as file:
        assert file.splits == ("train", "val", "test")
        export_freihand(file, tmp_path / "out")
    for native in ("training", "evaluation"):
        one, two = (
            {p.name: p.read_bytes() for p in (folder / native / "rgb").iterdir()}
            for folder in (fake_freihand.folder, tmp_path / "out")
        )
        assert one == two


def test_numbers_are_those_of_the_source(
    freihand_file: Path, fake_freihand: FakeFreiHAND, tmp_path: Path
):
    with HandFile(freihand_file) as file:
        export_freihand(file, tmp_path / "out")
    out = tmp_path / "out"
    for native in ("training", "evaluation"):
        assert read(out / f"{native}_K.json") == fake_freihand.camera[native].tolist()
        assert read(out / f"{native}_scale.json") == fake_freihand.scale[native].tolist()
        xyz = np.array(read(out / f"{native}_xyz.json"))
        assert np.array_equal(xyz, fake_freihand.xyz[native].astype(np.float32))
        mano = np.array(read(out / f"{native}_mano.json"))
        assert mano.shape == (len(xyz), 1, 61)
        np.testing.assert_allclose(mano[:, 0], fake_freihand.mano[native], rtol=2e-6, atol=1e-4)
    assert len(read(out / "training_verts.json")) == len(fake_freihand.xyz["training"])


def test_what_has_no_place_stands_beside(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        export_freihand(file, tmp_path / "out")
        rest = read(tmp_path / "out" / "handbench_training.json")
        assert [entry["sample_id"] for entry in rest] == [f"training/{i:08d}" for i in range(32)]
        for name in ("train", "val"):
            split = file[name]
            mine = [entry for entry in rest if entry["split"] == name]
            for column in ("instant_id", "visibility", "keypoints_2d", "is_right", "bbox", "crop"):
                assert np.array_equal([entry[column] for entry in mine], split.column(column))


def test_one_split_alone(freihand_file: Path, tmp_path: Path):
    with HandFile(freihand_file) as file:
        done = export_freihand(file, tmp_path / "out", ("val",))
        back = converted(tmp_path / "out", tmp_path / "back.h5")
        assert done.rows == {"val": 8}
        assert "numbered in the order of the file" in done.notes[0]
        rest = read(tmp_path / "out" / "handbench_training.json")
        assert [entry["sample_id"] for entry in rest] == file["val"].column("sample_id").tolist()
        points = np.concatenate([back[name].column("keypoints_3d") for name in back.splits])
        mine = file["val"].column("keypoints_3d")
        assert np.array_equal(np.sort(points, axis=0), np.sort(mine, axis=0))


def test_an_evaluation_without_labels(tmp_path: Path):
    fake = write_freihand(tmp_path / "source", training=False, evaluation_labels=False)
    with converted(fake.folder, tmp_path / "a.h5") as file:
        export_freihand(file, tmp_path / "out")
        assert not (tmp_path / "out" / "evaluation_xyz.json").exists()
        check_equal(file, converted(tmp_path / "out", tmp_path / "b.h5"))


def test_raw_pixels_become_jpeg_and_it_is_said(tmp_path: Path):
    fake = write_freihand(tmp_path / "source", training=False)
    with converted(fake.folder, tmp_path / "a.h5", raw_images=True) as file:
        done = export_freihand(file, tmp_path / "out")
        data = (tmp_path / "out/evaluation/rgb/00000002.jpg").read_bytes()
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.format == "JPEG"
            difference = np.abs(np.asarray(picture).astype(int) - file["test"].image(2))
        assert difference.mean() < 2
    assert any("8 images were no JPEG" in note for note in done.notes)


def test_another_dataset_cannot_pass_for_freihand(tmp_path: Path):
    with coco_file(write_coco(tmp_path / "source"), tmp_path / "own.h5") as file:
        done = export_freihand(file, tmp_path / "out")
        points = np.array(read(tmp_path / "out/evaluation_xyz.json"))
        assert np.array_equal(points, file["test"].column("keypoints_3d"))
        scale = read(tmp_path / "out/evaluation_scale.json")
        np.testing.assert_allclose(scale, np.linalg.norm(points[:, 10] - points[:, 9], axis=1))
    assert read(tmp_path / "out/handbench_source.json")["handbench_source"] == "own-export"
    assert any("principal point" in note for note in done.notes)
    with converted(tmp_path / "out", tmp_path / "back.h5") as back:
        assert back.dataset == "own-export"
        assert back.attributes["title"] == "own"
        assert back.attributes["license"] == manifest.load("coco").license
        # Neither the name nor the marker changes the order of the joints.
        assert np.array_equal(back["test"].column("keypoints_3d"), points.astype(np.float32))


def test_an_export_of_an_export_keeps_its_name(tmp_path: Path):
    fake = write_coco(tmp_path / "source", 4)
    fake.data["annotations"][1]["hand_type"] = "left"
    fake.save()
    with coco_file(fake, tmp_path / "own.h5", mirror_left=True) as file:
        export_freihand(file, tmp_path / "one")
    with converted(tmp_path / "one", tmp_path / "a.h5") as once:
        # The image of the mirrored left hand shows a right one.
        assert once["test"].column("is_right").tolist() == [1, 1, 1, 1]
        export_freihand(once, tmp_path / "two")
        with converted(tmp_path / "two", tmp_path / "b.h5") as twice:
            assert twice.dataset == once.dataset == "own-export"
            check_equal(once, twice)


def test_freihand_that_was_cut_is_not_freihand_any_more(freihand_file: Path, tmp_path: Path):
    fake = write_freihand(tmp_path / "source", training=False)
    with converted(fake.folder, tmp_path / "a.h5", size=96) as file:
        export_freihand(file, tmp_path / "out")
        with converted(tmp_path / "out", tmp_path / "b.h5", size=96) as back:
            assert back.dataset == "freihand-subset-export"
            assert np.array_equal(
                back["test"].column("keypoints_3d"), file["test"].column("keypoints_3d")
            )
            assert np.array_equal(back["test"].column("camera"), file["test"].column("camera"))


def test_a_dataset_of_this_layout_keeps_its_name(tmp_path: Path):
    fake = write_freihand(tmp_path / "source", training=False, marker="sample")
    with converted(fake.folder, tmp_path / "a.h5") as file:
        export_freihand(file, tmp_path / "out")
        with converted(tmp_path / "out", tmp_path / "b.h5") as back:
            assert back.dataset == file.dataset == "sample"
            check_equal(file, back)


def test_left_hands_are_pointed_out(tmp_path: Path):
    fake = write_coco(tmp_path / "source", 3)
    fake.data["annotations"][0]["hand_type"] = "left"
    fake.save()
    with coco_file(fake, tmp_path / "own.h5") as file:
        done = export_freihand(file, tmp_path / "out")
    assert any("1 hands are left hands or of unknown side" in note for note in done.notes)


@pytest.mark.parametrize("what", ["camera", "3D"])
def test_hands_without_camera_or_3d_are_refused(tmp_path: Path, what: str):
    fake = write_coco(tmp_path / "source", 3, with_3d=what == "3D")
    if what == "3D":
        fake.data["annotations"][1]["joint_cam"][4] = [None, None, None]
        fake.save()
    expected = "1 of 3 hands without" if what == "3D" else "expected a camera"
    with (
        coco_file(fake, tmp_path / "own.h5") as file,
        pytest.raises(FormatError, match=expected),
    ):
        export_freihand(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


def test_mano_of_another_meaning_is_left_out(freihand_file: Path, tmp_path: Path):
    path = tmp_path / "a.h5"
    path.write_bytes(freihand_file.read_bytes())
    with h5py.File(path, "r+") as raw:
        raw["test/mano_pose"].attrs["flat_hand_mean"] = True
    with HandFile(path) as file:
        done = export_freihand(file, tmp_path / "out", ("test",))
    assert not (tmp_path / "out/evaluation_mano.json").exists()
    assert any("MANO parameters are left out" in note for note in done.notes)


def test_a_split_of_another_name_is_refused(freihand_file: Path, tmp_path: Path):
    path = tmp_path / "a.h5"
    path.write_bytes(freihand_file.read_bytes())
    with h5py.File(path, "r+") as raw:
        raw.move("val", "dev")
    with HandFile(path) as file, pytest.raises(FormatError, match="no split 'dev'"):
        export_freihand(file, tmp_path / "out")


def test_a_limited_training_split(tmp_path: Path):
    fake = write_freihand(tmp_path / "source", instants=(1,) * 5, evaluation=0, versions=2)
    with converted(fake.folder, tmp_path / "a.h5", limit=3) as file:
        export_freihand(file, tmp_path / "out")
        with converted(tmp_path / "out", tmp_path / "b.h5") as back:
            check_equal(file, back)


@pytest.mark.real_data
def test_real_images_come_back(real_data: Path, tmp_path: Path):
    with converted(real_data / "FreiHAND_pub_v2", tmp_path / "a.h5") as file:
        export_freihand(file, tmp_path / "out")
        check_equal(file, converted(tmp_path / "out", tmp_path / "b.h5"))


def test_a_file_that_was_damaged_is_one_sentence(freihand_file: Path, tmp_path: Path):
    path = tmp_path / "a.h5"
    path.write_bytes(freihand_file.read_bytes())
    with h5py.File(path, "r+") as raw:
        del raw["train/mano_pose"]
        raw["train/image"][:] = 0
        raw.attrs["title"] = "damaged"
    with HandFile(path) as file, pytest.raises((FormatError, SourceError), match="row 0"):
        export_freihand(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
