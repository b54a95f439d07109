"""Rows of HDF5 files as batches: which rows train, which validate, and in what order.

Labels are small and stay in memory. Images are read when a batch is made, in worker processes or
here, and leave as uint8; everything else happens on the device (:mod:`handbench.models.augment`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from handbench.camera import transform_points
from handbench.errors import TrainError
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.samples.grouping import draw

CACHE_BYTES = 512 * 1024 * 1024
"""Decoded images are kept in memory up to this size: reading them again costs a small network on
a CPU a fifth of its time."""


@dataclass(frozen=True)
class Labels:
    """Labels of N hands in the order of their :class:`HandRows`.

    Attributes
    ----------
    sample_id
        (N,) str.
    keypoints
        (N, 21, 2) float32 px of the stored image, NaN where unlabelled.
    valid
        (N, 21) bool.
    source_from_stored
        (N, 3, 3) float64 homographies, stored px → source px.
    """

    sample_id: npt.NDArray[np.str_]
    keypoints: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    source_from_stored: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sample_id)

    def to_source(self, keypoints: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(N, 21, 2) points of stored images, in pixels of their source images."""
        return transform_points(self.source_from_stored, keypoints)


class HandRows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Chosen rows of one or several splits whose images have one size.

    Indexing with a list of positions gives a whole batch: images (B, 3, H, W) uint8 RGB and the
    positions (B,) int64. Files are opened by whichever process reads. `names` tells the datasets
    and splits the rows come from, as in ``freihand/train``; `weights` (N,) float64 how often each
    is to be drawn, None where all are drawn alike.

    Parameters
    ----------
    parts
        File, split and row numbers (None: all rows).
    cache
        Keep decoded images in memory if all of them fit into :data:`CACHE_BYTES`.

    Raises
    ------
    TrainError
        If there are no rows, or the images differ in size.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Path, str, npt.NDArray[np.int64] | None]],
        *,
        cache: bool = False,
    ) -> None:
        self._files = [HandFile(path) for path, _, _ in parts]
        self._splits = [split for _, split, _ in parts]
        labels, sizes, places, weights, wheres = [], [], [], [], []
        names: list[str] = []
        for number, (file, (_, split, chosen)) in enumerate(zip(self._files, parts)):
            reader = file[split]
            rows = np.arange(len(reader)) if chosen is None else chosen
            labels.append(_labels(reader, rows))
            sizes.append(reader.column("image_size")[rows])
            places.append(np.stack([np.full(len(rows), number), rows], axis=1))
            weights.append(_weights(reader, rows, str(file.path)))
            names += [f"{dataset}/{split}" for dataset in _datasets(file, reader, rows)]
            wheres.append(f"{file.path}, split {split!r}")
            file.close()
        self._places = np.concatenate(places)
        where = " and ".join(wheres)
        if not len(self._places):
            raise TrainError(f"expected images in {where}, found none")
        self.size = _common_size(np.concatenate(sizes), where)
        self.labels = Labels(*(np.concatenate(column) for column in zip(*labels)))
        self.names = tuple(names)
        weight = np.concatenate(weights)
        self.weights = None if (weight == weight[0]).all() else weight
        self._cache: npt.NDArray[np.uint8] | None = None
        if cache and len(self) * self.size[0] * self.size[1] * 3 <= CACHE_BYTES:
            self._cache = np.empty((len(self), *self.size, 3), dtype=np.uint8)
            self._cached = np.zeros(len(self), dtype=bool)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, positions: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images = np.stack([self._image(position) for position in positions])
        # Height, width, channels in memory: what torch calls channels-last.
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.as_tensor(list(positions))

    def _image(self, position: int) -> npt.NDArray[np.uint8]:
        image: npt.NDArray[np.uint8]
        if self._cache is not None and self._cached[position]:
            image = self._cache[position]
            return image
        number, row = self._places[position]
        image = self._files[number][self._splits[number]].image(int(row))
        if self._cache is not None:
            self._cache[position] = image
            self._cached[position] = True
        return image


def _labels(
    reader: SplitReader, rows: npt.NDArray[np.int64]
) -> tuple[
    npt.NDArray[np.str_],
    npt.NDArray[np.float32],
    npt.NDArray[np.bool_],
    npt.NDArray[np.float64],
]:
    keypoints = reader.column("keypoints_2d")[rows]
    valid = reader.column("valid_2d")[rows] & np.isfinite(keypoints).all(axis=-1)
    keypoints = np.where(valid[..., None], keypoints, np.nan).astype(np.float32)
    inverse = np.linalg.inv(reader.column("crop")[rows])
    return reader.column("sample_id")[rows], keypoints, valid, inverse


