"""One contract for every dataset and layout: what is exported comes back as the table says."""

from __future__ import annotations

import gc
import importlib
import json
import re
import shlex
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from handbench.camera import crop_scale
from handbench.cli import cli
from handbench.errors import FormatError
from handbench.hdf5.export_coco import convert_command, export_coco
from handbench.hdf5.export_freihand import export_freihand
from handbench.hdf5.export_webdataset import export_webdataset
from handbench.hdf5.format import COLUMNS
from handbench.hdf5.reader import HandFile
from handbench.hdf5.tolerance import reprojection_tolerance_px
from handbench.hdf5.verify import verify
from handbench.sources import manifest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "export.md"
NAMES = manifest.names()
LAYOUTS = ("coco", "freihand", "webdataset")
EQUAL, NEAR, BESIDE, OUT = "equal", "near", "beside", "left out"

HOLDS = {
    "image": (EQUAL, EQUAL, EQUAL),
    "sample_id": (EQUAL, BESIDE, EQUAL),
    "keypoints_2d": (EQUAL, NEAR, EQUAL),
    "valid_2d": (EQUAL, BESIDE, EQUAL),
    "visibility": (EQUAL, BESIDE, EQUAL),
    "keypoints_3d": (EQUAL, EQUAL, EQUAL),
    "valid_3d": (EQUAL, EQUAL, EQUAL),
    "camera": (EQUAL, EQUAL, EQUAL),
    "image_size": (EQUAL, EQUAL, EQUAL),
    "is_right": (EQUAL, EQUAL, EQUAL),
    "scale": (EQUAL, EQUAL, EQUAL),
    "vertices": (EQUAL, EQUAL, EQUAL),
    "mano_pose": (EQUAL, EQUAL, EQUAL),
    "mano_shape": (EQUAL, EQUAL, EQUAL),
    "mano_trans": (EQUAL, EQUAL, EQUAL),
    "mask": (EQUAL, EQUAL, EQUAL),
    "heatmaps": (OUT, OUT, OUT),
}
"""Column → what COCO, FreiHAND's layout and WebDataset hold of it: the same bits after the way
back; almost the same numbers; a list beside the labels that the way back does not read; nothing."""
OTHERS = (EQUAL, BESIDE, EQUAL)
"""All other columns."""


def promised(layout: str, word: str, present: set[str]) -> set[str]:
    """Columns among `present` of which the layout promises `word`."""
    place = LAYOUTS.index(layout)
    return {name for name in present if HOLDS.get(name, OTHERS)[place] == word}


