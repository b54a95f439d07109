from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from generators.points import CAMERA, TIP_TO_PALM, FakePoints, write_points

from handbench.cli import cli
from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify
from handbench.sources import manifest, points
from handbench.sources.block import SampleBlock
from handbench.sources.own_data import OwnData, SplitBlocks


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> FakePoints:
    """Ten hands; pictures are read-only, tables are written by the tests."""
    return write_points(tmp_path_factory.mktemp("points"))


def open_source(fake: FakePoints, path: Path, **options: Any) -> OwnData:
    annotations = options.pop("annotations", {"test": path})
    return points.open_source(annotations, fake.images, manifest.load("points"), **options)


def rows_of(source: OwnData, split: str = "test") -> SampleBlock:
    (block,) = source.blocks(split)
    return block


def block_of(fake: FakePoints, path: Path, **options: Any) -> SampleBlock:
    return rows_of(open_source(fake, path, **options))


def with_columns(fake: FakePoints, **columns: Any) -> Path:
    """A CSV file with a constant or a list more in each row."""
    rows = fake.rows()
    for name, values in columns.items():
        for row, value in zip(rows, values if isinstance(values, list) else [values] * len(rows)):
            row[name] = value
    return fake.csv(rows)


# -- CSV ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_name", [False, True])
def test_points_of_a_csv_file(fake: FakePoints, by_name: bool):
    source = open_source(fake, fake.csv(fake.rows(by_name=by_name)), name="mine")
    block = rows_of(source)
    assert np.array_equal(block.keypoints_2d, fake.uv)
    assert block.sample_id == block.ids["image_id"] == [f"{i:05d}" for i in range(10)]
    assert block.valid_2d.all() and (block.visibility == 255).all()
    assert (block.is_right == -1).all()
    assert block.keypoints_3d is None and block.camera is None
    assert block.images[4] == (fake.images / "00004.jpg").read_bytes()
    assert source.name == source.manifest.title == "mine"
    assert source.box_source == "keypoints"
    low = fake.uv.min(axis=1)
    assert np.allclose(block.bbox, np.concatenate([low, fake.uv.max(axis=1) - low], axis=1))
    (file,) = source.files()
    assert file["file"] == "points.csv" and len(file["sha256"]) == 64


def test_numbered_columns_in_another_order(fake: FakePoints):
    path = fake.csv(fake.rows(order=TIP_TO_PALM))
    assert np.array_equal(block_of(fake, path, joint_order=TIP_TO_PALM).keypoints_2d, fake.uv)
    assert not np.allclose(block_of(fake, path).keypoints_2d, fake.uv)


def test_columns_by_name_know_their_order(fake: FakePoints):
    path = fake.csv(fake.rows(by_name=True))
    with pytest.raises(SourceError, match=r"points\.csv name their joints, .* leave it out"):
        open_source(fake, path, joint_order=TIP_TO_PALM)


def test_columns_may_stand_in_any_order(fake: FakePoints):
    rows = [dict(reversed(list(row.items()))) for row in fake.rows()]
    assert np.array_equal(block_of(fake, fake.csv(rows)).keypoints_2d, fake.uv)


@pytest.mark.parametrize("blank", [("", ""), (-1, -1), ("nan", "NaN"), ("-1.0", " -1")])
def test_points_that_are_not_labelled(fake: FakePoints, blank: tuple[Any, Any]):
    rows = fake.rows()
    rows[3]["x20"], rows[3]["y20"] = blank
    source = open_source(fake, fake.csv(rows))
    block = rows_of(source)
    assert block.valid_2d.sum() == 209 and not block.valid_2d[3, 20]
    assert np.isnan(block.keypoints_2d[3, 20]).all()
    assert block.visibility[3, 20] == 0
    rest = fake.uv[3, :20]
    assert block.bbox[3] == pytest.approx([*rest.min(axis=0), *np.ptp(rest, axis=0)])
    assert "1 of 210 points in points.csv are empty, -1, -1, or have v = 0" in source.notes[0]


