from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from handbench.errors import FormatError
from handbench.hdf5 import verify as verification
from handbench.hdf5.verify import verify


@pytest.fixture
def copy(freihand_file: Path, tmp_path: Path) -> Path:
    return shutil.copy(freihand_file, tmp_path / "copy.h5")


def failures(path: Path, *, deep: bool = True) -> set[tuple[str, str]]:
    result = verify(path, deep=deep)
    assert result.passed == all(check.passed is not False for check in result.checks)
    return {(check.split, check.name) for check in result.checks if check.passed is False}


def test_a_good_file_is_clean(freihand_file: Path):
    result = verify(freihand_file, deep=True)
    assert [c for c in result.checks if c.passed is False] == []
    # Nothing but the count goes unchecked on a file with full labels.
    assert {c.name for c in result.checks if c.passed is None} == {"count"}
    assert result.kept == {"train": 24, "val": 8, "test": 8}
    assert result.dropped == {}
    assert result.dataset == "freihand-subset"


@pytest.mark.parametrize(
    ("column", "other", "apart"),
    [
        ("sample_id", "val", False),
        ("instant_id", "val", False),
        ("instant_id", "test", True),  # official splits may share a moment
    ],
)
def test_what_stands_in_two_splits(copy: Path, column: str, other: str, apart: bool):
    with h5py.File(copy, "r+") as file:
        file["train"][column][0] = file[other][column][0]
    assert failures(copy, deep=False) == (set() if apart else {("", "splits apart")})


def test_only_some_images_are_decoded_unless_deep(copy: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verification, "_DECODED_UNLESS_DEEP", 4)
    with h5py.File(copy, "r+") as file:
        corrupt_image(file["train"])
    assert failures(copy, deep=False) == set()
    details = {c.split: c.detail for c in verify(copy).checks if c.name == "images"}
    assert details["train"] == "decoded 4 of 24 (all with --deep)"
    assert failures(copy, deep=True) == {("train", "images")}


def edit(name: str, how: Callable[[np.ndarray], np.ndarray]) -> Callable[[h5py.Group], None]:
    def damage(split: h5py.Group) -> None:
        split[name][...] = how(split[name][...])

    return damage


def retyped(name: str, dtype: str) -> Callable[[h5py.Group], None]:
    def damage(split: h5py.Group) -> None:
        values = split[name][...]
        del split[name]
        split.create_dataset(name, data=values.astype(dtype))

    return damage


def axes(*signs: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda xyz: xyz * np.array(signs, dtype=xyz.dtype)


def put(value: float, *place: int | slice) -> Callable[[np.ndarray], np.ndarray]:
    def how(array: np.ndarray) -> np.ndarray:
        array[place] = value
        return array

    return how


TIP_TO_BASE = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]


def reversed_chains(split: h5py.Group) -> None:
    for name in ("keypoints_2d", "keypoints_3d"):
        split[name][...] = split[name][...][:, TIP_TO_BASE]


def mirrored_labels(split: h5py.Group) -> None:
    # Geometry that agrees with itself, of the wrong hand: 3D, 2D and intrinsics all mirrored.
    split["keypoints_3d"][...] *= np.array([-1, 1, 1], np.float32)
    points = split["keypoints_2d"][...]
    points[..., 0] = 224 - points[..., 0]
    split["keypoints_2d"][...] = points


def corrupt_image(split: h5py.Group) -> None:
    start, stop = split["image_offset"][5:7]
    split["image"][start + 300 : stop - 2] = 0


