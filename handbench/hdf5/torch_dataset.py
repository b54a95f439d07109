"""A split as a `torch.utils.data.Dataset`, safe in workers and after fork."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from handbench.hdf5.reader import HandFile


class HandDataset(Dataset[dict[str, Any]]):
    """Images and labels of one split for a `DataLoader`.

    Parameters
    ----------
    path
        HDF5 file of format 1.x.
    split
        Name of a split.
    labels
        Further columns to hand out with each sample, for example ``("camera", "vertices")``.

    Each item is a dict: `image` (3, H, W) uint8 tensor, `keypoints_2d` (21, 2) float32 px of the
    stored image (0 where unlabelled), `valid_2d` (21,) bool, `index` int, and whatever `labels`
    names. No file is kept open by the constructor, so nothing open is inherited over a fork.
    """

    def __init__(
        self, path: str | os.PathLike[str], split: str, labels: tuple[str, ...] = ()
    ) -> None:
        self.split = split
        self.labels = labels
        self._file = HandFile(path)
        reader = self._file[split]
        self.sample_ids: list[str] = reader.column("sample_id").tolist()
        keypoints = reader.column("keypoints_2d")
        self._valid = torch.from_numpy(reader.column("valid_2d"))
        self._keypoints = torch.from_numpy(np.nan_to_num(keypoints).astype(np.float32))
        self._columns = {name: reader.column(name) for name in labels}
        self._file.close()

    def __len__(self) -> int:
        return len(self.sample_ids)

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self._file[self.split].image(index)
        item: dict[str, Any] = {
            "image": torch.from_numpy(image).permute(2, 0, 1),
            "keypoints_2d": self._keypoints[index],
            "valid_2d": self._valid[index],
            "index": index,
        }
        for name, column in self._columns.items():
            item[name] = column[index]
        return item
