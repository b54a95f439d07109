from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from generators.freihand import FakeFreiHAND
from generators.rhd import FakeRHD, write_rhd

from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.same_labels import compare_labels
from handbench.samples.checks import Check
from handbench.samples.selection import Selection
from handbench.sources import freihand, manifest, rhd


def compared(path: Path, fake: FakeFreiHAND) -> list[Check]:
    source = freihand.open_source(fake.folder, manifest.load("freihand"))
    with HandFile(path) as file:
        return list(compare_labels(file, source))


@pytest.fixture
def copy(freihand_file: Path, tmp_path: Path) -> Path:
    return shutil.copy(freihand_file, tmp_path / "copy.h5")


def test_a_fresh_file_has_the_labels_of_its_source(
    freihand_file: Path, fake_freihand: FakeFreiHAND
):
    checks = compared(freihand_file, fake_freihand)
    assert [(c.split, c.passed) for c in checks] == [("train", True), ("val", True), ("test", True)]
    assert checks[0].detail.startswith("24 rows with the same labels, to ")


@pytest.fixture(scope="module")
def two_hands(tmp_path_factory: pytest.TempPathFactory) -> FakeRHD:
    return write_rhd(tmp_path_factory.mktemp("rhd"))


@pytest.mark.parametrize(
    "settings",
    [
        ConvertSettings(),
        ConvertSettings(perspective=True, selection=Selection(skip_bad=True)),
        ConvertSettings(mirror_left=True, size=96),
        ConvertSettings(limit=5),
        ConvertSettings(selection=Selection(min_valid=21)),
    ],
    ids=["crop", "perspective", "mirrored", "limit", "selection"],
)
def test_every_kind_of_crop_leads_back(
    two_hands: FakeRHD, tmp_path: Path, settings: ConvertSettings
):
    source = rhd.open_source(two_hands.folder, manifest.load("rhd"))
    path = convert(source, tmp_path / "a.h5", settings).path
    with HandFile(path) as file:
        assert all(check.passed for check in compare_labels(file, source))


def change(name: str, how: Callable[[np.ndarray], None]) -> Callable[[h5py.Group], None]:
    def damage(split: h5py.Group) -> None:
        values = split[name][...]
        how(values[2])
        split[name][...] = values

    return damage


def add(value: float) -> Callable[[np.ndarray], None]:
    def how(row: np.ndarray) -> None:
        row += np.asarray(value, row.dtype)

    return how


def unlabel(split: h5py.Group) -> None:
    split["valid_2d"][2, 5] = False


def other_side(split: h5py.Group) -> None:
    split["is_right"][2] = 0


DAMAGES = {
    "2D": change("keypoints_2d", add(0.01)),
    "3D": change("keypoints_3d", add(1e-4)),
    "labelled joints": unlabel,
    "side": other_side,
    "box": change("bbox", add(0.5)),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_changed_label_is_named(copy: Path, fake_freihand: FakeFreiHAND, what: str):
    with h5py.File(copy, "r+") as file:
        DAMAGES[what](file["train"])
        name = file["train/sample_id"][2].decode()
    train, val, test = compared(copy, fake_freihand)
    assert val.passed
    assert test.passed
    assert not train.passed
    assert train.detail.endswith(f": {what} of 1, first {name}")


def test_a_row_of_another_source_is_found(copy: Path, fake_freihand: FakeFreiHAND):
    with h5py.File(copy, "r+") as file:
        file["test/sample_id"][0] = b"evaluation/0000007x"
    *_, test = compared(copy, fake_freihand)
    assert test.passed is False
    assert test.detail == f"1 of 8 rows are not in {fake_freihand.folder}"
