from __future__ import annotations

import numpy as np
import pytest

from handbench.errors import SourceError
from handbench.sources import manifest
from handbench.sources.own_data import (
    SplitBlocks,
    is_below,
    own_manifest,
    sample_ids,
    stem,
    visibility_of,
)
from handbench.sources.table import HandTable


def table(photos: list[str]) -> HandTable:
    count = len(photos)
    return HandTable(
        sample_id=[f"{photo}#{row}" for row, photo in enumerate(photos)],
        file_name=[f"{photo}.jpg" for photo in photos],
        keypoints_2d=np.zeros((count, 21, 2)),
        visibility=np.full((count, 21), 2, np.uint8),
        bbox=np.zeros((count, 4)),
        is_right=np.zeros(count, np.int8),
        ids={"image_id": photos},
    )


def test_runs_go_to_splits_in_turn():
    cut = SplitBlocks({"train": 2, "val": 1, "test": 1}, block_size=1)
    assert [cut.split_of(block) for block in range(5)] == ["train", "train", "val", "test", "train"]


def test_a_photo_stays_in_the_run_of_its_first_hand():
    parts = SplitBlocks({"train": 1, "test": 1}, block_size=2).deal_out(table(list("abcacd")))
    assert parts["train"].sample_id == ["a#0", "b#1", "a#3", "d#5"]
    assert parts["train"].ids["sequence_id"] == ["block-00000"] * 3 + ["block-00002"]
    assert parts["test"].sample_id == ["c#2", "c#4"]


@pytest.mark.parametrize(
    ("name", "below"),
    [
        *(("a/b.jpg", True), ("a\\b.jpg", True), ("a..b.jpg", True), ("", False)),
        *(("../b.jpg", False), ("a\\..\\b", False), ("/b.jpg", False), ("C:/b.jpg", False)),
    ],
)
def test_names_below_a_folder(name: str, below: bool):
    assert is_below(name) is below


def test_ids_of_hands_that_share_an_image():
    assert stem("a\\x.v2.jpg") == "a/x.v2"
    assert sample_ids(["a/1.jpg", "a/2.jpg", "a/1.png"], "pqr") == ["a/1#p", "a/2", "a/1#r"]


def test_names_and_orders_of_ones_own():
    facts = manifest.load("coco")
    order = [0, *range(20, 0, -1)]
    own = own_manifest(facts, "mine", order)
    assert (own.name, own.title, own.joint_order) == ("mine", "mine", tuple(order))
    assert own_manifest(facts, None, None) == facts
    assert own_manifest(facts, "coco", None).name == "coco"
    for name, message in (("freihand-subset", "pass another --name"), (".x", "pass --name")):
        with pytest.raises(SourceError, match=message):
            own_manifest(facts, name, None)


def test_what_v_means():
    assert visibility_of(np.array([[0.0, 1, 2]])).tolist() == [[0, 1, 2]]
    assert visibility_of(np.array([[0.0, 1, 1]])).tolist() == [[0, 255, 255]]
    assert visibility_of(np.array([[0.0, 0.5, 2]])).tolist() == [[0, 255, 255]]