def _weights(
    reader: SplitReader, rows: npt.NDArray[np.int64], where: str
) -> npt.NDArray[np.float64]:
    """(N,) how often each row is to be drawn, relative; 1 where the file does not say."""
    if not reader.has("sample_weight"):
        return np.ones(len(rows))
    weights: npt.NDArray[np.float64] = reader.column("sample_weight")[rows]
    bad = ~(np.isfinite(weights) & (weights > 0))
    if bad.any():
        raise TrainError(
            f"expected positive numbers as sample_weight in {where}, split {reader.name!r}, found "
            f"{weights[bad][0]:g} in row {int(rows[bad][0])}: merge the files again"
        )
    return weights


def _datasets(file: HandFile, reader: SplitReader, rows: npt.NDArray[np.int64]) -> list[str]:
    """Name the datasets of the rows: those a merged file was made of, else the file's own."""
    if not reader.has("source_dataset"):
        return [file.dataset]
    return list(dict.fromkeys(reader.column("source_dataset")[rows].tolist()))


def _common_size(sizes: npt.NDArray[np.int32], where: str) -> tuple[int, int]:
    found, counts = np.unique(sizes, axis=0, return_counts=True)
    if len(found) > 1:
        examples = ", ".join(
            f"{height}×{width} ({count:,})" for (height, width), count in zip(found[:3], counts)
        )
        raise TrainError(
            f"training and prediction need images of one size, found {len(found)} sizes in "
            f"{where}: {examples}; convert with --size N"
        )
    return int(found[0, 0]), int(found[0, 1])


