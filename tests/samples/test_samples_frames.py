from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from generators.crowd import write_crowd

from handbench.camera import project
from handbench.samples.frames import Columns, CropSettings, frames
from handbench.sources.block import SampleBlock


@pytest.fixture
def block(tmp_path: Path) -> SampleBlock:
    (rows,) = write_crowd(tmp_path, photos=4).source().blocks("test")
    return rows


@pytest.mark.parametrize("perspective", [False, True])
@pytest.mark.parametrize("mirror_left", [False, True])
def test_3d_and_camera_of_the_stored_image_belong_together(
    block: SampleBlock, perspective: bool, mirror_left: bool
):
    settings = CropSettings(80, 1.3, perspective=perspective, mirror_left=mirror_left)
    frame = frames(block, settings)
    columns = Columns(settings).moved(block, frame)
    assert frame.camera is not None and block.keypoints_3d is not None
    seen = project(frame.move_3d(block.keypoints_3d), frame.camera)
    assert seen == pytest.approx(columns["keypoints_2d"], abs=1e-9)
    assert frame.camera[:, 0, 0].min() > 0
    assert (np.linalg.det(frame.crop) < 0).tolist() == frame.mirrored.tolist()
    assert frame.mirrored.tolist() == [False, mirror_left] * 4
    # The root-relative hand keeps its shape, a mirrored one as in a mirror.
    lengths = np.linalg.norm(np.diff(columns["keypoints_3d"], axis=1), axis=-1)
    assert lengths == pytest.approx(
        np.linalg.norm(np.diff(block.keypoints_3d, axis=1), axis=-1), abs=1e-6
    )


def test_affine_crops_store_what_they_always_did(block: SampleBlock):
    settings = CropSettings(80, 1.3)
    columns = Columns(settings).moved(block, frames(block, settings))
    assert not {"crop_rotation", "source_bbox"} & columns.keys()
    assert columns["vertices"] is block.extra["vertices"]
    assert columns["mano_pose"] is block.extra["mano_pose"]


def test_the_stored_box_of_a_perspective_crop_holds_the_source_box(block: SampleBlock):
    settings = CropSettings(80, 1.3, perspective=True)
    columns = Columns(settings).moved(block, frames(block, settings))
    x, y, w, h = columns["bbox"].T
    middle = 39.5
    reach = np.abs([x - middle, x + w - middle, y - middle, y + h - middle]).max(axis=0)
    assert reach == pytest.approx(40 / 1.3)
    assert np.array_equal(columns["source_bbox"], block.bbox)


def test_an_identity_crop_is_no_identity_once_it_is_mirrored(block: SampleBlock):
    block.bbox[:] = [-0.5, -0.5, 64, 64]
    block.image_size[:] = 64
    frame = frames(block, CropSettings(64, 1.0, mirror_left=True))
    assert frame.unchanged.tolist() == [True, False] * 4
    assert np.array_equal(frame.crop[0], np.eye(3))
    assert frame.crop[1].tolist() == [[-1, 0, 63], [0, 1, 0], [0, 0, 1]]


def test_unknown_sides_are_left_alone_and_counted(block: SampleBlock):
    block.is_right[:3] = -1
    settings = CropSettings(64, 1.0, mirror_left=True)
    columns = Columns(settings)
    assert columns.moved(block, frames(block, settings))["mirrored"].sum() == 3
    assert columns.notes()[0] == ("--mirror-left: 3 hands of unknown side were left as they are")
