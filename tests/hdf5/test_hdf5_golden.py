"""The committed file of format 1.0, read with literals that no handbench code computed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from handbench.hdf5.reader import HandFile
from handbench.hdf5.verify import verify

GOLDEN = Path(__file__).parent / "golden" / "format_1_0.h5"
FILE_SHA256 = "4bd29ddf885aab474762267442e78f22b70506816bc65e6a528f3c7095ba7c2e"
TRAIN_TRUTH = "240f31261282e153dceab5328a840933908ebd13bf12fd6f122104f16a9bac04"
TEST_TRUTH = "73c28de737d4ffa901f0cd300975625554e3f24e3964b5ae6e2d3164153a2f6b"
TRAIN_CROPS = "c6652e1a03909ddaa005d78ecdc0b443f539c26de6b2a7c111ec7b427f0b6291"


def test_the_file_never_changes():
    assert hashlib.sha256(GOLDEN.read_bytes()).hexdigest() == FILE_SHA256
    assert GOLDEN.stat().st_size < 60_000


def test_header():
    with HandFile(GOLDEN) as file:
        assert file.attributes["handbench_format"] == "1.0"
        assert file.dataset == "golden"
        assert file.attributes["license"] == "CC0 1.0"
        assert bool(file.attributes["publish_images"]) is True
        assert file.attributes["sources"] == [
            {"file": "golden.json", "size": 12, "sha256": "ab" * 32}
        ]
        assert list(file.attributes["joint_names"][:2]) == ["wrist", "thumb_cmc"]
        assert file.attributes["bones"].shape == (20, 2)
        assert file.splits == ("train", "test")


def test_split_attributes():
    with HandFile(GOLDEN) as file:
        train = file["train"]
        assert (len(train), len(file["test"])) == (3, 2)
        assert (train.split_unit, train.cluster_unit) == ("instant_id", "sequence_id")
        assert (train.box_source, train.box_padding) == ("annotation", 1.25)
        assert bool(train.attributes("mano_pose")["flat_hand_mean"]) is False
        # Results of every version carry these: they must never be computed differently.
        assert train.truth_sha256 == TRAIN_TRUTH
        assert file["test"].truth_sha256 == TEST_TRUTH
        assert train.crop_sha256() == TRAIN_CROPS


def test_one_sample():
    with HandFile(GOLDEN) as file:
        sample = file["train"][1]
        assert sample.sample_id == "train/写真-1"
        assert sample.keypoints_2d[4].tolist() == [4.0, 3.0]
        assert np.isnan(sample.keypoints_2d[20]).all()
        assert sample.valid_2d.tolist() == sample.valid_3d.tolist() == [True] * 20 + [False]
        assert sample.visibility.tolist() == [1, 255, *[2] * 18, 0]
        assert sample.crop.tolist() == [[0.5, 0, -4.25], [0, 0.5, -2.25], [0, 0, 1]]
        assert sample.bbox.tolist() == [2.0, 3.0, 20.0, 12.5]
        assert (sample.is_right, sample.mirrored) == (0, True)
        assert sample.camera is not None and sample.keypoints_3d is not None
        assert sample.camera.tolist() == [[64, 0, 16], [0, 64, 16], [0, 0, 1]]
        assert sample.keypoints_3d.dtype == np.float32
        assert sample.keypoints_3d[4].tolist() == [-0.09375, -0.1015625, 0.5]
        assert sample.extra["subject_id"] == "bob"
        assert sample.extra["frame_index"] == 10
        assert sample.extra["hand_type"] == "left"
        assert sample.extra["head_size_px"] == 55.5
        assert sample.extra["mano_pose"][47] == pytest.approx(0.47)
        assert sample.extra["vertices"].tolist()[3] == pytest.approx([0.009, 0.01, 0.011])


def test_images_and_masks():
    with HandFile(GOLDEN) as file:
        for row in range(3):
            image = file["train"].image(row)
            assert image.shape == (32, 32, 3)
            assert image[5, 9].tolist() == [row, 5, 9]
            assert file["train"].mask(row)[:, 0].tolist() == [255] * (row + 1) + [0] * (31 - row)
        assert file["test"].image_bytes(1).startswith(b"\x89PNG")


def test_source_frame():
    with HandFile(GOLDEN) as file:
        assert file["test"].source_keypoints_2d()[0, 4].tolist() == [16.5, 8.5]
        assert file["test"].source_bbox()[0].tolist() == [12.5, 10.5, 40.0, 25.0]
        assert file["test"].cluster_ids().tolist() == ["walk", "walk"]


def test_it_passes_verify():
    result = verify(GOLDEN, deep=True)
    assert [c for c in result.checks if c.passed is False] == []
    assert result.kept == {"train": 3, "test": 2}


def test_plain_h5py_and_pillow_read_it():
    import io

    from PIL import Image

    with h5py.File(GOLDEN) as file:
        split = file["test"]
        start, stop = split["image_offset"][1:3]
        image = np.asarray(Image.open(io.BytesIO(split["image"][start:stop].tobytes())))
        assert image[5, 9].tolist() == [1, 5, 9]
        assert split["sample_id"].asstr()[1] == "test/写真-1"
        assert split["image"].attrs["storage"] == "encoded"
        assert split["image"].fletcher32
        assert bool(file.attrs["complete"])
