from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators.coco import FakeCOCO, write_coco

from handbench.samples.earlier_cut import first_frame
from handbench.samples.frames import Columns, CropSettings, frames
from handbench.sources import coco, manifest
from handbench.sources.block import SampleBlock

SIZE = 96


def source_rows(fake: FakeCOCO) -> SampleBlock:
    source = coco.open_source({"test": fake.annotations}, fake.images, manifest.load("coco"))
    (block,) = source.blocks("test")
    return block


@pytest.fixture
def rows(tmp_path: Path) -> SampleBlock:
    """Four left hands and four right ones, as published."""
    fake = write_coco(tmp_path, 8)
    for row, hand in enumerate(fake.data["annotations"]):
        hand["hand_type"] = "left" if row < 4 else "right"
    fake.save()
    return source_rows(fake)


def cut(block: SampleBlock, settings: CropSettings) -> dict[str, np.ndarray]:
    return Columns(settings).moved(block, frames(block, settings))


def taken_over(block: SampleBlock, stored: dict[str, np.ndarray], padding: float) -> SampleBlock:
    """The stored rows as a source of their own that says how it was cut."""
    names = ("crop", "mirrored", "crop_rotation", "source_bbox")
    said = {name: stored[name] for name in names if name in stored}
    return SampleBlock(
        sample_id=block.sample_id,
        images=block.images,
        image_size=stored["image_size"],
        keypoints_2d=stored["keypoints_2d"],
        valid_2d=block.valid_2d,
        valid_3d=block.valid_3d,
        visibility=block.visibility,
        bbox=stored["bbox"],
        is_right=block.is_right,
        keypoints_3d=stored["keypoints_3d"],
        camera=stored["camera"],
        cut={**said, "padding": np.full(len(block), padding)},
    )


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("mirror", [False, True])
def test_first_frame_undoes_the_cut(rows: SampleBlock, perspective: bool, mirror: bool):
    stored = cut(rows, CropSettings(SIZE, 1.4, perspective=perspective, mirror_left=mirror))
    back = first_frame(taken_over(rows, stored, 1.4))
    np.testing.assert_allclose(back.keypoints_2d, rows.keypoints_2d, atol=1e-9)
    np.testing.assert_allclose(back.keypoints_3d, rows.keypoints_3d, atol=1e-7)
    np.testing.assert_allclose(back.bbox, rows.bbox, atol=1e-9)
    assert first_frame(rows) is rows


@pytest.mark.parametrize("perspective", [False, True])
def test_the_same_padding_keeps_images_whole(rows: SampleBlock, perspective: bool):
    stored = cut(rows, CropSettings(SIZE, 1.4, perspective=perspective, mirror_left=True))
    again = taken_over(rows, stored, 1.4)
    for padding in (1.4, np.nan):
        settings = CropSettings(SIZE, padding, mirror_left=True)
        frame = frames(again, settings)
        assert frame.unchanged.all() and not frame.mirrored.any()
        for name, values in cut(again, settings).items():
            assert np.array_equal(values, stored[name]), name
    assert not frames(again, CropSettings(SIZE, 1.2)).unchanged.any()


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("mirror", [(True, False), (False, True), (False, False)])
def test_two_cuts_lead_back_like_one(
    rows: SampleBlock, first: bool, second: bool, mirror: tuple[bool, bool]
):
    before = CropSettings(SIZE, 1.6, perspective=first, mirror_left=mirror[0])
    after = CropSettings(64, 1.2, perspective=second, mirror_left=mirror[1])
    twice = cut(taken_over(rows, cut(rows, before), 1.6), after)
    back = first_frame(taken_over(rows, twice, 1.2))
    np.testing.assert_allclose(back.keypoints_2d, rows.keypoints_2d, atol=1e-8)
    np.testing.assert_allclose(back.keypoints_3d, rows.keypoints_3d, atol=1e-6)
    assert twice["mirrored"].tolist() == [any(mirror)] * 4 + [False] * 4
    assert ("crop_rotation" in twice) == (first or second)
    if first or second:
        np.testing.assert_allclose(twice["source_bbox"], rows.bbox, atol=1e-9)
        assert np.linalg.det(twice["crop_rotation"]) == pytest.approx(np.ones(8))
    if "crop_rotation" in twice and not any(mirror):
        # docs/format.md: crop = camera · crop_rotation · source intrinsics⁻¹.
        made = twice["camera"] @ twice["crop_rotation"] @ np.linalg.inv(rows.camera)
        ratio = made / twice["crop"]
        np.testing.assert_allclose(ratio, np.broadcast_to(ratio[:, 2:, 2:], ratio.shape), rtol=1e-6)
