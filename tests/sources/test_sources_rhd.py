from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from generators.rhd import LABELS, FakeRHD, write_rhd, zip_rhd
from PIL import Image

from handbench.camera import project
from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.images import decode, decode_mask
from handbench.sources import manifest, rhd
from handbench.sources.block import SampleBlock

MASK = frozenset({"mask"})
SHOWN = {0: "LR", 1: "L", 2: "R", 3: "R", 4: "LR"}
"""Hands that are usable on image i of every five of the generator."""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakeRHD:
    return write_rhd(tmp_path_factory.mktemp("rhd"))


def open_source(path: Path) -> rhd.RHD:
    return rhd.open_source(path, manifest.load("rhd"))


def rows_of(source: rhd.RHD, split: str = "test", *extras: str) -> SampleBlock:
    (block,) = source.blocks(split, frozenset(extras))
    return block


def hands(count: int) -> list[tuple[int, int]]:
    """(image, is_right) of every usable hand."""
    return [(i, "LR".index(side)) for i in range(count) for side in SHOWN[i % 5]]


def failed(path: Path) -> set[str]:
    return {check.name for check in verify(path, deep=True).checks if check.passed is False}


# -- labels --------------------------------------------------------------------------------------


def test_every_usable_hand_is_a_row(fake: FakeRHD):
    block = rows_of(open_source(fake.folder))
    expected = hands(12)
    sides = ("left", "right")
    assert block.sample_id == [f"evaluation/{i:05d}/{sides[right]}" for i, right in expected]
    assert block.ids["image_id"] == [f"evaluation/{i:05d}" for i, _ in expected]
    assert block.ids["native_image_id"] == [str(i) for i, _ in expected]
    assert block.is_right.tolist() == [right for _, right in expected]
    paths = [fake.folder / "evaluation" / "color" / f"{i:05d}.png" for i, _ in expected]
    assert block.images == [path.read_bytes() for path in paths]


def test_labels_are_canonical_metres_and_pixels(fake: FakeRHD):
    block = rows_of(open_source(fake.folder))
    assert block.keypoints_3d is not None
    assert block.camera is not None
    for row, (i, right) in enumerate(hands(12)):
        uv, xyz = fake.uv["evaluation"][i, right], fake.xyz["evaluation"][i, right]
        known = block.valid_2d[row]
        assert np.array_equal(block.keypoints_2d[row, known], uv[known])
        assert np.isnan(block.keypoints_2d[row, ~known]).all()
        assert np.array_equal(block.keypoints_3d[row], xyz)
        assert np.array_equal(block.camera[row], fake.camera["evaluation"][i])
    away = np.linalg.norm(project(block.keypoints_3d, block.camera) - block.keypoints_2d, axis=-1)
    assert 0.01 < np.nanmax(away) < 0.15  # four digits


def test_visibility_and_what_counts_as_labelled(fake: FakeRHD):
    block = rows_of(open_source(fake.folder))
    for row, (i, right) in enumerate(hands(12)):
        uv, vis = fake.uv["evaluation"][i, right], fake.vis["evaluation"][i, right]
        inside = ((uv >= 0) & (uv < 320)).all(axis=-1)
        assert np.array_equal(block.valid_2d[row], inside)
        assert np.array_equal(block.visibility[row], np.where(inside, np.where(vis, 2, 1), 0))
    hidden = block.visibility == 1
    assert hidden[1, 4]
    assert hidden.sum() == 3  # a thumb tip of the right hand in images 0, 5, 10
    cut = [row for row, (i, right) in enumerate(hands(12)) if i % 5 == 4 and right]
    assert not block.valid_2d[cut].all(axis=1).any()
    assert block.valid_3d[cut].all()  # outside the image, but in front of the camera


def test_boxes_are_those_of_the_labelled_joints(fake: FakeRHD):
    source = open_source(fake.folder)
    block = rows_of(source)
    low, high = np.nanmin(block.keypoints_2d, axis=1), np.nanmax(block.keypoints_2d, axis=1)
    assert np.array_equal(block.bbox, np.concatenate([low, high - low], axis=1))
    assert source.box_source == "keypoints"
    assert source.manifest.box_padding == 1.5


def test_hand_type_says_whether_the_other_hand_is_a_row_too(fake: FakeRHD):
    words = {"LR": "interacting", "L": "left", "R": "right"}
    block = rows_of(open_source(fake.folder))
    assert block.ids["hand_type"] == [words[SHOWN[i % 5]] for i, _ in hands(12)]


