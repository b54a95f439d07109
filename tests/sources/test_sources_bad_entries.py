"""Malformed label entries of every reader: they stop a conversion, or are left out and listed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from generators.coco import FakeCOCO, write_coco
from generators.coco_wholebody import write_coco_wholebody
from generators.freihand import write_freihand, write_json
from generators.interhand import FakeInterHand, write_interhand
from generators.onehand10k import FakeOneHand10K, write_onehand10k
from generators.panoptic import write_panoptic
from generators.points import FakePoints, write_points
from generators.rhd import FakeRHD, write_rhd
from PIL import Image

from handbench.cli import cli
from handbench.errors import SourceError
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import interhand
from handbench.sources.bad_entries import BadEntries, read_masks

HINT = "`handbench convert --skip-bad` leaves such entries out"
MALFORMED = "malformed label"


# -- the account -------------------------------------------------------------------------------


def test_the_first_malformed_entry_stops_with_a_hint():
    with pytest.raises(SourceError, match=rf"^entry 3 is null; {HINT}$"), BadEntries().entry():
        raise SourceError("entry 3 is null")
    faulty = np.array([False, True, True])
    with pytest.raises(SourceError, match=rf"^entry 1 is bad; {HINT} \(2 here\)$"):
        BadEntries().sound(faulty, "entry {} is bad".format)


def test_a_lenient_account_lists_all_and_goes_on():
    bad = BadEntries(lenient=True)
    with bad.entry():
        raise SourceError("entry 3 is null")
    assert bad.sound(np.array([False, True, True]), str).tolist() == [True, False, False]
    assert bad.sentences == ["entry 3 is null", "1", "2"]
    with pytest.raises(KeyError), bad.entry():  # a mistake of ours is no malformed entry
        raise KeyError("x")


def test_a_file_of_mostly_malformed_entries_is_another_file():
    bad = BadEntries(lenient=True)
    bad.sound(np.ones(3, dtype=bool), "entry {} is bad".format)
    bad.check_few(3)
    with pytest.raises(SourceError, match=r"3 of 5 label entries are malformed.*: entry 0 is bad"):
        bad.check_few(2)


def test_masks_that_cannot_be_read_come_empty():
    def read(row: int) -> bytes:
        if row == 1:
            raise SourceError("mask 1 is gone")
        return b"mask"

    masks, faults = read_masks(read, 3, lenient=True)
    assert masks == [b"mask", b"", b"mask"]
    assert faults == ["", "mask 1 is gone", ""]
    with pytest.raises(SourceError, match=f"mask 1 is gone; {HINT}"):
        read_masks(read, 3, lenient=False)


# -- every reader ------------------------------------------------------------------------------


@dataclass
class Case:
    """Damage to a small dataset.

    Attributes
    ----------
    write
        Writes the whole dataset into a folder, and returns it with the words that convert it.
    damage
        Spoils some of its label entries.
    sentence
        What is said of the first of them.
    lost
        Rows that are no more; by a part of their sample id.
    entries
        How many entries are malformed.
    dropped
        Other reasons that follow from it → count.
    """

    write: Callable[[Path], tuple[Any, list[object]]]
    damage: Callable[[Any], object]
    sentence: str
    lost: tuple[str, ...]
    entries: int = 1
    dropped: tuple[tuple[str, int], ...] = ()


def freihand(folder: Path) -> tuple[Path, list[object]]:
    fake = write_freihand(folder, instants=(1, 2, 1), evaluation=3, versions=2)
    return fake.folder, ["freihand", "--source", folder, "--with", "mask,mano,vertices"]


def entry(name: str, value: object, number: int = 2) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        entries = json.loads((folder / name).read_text("utf-8"))
        entries[number] = value
        write_json(folder / name, entries)

    return damage


def part_of_entry(name: str, value: object, *place: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        entries = json.loads((folder / name).read_text("utf-8"))
        where = entries[2]
        for step in place[:-1]:
            where = where[step]
        where[place[-1]] = value
        write_json(folder / name, entries)

    return damage


def coco(folder: Path) -> tuple[FakeCOCO, list[object]]:
    fake = write_coco(folder, 4)
    return fake, ["coco", "--annotations", fake.annotations, "--images-dir", fake.images]


def annotation(**fields: object) -> Callable[[FakeCOCO], None]:
    def damage(fake: FakeCOCO) -> None:
        fake.data["annotations"][1].update(fields)
        fake.save()

    return damage


def image(**fields: object) -> Callable[[FakeCOCO], None]:
    def damage(fake: FakeCOCO) -> None:
        fake.data["images"][1].update(fields)
        fake.save()

    return damage


def no_record(fake: FakeCOCO) -> None:
    fake.data["annotations"][1] = None
    fake.save()


def wholebody(folder: Path) -> tuple[Any, list[object]]:
    fake = write_coco_wholebody(folder, train=0)
    return fake, ["coco_wholebody", "--source", folder]


def person(**fields: object) -> Callable[[Any], None]:
    def damage(fake: Any) -> None:
        next(a for a in fake.data["val"]["annotations"] if a["lefthand_valid"]).update(fields)
        fake.save()

    return damage


def no_person(fake: Any) -> None:
    fake.data["val"]["annotations"].append(None)
    fake.save()


def first_left(fake: Any) -> str:
    return next(name for name in fake.uv if name.endswith("/left"))


def inter(folder: Path) -> tuple[FakeInterHand, list[object]]:
    fake = write_interhand(folder, captures={"test": 1}, frames=1)
    return fake, ["interhand26m", "--source", folder]


def record(kind: str, **fields: object) -> Callable[[FakeInterHand], None]:
    def damage(fake: FakeInterHand) -> None:
        fake.data["test"][kind][1].update(fields)
        fake.save("test")

    return damage


def camera(fake: FakeInterHand) -> None:
    fake.camera["test"]["0"]["focal"]["400298"] = [None, 1500.0]
    fake.save("test")


def moment(value: object) -> Callable[[FakeInterHand], None]:
    def damage(fake: FakeInterHand) -> None:
        fake.joint_3d["test"]["0"]["2100"]["world_coord"][25] = value  # of the left hand
        fake.save("test")

    return damage


def rhd(folder: Path) -> tuple[FakeRHD, list[object]]:
    fake = write_rhd(folder, training=0, evaluation=5)
    return fake, ["rhd", "--source", folder, "--with", "mask"]


def in_record(key: str, value: object) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        fake.records["evaluation"][2][key] = value
        fake.save()

    return damage


def number(key: str, place: tuple[int, int], value: float) -> Callable[[FakeRHD], None]:
    def damage(fake: FakeRHD) -> None:
        array = np.array(fake.records["evaluation"][2][key], dtype=float)
        array[place] = value
        fake.records["evaluation"][2][key] = array
        fake.save()

    return damage


def null_record(fake: FakeRHD) -> None:
    fake.records["evaluation"][2] = None
    fake.save()


def cut_file(name: str) -> Callable[[Any], None]:
    def damage(fake: Any) -> None:
        path = getattr(fake, "folder", fake) / name
        path.write_bytes(path.read_bytes()[:150])

    return damage


def other_picture(fake: FakeRHD) -> None:
    Image.new("L", (320, 320), 255).save(fake.folder / "evaluation/mask/00002.png")


def onehand(folder: Path) -> tuple[FakeOneHand10K, list[object]]:
    return write_onehand10k(folder, train=0), ["onehand10k", "--source", folder]


def field(place: int, value: object) -> Callable[[FakeOneHand10K], None]:
    def damage(fake: FakeOneHand10K) -> None:
        fake.lines["Test"][1][place] = value
        fake.save()

    return damage


def one_less(fake: FakeOneHand10K) -> None:
    fake.lines["Test"][1].pop()
    fake.save()


HANDS = ("000015774_01_l", "000015774_01_r", "000015775_02_l")
MANUAL = "hand_labels/manual_train"


def panoptic(folder: Path) -> tuple[Path, list[object]]:
    parts: dict[str, Any] = {"train": HANDS, "test": (), "synthetic": (0, 0, 0, 0), "multiview": 3}
    return write_panoptic(folder, **parts).folder, ["panoptic", "--source", folder]


def label(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / MANUAL / f"{HANDS[0]}.json").write_text(text) and None


def multiview(**fields: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "hand143_panopticdb" / "hands_v143_14817.json"
        data = json.loads(path.read_text("utf-8"))
        data["root"][1].update(fields)
        write_json(path, data)

    return damage


def csv(folder: Path) -> tuple[FakePoints, list[object]]:
    fake = write_points(folder, 4)
    path = fake.csv()
    return fake, ["points", "--annotations", path, "--images-dir", fake.images]


def cell(**cells: object) -> Callable[[FakePoints], None]:
    def damage(fake: FakePoints) -> None:
        rows = fake.rows()
        rows[1] |= cells
        fake.csv(rows)

    return damage


def one_cell_more(fake: FakePoints) -> None:
    path = fake.folder / "points.csv"
    path.write_text(path.read_text("utf-8").replace("00001.jpg,", "00001.jpg,,"), "utf-8")


def npz(folder: Path) -> tuple[FakePoints, list[object]]:
    fake = write_points(folder, 4)
    path = fake.npz()
    return fake, ["points", "--annotations", path, "--images-dir", fake.images]


def array(name: str, value: float) -> Callable[[FakePoints], None]:
    def damage(fake: FakePoints) -> None:
        arrays = fake.arrays()
        arrays["camera"] = np.tile(arrays["camera"], (4, 1, 1))
        arrays[name] = np.array(arrays[name], dtype=float)
        arrays[name][1] = value
        fake.npz(arrays)

    return damage


TEXT = [["a", 1.0, 1.0]] * 21
POINTS = [[float(i), float(i * 2 % 7), 1.0] for i in range(21)]
FREIHAND_LOST = ("training/00000002", "training/00000006")
PORTRAIT = "Capture0/0000_neutral_relaxed/cam400298/image2000"
CASES = {
    "freihand null hand": Case(
        freihand,
        entry("training_xyz.json", None),
        r"entry 2 of .*training_xyz\.json: expected 21×3 numbers, found something else",
        FREIHAND_LOST,
    ),
    "freihand 20 points": Case(
        freihand, entry("training_xyz.json", [[0.0, 0.0, 0.5]] * 20), "entry 2 of", FREIHAND_LOST
    ),
    "freihand text": Case(freihand, entry("training_xyz.json", TEXT), "entry 2", FREIHAND_LOST),
    "freihand null number": Case(
        freihand,
        part_of_entry("training_xyz.json", None, 4, 1),
        r"entry 2 of .*training_xyz\.json is not finite",
        FREIHAND_LOST,
    ),
    "freihand camera": Case(
        freihand,
        part_of_entry("training_K.json", None, 0, 0),
        r"entry 2 of .*training_K\.json is not finite",
        FREIHAND_LOST,
    ),
    "freihand scale": Case(freihand, entry("training_scale.json", "x"), "entry 2", FREIHAND_LOST),
    "freihand behind the camera": Case(
        freihand,
        part_of_entry("training_xyz.json", -0.4, 4, 2),
        r"found depth -0\.400 m in entry 2",
        FREIHAND_LOST,
    ),
    "freihand MANO": Case(
        freihand, entry("training_mano.json", [[0.0] * 60]), "entry 2 .*61", FREIHAND_LOST, 2
    ),
    "freihand vertices": Case(
        freihand,
        part_of_entry("training_verts.json", None, 5, 1),
        r"entry 2 of .*training_verts\.json: expected \(778, 3\) finite numbers",
        FREIHAND_LOST,
        2,
    ),
    "freihand mask": Case(
        freihand,
        cut_file("training/mask/00000002.jpg"),
        "expected a whole image at the mask of training/0000000[26]",
        FREIHAND_LOST,
        2,
    ),
    "freihand no mask": Case(
        freihand,
        lambda folder: (folder / "training/mask/00000002.jpg").unlink(),
        r"expected training/mask/00000002\.jpg in",
        FREIHAND_LOST,
        2,
    ),
    "coco null": Case(coco, no_record, "entry 1 of annotations in .* has no 'id'", ("00001",)),
    "coco 20 points": Case(
        coco, annotation(keypoints=[1, 2, 2] * 20), "record 7001 in .*21 keypoints", ("00001",)
    ),
    "coco text": Case(coco, annotation(keypoints=["a"] * 63), "record 7001", ("00001",)),
    "coco null point": Case(
        coco,
        annotation(keypoints=[None, 1, 2] * 21),
        "annotation 7001 in .* labels a keypoint without finite coordinates",
        ("00001",),
    ),
    "coco box": Case(coco, annotation(bbox=[1, 2, 3]), "7001 .*bbox as x, y, w, h", ("00001",)),
    "coco 3D": Case(coco, annotation(joint_cam=[[0, 0, 1]]), "7001 .*joint_cam", ("00001",)),
    "coco unknown image": Case(coco, annotation(image_id=5), "7001 .*names image 5", ("00001",)),
    "coco camera": Case(
        coco,
        image(cam_param={"focal": [None, 1], "princpt": [1, 1]}),
        "record 101 in .*: expected a finite cam_param",
        ("00001",),
    ),
    "coco image": Case(
        coco, image(file_name=7), "entry 1 of images in .*'file_name'", ("00001",), entries=2
    ),
    "coco_wholebody null": Case(wholebody, no_person, "an annotation in .*, found None", ()),
    "coco_wholebody 20 points": Case(
        wholebody, person(lefthand_kpts=[1.0] * 60), "lefthand_kpts as 21 × x, y, v", ("LEFT",)
    ),
    "coco_wholebody text": Case(
        wholebody, person(lefthand_kpts=["a"] * 63), "lefthand_kpts as", ("LEFT",)
    ),
    "coco_wholebody box": Case(
        wholebody, person(lefthand_box=[1, 2, 3]), "lefthand_box as x, y, w, h", ("LEFT",)
    ),
    "interhand flags": Case(
        inter,
        record("annotations", joint_valid=[[1]] * 41),
        r"a record in .*_data\.json holds something else than expected .*42 flags",
        (PORTRAIT,),
    ),
    "interhand text": Case(
        inter, record("annotations", joint_valid=["a"] * 42), "a record in", (PORTRAIT,)
    ),
    "interhand null": Case(
        inter, record("annotations", hand_type=None), "a record in", (PORTRAIT,)
    ),
    "interhand unknown image": Case(
        inter, record("annotations", image_id=5), "names image 5, .* among its 9", (PORTRAIT,)
    ),
    "interhand image": Case(
        inter, record("images", frame_idx="one"), "a record in", (PORTRAIT,), entries=2
    ),
    "interhand camera": Case(
        inter,
        camera,
        r"camera 400298 of capture 0: expected campos, .* \(a number is missing\)",
        ("cam400298",),
        entries=3,
    ),
    "interhand moment": Case(
        inter,
        moment([None, 1.0, 2.0]),
        r"record 0/2100 in .*: expected world_coord 42×3",
        ("image2100",),
        dropped=((interhand.NO_3D, 3),),
    ),
    "rhd null": Case(rhd, null_record, "record 2 of .* has no 'xyz'", ("00002",)),
    "rhd 20 points": Case(rhd, in_record("xyz", np.ones((20, 3))), "record 2 .*xyz", ("00002",)),
    "rhd text": Case(rhd, in_record("K", "wide"), "record 2 of .*3×3 numbers as K", ("00002",)),
    "rhd NaN": Case(
        rhd, number("xyz", (21, 1), np.nan), "record 2 .* finite coordinates", ("00002",)
    ),
    "rhd camera": Case(rhd, number("K", (0, 0), np.inf), "record 2 of .* K as a m", ("00002",)),
    "rhd cut mask": Case(
        rhd,
        cut_file("evaluation/mask/00002.png"),
        "expected a whole image at the mask of evaluation/00002/right",
        ("00002",),
    ),
    "rhd other mask": Case(
        rhd, other_picture, "expected labels 0 to 33 in the mask of evaluation/00002", ("00002",)
    ),
    "onehand10k text": Case(onehand, field(7, "left"), "line 2 of .*numbers", ("source/2",)),
    "onehand10k NaN": Case(onehand, field(9, "nan"), "line 2 of .*finite", ("source/2",)),
    "onehand10k short": Case(onehand, one_less, "line 2 of .* found 45", ("source/2",)),
    "onehand10k mask": Case(
        onehand, cut_file("Test/mask/2.png"), r"expected a whole mask at .*2\.png", ("source/2",)
    ),
    "panoptic null": Case(panoptic, label("null"), r"hand_pts .* found NoneType", (HANDS[0],)),
    "panoptic 20 points": Case(
        panoptic, label(json.dumps({"hand_pts": POINTS[1:]})), "hand_pts of 21×3", (HANDS[0],)
    ),
    "panoptic text": Case(
        panoptic, label(json.dumps({"hand_pts": TEXT})), "hand_pts of 21×3", (HANDS[0],)
    ),
    "panoptic NaN": Case(
        panoptic,
        label(json.dumps({"hand_pts": [[float("nan"), 1, 1], *POINTS[1:]]})),
        "labels a point without finite coordinates",
        (HANDS[0],),
    ),
    "panoptic cut": Case(panoptic, label('{"hand_pts": [[1'), "breaks off", (HANDS[0],)),
    "panoptic multiview": Case(
        panoptic, multiview(joint_self=None), "joint_self of 21×3 .* in entry 1", ("imgs/00000001",)
    ),
    "points word": Case(csv, cell(x4="left"), "expected numbers in line 3", ("00001",)),
    "points infinity": Case(csv, cell(x4="inf"), "line 3 .* that is infinite", ("00001",)),
    "points half a point": Case(csv, cell(x4=""), "line 3 of .*one coordinate", ("00001",)),
    "points outside": Case(csv, cell(image="../1.jpg"), r"line 3 .*'\.\./1\.jpg'", ("00001",)),
    "points long row": Case(csv, one_cell_more, "cells in line 3 of .*, found 44", ("00001",)),
    "points side": Case(npz, array("is_right", 2), "row 1: expected is_right", ("00001",)),
    "points box": Case(npz, array("bbox", np.inf), "row 1 of .* is infinite", ("00001",)),
    "points camera": Case(npz, array("camera", np.nan), "row 1 of .* no camera", ("00001",)),
}


def handbench(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def rows(path: Path) -> dict[str, np.ndarray]:
    """Sample id → keypoints in source px, of all splits."""
    with HandFile(path) as file:
        return {
            str(name): points
            for split in file.splits
            for name, points in zip(
                file[split].column("sample_id").tolist(), file[split].source_keypoints_2d()
            )
        }


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_entry_stops_or_is_left_out_and_listed(tmp_path: Path, name: str):
    case = CASES[name]
    fake, words = case.write(tmp_path / "data")
    words = ["convert", *words, "--size", 32, "--out"]
    done = handbench(*words, tmp_path / "whole.h5")
    assert done.exit_code == 0, done.output
    whole = rows(tmp_path / "whole.h5")
    lost = [part if part != "LEFT" else first_left(fake) for part in case.lost]
    expected = [sample for sample in whole if not any(part in sample for part in lost)]
    assert len(expected) < len(whole) or not lost

    case.damage(fake)
    stopped = handbench(*words, tmp_path / "a.h5")
    assert isinstance(stopped.exception, SourceError)
    assert re.search(case.sentence, str(stopped.exception)), stopped.exception
    assert "--skip-bad" in str(stopped.exception) or "mask" in name
    assert "\n" not in str(stopped.exception)
    assert not (tmp_path / "a.h5").exists()

    skipped = handbench(*words, tmp_path / "a.h5", "--skip-bad")
    assert skipped.exit_code == 0, skipped.output
    listed = [line for line in skipped.stderr.splitlines() if line.startswith("left out: ")]
    assert len(listed) == case.entries
    assert re.search(case.sentence, listed[0])
    assert f"note: left out: {case.entries} × {MALFORMED}" in skipped.stderr
    found = rows(tmp_path / "a.h5")
    assert list(found) == expected
    for sample, points in found.items():
        assert np.allclose(points, whole[sample], atol=1e-9, equal_nan=True)
    result = verify(tmp_path / "a.h5", deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    assert result.dropped[MALFORMED] == case.entries
    for reason, count in case.dropped:
        assert result.dropped[reason] == count


# -- what follows from it ----------------------------------------------------------------------


def convert(*words: object) -> Result:
    return handbench("convert", *words, "--size", 32, "--skip-bad")


def listed_in(result: Result) -> list[str]:
    return [line for line in result.stderr.splitlines() if line.startswith("left out: ")]


def test_an_entry_of_another_split_is_not_counted(tmp_path: Path):
    folder, words = freihand(tmp_path / "data")
    entry("training_xyz.json", None)(folder)
    result = convert(*words, "--splits", "test", "--out", tmp_path / "a.h5")
    assert listed_in(result) == []
    assert list(rows(tmp_path / "a.h5")) == [f"evaluation/{i:08d}" for i in range(3)]
    with HandFile(tmp_path / "a.h5") as file:
        assert MALFORMED not in file.attributes["dropped"]


def test_whole_datasets_without_some_entries_are_subsets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from handbench.sources.freihand import FreiHAND

    folder, words = freihand(tmp_path / "data")
    monkeypatch.setattr(FreiHAND, "_dataset_name", lambda _: "freihand")  # as if complete
    convert(*words, "--out", tmp_path / "a.h5")
    entry("evaluation_xyz.json", None)(folder)
    convert(*words, "--out", tmp_path / "b.h5")
    with HandFile(tmp_path / "a.h5") as whole, HandFile(tmp_path / "b.h5") as part:
        assert (whole.dataset, part.dataset) == ("freihand", "freihand-subset")


@pytest.mark.parametrize(
    ("write", "damage", "sentence"),
    [
        (freihand, entry("training_K.json", None), "labels of one length"),
        (onehand, lambda fake: (fake.folder / "Test/source/2.jpg").unlink(), "1 of them missing"),
        (panoptic, lambda folder: (folder / MANUAL / f"{HANDS[0]}.jpg").unlink(), "found no 0000"),
        (rhd, lambda fake: (fake.folder / "evaluation/color/00002.png").unlink(), "missing: 00002"),
        (coco, lambda fake: fake.annotations.write_text("{"), "breaks off"),
        (coco, lambda fake: fake.annotations.write_text('{"a": 1}'), "'images' and 'annotations'"),
    ],
)
def test_faults_of_a_whole_source_stop_in_both_modes(
    tmp_path: Path, write: Any, damage: Any, sentence: str
):
    fake, words = write(tmp_path / "data")
    damage(fake)
    if write is freihand:
        path = fake / "training_xyz.json"
        write_json(path, json.loads(path.read_text("utf-8"))[:-1])
    for more in ([], ["--skip-bad"]):
        stopped = handbench("convert", *words, "--out", tmp_path / "a.h5", *more)
        assert isinstance(stopped.exception, SourceError)
        assert sentence in str(stopped.exception)
        assert "--skip-bad" not in str(stopped.exception)


def test_a_file_of_hands_with_20_points_stops_in_both_modes(tmp_path: Path):
    fake, words = coco(tmp_path / "data")
    for hand in fake.data["annotations"]:
        hand["keypoints"] = [1, 2, 2] * 20
    fake.save()
    stopped = convert(*words, "--out", tmp_path / "a.h5")
    assert "4 of 4 label entries are malformed" in str(stopped.exception)
    assert "record 7000" in str(stopped.exception)


def test_a_file_without_malformed_entries_meets_its_source(tmp_path: Path):
    folder, words = freihand(tmp_path / "data")
    entry("training_xyz.json", None)(folder)
    convert(*words, "--out", tmp_path / "a.h5")
    compared = handbench("verify", tmp_path / "a.h5", "--source", folder)
    assert compared.exit_code == 0, compared.output
    assert "rows with the same labels" in compared.output
    # The source by itself is not sound.
    alone = handbench("verify", "freihand", "--source", folder)
    assert isinstance(alone.exception, SourceError)


def test_a_dry_run_counts_them(tmp_path: Path):
    fake, words = coco(tmp_path / "data")
    annotation(keypoints=None)(fake)
    said = convert(*words, "--dry-run").stdout
    assert "test: at most 3 samples" in said
    assert f"left out: 1 × {MALFORMED}" in said


def test_entries_of_a_file_that_is_cut_into_splits_are_counted_once(tmp_path: Path):
    fake, words = coco(tmp_path / "data")
    annotation(keypoints=None)(fake)
    cut = ("--split-blocks", "train=1,test=1", "--block-size", 1)
    result = convert(*words, *cut, "--out", tmp_path / "a.h5")
    assert len(listed_in(result)) == 1
    assert set(rows(tmp_path / "a.h5")) == {"00000", "00002", "00003"}


def test_ids_of_rows_behind_a_malformed_one_stay(tmp_path: Path):
    fake = write_points(tmp_path / "data", 4)
    rows_ = fake.rows()
    for row in rows_:
        row["image"] = fake.names[0]  # four hands on one photo
    rows_[1]["x4"] = "left"
    words = ["points", "--annotations", fake.csv(rows_), "--images-dir", fake.images]
    convert(*words, "--out", tmp_path / "a.h5")
    assert list(rows(tmp_path / "a.h5")) == ["00000#0", "00000#2", "00000#3"]


@pytest.mark.parametrize(
    ("write", "name"),
    [(csv, "images/00001.jpg"), (panoptic, f"{MANUAL}/{HANDS[0]}.jpg")],
)
def test_images_whose_size_is_needed_at_once_may_be_damaged(tmp_path: Path, write: Any, name: str):
    _, words = write(tmp_path / "data")
    (tmp_path / "data" / name).write_bytes(b"")
    stopped = handbench("convert", *words, "--out", tmp_path / "a.h5")
    assert "found an empty file" in str(stopped.exception)
    result = convert(*words, "--out", tmp_path / "a.h5")
    assert "note: left out: 1 × image that cannot be read" in result.stderr
    assert not any(Path(name).stem in sample for sample in rows(tmp_path / "a.h5"))


def test_a_selection_that_leaves_nothing_out_refuses_what_a_lenient_source_left_out(tmp_path: Path):
    from handbench.hdf5.convert import convert as convert_source
    from handbench.sources import coco as reader
    from handbench.sources import manifest

    fake, _ = coco(tmp_path / "data")
    annotation(keypoints=None)(fake)
    source = reader.open_source(
        {"test": fake.annotations}, fake.images, manifest.load("coco"), lenient=True
    )
    assert list(source.bad) == ["test"] and len(source.bad["test"]) == 1
    with pytest.raises(SourceError, match=r"record 7001 .* leave such rows out with --skip-bad"):
        convert_source(source, tmp_path / "a.h5")
