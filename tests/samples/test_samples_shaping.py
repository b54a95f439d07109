from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from generators.coco import write_coco
from PIL import Image

from handbench.camera import project
from handbench.errors import SourceError
from handbench.images import decode, decode_mask, encode_jpeg, encode_mask
from handbench.samples.shaping import CropSettings, Shaper
from handbench.sources import coco, manifest
from handbench.sources.block import SampleBlock


@pytest.fixture
def block(tmp_path: Path) -> SampleBlock:
    fake = write_coco(tmp_path, 6)
    source = coco.open_source({"test": fake.annotations}, fake.images, manifest.load("coco"))
    (rows,) = source.blocks("test")
    return rows


def shaped(block: SampleBlock, workers: int = 1, **settings):
    shaper = Shaper(CropSettings(**{"size": 96, "padding": 1.25, **settings}), workers)
    try:
        return shaper.shape(block)
    finally:
        shaper.close()


def dot_block(block: SampleBlock, x: float, y: float) -> SampleBlock:
    """One row whose image is a bright dot at (x, y), its mask too, and all joints there."""
    row, column = np.mgrid[:200, :240]
    spot = np.exp(-((column - x) ** 2 + (row - y) ** 2) / 50)
    picture = np.repeat((255 * spot).round().astype(np.uint8)[..., None], 3, axis=2)
    one = block.take(np.array([0]))
    one.images, one.image_size = [encode_jpeg(picture)], np.array([[200, 240]], np.int32)
    one.keypoints_2d = np.tile([x, y], (1, 21, 1))
    one.bbox = np.array([[60.3, 41.7, 71.0, 83.9]])
    disc = np.where(spot > 0.2, 255, 0).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(disc).save(buffer, "JPEG", quality=95)
    one.masks = [buffer.getvalue()]
    return one