def test_masks_show_one_hand(fake: FakeRHD):
    block = rows_of(open_source(fake.folder), "test", "mask")
    assert block.masks is not None
    for data, (i, right) in zip(block.masks, hands(12)):
        labels = np.array(Image.open(fake.folder / "evaluation" / "mask" / f"{i:05d}.png"))
        first, last = LABELS[right]["first"], LABELS[right]["palm"]
        expected = (labels >= first) & (labels <= last)
        assert expected.any()
        assert np.array_equal(decode_mask(data, "mask"), expected)
    assert rows_of(open_source(fake.folder)).masks is None


def test_absent_masks_are_noted(tmp_path: Path):
    source = open_source(write_rhd(tmp_path, training=0, masks=False).folder)
    assert rows_of(source, "test", "mask").masks is None
    assert source.notes[-1] == "evaluation has no mask: no evaluation/mask in the source"


# -- finding -------------------------------------------------------------------------------------


def test_splits_names_and_dropped(fake: FakeRHD):
    source = open_source(fake.folder)
    assert source.splits() == {"train": len(hands(6)), "test": len(hands(12))}
    assert source.name == "rhd-subset"
    assert "training has 6 of 41,258 images; evaluation has 12 of 2,728" in source.notes[-1]
    assert source.dropped == {
        "hand outside the image in training": 2,
        "hand without a visible joint in training": 1,
        "hand outside the image in evaluation": 5,
        "hand without a visible joint in evaluation": 2,
    }
    assert "left out: 5 × hand outside the image in evaluation" in source.notes
    assert source.cuts_val
    assert source.split_unit == source.cluster_unit == "image_id"
    files = source.files()
    assert [f["file"] for f in files] == [
        "training/anno_training.pickle",
        "evaluation/anno_evaluation.pickle",
    ]


def test_a_complete_split_has_the_full_name(fake: FakeRHD, monkeypatch: pytest.MonkeyPatch):
    facts = manifest.load("rhd")
    assert facts.splits["train"].annotations == 41_258
    assert facts.splits["test"].annotations == 2_728
    monkeypatch.setitem(facts.splits, "train", manifest.Split("training", 0, 6))
    monkeypatch.setitem(facts.splits, "test", manifest.Split("evaluation", 0, 12))
    source = rhd.open_source(fake.folder, facts)
    assert source.name == "rhd"


def test_the_folder_above_and_the_archive_give_the_same_rows(fake: FakeRHD, tmp_path: Path):
    archive = zip_rhd(fake, tmp_path / "RHD_v1-1.zip")
    expected = rows_of(open_source(fake.folder), "train", "mask")
    for path in (fake.folder.parent, archive, tmp_path):
        found = rows_of(open_source(path), "train", "mask")
        assert found.sample_id == expected.sample_id
        assert found.images == expected.images
        assert found.masks == expected.masks
        assert np.array_equal(found.keypoints_2d, expected.keypoints_2d, equal_nan=True)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_every_protocol(tmp_path: Path, protocol: int):
    fake = write_rhd(tmp_path, training=0, evaluation=5)
    fake.save(protocol=protocol)
    assert len(rows_of(open_source(fake.folder))) == len(hands(5))


def test_records_may_come_in_any_order(tmp_path: Path):
    fake = write_rhd(tmp_path, training=0, evaluation=5)
    expected = rows_of(open_source(fake.folder))
    fake.records["evaluation"] = dict(reversed(fake.records["evaluation"].items()))
    fake.save()
    found = rows_of(open_source(fake.folder))
    assert found.sample_id == expected.sample_id
    assert np.array_equal(found.keypoints_2d, expected.keypoints_2d, equal_nan=True)


def test_names_beyond_ascii(tmp_path: Path):
    fake = write_rhd(tmp_path / "Hände 写真", training=0, evaluation=5)
    assert convert(open_source(fake.folder), tmp_path / "ä.h5").rows == {"test": len(hands(5))}


# -- hands that cannot be used -------------------------------------------------------------------


def with_hand(folder: Path, change: Callable[[dict[str, Any]], None]) -> rhd.RHD:
    """Image 0, whose left hand (rows 0 to 20 of the record) is changed."""
    fake = write_rhd(folder, training=0, evaluation=5)
    change(fake.records["evaluation"][0])
    fake.save()
    return open_source(fake.folder)


def only_visible(*joints: int) -> Callable[[dict[str, Any]], None]:
    def change(record: dict[str, Any]) -> None:
        record["uv_vis"][:21, 2] = 0
        record["uv_vis"][list(joints), 2] = 1

    return change


