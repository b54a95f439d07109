from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import handbench
from handbench.errors import FormatError
from handbench.hdf5.reader import HandFile


def test_items(freihand_file: Path):
    dataset = handbench.HandDataset(freihand_file, "test", labels=("camera", "instant_id"))
    assert len(dataset) == 8
    assert dataset.sample_ids[2] == "evaluation/00000002"
    item = dataset[2]
    with HandFile(freihand_file) as file:
        sample = file["test"][2]
        assert torch.equal(item["image"], torch.from_numpy(sample.image).permute(2, 0, 1))
        assert item["keypoints_2d"].dtype == torch.float32
        assert np.allclose(item["keypoints_2d"], sample.keypoints_2d, atol=1e-4)
        assert item["valid_2d"].dtype == torch.bool
        assert np.array_equal(item["camera"], sample.camera)
        assert item["instant_id"] == sample.extra["instant_id"]
    assert item["index"] == 2


def test_unlabelled_joints_are_zero_not_nan():
    golden = Path(__file__).parent / "golden" / "format_1_0.h5"
    item = handbench.HandDataset(golden, "train")[1]
    assert item["keypoints_2d"][20].tolist() == [0.0, 0.0]
    assert item["valid_2d"].tolist() == [True] * 20 + [False]


def test_a_wrong_split_or_column(freihand_file: Path):
    with pytest.raises(FormatError, match="has no split 'testing'"):
        handbench.HandDataset(freihand_file, "testing")
    with pytest.raises(FormatError, match="has no column 'subject_id'"):
        handbench.HandDataset(freihand_file, "test", labels=("subject_id",))


def test_it_can_be_pickled(freihand_file: Path):
    dataset = handbench.HandDataset(freihand_file, "test")
    before = dataset[1]["image"]
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own
    assert torch.equal(again[1]["image"], before)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_loader_workers_give_what_one_process_gives(freihand_file: Path, method: str):
    dataset = handbench.HandDataset(freihand_file, "train", labels=("sample_id", "camera"))
    dataset[0]  # an open file in the parent must not disturb the workers
    expected = list(DataLoader(dataset, batch_size=5))
    # A spawned worker imports torch anew, which takes seconds: one is enough to show it works.
    workers = 2 if method == "fork" else 1
    loader = DataLoader(dataset, batch_size=5, num_workers=workers, multiprocessing_context=method)
    found = list(loader)
    assert [b["sample_id"] for b in found] == [b["sample_id"] for b in expected]
    for a, b in zip(found, expected, strict=True):
        for name in ("image", "keypoints_2d", "valid_2d", "index", "camera"):
            assert torch.equal(a[name], b[name])
