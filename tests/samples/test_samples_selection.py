from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generators.crowd import write_crowd

from handbench.errors import SourceError
from handbench.samples.frames import CropSettings
from handbench.samples.selection import Selection, Selector
from handbench.sources.block import SampleBlock

CROP = CropSettings(64, 1.25)


@pytest.fixture
def block(tmp_path: Path) -> SampleBlock:
    (rows,) = write_crowd(tmp_path, photos=4).source().blocks("test")
    return rows


def selector(crop: CropSettings = CROP, **options: Any) -> Selector:
    return Selector(Selection(**options), crop)


def test_good_rows_pass_untouched(block: SampleBlock):
    one = selector()
    assert one.keep(block) is block
    assert not one.dropped
    assert not Selection().narrows


def test_what_was_not_chosen_needs_no_sound_box(block: SampleBlock):
    block.bbox[0] = 0
    one = selector(chosen={"subject_id": frozenset({"p1"})})
    assert one.keep(block).sample_id == ["001/right", "001/left"]
    assert one.dropped == {"subject_id not chosen": 6}


def test_a_row_is_left_out_for_one_reason(block: SampleBlock):
    block.bbox[0] = [-500, 0, 0, 0]
    block.bbox[1] = [-500, 0, 10, 10]
    one = selector(skip_bad=True, min_valid=1)
    block.valid_2d[2], block.valid_3d[2] = False, False
    kept = one.keep(block)
    assert len(kept) == 5
    assert one.dropped == {
        "fewer than 1 labelled joints": 1,
        "box without an area": 1,
        "hand outside its image": 1,
    }
    assert [sentence.split(",")[0] for sentence in one.bad] == [
        "expected a box with an area for 000/right",
        "expected the hand 000/left in its image of 320×240 px",
    ]


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ([-20, 10, 19.5, 20], False),  # ends at the edge of the first pixel, at -1/2
        ([-20, 10, 19.6, 20], True),
        ([319.5, 10, 5, 20], False),
        ([319.4, 10, 5, 20], True),
        ([10, 239.5, 5, 20], False),
        ([10, -30, 5, 20], False),
        ([-500, -500, 2000, 2000], True),
    ],
)
def test_outside_means_not_a_pixel_in_common(block: SampleBlock, box: list[float], inside: bool):
    block.bbox[3] = box
    assert len(selector(skip_bad=True).keep(block)) == 7 + inside


@pytest.mark.parametrize("box", [[1, 1, 0, 0], [1, 1, -5, 5], [np.nan, 1, 5, 5], [1, 1, 5, np.inf]])
def test_a_box_without_area_is_named(block: SampleBlock, box: list[float]):
    block.bbox[4] = box
    with pytest.raises(SourceError, match=r"box with an area for 002/right, .*; correct or remove"):
        selector().keep(block)


def test_an_image_that_was_not_read_is_named(block: SampleBlock):
    block.images[3], block.image_size[3] = b"", 0
    with pytest.raises(SourceError, match="expected the image of 001/left, found none that can"):
        selector().keep(block)
    one = selector(skip_bad=True)
    assert len(one.keep(block)) == 7
    assert one.dropped == {"image that cannot be read": 1}


def test_a_crop_far_larger_than_its_image_is_named(block: SampleBlock):
    block.bbox[4] = [0, 0, 1e6, 1e6]
    with pytest.raises(SourceError, match=r"crop of 002/right would be .*: give the box in px, or"):
        selector().keep(block)


def test_all_chosen_values_must_occur(block: SampleBlock):
    one = selector(chosen={"camera_id": frozenset({"a", "c"})})
    one.keep(block)
    with pytest.raises(SourceError, match="expected rows with camera_id 'c', found a, b: choose"):
        one.check_all_found()