def test_one_visible_joint_spans_no_box(tmp_path: Path):
    source = with_hand(tmp_path, only_visible(7))
    assert source.dropped["hand whose visible joints span no box in evaluation"] == 1
    block = rows_of(source)
    assert block.sample_id[0] == "evaluation/00000/right"
    assert block.ids["hand_type"][0] == "right"  # its partner is no row


def test_two_visible_joints_do_and_the_box_holds_the_hidden_ones_too(tmp_path: Path):
    block = rows_of(with_hand(tmp_path, only_visible(7, 12)))
    assert block.sample_id[0] == "evaluation/00000/left"
    assert (block.visibility[0] == 2).sum() == 2
    assert (block.visibility[0] == 1).sum() == 19
    assert (block.bbox[0, 2:] == np.ptp(block.keypoints_2d[0], axis=0)).all()


def shrink(record: dict[str, Any]) -> None:
    record["uv_vis"][:21, :2] = 100


def test_a_hand_that_is_one_point_is_dropped(tmp_path: Path):
    source = with_hand(tmp_path, shrink)
    assert source.dropped["hand whose visible joints span no box in evaluation"] == 1


def far_away(record: dict[str, Any]) -> None:
    record["uv_vis"][:21, 0] += 5000


def test_a_hand_outside_the_image_is_dropped_whatever_its_flags_say(tmp_path: Path):
    source = with_hand(tmp_path, far_away)
    assert source.dropped["hand outside the image in evaluation"] == 3


def behind(record: dict[str, Any]) -> None:
    record["xyz"][:21, 2] *= -1


def test_a_visible_hand_behind_the_camera_is_dropped(tmp_path: Path):
    source = with_hand(tmp_path, behind)
    reason = "hand with a joint that is called visible behind the camera in evaluation"
    assert source.dropped[reason] == 1


def partly_behind(record: dict[str, Any]) -> None:
    record["uv_vis"][20, 2] = 0
    record["xyz"][20, 2] = -0.01
    record["xyz"][19, 0] = np.nan
    record["uv_vis"][19] = (np.inf, 0, 0)


def test_hidden_joints_behind_the_camera_or_without_numbers_have_no_label(tmp_path: Path):
    block = rows_of(with_hand(tmp_path, partly_behind))
    assert block.keypoints_3d is not None
    unlabelled = [17, 18]  # native 20 is the MCP of the little finger, 19 its PIP
    assert np.flatnonzero(~block.valid_3d[0]).tolist() == unlabelled
    assert np.flatnonzero(~block.valid_2d[0]).tolist() == unlabelled
    assert np.isnan(block.keypoints_3d[0, unlabelled]).all()


# -- the file and its checks ---------------------------------------------------------------------