def cut_image(split: h5py.Group) -> None:
    start, stop = split["image_offset"][5:7]
    split["image"][(start + stop) // 2 : stop] = 0


def other_image_size(split: h5py.Group) -> None:
    split["image_size"][3] = [112, 224]


def shorter(name: str) -> Callable[[h5py.Group], None]:
    def damage(split: h5py.Group) -> None:
        values = split[name][...]
        del split[name]
        split[name] = values[:-1]

    return damage


def wrong_shape(split: h5py.Group) -> None:
    values = split["crop"][...]
    del split["crop"]
    split["crop"] = values.reshape(-1, 9)


def same_ids(split: h5py.Group) -> None:
    split["sample_id"][1] = split["sample_id"][0]


def delete(name: str) -> Callable[[h5py.Group], None]:
    def damage(split: h5py.Group) -> None:
        del split[name]

    return damage


FAULTS: dict[str, tuple[Callable[[h5py.Group], None], set[str]]] = {
    "OpenGL axes": (edit("keypoints_3d", axes(1, -1, -1)), {"depth", "reprojection"}),
    "x mirrored": (edit("keypoints_3d", axes(-1, 1, 1)), {"reprojection", "side"}),
    "consistent mirror": (mirrored_labels, {"side"}),
    "millimetres": (edit("keypoints_3d", lambda x: x * 1000), {"hand size", "scale"}),
    "centimetres": (edit("keypoints_3d", lambda x: x * 100), {"hand size", "scale"}),
    "tip to base": (reversed_chains, {"chain order", "hand size", "scale", "side"}),
    "side swapped": (edit("is_right", lambda x: 1 - x), {"side"}),
    "NaN in 2D": (edit("keypoints_2d", put(np.nan, 3, 4, 0)), {"finite", "reprojection"}),
    "NaN in 3D": (edit("keypoints_3d", put(np.nan, 3, 4, 0)), {"finite", "reprojection"}),
    "infinite crop": (edit("crop", put(np.inf, 2, 0, 2)), {"finite"}),
    "labelled but invisible": (edit("visibility", put(0, 2, 2)), {"finite"}),
    "wrong focal length": (edit("camera", lambda k: k * [[[1.1], [1.1], [1]]]), {"reprojection"}),
    "principal point half a pixel off": (
        edit("camera", lambda k: k + np.array([[0, 0, 0.5], [0, 0, 0], [0, 0, 0]])),
        {"reprojection"},
    ),
    "shifted labels": (edit("keypoints_2d", lambda x: x + 1), {"reprojection"}),
    "scale in mm": (edit("scale", lambda s: s * 1000), {"scale"}),
    "box without area": (edit("bbox", put(0, 1, slice(2, 4))), {"boxes"}),
    "float32 keypoints": (retyped("keypoints_2d", "float32"), {"types"}),
    "unlabelled with coordinates": (edit("valid_2d", put(0, 1, 2)), {"finite"}),
    "offsets backwards": (edit("image_offset", put(0, 3)), {"offsets"}),
    "corrupt image": (corrupt_image, {"images"}),
    "cut image": (cut_image, {"images"}),
    "other image size": (other_image_size, {"images"}),
    "one row less": (shorter("bbox"), {"shapes"}),
    "one offset less": (shorter("image_offset"), {"offsets"}),
    "flat crop": (wrong_shape, {"shapes"}),
    "ids not unique": (same_ids, {"sample ids"}),
    "no visibility": (delete("visibility"), {"columns"}),
    "no ids": (delete("sample_id"), {"columns"}),
    "no images": (delete("image"), {"columns"}),
    "no offsets": (delete("image_offset"), {"columns"}),
    "no unit": (delete("instant_id"), {"groups"}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_injected_fault_fails_the_right_check(copy: Path, fault: str):
    damage, expected = FAULTS[fault]
    with h5py.File(copy, "r+") as file:
        damage(file["train"])
    found = failures(copy)
    assert {split for split, _ in found} == {"train"}  # the other splits are fine
    names = {name for _, name in found}
    assert expected <= names
    # A fault may show in its neighbours, but must not set off every alarm.
    assert len(names) <= len(expected) + 2


def rename(path: Path, dataset: str) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["dataset"] = dataset


def test_a_file_that_calls_itself_complete_must_have_the_published_count(copy: Path):
    rename(copy, "freihand")
    result = verify(copy)
    details = {c.split: c.detail for c in result.checks if c.name == "count" and not c.passed}
    # 130,240 training images, of which this file holds 8 in val.
    assert details["train"] == "24 of 130,232"
    assert details["test"] == "8 of 3,960"
    assert failures(copy) == {("train", "count"), ("test", "count")}


def test_train_without_its_val_has_no_count_to_meet(copy: Path):
    rename(copy, "freihand")
    with h5py.File(copy, "r+") as file:
        del file["val"], file["test"]
    assert failures(copy) == set()


def test_wrong_joint_names(copy: Path):
    with h5py.File(copy, "r+") as file:
        names = list(file.attrs["joint_names"])
        file.attrs["joint_names"] = names[::-1]
    assert failures(copy) == {("", "joint names")}


@pytest.mark.parametrize("name", ["license", "sources", "dataset"])
def test_missing_root_attributes(copy: Path, name: str):
    with h5py.File(copy, "r+") as file:
        del file.attrs[name]
    assert ("", "root attributes") in failures(copy)


def test_a_mirrored_image_shows_the_other_side(copy: Path):
    with h5py.File(copy, "r+") as file:
        mirrored_labels(file["train"])
        file["train/mirrored"][...] = True
    assert failures(copy) == set()


def test_a_file_without_labels_passes(tmp_path: Path):
    from generators.freihand import write_freihand

    from handbench.hdf5.convert import convert
    from handbench.sources import freihand, manifest

    fake = write_freihand(tmp_path / "data", training=False, evaluation_labels=False)
    source = freihand.open_source(fake.folder, manifest.load("freihand"))
    result = verify(convert(source, tmp_path / "a.h5").path)
    assert result.passed
    details = {c.name: (c.passed, c.detail) for c in result.checks}
    assert details["finite"] == (None, "no labels in this split")
    assert details["side"][0] is None


def test_what_cannot_be_opened_is_an_error(tmp_path: Path):
    with pytest.raises(FormatError, match="found no such file"):
        verify(tmp_path / "none.h5")