class ShuffledBatches(Sampler[list[int]]):
    """Batches of positions in a new order every epoch; the order follows from seed and epoch.

    An incomplete last batch is left out: batch norm would weigh its few images too much. Other
    images fall into it next time.

    Parameters
    ----------
    count, batch_size, seed
        Number of positions, of those in a batch, and what the order follows from.
    weights
        (count,) positive: an epoch of `count` draws takes position i about
        ``count * weights[i] / sum(weights)`` times. None: every position once.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        seed: int,
        weights: npt.NDArray[np.float64] | None = None,
    ) -> None:
        self._count, self._batch_size, self._seed = count, batch_size, seed
        self._weights = None if weights is None else torch.from_numpy(weights)
        self.epoch = 0

    def __len__(self) -> int:
        return self._count // self._batch_size

    def __iter__(self) -> Iterator[list[int]]:
        random = generator(self._seed, self.epoch, "order")
        order = torch.randperm(self._count, generator=random)
        if self._weights is not None:
            order = _drawn(order, self._weights[order], random)
        for batch in order[: len(self) * self._batch_size].view(-1, self._batch_size):
            yield batch.tolist()


def _drawn(order: torch.Tensor, weights: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """As many positions as `order` has, each as often as its weight says, in random order.

    Systematic sampling: every position is drawn its expected number of times, rounded down or up.
    Independent draws would leave out a third of the images by chance and repeat others.
    """
    count = len(order)
    edges = weights.cumsum(0)
    start = torch.rand((), generator=random, dtype=torch.float64)
    ticks = (torch.arange(count, dtype=torch.float64) + start) * (edges[-1] / count)
    chosen = torch.searchsorted(edges, ticks, right=True).clamp_(max=count - 1)
    return order[chosen][torch.randperm(count, generator=random)]


def in_order(count: int, batch_size: int) -> list[list[int]]:
    """Batches of positions 0 … count - 1 in order, the last one as long as it is."""
    return [
        list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)
    ]


def loader(
    rows: Any, batches: Sampler[list[int]] | list[list[int]], workers: int, *, pin: bool
) -> DataLoader[tuple[torch.Tensor, torch.Tensor]]:
    """Make a loader of whole batches of `rows`, read in `workers` processes or in this one."""
    return DataLoader(
        rows,
        sampler=batches,
        batch_size=None,  # the sampler already hands out lists of positions
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
    )


def generator(seed: int, epoch: int, purpose: str) -> torch.Generator:
    """Random numbers that follow from seed, epoch and purpose alone.

    Nothing of them has to be saved: a resumed run draws what the whole run would have drawn.
    """
    digest = hashlib.sha256(f"{seed}/{epoch}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def held_out(ids: npt.NDArray[np.str_], fraction: float) -> npt.NDArray[np.bool_]:
    """Choose validation rows by the id of their unit, so that no unit is on both sides.

    A unit is held out when its number (:func:`handbench.samples.grouping.draw`) lies below
    `fraction`: the same units whatever else is in the file. If that takes none or all, the unit
    with the smallest number is held out alone.

    Parameters
    ----------
    ids
        (N,) id of every row's unit.
    fraction
        Share of units to hold out.

    Returns
    -------
    (N,) bool, True for validation.

    Raises
    ------
    TrainError
        If there is only one unit.
    """
    units, unit_of_row = np.unique(ids, return_inverse=True)
    if len(units) < 2:
        raise TrainError(
            "holding out a validation part needs at least two units that may be parted, found "
            f"{len(units)} in {len(ids):,} rows: give a file with a validation split"
        )
    draws = np.array([draw(str(unit)) for unit in units])
    chosen = draws < fraction
    if not chosen.any() or chosen.all():
        chosen = draws == draws.min()
    mask: npt.NDArray[np.bool_] = chosen[unit_of_row]
    return mask


def unit_ids(reader: SplitReader, blocks: int) -> npt.NDArray[np.str_]:
    """(N,) id of what may not be parted: the file's `split_unit`, else blocks of neighbours.

    Without ids, or with another one in every row, rows are cut into `blocks` runs of consecutive
    rows: neighbours in a recording look alike, and a random cut would put copies of training images
    into validation. Each dataset of a merged file is looked at by itself.
    """
    origins = reader.column("source_dataset") if reader.has("source_dataset") else None
    if origins is None:
        return _units_of(reader, np.arange(len(reader)), blocks)
    ids = np.empty(len(reader), dtype=object)
    for origin in np.unique(origins):
        rows = np.flatnonzero(origins == origin)
        ids[rows] = [f"{origin}/{unit}" for unit in _units_of(reader, rows, blocks)]
    return ids.astype(str)


def _units_of(
    reader: SplitReader, rows: npt.NDArray[np.int64], blocks: int
) -> npt.NDArray[np.str_]:
    unit = reader.split_unit
    # A unit of one image each says nothing about which rows belong together.
    if unit != "sample_id" and reader.has(unit):
        ids: npt.NDArray[np.str_] = reader.column(unit)[rows]
        if len(np.unique(ids)) < len(ids):
            return ids
    count = len(rows)
    return (np.arange(count) * min(blocks, count) // max(count, 1)).astype(str)


def training_and_validation(
    data: Sequence[Path],
    split_train: str,
    split_val: str,
    val_fraction: float,
    val_blocks: int,
    *,
    cache: bool,
) -> tuple[HandRows, HandRows]:
    """Rows to train on and rows to validate on, of one or several files.

    A file whose split `split_val` is labelled validates on that; of any other file, a part of
    `split_train` is held out (:func:`held_out`). Images without any labelled joint are left out.

    Raises
    ------
    TrainError
        If a file lacks `split_train`, has no labels, or cannot be parted.
    """
    training: list[tuple[Path, str, npt.NDArray[np.int64] | None]] = []
    validation: list[tuple[Path, str, npt.NDArray[np.int64] | None]] = []
    for path in data:
        with HandFile(path) as file:
            if split_train not in file:
                raise TrainError(
                    f"{path} has no split {split_train!r} to train on; it has "
                    f"{', '.join(file.splits) or 'none'}: choose one with --split-train"
                )
            rows = _labelled_rows(file[split_train])
            if not len(rows):
                raise TrainError(
                    f"training needs 2D keypoints, but none of the {len(file[split_train]):,} "
                    f"images in {path}, split {split_train!r}, is labelled"
                )
            if split_val in file and split_val != split_train:
                other = _labelled_rows(file[split_val])
                if len(other):
                    training.append((path, split_train, rows))
                    validation.append((path, split_val, other))
                    continue
            chosen = held_out(unit_ids(file[split_train], val_blocks)[rows], val_fraction)
            training.append((path, split_train, rows[~chosen]))
            validation.append((path, split_train, rows[chosen]))
    return HandRows(training, cache=cache), HandRows(validation, cache=cache)


def _labelled_rows(reader: SplitReader) -> npt.NDArray[np.int64]:
    return np.flatnonzero(reader.column("valid_2d").any(axis=1))
