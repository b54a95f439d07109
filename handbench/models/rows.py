"""Rows of HDF5 files as batches of images, and their labels.

Labels are small and stay in memory. Images are read when a batch is made, in worker processes or
here, and leave as uint8; everything else happens on the device (:mod:`handbench.models.pixels`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from handbench.camera import transform_points
from handbench.errors import TrainError
from handbench.hdf5.reader import HandFile, SplitReader
from handbench.models.image_cache import DecodedImages, EncodedImages, choose_form, decoded_bytes
from handbench.models.stored_images import WHOLE, StoredImages, decode_image, eighths

Part = tuple[Path, str, npt.NDArray[np.int64] | None]
"""File, split and row numbers; None for all rows."""

SMALL_BYTES = 512 * 1024 * 1024
"""Sets up to this size are kept decoded without being asked for, where the process that trains
reads images itself: reading them again costs a small network on a CPU a fifth of its time."""


@dataclass(frozen=True)
class Labels:
    """Labels of N hands in the order of their :class:`HandRows`.

    Attributes
    ----------
    sample_id
        (N,) str.
    keypoints
        (N, 21, 2) float32 px of the images as the rows hand them out, NaN where unlabelled.
    valid
        (N, 21) bool.
    source_from_stored
        (N, 3, 3) float64 homographies, px of these images → source px.
    """

    sample_id: npt.NDArray[np.str_]
    keypoints: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    source_from_stored: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.sample_id)

    def to_source(self, keypoints: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """(N, 21, 2) points of the rows' images, in pixels of their source images."""
        return transform_points(self.source_from_stored, keypoints)


