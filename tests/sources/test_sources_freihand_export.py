from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.freihand import write_freihand

from handbench.errors import SourceError
from handbench.sources import freihand, manifest

TERMS = {
    "title": "Own hands",
    "license": "private",
    "homepage": "",
    "label_source": "me",
    "citation": "",
    "publish_images": False,
}
SIDES = [(1, False), (0, False), (-1, False), (0, True), (-1, True)]


def write_export(folder: Path, **changes: Any) -> Path:
    """Five evaluation images whose marker and list are those of an export."""
    fake = write_freihand(folder, training=False, evaluation=5)
    marker = {"handbench_source": "own-export", "handbench_export": TERMS, **changes}
    (fake.folder / "handbench_source.json").write_text(json.dumps(marker))
    write_list(fake.folder, [{"is_right": s, "mirrored": m} for s, m in SIDES])
    return fake.folder


def write_list(folder: Path, entries: Any) -> None:
    (folder / "handbench_evaluation.json").write_text(json.dumps(entries))


def open_source(folder: Path) -> freihand.FreiHAND:
    return freihand.open_source(folder, manifest.load("freihand"))


def test_name_terms_and_sides_are_the_exports_own(tmp_path: Path):
    source = open_source(write_export(tmp_path))
    assert source.name == source.manifest.name == "own-export"
    assert source.manifest.license == "private"
    assert not source.manifest.publish_images
    assert source.manifest.splits["test"].samples == 0
    (block,) = source.blocks("test")
    assert block.is_right.tolist() == [1, 0, -1, 1, -1]
    assert source.at("test", np.array([3, 1])).is_right.tolist() == [1, 0]


def test_the_principal_point_may_be_anywhere(tmp_path: Path):
    folder = write_export(tmp_path)
    path = folder / "evaluation_K.json"
    cameras = np.array(json.loads(path.read_text()))
    cameras[:, 0, 2] += 7
    path.write_text(json.dumps(cameras.tolist()))
    (block,) = open_source(folder).blocks("test")
    assert np.array_equal(block.camera, cameras)
    (folder / "handbench_source.json").unlink()
    with pytest.raises(SourceError, match="this is not FreiHAND v2"):
        open_source(folder)


@pytest.mark.parametrize("name", ["freihand", "rhd", "sample-subset"])
def test_an_export_does_not_take_the_name_of_a_dataset(tmp_path: Path, name: str):
    folder = write_export(tmp_path, handbench_source=name)
    with pytest.raises(SourceError, match=f"calls an export '{name}', which is the name of a"):
        open_source(folder)


@pytest.mark.parametrize(
    "terms", [None, [], {}, TERMS | {"license": 3}, TERMS | {"publish_images": "yes"}]
)
def test_an_export_without_terms_is_refused(tmp_path: Path, terms: Any):
    folder = write_export(tmp_path, handbench_export=terms)
    with pytest.raises(SourceError, match=r"expected title, license, .* in the field"):
        open_source(folder)


def test_a_marker_that_names_a_dataset_of_another_layout_is_refused(tmp_path: Path):
    folder = write_export(tmp_path)
    (folder / "handbench_source.json").write_text('{"handbench_source": "rhd"}')
    with pytest.raises(SourceError, match="calls this 'rhd', which is published in another layout"):
        open_source(folder)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "expected a list of 5 entries in .*, found dict"),
        ([{"is_right": 1, "mirrored": False}] * 4, "expected a list of 5 entries in .*, found 4"),
        ([None] * 5, "entry 0 of .*: expected is_right as 1, 0 or -1"),
        ([{"is_right": 1, "mirrored": False}] * 4 + [{"is_right": 1}], "entry 4 of .*: expected"),
        ([{"is_right": "right", "mirrored": False}] * 5, "entry 0 of .*: expected is_right"),
    ],
)
def test_a_list_that_says_something_else_is_refused(tmp_path: Path, entries: Any, message: str):
    folder = write_export(tmp_path)
    write_list(folder, entries)
    with pytest.raises(SourceError, match=message):
        open_source(folder)


def test_an_export_without_its_list_is_refused(tmp_path: Path):
    folder = write_export(tmp_path)
    (folder / "handbench_evaluation.json").unlink()
    with pytest.raises(SourceError, match=r"expected handbench_evaluation\.json in"):
        open_source(folder)