def centroid(weight: np.ndarray) -> np.ndarray:
    row, column = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(column * weight).sum(), (row * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("size", [48, 128, 224])
@pytest.mark.parametrize("raw", [False, True])
def test_image_mask_and_keypoints_stay_together(block: SampleBlock, size: int, raw: bool):
    stored = shaped(dot_block(block, 93.2, 84.6), size=size, raw=raw)
    image = stored.images[0] if raw else decode(stored.images[0], "a")
    where = stored.columns["keypoints_2d"][0, 0]
    weight = image[..., 0].astype(float)
    weight[weight < 25] = 0  # JPEG ripples far from the dot
    assert np.abs(centroid(weight) - where).max() < 0.05
    assert stored.masks is not None
    mask = decode_mask(stored.masks[0], "m")
    assert mask.shape == (size, size)
    assert np.abs(centroid(mask.astype(float)) - where).max() < 0.3


def test_3d_projects_onto_the_stored_keypoints(block: SampleBlock):
    columns = shaped(block).columns
    assert columns["keypoints_3d"].dtype == np.float32
    found = project(columns["keypoints_3d"], columns["camera"])
    assert np.abs(found - columns["keypoints_2d"]).max() < 1e-3
    assert np.array_equal(columns["keypoints_3d"], block.keypoints_3d.astype(np.float32))


def test_the_unpadded_box_sits_in_the_middle(block: SampleBlock):
    columns = shaped(block, padding=1.6, size=80).columns
    centre = columns["bbox"][:, :2] + columns["bbox"][:, 2:] / 2
    assert centre == pytest.approx(np.full((6, 2), 39.5))
    assert columns["bbox"][:, 2:].max(axis=1) == pytest.approx(np.full(6, 80 / 1.6))
    assert (columns["image_size"] == 80).all()
    assert not columns["mirrored"].any()


def test_an_untouched_image_keeps_its_bytes(block: SampleBlock):
    block.bbox[:] = [-0.5, -0.5, 224, 224]
    block.bbox[2] = [10, 10, 100, 100]
    stored = shaped(block, size=224, padding=1.0)
    same = [stored.images[row] == block.images[row] for row in range(6)]
    assert same == [True, True, False, True, True, True]
    assert np.array_equal(stored.columns["crop"][[0, 5]], [np.eye(3)] * 2)
    assert np.array_equal(stored.columns["keypoints_2d"][0], block.keypoints_2d[0])


def test_a_full_box_on_a_larger_image_is_no_identity(block: SampleBlock):
    # The crop is the identity, yet the image would keep pixels beyond the stored square.
    wide = Image.new("RGB", (300, 224))
    block.images[0] = encode_jpeg(np.asarray(wide))
    block.image_size[0] = [224, 300]
    block.bbox[:] = [-0.5, -0.5, 224, 224]
    stored = shaped(block, size=224, padding=1.0)
    assert decode(stored.images[0], "a").shape == (224, 224, 3)
    assert stored.images[1] == block.images[1]


def test_raw_storage_holds_the_pixels(block: SampleBlock):
    block.bbox[:] = [-0.5, -0.5, 224, 224]
    stored = shaped(block, size=224, padding=1.0, raw=True)
    assert isinstance(stored.images, np.ndarray)
    assert stored.images.shape == (6, 224, 224, 3)
    assert np.array_equal(stored.images[4], decode(block.images[4], "a"))


def test_the_number_of_threads_changes_nothing(block: SampleBlock):
    one, four = shaped(block, workers=1), shaped(block, workers=4)
    assert one.images == four.images
    assert np.array_equal(one.columns["keypoints_2d"], four.columns["keypoints_2d"])


def test_unlabelled_joints_stay_unlabelled(block: SampleBlock):
    block.keypoints_2d[1, 5] = np.nan
    columns = shaped(block).columns
    assert np.isnan(columns["keypoints_2d"][1, 5]).all()
    assert np.isfinite(np.delete(columns["keypoints_2d"], 5, axis=1)).all()


@pytest.mark.parametrize("workers", [1, 3])
def test_a_damaged_image_is_named(block: SampleBlock, workers: int):
    block.images[3] = block.images[3][:500]
    with pytest.raises(SourceError, match="expected a whole image at 00003, found one that is"):
        shaped(block, workers=workers)


def test_damaged_images_can_be_left_out(block: SampleBlock):
    block.images[3] = block.images[3][:500]
    stored = Shaper(CropSettings(48, 1.25), lenient=True).shape(block)
    assert len(stored) == len(stored.columns["crop"]) == 5
    assert list(stored.damaged) == [3]
    assert "00003" in stored.damaged[3]
    assert stored.columns["sample_id"] == ["00000", "00001", "00002", "00004", "00005"]


def test_nothing_but_damaged_images(block: SampleBlock):
    block.images = [b"no image"] * 6
    for raw in (False, True):
        stored = Shaper(CropSettings(48, 1.25, raw=raw), lenient=True).shape(block)
        assert len(stored) == 0
        assert len(stored.damaged) == 6


def test_damaged_masks_are_named(block: SampleBlock):
    block.masks = [encode_mask(np.ones((224, 224), dtype=bool)) for _ in range(6)]
    block.masks[1], block.masks[3] = b"no mask", b"no mask"
    block.images[3] = b"no image"
    with pytest.raises(SourceError, match="the mask of 00001"):
        Shaper(CropSettings(48, 1.25)).shape(block.take(np.array([0, 1])))
    stored = Shaper(CropSettings(48, 1.25), lenient=True).shape(block)
    # A row whose image is damaged too is counted once, for its image.
    assert (list(stored.damaged), list(stored.bad_masks)) == ([3], [1])
    assert "the mask of 00001" in stored.bad_masks[1]
    assert stored.columns["sample_id"] == ["00000", "00002", "00004", "00005"]
    assert stored.masks is not None and len(stored.masks) == len(stored) == 4


def test_a_block_can_be_begun_before_the_last_is_finished(block: SampleBlock):
    shaper = Shaper(CropSettings(48, 1.25), workers=2)
    halves = [block.take(np.arange(3)), block.take(np.arange(3, 6))]
    begun = [shaper.start(half) for half in halves]
    images = [image for part in begun for image in shaper.finish(part).images]
    shaper.close()
    assert images == shaped(block, size=48).images


def test_chosen_rows_of_what_is_stored(block: SampleBlock):
    stored = shaped(dot_block(block, 93.2, 84.6))
    twice = stored.take(np.array([0, 0]))
    assert twice.images == stored.images * 2
    assert twice.masks == (stored.masks or []) * 2
    assert twice.columns["sample_id"] == stored.columns["sample_id"] * 2
    assert twice.columns["crop"].shape == (2, 3, 3)
