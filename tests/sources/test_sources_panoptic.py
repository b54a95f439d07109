from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.freihand import read_json, write_json
from generators.panoptic import TIP_TO_PALM, FakePanoptic, write_panoptic, zip_panoptic

from handbench.errors import SourceError
from handbench.hdf5.convert import convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import manifest, panoptic
from handbench.sources.block import SampleBlock

MULTIVIEW = "hand143_panopticdb/hands_v143_14817.json"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FakePanoptic:
    """All parts; read-only."""
    return write_panoptic(tmp_path_factory.mktemp("panoptic"))


def open_source(folder: Path) -> panoptic.Panoptic:
    return panoptic.open_source(folder, manifest.load("panoptic"))


def rows_of(folder: Path, split: str = "train") -> SampleBlock:
    (block,) = open_source(folder).blocks(split)
    return block


def small(folder: Path, **parts: Any) -> FakePanoptic:
    """Three manual hands alone, unless told otherwise."""
    names = ("000015774_01_l", "000015774_01_r", "000015775_02_l")
    chosen = {"train": names, "test": (), "synthetic": (0, 0, 0, 0), "multiview": 0}
    return write_panoptic(folder, **(chosen | parts))


def change(path: Path, **fields: Any) -> None:
    write_json(path, read_json(path) | fields)


# -- what is read ------------------------------------------------------------------------------


def test_labels_are_those_of_the_files(whole: FakePanoptic):
    train, test = rows_of(whole.folder), rows_of(whole.folder, "test")
    assert {*train.sample_id, *test.sample_id} == {
        name for name in whole.uv if not name.startswith("hand_labels_synth/synth1")
    }
    for block in (train, test):
        assert np.array_equal(block.keypoints_2d, [whole.uv[name] for name in block.sample_id])
        assert block.valid_2d.all() and not block.valid_3d.any()
        assert (block.visibility == 255).all()
        assert block.keypoints_3d is None and block.camera is None
        low = block.keypoints_2d.min(axis=1)
        assert np.array_equal(block.bbox[:, :2], low)
        assert np.allclose(block.bbox[:, 2:], block.keypoints_2d.max(axis=1) - low)
        for name, image in zip(block.sample_id, block.images):
            assert image == (whole.folder / f"{name}.jpg").read_bytes()


def test_parts_follow_each_other_by_name(whole: FakePanoptic):
    names = rows_of(whole.folder).sample_id
    parts = [name.rpartition("/")[0] for name in names]
    assert list(dict.fromkeys(parts)) == [
        "hand_labels/manual_train",
        *(f"hand_labels_synth/synth{number}" for number in (2, 3, 4)),
        "hand143_panopticdb/imgs",
    ]
    assert names[:3] == [f"hand_labels/manual_train/000015022_0{x}" for x in ("1_l", "1_r", "2_r")]


def test_sides(whole: FakePanoptic):
    for split in ("train", "test"):
        block = rows_of(whole.folder, split)
        for name, side in zip(block.sample_id, block.is_right):
            assert side == (1 - whole.is_left[name] if name in whole.is_left else -1)
        assert {0, 1} <= set(block.is_right.tolist())


def test_a_side_that_only_one_place_states(tmp_path: Path):
    folder = small(tmp_path).folder / "hand_labels" / "manual_train"
    for name in ("000015774_01_l", "000015774_01_r"):
        data = read_json(folder / f"{name}.json")
        del data["is_left"]
        write_json(folder / f"{name}.json", data)
    for suffix in (".json", ".jpg"):
        (folder / f"000015775_02_l{suffix}").rename(folder / f"other{suffix}")
    block = rows_of(tmp_path)
    assert block.is_right.tolist() == [0, 1, 0]
    assert block.ids["image_id"] == ["000015774", "000015774", "other"]


def test_photos_and_recordings(whole: FakePanoptic):
    block = rows_of(whole.folder)
    found = {
        name.rpartition("/")[2]: (photo, recording)
        for name, photo, recording in zip(
            block.sample_id, block.ids["image_id"], block.ids["sequence_id"]
        )
    }
    # Both hands, and both people, of one photo; all frames of one video.
    assert found["000015022_01_l"] == found["000015022_02_r"] == ("000015022", "000015022")
    assert found["ex2_2.flv_000040_l"] == found["ex2_2.flv_000040_r"]
    assert found["ex2_2.flv_000040_r"] == ("ex2_2.flv_000040", "ex2_2.flv")
    assert found["ex2_2.flv_000080_r"] == ("ex2_2.flv_000080", "ex2_2.flv")
    assert found["0001"] == ("hand_labels_synth/synth2/0001", "hand_labels_synth/synth2")
    assert found["00000005"] == ("hand143_panopticdb/imgs/00000005", "hand143_panopticdb")


