from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.coco import write_coco

from handbench.errors import SourceError
from handbench.hdf5.convert import ConvertSettings, convert
from handbench.hdf5.export_coco import export_coco
from handbench.hdf5.reader import HandFile
from handbench.sources import coco, manifest
from handbench.sources.own_data import OwnData, SplitBlocks

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    """Six hands, the first one mirrored, exported."""
    fake = write_coco(tmp_path / "source", 6)
    fake.data["annotations"][0]["hand_type"] = "left"
    fake.save()
    source = coco.open_source(
        {"test": fake.annotations}, fake.images, manifest.load("coco"), name="own"
    )
    settings = ConvertSettings(size=64, padding=1.3, mirror_left=True)
    with HandFile(convert(source, tmp_path / "own.h5", settings).path) as file:
        export_coco(file, tmp_path / "out")
    return tmp_path / "out"


def change(folder: Path, how: Change) -> None:
    path = folder / "annotations" / "test.json"
    data = json.loads(path.read_text())
    how(data)
    path.write_text(json.dumps(data))


def open_export(folder: Path, **options: Any) -> OwnData:
    annotations = {"test": folder / "annotations" / "test.json"}
    return coco.open_source(annotations, folder / "images", manifest.load("coco"), **options)


def hand(row: int, **fields: Any) -> Change:
    return lambda data: data["annotations"][row].update(fields)


def without(row: int, field: str) -> Change:
    return lambda data: data["annotations"][row].pop(field)


def facts(**fields: Any) -> Change:
    return lambda data: data["handbench"].update(fields)


def test_what_the_source_says_of_itself(exported: Path):
    source = open_export(exported)
    assert source.manifest.box_padding == 1.3
    assert source.manifest.title == "own"
    assert source.box_source == "annotation"
    (block,) = source.blocks("test")
    assert block.cut["mirrored"].tolist() == [True] + [False] * 5
    assert block.is_right.tolist() == [0, 1, 1, 1, 1, 1]
    assert block.cut["padding"].tolist() == [1.3] * 6
    assert block.cut["crop"].shape == (6, 3, 3)


def test_a_file_without_the_list_of_columns_is_anybodys(exported: Path):
    def strip(data: dict[str, Any]) -> None:
        del data["handbench"]["columns"]
        data["annotations"][2]["handbench_crop"] = "whatever"

    change(exported, strip)
    source = open_export(exported)
    assert source.manifest.box_padding == manifest.load("coco").box_padding
    assert source.manifest.license == manifest.load("coco").license
    assert source.column_attributes() == {}
    (block,) = source.blocks("test")
    assert block.cut == {}
    assert block.is_right[0] == 1  # as the image shows it


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (hand(1, handbench_crop=None), "handbench_crop as 3×3 numbers, found None"),
        (hand(1, handbench_crop=[[1, 0], [0, 1]]), "handbench_crop as 3×3 numbers"),
        (hand(1, handbench_crop=[[1, 0, 0], [0, "1", 0], [0, 0, 1]]), "handbench_crop as 3×3"),
        (hand(1, handbench_crop=[[0, 0, 0]] * 3), "3×3 numbers that have an inverse"),
        (hand(1, handbench_crop=[[1, 0, 0], [0, None, 0], [0, 0, 1]]), "have an inverse"),
        (without(1, "handbench_crop"), "handbench_crop as .* found no such field"),
        (hand(1, handbench_sample_id=7), "handbench_sample_id as text, found 7"),
        (without(1, "handbench_image_id"), "handbench_image_id as text, found no such field"),
        (hand(0, handbench_mirrored=1), "handbench_mirrored as true or false, found 1"),
        (hand(0, handbench_is_right=2), "handbench_is_right as 1, 0 or -1, found 2"),
        (without(0, "handbench_is_right"), "handbench_is_right as 1, 0 or -1, found no such"),
        (hand(1, handbench_visibility=[2] * 20), "handbench_visibility as 21 numbers"),
        (hand(1, handbench_visibility=[3] * 21), "21 of 0, 1, 2 and 255"),
        (hand(1, handbench_visibility=[0] + [2] * 20), "255, 0 where v is"),
        (hand(1, keypoints=[5.0, 5.0, 0.5] * 21), "expected v of 0, 1 or 2 as exported"),
        (hand(1, handbench_camera=[1, 2]), "handbench_camera as 3×3 numbers"),
        (hand(1, handbench_mask="../../secret.png"), "handbench_mask as a path below"),
        (hand(1, handbench_mask=3), "handbench_mask as a path below"),
    ],
)
def test_a_malformed_field_stops_or_is_left_out(exported: Path, how: Change, message: str):
    change(exported, how)
    with pytest.raises(SourceError, match=rf"annotation [12] in .*{message}"):
        open_export(exported)
    source = open_export(exported, lenient=True)
    assert source.splits() == {"test": 5}


@pytest.mark.parametrize(
    "how",
    [
        facts(columns={"crop": {"dtype": "complex64", "shape": [3, 3]}}),
        facts(columns={}),
        facts(columns=["crop"]),
        facts(attributes=None),
        facts(attributes={"bbox": {"padding": "wide"}}),
        facts(reprojection_tolerance_px=0),
        facts(reprojection_tolerance_px=1.5),  # would let real faults pass
        facts(reprojection_tolerance_px="small"),
        lambda data: data["handbench"].pop("license"),
        lambda data: data["handbench"].pop("split_unit"),
    ],
)
def test_malformed_facts_are_refused(exported: Path, how: Change):
    change(exported, how)
    with pytest.raises(SourceError, match=r"expected the object 'handbench' in .* as"):
        open_export(exported)


def test_another_joint_order_has_no_place(exported: Path):
    with pytest.raises(SourceError, match="in the order of handbench already; leave --joint"):
        open_export(exported, joint_order=list(range(20, -1, -1)))


def test_an_export_can_be_cut_into_splits(exported: Path):
    source = open_export(exported, blocks=SplitBlocks({"train": 1, "test": 1}, 2))
    assert source.splits() == {"train": 4, "test": 2}
    assert source.split_unit == "sequence_id"


def test_numbers_that_are_null_are_nan(exported: Path):
    def add(data: dict[str, Any]) -> None:
        data["handbench"]["columns"]["scale"] = {"dtype": "float64", "shape": []}
        data["handbench"]["columns"]["frame_index"] = {"dtype": "int64", "shape": []}
        for row, annotation in enumerate(data["annotations"]):
            annotation |= {"handbench_scale": None if row else 0.03, "handbench_frame_index": row}

    change(exported, add)
    (block,) = open_export(exported).blocks("test")
    assert np.array_equal(block.extra["scale"], [0.03] + [np.nan] * 5, equal_nan=True)
    assert block.extra["frame_index"].tolist() == list(range(6))
    change(exported, hand(2, handbench_frame_index=1.5))
    with pytest.raises(SourceError, match=r"handbench_frame_index as one whole number, found 1\.5"):
        open_export(exported)


def test_exports_of_different_datasets_are_told_apart(exported: Path, tmp_path: Path):
    first = exported / "annotations" / "test.json"
    data = json.loads(first.read_text())
    data["handbench"]["license"] = "another one"
    other = tmp_path / "other.json"
    other.write_text(json.dumps(data))
    source = coco.open_source(
        {"train": first, "test": other}, exported / "images", manifest.load("coco")
    )
    assert any("not exports of one dataset" in note for note in source.notes)
    assert source.manifest.license == manifest.load("coco").license
