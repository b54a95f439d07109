"""Rows as batches: which rows train, which validate, in what order, and who reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler

from handbench.errors import TrainError
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.models.interruption import ignore_signals
from handbench.models.rows import HandRows, Part
from handbench.samples.grouping import draw


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


PREFETCH = 4
"""Batches that each loading process is ahead: reading is uneven, above all in the first epoch."""


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
        prefetch_factor=PREFETCH if workers else None,
        worker_init_fn=ignore_signals,
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
    least: float | None = None,
) -> tuple[HandRows, HandRows | None]:
    """Images and labels of the rows that :func:`part_rows` chooses; None without validation.

    `least` is that of :class:`~handbench.models.rows.HandRows`.
    """
    training, validation = part_rows(data, split_train, split_val, val_fraction, val_blocks)
    held = HandRows(validation, least=least) if validation else None
    return HandRows(training, least=least), held


def part_rows(
    data: Sequence[Path], split_train: str, split_val: str, val_fraction: float, val_blocks: int
) -> tuple[list[Part], list[Part]]:
    """Rows to train on and rows to validate on, of one or several files.

    A file whose split `split_val` is labelled validates on that; of any other file, a part of
    `split_train` is held out (:func:`held_out`), none with a fraction of 0. Images without any
    labelled joint are left out.

    Raises
    ------
    TrainError
        If a file lacks `split_train`, has no labels, or cannot be parted.
    """
    training: list[Part] = []
    validation: list[Part] = []
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
            if not val_fraction:
                training.append((path, split_train, rows))
                continue
            chosen = held_out(unit_ids(file[split_train], val_blocks)[rows], val_fraction)
            training.append((path, split_train, rows[~chosen]))
            validation.append((path, split_train, rows[chosen]))
    return training, validation


def _labelled_rows(reader: SplitReader) -> npt.NDArray[np.int64]:
    return np.flatnonzero(reader.column("valid_2d").any(axis=1))