@pytest.mark.parametrize(
    ("parts", "splits"),
    [
        ({"test": (), "synthetic": (0,) * 4, "multiview": 0}, {"train": 9}),
        ({"train": (), "synthetic": (0,) * 4, "multiview": 0}, {"test": 10}),
        ({"train": (), "test": (), "multiview": 0}, {"train": 5}),
        ({"train": (), "test": (), "synthetic": (0,) * 4}, {"train": 6}),
    ],
)
def test_every_part_is_optional(tmp_path: Path, parts: dict[str, Any], splits: dict[str, int]):
    source = open_source(write_panoptic(tmp_path, **parts).folder)
    assert source.splits() == splits
    assert source.cuts_val
    assert source.box_source == "keypoints"


def test_packed_parts_are_read_as_they_are(whole: FakePanoptic, tmp_path: Path):
    zips = zip_panoptic(whole, tmp_path / "zips")
    (zips / "hand143_panopticdb.tar").write_bytes(b"tar")
    source = open_source(zips)
    assert source.splits() == {"train": 14, "test": 10}
    (block,) = source.blocks("test")
    assert np.array_equal(block.keypoints_2d, rows_of(whole.folder, "test").keypoints_2d)
    assert [f["file"] for f in source.files()] == ["hand_labels.zip", "hand_labels_synth.zip"]
    assert "not read, because still packed: hand143_panopticdb.tar" in source.notes[-2]
    assert open_source(zips / "hand_labels.zip").splits() == source.splits()


def test_files_are_named_with_hashes(whole: FakePanoptic):
    files = {entry["file"]: entry for entry in open_source(whole.folder).files()}
    data = (whole.folder / MULTIVIEW).read_bytes()
    assert files[MULTIVIEW]["sha256"] == hashlib.sha256(data).hexdigest()
    manual = sorted((whole.folder / "hand_labels" / "manual_test").glob("*.json"))
    hashes = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in manual)
    entry = files["hand_labels/manual_test/*.json"]
    assert entry["sha256"] == hashlib.sha256(hashes).hexdigest()
    assert entry["size"] == sum(path.stat().st_size for path in manual)
    assert len(files) == 7


# -- counts and names --------------------------------------------------------------------------


def test_a_part_that_falls_short_makes_a_subset(whole: FakePanoptic):
    source = open_source(whole.folder)
    assert source.name == "panoptic-subset"
    (note,) = [note for note in source.notes if note.startswith("a subset")]
    assert "hand_labels/manual_test has 10 labels, published are 846" in note
    assert "hand143_panopticdb has 6 labels, published are 14,817" in note


def test_an_absent_part_makes_no_subset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small(tmp_path)
    monkeypatch.setitem(panoptic._PARTS, "hand_labels/manual_train", ("train", 3))
    source = open_source(tmp_path)
    assert source.name == "panoptic"
    assert not any(note.startswith("a subset") for note in source.notes)


def test_test_hands_that_cannot_be_used_make_a_subset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small(tmp_path, train=(), test=("000016000_01_l", "000016000_01_r"))
    change(
        tmp_path / "hand_labels/manual_test/000016000_01_l.json", hand_pts=[[0.0, 0.0, 0.0]] * 21
    )
    monkeypatch.setitem(panoptic._PARTS, "hand_labels/manual_test", ("test", 2))
    source = open_source(tmp_path)
    assert source.name == "panoptic-subset"
    assert "1 of the 846 test hands can be used" in source.notes[-1]


def test_published_counts():
    counts = {part: count for part, (_, count) in panoptic._PARTS.items()}
    assert counts == {
        "hand_labels/manual_train": 1912,
        "hand_labels/manual_test": 846,
        "hand_labels_synth/synth1": 6546,
        "hand_labels_synth/synth2": 3243,
        "hand_labels_synth/synth3": 2348,
        "hand_labels_synth/synth4": 2124,
        "hand143_panopticdb": 14817,
    }
    facts = manifest.load("panoptic")
    assert facts.splits["test"].samples == 846
    assert facts.splits["train"].annotations == sum(counts.values()) - 846
    assert facts.box_padding == 2.2
    assert facts.publish_images is False


# -- traps -------------------------------------------------------------------------------------


def test_labels_of_synth1_are_left_out_and_counted(whole: FakePanoptic):
    source = open_source(whole.folder)
    assert source.dropped == {"label of hand_labels_synth/synth1 without 21 points": 2}
    assert "left out: 2 × label of hand_labels_synth/synth1 without 21 points" in source.notes