def test_one_coordinate_of_minus_one_is_a_point(fake: FakePoints):
    rows = fake.rows()
    rows[3]["x20"] = -1
    assert block_of(fake, fake.csv(rows)).keypoints_2d[3, 20, 0] == -1


def test_visibility(fake: FakePoints):
    rows = fake.rows()
    for row in rows:
        row |= {f"v{joint}": 1 + joint % 2 for joint in range(21)}
    rows[0]["v7"] = 0  # its coordinates mean nothing
    rows[1] |= {"x3": "", "y3": "", "v3": ""}
    block = block_of(fake, fake.csv(rows))
    assert block.visibility[5].tolist() == [1 + joint % 2 for joint in range(21)]
    assert not block.valid_2d[0, 7] and np.isnan(block.keypoints_2d[0, 7]).all()
    assert not block.valid_2d[1, 3]
    named = fake.rows(by_name=True)
    for row in named:
        row |= {name.removesuffix("_x") + "_v": 1 for name in list(row) if name.endswith("_x")}
    assert (block_of(fake, fake.csv(named)).visibility == 255).all()  # never 2: unknown


@pytest.mark.parametrize(
    ("column", "cells", "expected"),
    [
        ("hand", ["right", "Left", "", "unknown", " RIGHT "], [1, 0, -1, -1, 1]),
        ("is_right", [1, 0, -1, "true", "False"], [1, 0, -1, 1, 0]),
    ],
)
def test_sides(fake: FakePoints, column: str, cells: list[Any], expected: list[int]):
    block = block_of(fake, with_columns(fake, **{column: cells * 2}))
    assert block.is_right.tolist() == expected * 2


def boxed_rows(fake: FakePoints) -> list[dict[str, Any]]:
    names = ("box_x", "box_y", "box_w", "box_h")
    return [row | dict(zip(names, box)) for row, box in zip(fake.rows(), fake.boxes.tolist())]


def test_boxes(fake: FakePoints):
    rows = boxed_rows(fake)
    source = open_source(fake, fake.csv(rows))
    assert source.box_source == "annotation"
    assert np.array_equal(rows_of(source).bbox, fake.boxes)
    for name in ("box_x", "box_y", "box_w", "box_h"):
        rows[4][name] = ""
    source = open_source(fake, fake.csv(rows))
    assert source.box_source == "keypoints"
    assert rows_of(source).bbox[0, :2] == pytest.approx(fake.uv[0].min(axis=0))


def test_columns_that_mean_nothing_are_named(fake: FakePoints):
    source = open_source(fake, with_columns(fake, subject="me", light=3))
    assert source.notes[0] == "not used of points.csv: subject, light"


def test_a_file_as_a_spreadsheet_writes_it(fake: FakePoints):
    path = fake.csv()
    text = path.read_text("utf-8").replace("\n", "\r\n").replace("00003.jpg", '"00003.jpg"')
    path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n,,\r\n")
    assert len(block_of(fake, path)) == 10


# -- NPZ ---------------------------------------------------------------------------------------


def test_arrays_of_an_npz_file(fake: FakePoints):
    source = open_source(fake, fake.npz())
    block = rows_of(source)
    assert np.array_equal(block.keypoints_2d, fake.uv)
    assert np.array_equal(block.keypoints_3d, fake.xyz)
    assert np.array_equal(block.camera, np.tile(CAMERA, (10, 1, 1)))
    assert np.array_equal(block.bbox, fake.boxes)
    assert np.array_equal(block.is_right, fake.is_right)
    assert (block.visibility == 2).all() and block.valid_3d.all()
    assert source.box_source == "annotation"
    assert source.notes == []