def test_a_conversion_is_clean_whole_and_repeatable(fake: FakeRHD, tmp_path: Path):
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for workers, path in enumerate(paths, 1):
        convert(open_source(fake.folder), path, ConvertSettings(extras=MASK, workers=workers))
    result = verify(paths[0], deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    looked_at = {check.name for check in result.checks if check.split == "test" and check.passed}
    assert {"reprojection", "depth", "hand size", "chain order", "side"} <= looked_at
    assert result.dropped["hand outside the image in evaluation"] == 5
    with h5py.File(paths[0]) as one, h5py.File(paths[1]) as two:
        assert set(one) == set(two)
        for split in one:
            assert set(one[split]) == set(two[split])
            for name, column in one[split].items():
                equal_nan = column.dtype.kind == "f"
                assert np.array_equal(column[...], two[split][name][...], equal_nan=equal_nan), name


def test_stored_masks_and_hand_types(fake: FakeRHD, tmp_path: Path):
    path = convert(open_source(fake.folder), tmp_path / "a.h5", ConvertSettings(extras=MASK)).path
    with HandFile(path) as file:
        test = file["test"]
        assert test.column("hand_type")[0] == "interacting"
        image, mask = test.image(0).astype(int), test.mask(0) > 0
        # The generator's fingers are brighter than its background, and only they are in the mask.
        assert image[mask].max(axis=-1).mean() > image[~mask].max(axis=-1).mean() + 60


def test_val_keeps_both_hands_of_an_image_together(tmp_path: Path):
    fake = write_rhd(tmp_path, training=40, evaluation=0, masks=False)
    path = convert(open_source(fake.folder), tmp_path / "a.h5", ConvertSettings(size=32)).path

    def in_val(image_id: str) -> bool:
        digest = hashlib.sha256(f"handbench-val/1:{image_id}".encode()).hexdigest()
        return int(digest[:8], 16) / 2**32 < 0.05

    images = [f"training/{i:05d}" for i, _ in hands(40)]
    assert any(map(in_val, images))
    with HandFile(path) as file:
        for split, wanted in (("train", False), ("val", True)):
            expected = [name for name in images if in_val(name) == wanted]
            assert file[split].column("image_id").tolist() == expected


@pytest.mark.parametrize(
    ("fault", "checks"),
    [
        ("upside down", {"reprojection", "side"}),
        ("mirrored", {"side"}),
        ("base to tip", {"chain order", "hand size", "side"}),
        ("mm", {"hand size"}),
        ("right first", {"side"}),
    ],
)
def test_a_fault_in_the_data_does_not_pass_verify(tmp_path: Path, fault: str, checks: set[str]):
    fake = write_rhd(tmp_path, training=0, evaluation=15, masks=False, fault=fault)
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    assert failed(path) == checks


def test_other_axes_are_refused(tmp_path: Path):
    fake = write_rhd(tmp_path, training=0, fault="opengl")
    with pytest.raises(SourceError, match=r"visible behind the camera .* and OpenCV axes\?"):
        open_source(fake.folder)


# -- bad input -----------------------------------------------------------------------------------


def set_record(key: str, value: Any) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        fake.records["evaluation"][2][key] = value
        fake.save()

    return damage


def set_number(key: str, place: tuple[int, int], value: float) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        fake.records["evaluation"][2][key][place] = value
        fake.save()

    return damage


def set_records(records: Any) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        fake.records["evaluation"] = records(fake.records["evaluation"])
        fake.save()

    return damage


def remove(name: str) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        path = fake.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def cut(name: str, share: float) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        data = (fake.folder / name).read_bytes()
        (fake.folder / name).write_bytes(data[: int(len(data) * share)])

    return damage


def resize(name: str, mode: str, size: int) -> Callable[[FakeRHD], None]:
    return lambda fake: Image.new(mode, (size, size), 0).save(fake.folder / name)


def loop(name: str) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        remove(name)(fake)
        (fake.folder / name).symlink_to(fake.folder / name)

    return damage


def empty(fake: FakeRHD) -> None:
    shutil.rmtree(fake.folder)
    fake.folder.mkdir()


class Bomb:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("echo reached",)


LABEL_FILE = "evaluation/anno_evaluation.pickle"
IMAGE = "evaluation/color/00002.png"
MASK_FILE = "evaluation/mask/00002.png"
BAD: dict[str, tuple[Callable[[FakeRHD], Any], str]] = {
    "empty folder": (empty, "expected RHD in .* found no files; point --source at the folder RHD_"),
    "no label file": (
        remove(LABEL_FILE),
        "expected evaluation/anno_evaluation.pickle beside the images in .*, found no such file",
    ),
    "truncated labels": (cut(LABEL_FILE, 0.7), f"{LABEL_FILE}: expected RHD labels, .*breaks off"),
    "zero-byte labels": (cut(LABEL_FILE, 0), f"{LABEL_FILE}: expected RHD labels, .*breaks off"),
    "labels that loop": (loop(LABEL_FILE), "expected evaluation/anno_evaluation.pickle beside"),
    "code in the labels": (
        set_record("xyz", Bomb()),
        f"{LABEL_FILE}: expected RHD labels of plain values and arrays, found .*system",
    ),
    "a list": (set_records(lambda r: list(r.values())), "a dictionary with one record .* list"),
    "no records": (set_records(lambda r: {}), "a dictionary with one record .* an empty one"),
    "named records": (
        set_records(lambda r: {f"{k:05d}": v for k, v in r.items()}),
        "expected image numbers as keys of .*, found '00000'",
    ),
    "no K": (set_records(lambda r: {**r, 2: {"xyz": 1, "uv_vis": 1}}), "record 2 of .* no 'K'"),
    "one hand": (set_record("xyz", np.zeros((21, 3))), "record 2 of .*42×3 numbers as xyz"),
    "transposed": (set_record("xyz", np.zeros((3, 42))), "record 2 of .*42×3 numbers as xyz"),
    "words": (set_record("K", "wide angle"), "record 2 of .*: expected 3×3 numbers as K"),
    "NaN": (
        set_number("xyz", (21, 1), np.nan),
        "record 2 of .*: expected finite coordinates of visible joints",
    ),
    "a score": (
        set_number("uv_vis", (3, 2), 0.7),
        "record 2 of .*: expected 0 or 1 as third column of uv_vis",
    ),
    "no focal length": (set_number("K", (0, 0), 0), "record 2 of .*: expected K as a matrix of"),
    "transposed K": (set_number("K", (2, 0), 160), "record 2 of .*: expected K as a matrix of"),
    "missing image": (remove(IMAGE), "has 5 records, so .*color should .* missing: 00002.png"),
    "missing record": (
        set_records(lambda r: {k: v for k, v in r.items() if k != 3}),
        "has 4 records, so .* without a record: 00003.png",
    ),
    "no images": (remove("evaluation/color"), "expected images in .*evaluation/color, found none"),
    "images that loop": (loop("evaluation/color"), "expected images in .*color, found none"),
    "an image that loops": (loop(IMAGE), "cannot read .*00002.png"),
    "truncated image": (cut(IMAGE, 0.6), "expected a whole image at .*evaluation/color/00002.png"),
    "zero-byte image": (cut(IMAGE, 0), "an image at .*00002.png, found an empty file"),
    "resized image": (
        resize(IMAGE, "RGB", 256),
        "expected .*color/00002.png to have 320×320 px as its record says, found 256×256",
    ),
    "missing mask": (remove(MASK_FILE), "expected evaluation/mask/00002.png in"),
    "truncated mask": (cut(MASK_FILE, 0.6), "whole image at the mask of evaluation/00002/right"),
    "resized mask": (
        resize(MASK_FILE, "L", 160),
        "the mask of evaluation/00002/right to have 320×320 px as its image, found 160×160",
    ),
    "an image as mask": (
        lambda fake: Image.new("RGB", (320, 320), (9, 8, 7)).save(fake.folder / MASK_FILE),
        "expected labels 0 to 33 in the mask of evaluation/00002/right, found another kind",
    ),
    "a binary mask": (
        lambda fake: Image.new("L", (320, 320), 255).save(fake.folder / MASK_FILE),
        "expected labels 0 to 33 in the mask of evaluation/00002/right, found another kind",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, case: str):
    damage, message = BAD[case]
    fake = write_rhd(tmp_path / "data", training=0, evaluation=5)
    damage(fake)
    out = tmp_path / "out" / "a.h5"
    with pytest.raises(SourceError, match=message) as caught:
        convert(open_source(fake.folder), out, ConvertSettings(extras=MASK))
    assert "\n" not in str(caught.value)
    assert not out.parent.exists() or list(out.parent.iterdir()) == []


def test_another_dataset_or_the_wrong_folder(fake: FakeRHD, freihand_dir: Path):
    with pytest.raises(
        SourceError, match=r"expected RHD in .* found evaluation, evaluation_K\.json, .*; point"
    ):
        open_source(freihand_dir)
    with pytest.raises(SourceError, match=r"expected RHD in .* found anno_evaluation\.pickle, c"):
        open_source(fake.folder / "evaluation")
    with pytest.raises(SourceError, match="found nothing there; pass --source"):
        open_source(fake.folder / "none")


# -- real data -----------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_rhd_evaluation(real_data: Path, tmp_path: Path):
    folder = real_data / "RHD_published_v2"
    source = open_source(folder)
    assert source.name == "rhd-subset"
    assert source.dropped == {
        "hand outside the image in evaluation": 29,
        "hand without a visible joint in evaluation": 2,
        "hand whose visible joints span no box in evaluation": 1,
    }
    path = convert(source, tmp_path / "a.h5", ConvertSettings(extras=MASK)).path
    result = verify(path, deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    published = pickle.loads((folder / "evaluation/anno_evaluation.pickle").read_bytes())  # noqa: S301
    with HandFile(path) as file:
        test = file["test"]
        assert len(test) == 88
        native = [0, 4, 3, 2, 1, 8, 7, 6, 5, 12, 11, 10, 9, 16, 15, 14, 13, 20, 19, 18, 17]
        stored = test.source_keypoints_2d()
        for row, name in enumerate(test.column("sample_id").tolist()):
            _, number, side = name.split("/")
            record = published[int(number)]
            hand = slice(0, 21) if side == "left" else slice(21, 42)
            uv_vis = record["uv_vis"][hand][native]
            seen = uv_vis[:, 2] == 1
            assert np.array_equal(test.column("visibility")[row] == 2, seen)
            assert np.abs(stored[row] - uv_vis[:, :2])[seen].max() < 1e-4
            front = record["xyz"][hand][native]
            assert np.array_equal(test.column("keypoints_3d")[row], front)
        # Joints of a hand lie on its mask, if not on that of the other hand.
        points, visible = test.column("keypoints_2d"), test.column("visibility") == 2
        on_mask = [
            test.mask(row)[y, x] > 0
            for row in range(len(test))
            for x, y in np.clip(points[row][visible[row]].round().astype(int), 0, 223)
        ]
        assert np.mean(on_mask) > 0.85
        colours = decode((folder / "evaluation/color/00000.png").read_bytes(), "image")
        assert colours.shape == (320, 320, 3)