def test_only_flag_one_is_a_label(tmp_path: Path):
    fake = small(tmp_path)
    path = fake.folder / "hand_labels/manual_train/000015774_01_l.json"
    points = read_json(path)["hand_pts"]
    for joint, (x, y, flag) in enumerate([(9e9, -9e9, 0), (5, 5, 2), (float("nan"), 0, 0.5)]):
        points[joint] = [x, y, flag]
    change(path, hand_pts=points)
    block = rows_of(tmp_path)
    assert block.valid_2d[0].tolist() == [False] * 3 + [True] * 18
    assert np.isnan(block.keypoints_2d[0, :3]).all()
    rest = fake.uv["hand_labels/manual_train/000015774_01_l"][3:]
    assert block.bbox[0] == pytest.approx([*rest.min(axis=0), *np.ptp(rest, axis=0)])


def test_flags_of_the_multiview_part(tmp_path: Path):
    small(tmp_path, train=(), multiview=2)
    data = read_json(tmp_path / MULTIVIEW)
    data["root"][1]["joint_self"][20][2] = 0.0
    write_json(tmp_path / MULTIVIEW, data)
    assert rows_of(tmp_path).valid_2d.sum(axis=1).tolist() == [21, 20]


def test_the_copies_of_a_frame_never_part(tmp_path: Path):
    fake = write_panoptic(tmp_path / "data")
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    with HandFile(path) as file:
        val, train = file["val"].column("sample_id").tolist(), file["train"].column("sample_id")
        for split in file.splits:
            assert file[split].split_unit == file[split].cluster_unit == "sequence_id"
    for sample in [name for name in (*val, *train.tolist()) if name.startswith("hand_labels/")]:
        name = sample.rpartition("/")[2]
        unit = name.partition("_")[0] if name[0].isdecimal() else name.partition(".flv")[0] + ".flv"
        digest = hashlib.sha256(f"handbench-val/1:{unit}".encode()).hexdigest()
        assert (sample in val) == (int(digest[:8], 16) / 2**32 < 0.05)
    # Nothing is known of moments in the other parts: they stay in train whole.
    names = ("000015022_01_l", "000015022_01_r", "000015022_02_r")
    assert val == [f"hand_labels/manual_train/{name}" for name in names]
    pictures = {(fake.folder / f"{name}.jpg").read_bytes() for name in val[:2]}
    assert len(pictures) == 1


def test_recordings_in_both_splits_are_noted(tmp_path: Path):
    small(tmp_path, test=("000015774_01_r", "000016000_01_l"))
    (note,) = [n for n in open_source(tmp_path).notes if "both manual_train and" in n]
    assert note.startswith("1 photos or videos are in both") and "000015774" in note


def test_several_hands_on_one_multiview_image_follow_each_other(tmp_path: Path):
    small(tmp_path, train=(), multiview=4)
    data = read_json(tmp_path / MULTIVIEW)
    data["root"][3]["img_paths"] = "imgs/00000000.jpg"
    write_json(tmp_path / MULTIVIEW, data)
    block = rows_of(tmp_path)
    first = "hand143_panopticdb/imgs/00000000"
    assert block.sample_id[:2] == [f"{first}#0", f"{first}#3"]
    assert block.sample_id[2:] == [f"{first[:-1]}{number}" for number in (1, 2)]
    assert block.ids["image_id"][:2] == [first, first]


def test_hands_that_cannot_be_used_are_counted(tmp_path: Path):
    fake = small(tmp_path, train=tuple(f"{i:09d}_01_r" for i in range(10, 16)))
    folder = fake.folder / "hand_labels" / "manual_train"
    points = read_json(folder / "000000010_01_r.json")["hand_pts"]
    damaged = {
        "000000010_01_r": [[x, y, 0] for x, y, _ in points],
        "000000011_01_r": [points[0], *([x, y, 0] for x, y, _ in points[1:])],
        "000000012_01_r": [[x + 300, y, 1] for x, y, _ in points],
        "000000013_01_r": [[x, y - 300, 1] for x, y, _ in points],
        "000000014_01_r": [[50, y, 1] for _, y, _ in points],
    }
    for name, changed in damaged.items():
        change(folder / f"{name}.json", hand_pts=changed)
    source = open_source(tmp_path)
    assert rows_of(tmp_path).sample_id == ["hand_labels/manual_train/000000015_01_r"]
    assert source.dropped == {
        "hand of train without a labelled point": 1,
        "hand of train with too few labelled points to span a box": 2,
        "hand of train outside its image": 2,
    }