def test_the_least_an_npz_file_needs(fake: FakePoints):
    names = np.array([name.encode() for name in fake.names])
    block = block_of(fake, fake.npz({"image": names, "keypoints": fake.uv.astype(np.float32)}))
    assert block.sample_id[9] == "00009"
    assert np.allclose(block.keypoints_2d, fake.uv, atol=1e-4)
    assert block.camera is None and block.keypoints_3d is None
    assert (block.is_right == -1).all()


def test_another_joint_order_moves_all_arrays(fake: FakePoints):
    arrays = fake.arrays()
    arrays["visibility"] = np.arange(210).reshape(10, 21) % 3
    expected = block_of(fake, fake.npz(arrays))
    for name in ("keypoints", "visibility", "keypoints_3d"):
        arrays[name] = arrays[name][:, list(TIP_TO_PALM)]
    block = block_of(fake, fake.npz(arrays), joint_order=TIP_TO_PALM)
    assert np.array_equal(block.visibility, expected.visibility)
    assert np.array_equal(block.keypoints_2d, expected.keypoints_2d, equal_nan=True)
    assert np.array_equal(block.keypoints_3d, fake.xyz)


def test_3d_of_some_joints(fake: FakePoints):
    arrays = fake.arrays()
    arrays["keypoints_3d"] = fake.xyz.copy()
    arrays["keypoints_3d"][2, 5, 1] = np.nan
    block = block_of(fake, fake.npz(arrays))
    assert block.valid_3d.sum() == 209 and not block.valid_3d[2, 5]
    assert block.keypoints_3d is not None
    assert np.isnan(block.keypoints_3d[2, 5]).all()


def test_a_camera_for_every_row(fake: FakePoints):
    cameras = np.tile(CAMERA, (10, 1, 1))
    cameras[:, 0, 0] += np.arange(10)
    block = block_of(fake, fake.npz(fake.arrays() | {"camera": cameras}))
    assert np.array_equal(block.camera, cameras)


def test_arrays_that_mean_nothing_are_not_opened(fake: FakePoints):
    arrays = fake.arrays() | {"notes": np.array([{"a": 1}], dtype=object)}
    source = open_source(fake, fake.npz(arrays))
    assert source.notes == ["not used of points.npz: notes"]


# -- both --------------------------------------------------------------------------------------


def test_hands_of_one_image_follow_each_other(tmp_path: Path):
    fake = write_points(tmp_path, 4)
    rows = fake.rows()
    rows[3]["image"] = rows[0]["image"]
    block = block_of(fake, fake.csv(rows))
    assert block.sample_id == ["00000#0", "00000#3", "00001", "00002"]
    assert block.ids["image_id"] == ["00000", "00000", "00001", "00002"]
    assert np.array_equal(block.keypoints_2d, fake.uv[[0, 3, 1, 2]])


def test_one_file_a_split(fake: FakePoints):
    half = fake.npz({name: v if name == "camera" else v[:4] for name, v in fake.arrays().items()})
    both = {"train": fake.csv(boxed_rows(fake)[4:]), "test": half}
    source = open_source(fake, half, annotations=both)
    assert source.splits() == {"train": 6, "test": 4}
    assert source.box_source == "annotation"
    assert not any("photos are in both" in note for note in source.notes)


def test_photos_in_two_splits_are_noted(fake: FakePoints):
    both = {"train": fake.csv(), "test": fake.npz()}
    notes = open_source(fake, fake.csv(), annotations=both).notes
    assert any("10 photos are in both train and test" in note for note in notes)


def test_runs_of_rows_are_dealt_out(fake: FakePoints):
    source = open_source(fake, fake.csv(), blocks=SplitBlocks({"train": 2, "test": 1}, 2))
    assert source.split_unit == source.cluster_unit == "sequence_id"
    assert rows_of(source).sample_id == ["00004", "00005"]
    assert source.splits() == {"train": 8, "test": 2}