class HandRows(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Chosen rows of one or several splits whose images have one size.

    Indexing with a list of positions gives a whole batch: images (B, 3, H, W) uint8 RGB and the
    positions (B,) int64. Files are opened by whichever process reads. `size` is the height and
    width of the images. `names` tells the datasets and splits the rows come from, as in
    ``freihand/train``; `weights` (N,) float64 how often each is to be drawn, None where all are
    drawn alike.

    Parameters
    ----------
    parts
        File, split and row numbers (None: all rows).
    least
        Pixels that the longer side is needed with; larger images are shrunk as they are decoded,
        by eighths, as long as they keep them. None leaves images as they are stored.

    Raises
    ------
    TrainError
        If there are no rows, or the images differ in size.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        least: float | None = None,
    ) -> None:
        self._images: list[StoredImages] = []
        labels, sizes, places, weights, wheres = [], [], [], [], []
        names: list[str] = []
        for number, (path, split, chosen) in enumerate(parts):
            file = HandFile(path)
            reader = file[split]
            rows = np.arange(len(reader)) if chosen is None else chosen
            labels.append(_labels(reader, rows))
            sizes.append(reader.column("image_size")[rows])
            places.append(np.stack([np.full(len(rows), number), rows], axis=1))
            weights.append(_weights(reader, rows, str(file.path)))
            names += [f"{dataset}/{split}" for dataset in _datasets(file, reader, rows)]
            wheres.append(f"{file.path}, split {split!r}")
            self._images.append(StoredImages(file, split))
            file.close()
        self._places = np.concatenate(places)
        where = " and ".join(wheres)
        if not len(self._places):
            raise TrainError(f"expected images in {where}, found none")
        stored = _common_size(np.concatenate(sizes), where)
        self._parts = eighths(stored, least)
        self.size = (stored[0] * self._parts // WHOLE, stored[1] * self._parts // WHOLE)
        whole = Labels(*(np.concatenate(column) for column in zip(*labels)))
        self.labels = _shrunk(whole, self._parts / WHOLE)
        self.names = tuple(names)
        weight = np.concatenate(weights)
        self.weights = None if (weight == weight[0]).all() else weight
        self._decoded: DecodedImages | None = None
        self._encoded: EncodedImages | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, positions: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        images = np.empty((len(positions), *self.size, 3), dtype=np.uint8)
        for position, image in zip(positions, images):
            cached = self._decoded
            if cached is None:
                self.load(position, image)
                continue
            if not cached.present[position]:
                self.load(position, cached.pixels[position])
                cached.present[position] = True
            image[...] = cached.pixels[position]
        # Height, width, channels in memory: what torch calls channels-last.
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.as_tensor(list(positions))

    @property
    def encoded(self) -> bool:
        """Whether all images are stored as JPEG or PNG."""
        return all(images.encoded for images in self._images)

    def lengths(self) -> npt.NDArray[np.int64]:
        """(N,) bytes of each image as it is stored, if all are encoded."""
        lengths = np.empty(len(self), dtype=np.int64)
        for number, images in enumerate(self._images):
            mine = self._places[:, 0] == number
            lengths[mine] = images.lengths(self._places[mine, 1])
            images.close()
        return lengths

    def read(self, position: int) -> bytearray:
        """An image as it is stored, if it is encoded."""
        number, row = self._places[position].tolist()
        images: StoredImages = self._images[number]
        return images.data(row)

    def load(self, position: int, out: npt.NDArray[np.uint8]) -> None:
        """Decode an image from the file, or from its bytes in memory, into `out` (H, W, 3).

        Raises
        ------
        SourceError, TrainError
            Of :func:`~handbench.models.stored_images.decode_image`.
        """
        number, row = self._places[position].tolist()
        images = self._images[number]
        if self._encoded is not None:
            decode_image(self._encoded.data(position), out, images.place(row), self._parts)
        else:
            images.decode(row, out, self._parts)

    def keep_decoded(self, threads: int = 0) -> None:
        """Keep decoded images in memory: as they are read, or all at once by some threads."""
        self._decoded = DecodedImages(len(self), self.size)
        if threads:
            self._decoded.fill(self, threads)
        self._close()

    def keep_encoded(self) -> None:
        """Keep images in memory as they are stored."""
        self._encoded = EncodedImages(self)
        self._close()

    def _close(self) -> None:
        # What is open now would be open in every process that is forked from this one.
        for images in self._images:
            images.close()

    def __getstate__(self) -> dict[str, Any]:
        # A process that was not forked cannot share memory: it reads the file.
        return {**self.__dict__, "_decoded": None, "_encoded": None}


def keep_in_memory(
    sets: Sequence[HandRows], cache: str, *, workers: int, processes: int = 1
) -> None:
    """Keep images in memory as the setting `cache` says.

    Parameters
    ----------
    sets
        All rows of a run.
    cache
        ``none``; ``ram``: decoded if there is room for all, else encoded; ``auto``: decoded, where
        a set has at most :data:`SMALL_BYTES` and this process reads its images itself.
    workers
        Loading processes.
    processes
        On this machine; each keeps its own images.

    Raises
    ------
    TrainError
        If ``ram`` was asked for and the images do not fit.
    """
    if cache == "auto" and not workers:
        for rows in sets:
            if decoded_bytes(rows) <= SMALL_BYTES:
                rows.keep_decoded()
    elif cache == "ram":
        if choose_form(sets, processes) == "encoded":
            for rows in sets:
                rows.keep_encoded()
            return
        for rows in sets:
            rows.keep_decoded(threads=max(1, (os.cpu_count() or 1) // processes))


def _shrunk(labels: Labels, scale: float) -> Labels:
    """Labels of images whose sides became shorter by a factor: x′ = (x + ½) · scale - ½."""
    if scale == 1:
        return labels
    shift = (1 / scale - 1) / 2
    back = np.array([[1 / scale, 0, shift], [0, 1 / scale, shift], [0, 0, 1.0]])
    return Labels(
        sample_id=labels.sample_id,
        keypoints=((labels.keypoints + 0.5) * scale - 0.5).astype(np.float32),
        valid=labels.valid,
        source_from_stored=labels.source_from_stored @ back,
    )


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