def test_non_ascii_paths(tmp_path: Path):
    folder = tmp_path / "手 données"
    small(folder, train=("写真_000040_l", "写真_000040_r"))
    assert rows_of(folder).sample_id == [f"hand_labels/manual_train/写真_000040_{s}" for s in "lr"]


def test_hidden_files_are_no_data(tmp_path: Path):
    small(tmp_path)
    for name in ("._000015774_01_l.jpg", ".DS_Store"):
        (tmp_path / "hand_labels" / "manual_train" / name).write_bytes(b"x")
    assert open_source(tmp_path).splits() == {"train": 3}


# -- the way to a file -------------------------------------------------------------------------


def test_a_converted_file_passes_verify(whole: FakePanoptic, tmp_path: Path):
    path = convert(open_source(whole.folder), tmp_path / "a.h5").path
    result = verify(path, deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    assert result.kept == {"train": 17, "val": 3, "test": 10}
    with HandFile(path) as file:
        test = file["test"]
        assert test.box_padding == 2.2
        expected = [whole.uv[name] for name in test.column("sample_id").tolist()]
        assert test.source_keypoints_2d() == pytest.approx(np.array(expected), abs=1e-9)
        # Left hands are as they were.
        assert not test.column("mirrored").any()
        assert (np.linalg.det(test.column("crop")[:, :2, :2]) > 0).all()


def test_converting_twice_gives_the_same_arrays(whole: FakePanoptic, tmp_path: Path):
    one, two = (
        convert(open_source(whole.folder), tmp_path / f"{n}.h5").path for n in ("one", "two")
    )
    with HandFile(one) as a, HandFile(two) as b:
        assert a.splits == b.splits
        for split in a.splits:
            assert a[split].names == b[split].names
            for name in a[split].names:
                first, second = a[split].column(name), b[split].column(name)
                equal_nan = first.dtype.kind == "f"
                assert np.array_equal(first, second, equal_nan=equal_nan)
            rows = range(len(a[split]))
            assert all(a[split].image_bytes(row) == b[split].image_bytes(row) for row in rows)


def test_a_wrong_joint_order_does_not_pass_verify(tmp_path: Path):
    fake = write_panoptic(tmp_path / "data", order=TIP_TO_PALM)
    path = convert(open_source(fake.folder), tmp_path / "a.h5").path
    assert "chain order" in {c.name for c in verify(path).checks if c.passed is False}


def test_sides_that_contradict_each_other_are_unknown(tmp_path: Path):
    # Without 3D no check of the file could see a wrong side: the reader has to.
    fake = write_panoptic(tmp_path, mirror_sides=True)
    source = open_source(fake.folder)
    assert set(rows_of(fake.folder, "test").is_right.tolist()) == {-1}
    assert any(note.startswith("19 labels have an is_left that contra") for note in source.notes)


# -- bad input ---------------------------------------------------------------------------------


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _change(name: str, **fields: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder / name, **fields)


def _entry(**fields: Any) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = read_json(folder / MULTIVIEW)
        data["root"][1].update(fields)
        write_json(folder / MULTIVIEW, data)

    return damage


def _truncate(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:700]) and None