@pytest.mark.parametrize("name", ["freihand", "coco", "../x"])
def test_names_of_other_datasets_are_refused(fake: FakePoints, name: str):
    with pytest.raises(SourceError, match=r"pass (another )?--name"):
        open_source(fake, fake.csv(), name=name)


def test_non_ascii_paths(tmp_path: Path):
    fake = write_points(tmp_path / "手 données", 2, name="Größe/写真{}.jpg")
    assert block_of(fake, fake.csv()).sample_id == ["Größe/写真0", "Größe/写真1"]
    assert block_of(fake, fake.npz()).sample_id == ["Größe/写真0", "Größe/写真1"]


def test_file_names_written_on_windows(tmp_path: Path):
    fake = write_points(tmp_path, 2, name="a/{}.jpg")
    rows = [row | {"image": row["image"].replace("/", "\\")} for row in fake.rows()]
    assert block_of(fake, fake.csv(rows)).sample_id == ["a/0", "a/1"]


def test_hands_that_cannot_be_used_are_counted(fake: FakePoints):
    arrays = fake.arrays() | {"keypoints": fake.uv.copy(), "bbox": fake.boxes.copy()}
    del arrays["visibility"]
    arrays["keypoints"][0] = np.nan
    arrays["bbox"][1, 3] = 0
    arrays["keypoints"][2] += [0, 400]
    source = open_source(fake, fake.npz(arrays))
    assert rows_of(source).sample_id == [f"{i:05d}" for i in range(3, 10)]
    assert source.dropped == {
        "hand without a labelled point in points.npz": 1,
        "hand with a box without an area in points.npz": 1,
        "hand outside its image in points.npz": 1,
    }
    assert "left out: 1 × hand outside its image in points.npz" in source.notes
    del arrays["bbox"]
    arrays["keypoints"][3, 1:] = -1
    dropped = open_source(fake, fake.npz(arrays)).dropped
    assert dropped["hand with too few labelled points to span a box in points.npz"] == 1
    arrays["keypoints"][:] = -1
    with pytest.raises(SourceError, match=r"can be used in .*: 10 × hand without a labelled po"):
        open_source(fake, fake.npz(arrays))


# -- the way to a file -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["csv", "npz"])
def test_a_converted_file_passes_verify(fake: FakePoints, tmp_path: Path, kind: str):
    path = fake.csv() if kind == "csv" else fake.npz()
    out = convert(open_source(fake, path, name="mine"), tmp_path / "a.h5").path
    result = verify(out, deep=True)
    assert [check for check in result.checks if check.passed is False] == []
    passed = {check.name for check in result.checks if check.passed}
    assert "chain order" in passed
    if kind == "npz":
        assert {"reprojection", "side", "hand size", "depth"} <= passed
    with HandFile(out) as file:
        assert file["test"].source_keypoints_2d() == pytest.approx(fake.uv, abs=1e-9)
        assert file["test"].box_padding == 1.25