def handbench(*words: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    assert result.exit_code == 0, result.output + repr(result.exception)
    return result


def write_file(name: str, folder: Path, *options: str) -> Path:
    """A dataset's fake data with all extras, converted."""
    reader = manifest.load(name).reader
    words = importlib.import_module(f"generators.{reader}").write_fake(folder, name)
    extras = sorted(importlib.import_module(f"handbench.sources.{reader}").EXTRAS)
    if extras:
        words = [*words, "--with", ",".join(extras)]
    handbench("convert", name, *words, "--out", folder / "file.h5", *options)
    return folder / "file.h5"


@pytest.fixture(scope="module", params=NAMES)
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_file(request.param, tmp_path_factory.mktemp(request.param))


def arrays(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Split → every array by name."""
    with h5py.File(path) as file:
        return {split: {name: file[split][name][()] for name in file[split]} for split in file}


def same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def there_and_back(path: Path, out: Path) -> Path:
    """Export as COCO, and convert by the command that the export names."""
    with HandFile(path) as file:
        command = convert_command(file, export_coco(file, out))
    assert command is not None
    back = out.with_name(f"{out.name}-back.h5")
    handbench(*shlex.split(command)[1:], "--out", back)
    return back


def check_coco(path: Path, back: Path) -> None:
    before, after = arrays(path), arrays(back)
    assert list(before) == list(after)
    for split, columns in before.items():
        equal = promised("coco", EQUAL, set(COLUMNS) | {"image", "mask"})
        assert columns.keys() == after[split].keys()
        for name, values in columns.items():
            assert name.removesuffix("_offset") in equal | {"heatmaps"}
            assert same(values, after[split][name]), (split, name)
    with HandFile(path) as one, HandFile(back) as other:
        for split in one.splits:
            a, b = one[split], other[split]
            assert (a.split_unit, a.cluster_unit) == (b.split_unit, b.cluster_unit)
            assert a.box_source == b.box_source
            assert a.attributes("crop") == b.attributes("crop")
        terms = ("title", "license", "citation", "homepage", "label_source", "publish_images")
        assert [one.attributes[t] for t in terms] == [other.attributes[t] for t in terms]
    assert verify(back, deep=True).passed


def test_coco_brings_every_array_back(original: Path, tmp_path: Path):
    back = there_and_back(original, tmp_path / "out")
    check_coco(original, back)
    with HandFile(original) as one, HandFile(back) as other:
        for split in one.splits:
            assert one[split].truth_sha256 == other[split].truth_sha256
    # The export of what came back says the same again.
    check_coco(original, there_and_back(back, tmp_path / "again"))


@pytest.mark.parametrize("name", ["rhd", "freihand", "interhand26m"])
@pytest.mark.parametrize(
    "options",
    [
        ["--crop", "perspective", "--mirror-left", "--size", "96"],
        ["--mirror-left", "--padding", "1.7", "--image-storage", "raw", "--size", "64"],
        ["--heatmaps", "--grid", "corner", "--sigma", "1.5", "--size", "64"],
    ],
    ids=lambda options: options[0],
)
def test_coco_whatever_the_conversion(name: str, options: list[str], tmp_path: Path):
    path = write_file(name, tmp_path, *options)
    check_coco(path, there_and_back(path, tmp_path / "out"))


def test_webdataset_brings_every_array_back(original: Path, tmp_path: Path):
    webdataset = pytest.importorskip("webdataset")
    with HandFile(original) as file:
        export_webdataset(file, tmp_path / "out", shard_size=7)
        for split in file.splits:
            shards = sorted(map(str, (tmp_path / "out").glob(f"{split}-*.tar")))
            with warnings.catch_warnings():
                # The library leaves its shards to the garbage collector.
                warnings.simplefilter("ignore", ResourceWarning)
                read = list(webdataset.WebDataset(shards, shardshuffle=False))
                gc.collect()
            labels = [json.loads(sample["json"]) for sample in read]
            present = set(file[split].names)
            for name in promised("webdataset", EQUAL, present):
                expected = file[split].column(name)
                found = np.array([entry[name] for entry in labels]).astype(expected.dtype)
                assert same(expected, found), (split, name)
            images = [sample.get("jpg") or sample["png"] for sample in read]
            assert images == [file[split].image_bytes(row) for row in range(len(images))]
            if file[split].has("mask"):
                masks = b"".join(sample["mask.png"] for sample in read)
                assert masks == file.handle[split]["mask"][()].tobytes()


def rows_by_id(path: Path) -> dict[str, dict[str, Any]]:
    """Sample id → values of every column, and image and mask bytes."""
    found = {}
    with HandFile(path) as file:
        for name in file.splits:
            split = file[name]
            columns: dict[str, Any] = {column: split.column(column) for column in split.names}
            columns["image"] = [split.image_bytes(row) for row in range(len(split))]
            if split.has("mask"):
                columns["mask"] = [split.mask(row) for row in range(len(split))]
            for row, sample in enumerate(columns["sample_id"].tolist()):
                found[sample] = {column: values[row] for column, values in columns.items()}
    return found


def renamed(folder: Path, rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Rows of the folder's images under the ids that the list beside them states."""
    by_id = {}
    for native in ("training", "evaluation"):
        path = folder / f"handbench_{native}.json"
        for number, entry in enumerate(json.loads(path.read_text()) if path.exists() else []):
            by_id[entry["sample_id"]] = rows[f"{native}/{number:08d}"]
    return by_id


def test_freihand_brings_back_what_it_holds(original: Path, tmp_path: Path):
    with HandFile(original) as file:
        whole = all(file[s].has("camera") and file[s].column("valid_3d").all() for s in file.splits)
        size = int(file[file.splits[0]].column("image_size")[0, 0])
        if not whole:
            with pytest.raises(FormatError, match="FreiHAND's layout cannot hold them"):
                export_freihand(file, tmp_path / "out")
            return
        tolerance_px = reprojection_tolerance_px(file, file[file.splits[0]])
        export_freihand(file, tmp_path / "out")
    back = tmp_path / "back.h5"
    words = ["--source", tmp_path / "out", "--out", back, "--size", size]
    handbench("convert", "freihand", *words, "--with", "vertices,mano,mask")
    before, after = rows_by_id(original), renamed(tmp_path / "out", rows_by_id(back))
    assert before.keys() == after.keys()
    for sample, values in before.items():
        for name in promised("freihand", EQUAL, set(values)):
            assert np.array_equal(values[name], after[sample][name], equal_nan=name in COLUMNS), (
                sample,
                name,
            )
        for name in promised("freihand", NEAR, set(values)):
            known = values["valid_2d"]
            away = np.abs(values[name] - after[sample][name])[known]
            # Labels that are rounded agree in source px only: RHD's have four digits.
            allowed = 1e-3 + tolerance_px * crop_scale(values["crop"], values[name][known])
            assert (away <= np.reshape(allowed, (-1, 1))).all(), (sample, name)
    assert verify(back, deep=True).passed
    handbench("verify", "freihand", "--source", tmp_path / "out")


# -- the page says the same ------------------------------------------------------------------------


def page_rows() -> dict[str, tuple[str, ...]]:
    """Column or "other columns" → the first word of what the page says of each layout."""
    text = PAGE.read_text(encoding="utf-8")
    table = text[text.index("| in the HDF5 file |") :].partition("\n\n")[0]
    said: dict[str, tuple[str, ...]] = {}
    for line in table.splitlines()[2:]:
        first, *cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        words = tuple(
            next((w for w in (EQUAL, NEAR, BESIDE, OUT) if cell.startswith(w)), cell)
            for cell in cells
        )
        names = re.findall(r"`([^`]+)`", first) or [first]
        for name in names:
            assert name not in said, f"{name} stands twice"
            said[name] = words
    return said


def test_the_page_says_what_the_table_says():
    said = page_rows()
    assert said.pop("other columns") == OTHERS
    assert said == {name: HOLDS.get(name, OTHERS) for name in said}
    assert said.keys() >= HOLDS.keys()
    assert said.keys() <= {*COLUMNS, "image", "mask"}


@pytest.mark.parametrize("export", [export_coco, export_webdataset])
def test_heatmaps_are_left_out_and_that_is_said(
    export: Callable[..., Any], freihand_file: Path, tmp_path: Path
):
    assert HOLDS["heatmaps"] == (OUT, OUT, OUT)
    path = tmp_path / "a.h5"
    path.write_bytes(freihand_file.read_bytes())
    with h5py.File(path, "r+") as file:
        file["test/heatmaps"] = np.zeros((8, 21, 4, 4), np.float16)
        file["test/heatmaps"].attrs.update({"sigma": 2.0, "stride": 4, "grid": "center"})
    with HandFile(path) as file:
        done = export(file, tmp_path / "out", ("test",))
    assert done.notes == ["test: heatmaps are left out; they follow from the keypoints"]