def _loop(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(folder / name)

    return damage


def _empty(folder: Path) -> None:
    for path in (folder / "hand_labels" / "manual_train").iterdir():
        path.unlink()


HAND = "hand_labels/manual_train/000015774_01_l"
POINTS = [[float(i), float(i * 2 % 7), 1.0] for i in range(21)]
BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "an empty part": (_empty, r"NAME\.json beside NAME\.jpg\) in .*manual_train, found none"),
    "no label": (_remove(f"{HAND}.json"), r"a \.json of every hand .*, found no 000015774_01_l\.j"),
    "no image": (_remove(f"{HAND}.jpg"), r"a \.json of every hand .*found no 000015774_01_l\.jpg"),
    "truncated label": (_truncate(f"{HAND}.json"), r"01_l\.json, found a file that breaks off"),
    "empty label": (_write(f"{HAND}.json", b""), r"01_l\.json, found an empty file"),
    "empty image": (_write(f"{HAND}.jpg", b""), r"image at .*01_l\.jpg, found an empty file"),
    "truncated image": (_truncate(f"{HAND}.jpg"), r"expected a whole image at .*01_l"),
    "no image at all": (_write(f"{HAND}.jpg", b"text"), "whole image at .*truncated or damaged"),
    "other keys": (_write(f"{HAND}.json", b'{"a": 1}'), r"hand_pts .* in .*l\.json, found a; is"),
    "a list": (_write(f"{HAND}.json", b"[1]"), r"hand_pts \(21 × x, y, flag\) in .*, found list"),
    "20 points": (_change(f"{HAND}.json", hand_pts=POINTS[:20]), "hand_pts of 21×3 numbers"),
    "no flags": (_change(f"{HAND}.json", hand_pts=[[1, 2]] * 21), "hand_pts of 21×3 numbers"),
    "words": (_change(f"{HAND}.json", hand_pts=[["a"] * 3] * 21), "hand_pts of 21×3 numbers"),
    "not finite": (
        _change(f"{HAND}.json", hand_pts=[[float("nan"), 1, 1], *POINTS[1:]]),
        r"01_l\.json labels a point without finite coordinates",
    ),
    "a symlink loop as label": (_loop(f"{HAND}.json"), r"cannot read .*01_l\.json: "),
    "a symlink loop as image": (_loop(f"{HAND}.jpg"), r"cannot read .*01_l\.jpg: "),
    "no multiview labels": (_remove(MULTIVIEW), r"expected .*14817\.json beside imgs, found no su"),
    "other multiview labels": (_write(MULTIVIEW, b"{}"), "expected a list 'root' with an entry"),
    "no path": (_entry(img_paths=None), r"entry 1 of .*14817\.json: expected img_paths"),
    "a path outside": (_entry(img_paths="../a.jpg"), r"entry 1 of .*: expected img_paths \(a path"),
    "image not there": (_entry(img_paths="imgs/9.jpg"), r"entry 1 of .* names imgs/9\.jpg, found"),
    "multiview points": (_entry(joint_self=POINTS[1:]), "joint_self of 21×3 .* in entry 1 of"),
    "another size": (
        _entry(img_width=1920, img_height=1080),
        r"00000001\.jpg to have 1920×1080 px as its record says, found 224×224",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, case: str):
    damage, message = BAD[case]
    fake = small(tmp_path / "data", multiview=3)
    damage(fake.folder)
    with pytest.raises(SourceError, match=message) as caught:
        convert(open_source(fake.folder), tmp_path / "out" / "a.h5")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


def test_places_without_the_dataset(tmp_path: Path):
    with pytest.raises(SourceError, match="found nothing there; pass --source"):
        open_source(tmp_path / "none")
    with pytest.raises(SourceError, match=r"expected hand_labels, .* found no files; point --sour"):
        open_source(tmp_path)
    (tmp_path / "hand143_panopticdb.tar").write_bytes(b"tar")
    with pytest.raises(
        SourceError, match=r"found hand143_panopticdb\.tar; point --source .*packed"
    ):
        open_source(tmp_path)
    with pytest.raises(SourceError, match=r"expected a folder or zip archive, found .*unpack it"):
        open_source(tmp_path / "hand143_panopticdb.tar")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(SourceError, match="found nothing there"):
        open_source(tmp_path / "loop")


def test_nothing_that_can_be_used(tmp_path: Path):
    small(tmp_path, train=(), synthetic=(2, 0, 0, 0))
    with pytest.raises(SourceError, match=r"hands with 21 points in .*none: 2 × label of hand_lab"):
        open_source(tmp_path)


# -- real data ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_frames_in_the_native_layout(real_data: Path, tmp_path: Path):
    """Real photos and points, which reach us as MMPose's file; put back into the native layout."""
    folder = tmp_path / "data" / "hand_labels" / "manual_train"
    folder.mkdir(parents=True)
    data = json.loads((real_data / "panoptic_coco" / "annotations.json").read_text("utf-8"))
    for image, hand in zip(data["images"], data["annotations"]):
        name = image["file_name"]
        (folder / name).write_bytes((real_data / "panoptic_coco/images" / name).read_bytes())
        points = np.reshape(hand["keypoints"], (21, 3)).tolist()
        write_json((folder / name).with_suffix(".json"), {"hand_pts": points})
    source = open_source(tmp_path / "data")
    (block,) = source.blocks("train")
    assert block.is_right.tolist() == [0, 1]
    assert block.ids["image_id"] == ["005880453", "005880453"]
    assert block.images[0] == block.images[1]
    # MMPose's boxes are the tight ones too, with a last pixel that counts.
    boxes = np.array([hand["bbox"] for hand in data["annotations"]]) - [0, 0, 1, 1]
    assert block.bbox == pytest.approx(boxes)
    path = convert(source, tmp_path / "a.h5").path
    assert [check for check in verify(path, deep=True).checks if check.passed is False] == []
