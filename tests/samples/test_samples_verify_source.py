from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generators.coco import FakeCOCO
from generators.freihand import write_freihand

from handbench.samples.checks import Verification
from handbench.samples.verify_source import verify_source
from handbench.sources import coco, freihand, manifest
from handbench.sources.block import SampleBlock
from handbench.sources.own_data import OwnData


def open_coco(fake: FakeCOCO, **options: object) -> OwnData:
    files = {"test": fake.annotations}
    return coco.open_source(files, fake.images, manifest.load("coco"), **options)  # type: ignore[arg-type]


def failed(result: Verification) -> dict[tuple[str, str], str]:
    return {(c.split, c.name): c.detail for c in result.checks if c.passed is False}


def test_a_good_source_passes(fake_coco: FakeCOCO):
    result = verify_source(open_coco(fake_coco), deep=True)
    assert result.passed
    assert result.kept == {"test": 10}
    assert result.dropped == {}
    assert {c.name for c in result.checks if c.passed is None} == {"count", "scale"}


def test_ids_that_come_twice(fake_coco: FakeCOCO):
    source = open_coco(fake_coco)
    hands = source._tables["test"]
    hands.sample_id[3] = hands.sample_id[2]
    assert failed(verify_source(source)) == {("test", "sample ids"): "9 different"}


def test_rows_in_two_splits(fake_coco: FakeCOCO):
    source = open_coco(fake_coco)
    source._tables["train"] = source._tables["test"].take(slice(2, 5))
    found = failed(verify_source(source))
    assert found == {("", "splits apart"): "sample_id 00002 in test and train (3 such)"}


def test_an_official_val_that_shares_groups_with_train(fake_coco: FakeCOCO):
    source = open_coco(fake_coco)
    hands = source._tables.pop("test")
    hands.ids["image_id"] = ["photo"] * 10
    source._tables |= {"train": hands.take(slice(0, 5)), "val": hands.take(slice(5, 10))}
    found = failed(verify_source(source))
    assert found == {("", "splits apart"): "image_id photo in train and val (1 such)"}
    source.manifest = replace(source.manifest, known_overlap=("val shows photos of train",))
    assert verify_source(source).passed


def test_a_missing_group_column(fake_coco: FakeCOCO):
    source = open_coco(fake_coco)
    source.cluster_unit = "sequence_id"
    found = failed(verify_source(source))
    assert found == {
        ("test", "groups"): "split by image_id, resampled by sequence_id, which 10 rows lack"
    }


@pytest.mark.parametrize("samples", [10, 11])
def test_published_counts(fake_coco: FakeCOCO, samples: int):
    source = open_coco(fake_coco)
    splits = {"test": manifest.Split("test", samples)}
    source.manifest = replace(source.manifest, splits=splits)
    found = failed(verify_source(source))
    assert found == ({} if samples == 10 else {("test", "count"): "10 of 11"})


def test_an_image_that_is_not_what_its_header_says(
    fake_coco: FakeCOCO, monkeypatch: pytest.MonkeyPatch
):
    source = open_coco(fake_coco)
    blocks = source.blocks

    def changed(*arguments: object) -> Iterator[SampleBlock]:
        for block in blocks(*arguments):  # type: ignore[arg-type]
            block.image_size = block.image_size + np.array([1, 0], dtype=np.int32)
            yield block

    monkeypatch.setattr(source, "blocks", changed)
    found = failed(verify_source(source))[("test", "images")]
    assert found.startswith("10 cannot be used, first: 00000: image [224, 224], its header says")


def test_val_is_counted_as_it_will_be_cut(tmp_path: Path):
    fake = write_freihand(tmp_path / "data", evaluation=0)
    source = freihand.open_source(fake.folder, manifest.load("freihand"))
    assert verify_source(source).kept == {"train": 24, "val": 8}
    # No moment among the first four is one of val.
    assert verify_source(source, limit=4).kept == {"train": 4}


def test_what_a_conversion_would_leave_out_is_counted(fake_coco: FakeCOCO):
    source = open_coco(fake_coco)
    hands = source._tables["test"]
    hands.bbox[4] = [10, 10, 0, 5]
    hands.bbox[6] = [900, 10, 5, 5]
    result = verify_source(source)
    assert result.kept == {"test": 8}
    assert result.dropped == {"box without an area": 1, "hand outside its image": 1}
    assert set(failed(result)) == {("test", "boxes"), ("test", "crops")}
