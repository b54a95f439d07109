from __future__ import annotations

import doctest
from typing import Any

import pytest
from many_results import document

from handbench.leaderboard import training
from handbench.leaderboard.board import Overlap
from handbench.leaderboard.training import contamination, datasets_of, declared
from handbench.scores.results import Results


def test_examples():
    assert doctest.testmod(training).failed == 0


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (["freihand/train", "freihand/train"], ("freihand/train",)),
        ([], ()),
        (None, None),
        ("unknown", None),
        (["Unknown"], None),
        (["freihand/train", ""], None),
        (["/"], None),
    ],
)
def test_undeclared_is_unknown_and_never_none(said: Any, found: tuple[str, ...] | None):
    assert declared(Results.from_dict(document(training_data=said))) == found


@pytest.mark.parametrize(
    ("names", "tested", "overlap"),
    [
        (None, "freihand/test", Overlap.UNKNOWN),
        ((), "freihand/test", Overlap.NONE),
        (("freihand/train",), "freihand/test", Overlap.NONE),
        (("freihand/train",), "freihand/val", Overlap.NONE),
        (("freihand/training",), "freihand/val", Overlap.POSSIBLE),
        (("freihand/test",), "freihand/test", Overlap.SAME),
        (("FreiHAND/evaluation",), "freihand/test", Overlap.SAME),
        (("freihand/train+test",), "freihand/test", Overlap.SAME),
        (("freihand/all",), "freihand/test", Overlap.SAME),
        (("freihand",), "freihand/test", Overlap.POSSIBLE),
        (("freihand-subset/test",), "freihand/test", Overlap.SAME),
        (("freihand/test",), "freihand-subset/test", Overlap.SAME),
        (("freihand/train",), "freihand-subset/test", Overlap.NONE),
        # Known overlaps hold in both directions, and for subsets.
        (("hanco/train",), "freihand/test", Overlap.POSSIBLE),
        (("freihand/train",), "hanco/test", Overlap.POSSIBLE),
        (("HanCo",), "freihand-subset/test", Overlap.POSSIBLE),
        (("halpe/val",), "coco_wholebody/test", Overlap.POSSIBLE),
        (("coco_wholebody/train",), "Halpe/val", Overlap.POSSIBLE),
        # COCO-WholeBody's own val is the test split here.
        (("coco_wholebody/val",), "coco_wholebody/test", Overlap.POSSIBLE),
        (("coco_wholebody/val",), "coco_wholebody/val", Overlap.POSSIBLE),
        (("coco_wholebody/train",), "coco_wholebody/test", Overlap.NONE),
        (("COCO-WholeBody/test",), "coco_wholebody/test", Overlap.SAME),
        # Sets that say what they hold, and sets that do not.
        (("freihand+rhd/train",), "freihand/test", Overlap.POSSIBLE),
        (("merged/train",), "freihand/test", Overlap.POSSIBLE),
        (("rhd/train", "interhand26m/train"), "freihand/test", Overlap.NONE),
        (("rhd/train", "freihand/test"), "freihand/test", Overlap.SAME),
        (("rhd/train", "hanco/train"), "freihand/test", Overlap.POSSIBLE),
        (("InterHand2.6M/test",), "interhand26m/test", Overlap.SAME),
        # Sets of one's own.
        (("mine/train",), "mine/test", Overlap.NONE),
        (("mine/part 3",), "mine/test", Overlap.POSSIBLE),
        (("手/train",), "手/test", Overlap.NONE),
        (("手/test",), "手/test", Overlap.SAME),
    ],
)
def test_training_data_against_test_data(
    names: tuple[str, ...] | None, tested: str, overlap: Overlap
):
    dataset, split = tested.split("/")
    mark = contamination(names, dataset, split)
    assert mark.overlap is overlap
    assert mark.sentence


def test_the_order_of_declarations_does_not_matter():
    names = ("hanco/train", "freihand", "rhd/train", "freihand/test")
    marks = {contamination(order, "freihand", "test") for order in (names, names[::-1])}
    assert len(marks) == 1


def test_datasets_of_several_spellings_are_one():
    assert datasets_of(["FreiHAND/training", "freihand-subset/train", "Free"]) == (
        "Free",
        "freihand",
    )


def test_a_dataset_is_found_behind_any_punctuation():
    assert contamination(("freihand:test",), "freihand", "test").overlap is Overlap.POSSIBLE