def test_converting_twice_gives_the_same_arrays(fake: FakePoints, tmp_path: Path):
    one, two = (
        convert(open_source(fake, fake.npz()), tmp_path / f"{n}.h5").path for n in ("one", "two")
    )
    with HandFile(one) as a, HandFile(two) as b:
        assert a["test"].names == b["test"].names
        for name in a["test"].names:
            first, second = a["test"].column(name), b["test"].column(name)
            assert np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
        assert all(a["test"].image_bytes(row) == b["test"].image_bytes(row) for row in range(10))


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "axes": (
        lambda arrays: arrays.update(keypoints_3d=arrays["keypoints_3d"] * [1, -1, -1]),
        "depth",
    ),
    "unit": (lambda arrays: arrays.update(keypoints_3d=arrays["keypoints_3d"] * 1e3), "hand size"),
    "order": (
        lambda arrays: arrays.update(
            keypoints=arrays["keypoints"][:, list(TIP_TO_PALM)],
            keypoints_3d=arrays["keypoints_3d"][:, list(TIP_TO_PALM)],
        ),
        "chain order",
    ),
    "3D order alone": (
        lambda arrays: arrays.update(keypoints_3d=arrays["keypoints_3d"][:, list(TIP_TO_PALM)]),
        "reprojection",
    ),
    "side": (lambda arrays: arrays.update(is_right=~arrays["is_right"]), "side"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_file_does_not_pass_verify(fake: FakePoints, tmp_path: Path, fault: str):
    damage, check = FAULTS[fault]
    arrays = fake.arrays()
    damage(arrays)
    out = convert(open_source(fake, fake.npz(arrays)), tmp_path / "a.h5").path
    assert check in {c.name for c in verify(out).checks if c.passed is False}


def test_order_is_the_one_fault_that_shows_without_3d(fake: FakePoints, tmp_path: Path):
    path = fake.csv(fake.rows(order=TIP_TO_PALM))
    out = convert(open_source(fake, path), tmp_path / "a.h5").path
    assert "chain order" in {c.name for c in verify(out).checks if c.passed is False}


def test_the_command(fake: FakePoints, tmp_path: Path):
    out = tmp_path / "lab.h5"
    arguments = ["--images-dir", fake.images, "--out", out, "--size", 64]
    annotations = ["--annotations", fake.csv(), "--split-blocks", "train=2,test=1"]
    result = CliRunner().invoke(
        cli, [str(a) for a in ("convert", "points", *annotations, "--block-size", 2, *arguments)]
    )
    assert result.exit_code == 0, result.output + repr(result.exception)
    with HandFile(out) as file:
        assert file.dataset == "lab"
        assert {split: len(file[split]) for split in file.splits} == {"train": 8, "test": 2}


# -- bad input ---------------------------------------------------------------------------------


def _cell(**cells: Any) -> Callable[[FakePoints], Path]:
    """Change cells of the second row, which is line 3."""

    def damage(fake: FakePoints) -> Path:
        rows = fake.rows()
        for name in cells:
            for row in rows:
                row.setdefault(name, "")
        rows[1] |= cells
        return fake.csv(rows)

    return damage


def _without(*names: str) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        return fake.csv([{k: v for k, v in row.items() if k not in names} for row in fake.rows()])

    return damage


def _text(change: Callable[[str], str]) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        path = fake.csv()
        path.write_text(change(path.read_text("utf-8")), "utf-8")
        return path

    return damage


def _bytes(data: bytes, name: str = "points.csv") -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        (fake.folder / name).write_bytes(data)
        return fake.folder / name

    return damage


def _array(**arrays: Any) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        changed = {k: v for k, v in (fake.arrays() | arrays).items() if v is not None}
        return fake.npz(changed)

    return damage


def _image(data: bytes | None) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        picture = fake.images / "00001.jpg"
        picture.write_bytes(picture.read_bytes()[:900] if data is None else data)
        return fake.csv()

    return damage


def _flags(value: Any, **cells: Any) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        rows = [row | {f"v{joint}": 2 for joint in range(21)} for row in fake.rows()]
        rows[1] |= {"v4": value, **cells}
        return fake.csv(rows)

    return damage


def _loop(name: str) -> Callable[[FakePoints], Path]:
    def damage(fake: FakePoints) -> Path:
        (fake.folder / name).unlink(missing_ok=True)
        (fake.folder / name).symlink_to(fake.folder / name)
        return fake.folder / name if name.endswith(".csv") else fake.csv()

    return damage


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((3, 21, 2)))
    return buffer.getvalue()


BAD: dict[str, tuple[Callable[[FakePoints], Path], str]] = {
    "another suffix": (_bytes(b"a", "points.xlsx"), r"in a \.csv or \.npz file, found .*\.xlsx"),
    "no file": (lambda fake: fake.folder / "a.csv", r"points at .*a\.csv, found no such file"),
    "a folder": (lambda fake: (fake.folder / "d.csv").mkdir() or fake.folder / "d.csv", "cannot r"),
    "a loop": (_loop("points.csv"), r"cannot read points at .*points\.csv: "),
    "empty": (_bytes(b""), r"points\.csv, found an empty file"),
    "header alone": (_text(lambda t: t.splitlines()[0]), r"expected a row for every hand in .*no"),
    "not UTF-8": (_bytes("image,é".encode("latin-1")), r"UTF-8 text in .*byte 0xe9 at position 6"),
    "semicolons": (_text(lambda t: t.replace(",", ";")), "separated by ';', expected commas"),
    "no image column": (_without("image"), "a header with the column 'image' in .*, found x0, y0"),
    "no y7": (_without("y7"), r"expected the columns x0, y0 to x20, y20 .* found no y7"),
    "a typo": (
        _text(lambda t: t.replace("y7,", "yy7,", 1)),
        r"found no y7; did you mean 'yy7'\?",
    ),
    "a column twice": (_text(lambda t: t.replace("y7,", "y6,", 1)), "names y6 more than once"),
    "some v": (_cell(v3=1), r"expected all of v0 to v20 in .* or none, found no v0, v1, v2, v4,"),
    "half a box": (_cell(box_x=1, box_y=2), "all of box_x to box_h in .* found no box_w, box_h"),
    "box lacks a cell": (
        _cell(box_x=1, box_y=2, box_w=3, box_h=""),
        "line 3 of .* has a part of a box; give all of x, y, w, h or none",
    ),
    "a word": (_cell(x4="left"), "expected numbers in line 3 of .*could not convert .*'left'"),
    "infinity": (_cell(x4="inf"), "line 3 of .* has a coordinate that is infinite"),
    "half a point": (_cell(x4=""), "line 3 of .* has a point with one coordinate"),
    "a short row": (
        _text(lambda t: t.replace("00001.jpg,", "00001.jpg", 1)),
        "expected 43 cells in line 3 of .*, found 42: a comma is missing",
    ),
    "an open quote": (_text(lambda t: t.replace("00001.jpg", '"00001.jpg', 1)), "is no CSV: "),
    "an unknown side": (_cell(hand="both"), "left, right, unknown or nothing as 'hand' in line 3"),
    "two sides": (_cell(hand="left", is_right=0), "the columns hand and is_right: keep one of"),
    "no v": (_flags(""), "line 3 of .* has a point without v; give 0, 1 or 2"),
    "v of no point": (_flags(2, x4="", y4=""), "line 3 of .* labels a point without coordinates"),
    "no image name": (_cell(image=""), "line 3 of .*: expected the image as a path below .*''"),
    "outside": (_cell(image="../a.jpg"), r"line 3 of .*: expected the image as .*'\.\./a\.jpg'"),
    "missing image": (_cell(image="gone.jpg"), r"expected gone\.jpg in .*images, found no such"),
    "empty image": (_image(b""), r"expected an image at .*00001\.jpg, found an empty file"),
    "truncated image": (_image(None), r"expected a whole image at .*00001.*truncated or damaged"),
    "no image at all": (_image(b"text"), r"expected a whole image at .*00001\.jpg, found one"),
    "image loop": (_loop("images/00001.jpg"), r"cannot read .*00001\.jpg: "),
    "a huge box": (
        _array(bbox=np.tile([0.0, 0, 1e5, 1e5], (3, 1))),
        "the crop of 00000 would be 125,000 px wide",
    ),
    "a pickle": (_bytes(pickle.dumps([1]), "a.npz"), r"plain arrays in .*pickles are never read"),
    "text as npz": (_bytes(b"image,x0", "a.npz"), r"plain arrays in .*another kind of file"),
    "one array": (_bytes(_npy(), "a.npz"), r"image \(N,\) and keypoints .*no image, but nothing"),
    "a cut zip": (_bytes(b"PK\x03\x04 cut", "a.npz"), r"plain arrays in .*a\.npz, found a damaged"),
    "objects": (
        _array(image=np.array(["a", 1, None], dtype=object)),
        r"plain arrays in .*found Python objects .*pickles are never read; save names as text",
    ),
    "no keypoints": (_array(keypoints=None), "found no keypoints, but image, visibility, is_right"),
    "numbers as images": (_array(image=np.arange(3)), r"expected image in .* as \(N,\) text, fo"),
    "no UTF-8": (_array(image=np.array([b"\xff"] * 3)), "image in .* as UTF-8 text, found other"),
    "v in keypoints": (
        _array(keypoints=np.ones((3, 21, 3))),
        r"keypoints in .* \(v in visibility\) as \(3, 21, 2\) numbers.*found \(3, 21, 3\)",
    ),
    "another count": (_array(keypoints=np.ones((4, 21, 2))), r"keypoints in .*found \(4, 21, 2\)"),
    "text as numbers": (_array(bbox=np.full((3, 4), "a")), r"bbox in .* as \(3, 4\) numbers"),
    "a side of 2": (_array(is_right=np.array([0, 1, 2])), "is_right in .* as 1, 0 or -1"),
    "3D of 20": (_array(keypoints_3d=np.ones((3, 20, 3))), r"keypoints_3d in .* as \(3, 21, 3\)"),
    "camera of 3x4": (_array(camera=np.ones((3, 4))), r"camera in .*, or \(3, 3\), as \(3, 3, 3\)"),
    "camera of zeros": (_array(camera=np.zeros((3, 3))), r"row 0 of .* has no camera of the form"),
    "infinite box": (_array(bbox=np.full((3, 4), np.inf)), "row 0 of .* has a box that is infini"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_leaves_nothing(tmp_path: Path, case: str):
    damage, message = BAD[case]
    fake = write_points(tmp_path / "data", 3)
    path = damage(fake)
    with pytest.raises(SourceError, match=message) as caught:
        convert(open_source(fake, path), tmp_path / "out" / "a.h5")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("out/*"))


def test_a_missing_folder_of_images(fake: FakePoints, tmp_path: Path):
    with pytest.raises(SourceError, match=r"expected a folder of images at .*none, found none"):
        points.open_source({"test": fake.csv()}, tmp_path / "none", manifest.load("points"))


# -- real data ---------------------------------------------------------------------------------


@pytest.mark.real_data
def test_real_hands_as_a_table(real_data: Path, tmp_path: Path):
    folder = real_data / "realhands_coco"
    data = json.loads((folder / "annotations.json").read_text("utf-8"))
    by_id = {image["id"]: image for image in data["images"]}
    images = [by_id[hand["image_id"]] for hand in data["annotations"]]
    cameras = np.tile(np.eye(3), (len(images), 1, 1))
    cameras[:, [0, 1], [0, 1]] = [image["cam_param"]["focal"] for image in images]
    cameras[:, :2, 2] = [image["cam_param"]["princpt"] for image in images]
    uv = np.array([np.reshape(h["keypoints"], (21, 3))[:, :2] for h in data["annotations"]])
    path = tmp_path / "real.npz"
    np.savez(
        path,
        image=np.array([image["file_name"] for image in images]),
        keypoints=uv,
        keypoints_3d=np.array([h["joint_cam"] for h in data["annotations"]]) / 1000,
        camera=cameras,
    )
    source = points.open_source({"test": path}, folder / "images", manifest.load("points"))
    out = convert(source, tmp_path / "a.h5", ConvertSettings(size=128)).path
    assert [c for c in verify(out, deep=True).checks if c.passed is False] == []
    with HandFile(out) as file:
        assert len(file["test"]) == 300
        assert file["test"].source_keypoints_2d() == pytest.approx(uv, abs=1e-9)
